"""Exposure Monitor: what is held, in money and in coins, over a window.

It adds across keys left to right in key order and accumulates nothing along time, so a row's numbers do not depend on
the window it is seen in. Only columns somebody acts on are computed here; `detail` spells out one row for people.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import msgspec
import numpy as np

from components.maths.columns import extent
from components.maths.perps import unrealised_usdt
from components.model.keys import GAS, KING, RESERVE, WALLET, PositionKey, PositionType, base_token, token_of
from components.model.market import Column, Window
from components.model.orders import Verb, coins_moved
from components.model.requirements import reference_price
from components.model.slices import CexSlice, ModeSlice
from components.position_monitor import BookColumns
from components.utility_manager import UtilityManager

ON_CHAIN = frozenset({WALLET, RESERVE, GAS, KING, "aave_v3", "transit"})


class Account(msgspec.Struct, frozen=True, dict=True):
    """One exchange: equity (cash + unrealised + counted spot) and perp notional, USDT; `margin_ratio` = their quotient,
    None without a position."""

    equity_usdt: Column
    notional_usdt: Column | None
    margin_ratio: Column | None

    @cached_property
    def ratio_extent(self) -> tuple[float, float] | None:
        """The lowest and the highest margin ratio."""
        return None if self.margin_ratio is None else extent(self.margin_ratio)


class Exposure(msgspec.Struct, frozen=True, dict=True):
    """Columns over one window.

    `worth` of each position and `equity`, their sum in key order, in share-class currency; `net_coin` and `gross_coin`
    in coins of the asset (a number where nothing changes), None for a mode that is not hedged; `collateral_eth`,
    `debt_eth` and `ltv` None without debt. Orders whose outcome is not known may add between `doubt_low` and
    `doubt_high` coins to `net_coin`.
    """

    window: Window
    book: BookColumns
    worth: Mapping[PositionKey, Column | float]
    equity: Column
    accounts: Mapping[str, Account]
    net_coin: Column | float | None
    gross_coin: Column | float | None
    collateral_eth: Column | None
    debt_eth: Column | None
    ltv: Column | None
    doubt_low: float = 0.0
    doubt_high: float = 0.0

    @cached_property
    def ltv_extent(self) -> tuple[float, float] | None:
        """The lowest and the highest LTV."""
        return None if self.ltv is None else extent(self.ltv)

    @cached_property
    def drift(self) -> Column | float | None:
        """|net coin| ÷ gross coin; None where nothing is hedged."""
        net, gross = self.net_coin, self.gross_coin
        if net is None or gross is None:
            return None
        if isinstance(net, float) and isinstance(gross, float):
            return abs(net) / gross if gross > 0.0 else None
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.abs(net) / gross

    @cached_property
    def drift_extent(self) -> tuple[float, float] | None:
        """The lowest and the highest drift."""
        drift = self.drift
        if drift is None:
            return None
        return (drift, drift) if isinstance(drift, float) else extent(drift)


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One position at one row, for people."""

    key: PositionKey
    native: float
    coins: float
    value: float


class Layout(msgspec.Struct, frozen=True):
    """Which of the held keys play which part; found once per set of keys."""

    keys: tuple[PositionKey, ...]
    accounts: tuple[tuple[str, tuple[PositionKey, ...], PositionKey, PositionKey], ...]
    coins: tuple[PositionKey, ...]
    collateral: tuple[PositionKey, ...]
    debt: tuple[PositionKey, ...]


class ExposureMonitor:
    def __init__(self, mode: ModeSlice, exchanges: Mapping[str, CexSlice], prices: UtilityManager) -> None:
        self._mode = mode
        self._exchanges = exchanges
        self._prices = prices
        self._hedged = bool(mode.hedge_allocation)
        self._layout = Layout((), (), (), (), ())

    def measure(self, book: BookColumns) -> Exposure:
        """Exposure at every row of the book's window."""
        window = book.window
        worth = self._worth(book)
        layout = self._layout_of(tuple(book.quantities))
        collateral, debt = self._eth(book, layout.collateral), self._eth(book, layout.debt)
        ltv = None if debt is None or collateral is None else -debt / collateral
        net, gross = self._coins(book, layout) if self._hedged else (None, None)
        moves = self._doubts(book) if book.doubts else ()
        return Exposure(
            window=window,
            book=book,
            worth=worth,
            equity=_total(worth, window),
            accounts={venue: self._account(book, venue, spot, p, q) for venue, spot, p, q in layout.accounts},
            net_coin=net,
            gross_coin=gross,
            collateral_eth=collateral,
            debt_eth=None if debt is None else -debt,
            ltv=ltv,
            doubt_low=sum(min(move, 0.0) for move in moves),
            doubt_high=sum(max(move, 0.0) for move in moves),
        )

    def _worth(self, book: BookColumns) -> dict[PositionKey, Column | float]:
        """Balance × value of one unit by position held, in key order, share-class currency."""
        window, market, flowing = book.window, book.window.market, book.flowing
        found: dict[PositionKey, Column | float] = {}
        for key, quantity in book.quantities.items():
            column = flowing.get(key)
            if column is None and quantity == 0.0:
                continue
            value = self._prices.unit(market, key).value
            native = quantity if column is None else column
            if isinstance(value, float):
                found[key] = native if value == 1.0 else native * value
            else:
                found[key] = native * window.cut(value)
        return found

    def detail(self, book: BookColumns, row: int) -> tuple[Line, ...]:
        """Every position at one row: native units, coins, share-class value."""
        at = book.window.row(row)
        lines = []
        for key in book.quantities:
            native = book.at(key, row)
            if native != 0.0:
                coins, value = self._prices.coins_at(at, key), self._prices.value_at(at, key)
                lines.append(Line(key=key, native=native, coins=native * coins, value=native * value))
        return tuple(lines)

    def _account(
        self, book: BookColumns, venue: str, spot: tuple[PositionKey, ...], size: PositionKey, quote: PositionKey
    ) -> Account:
        window = book.window
        cash = book.native(base_token(venue, "USDT"))
        held, owed = book.quantities.get(size, 0.0), book.quantities.get(quote, 0.0)
        if held == 0.0:
            equity: Column | float = cash
        else:
            mark = window.column(f"{venue}.perp.{token_of(size)}")
            equity = cash + unrealised_usdt(held, owed, mark)
        if self._mode.collateral == "unified":
            for key in spot:
                haircut = self._exchanges[venue].haircuts.get(key.symbol, 0.0)
                equity = equity + book.native(key) * haircut * window.column(f"{venue}.spot.{key.symbol}")
        equity = np.full(len(window), equity) if isinstance(equity, float) else equity
        worst = abs(held)
        if book.doubts:
            moves = [o.amount for o in book.doubts if o.verb is Verb.PERP and o.venue == venue]
            low, high = sum(min(move, 0.0) for move in moves), sum(max(move, 0.0) for move in moves)
            worst = max(worst, abs(held + low), abs(held + high))
        if worst == 0.0:
            return Account(equity, None, None)
        notional = worst * window.column(f"{venue}.perp.{token_of(size)}")
        return Account(equity, notional, equity / notional)

    def _coins(self, book: BookColumns, layout: Layout) -> tuple[Column | float, Column | float]:
        """Net coins over everything, and the larger of the long and the short side; a gas debt is no side, it is hedged
        by either."""
        window, market = book.window, book.window.market
        net: Column | float = 0.0
        short = gas = 0.0
        for key in layout.coins:
            native = book.quantities[key]
            if native == 0.0:
                continue
            coins = self._prices.unit(market, key).coins
            if key.position_type is PositionType.PERP:
                short += abs(native)
            elif key.venue == GAS:
                gas += native
            net = net + native * (coins if isinstance(coins, float) else window.cut(coins))
        if isinstance(net, float):
            return net, max(net - gas + short, short)
        return net, np.maximum(net - gas + short, short)

    def _doubts(self, book: BookColumns) -> tuple[float, ...]:
        """Coins that each order in doubt would move, at the first row."""
        coin, row = self._mode.asset, book.window.row(0)
        reference = row.value(reference_price(coin)) if self._hedged else 1.0
        return tuple(coins_moved(order, coin, reference) for order in book.doubts)

    def _eth(self, book: BookColumns, keys: tuple[PositionKey, ...]) -> Column | None:
        total: Column | None = None
        for key in keys:
            native = book.quantities[key]
            if native != 0.0:
                coins = self._prices.unit(book.window.market, key).coins
                part = native * book.window.cut(coins) if not isinstance(coins, float) else None
                if part is not None:
                    total = part if total is None else total + part
        return total

    def _layout_of(self, keys: tuple[PositionKey, ...]) -> Layout:
        if keys != self._layout.keys:
            self._layout = self._find_layout(keys)
        return self._layout

    def _find_layout(self, keys: tuple[PositionKey, ...]) -> Layout:
        coin = self._mode.asset
        accounts = []
        for venue in self._mode.hedge_allocation:
            spot = tuple(k for k in keys if k.venue == venue and k == base_token(venue, coin))
            size = PositionKey.of(venue, PositionType.PERP, f"{coin}USDT")
            quote = PositionKey.of(venue, PositionType.PERP_QUOTE, f"{coin}USDT")
            accounts.append((venue, spot, size, quote))
        aave = tuple(k for k in keys if k.venue == "aave_v3")
        return Layout(
            keys=keys,
            accounts=tuple(accounts),
            coins=tuple(k for k in keys if self._moves_with(k, coin)),
            collateral=tuple(k for k in aave if k.position_type is PositionType.A_TOKEN and k.symbol != "aUSDT"),
            debt=tuple(k for k in aave if k.position_type is PositionType.DEBT_TOKEN),
        )

    @staticmethod
    def _moves_with(key: PositionKey, coin: str) -> bool:
        if key.position_type is PositionType.PERP_QUOTE:
            return False
        token = token_of(key)
        return token == coin or (coin == "ETH" and token in ("WETH", "weETH", "wstETH"))


def _total(worth: Mapping[PositionKey, Column | float], window: Window) -> Column:
    total: Column | float = 0.0
    for each in worth.values():
        total = total + each
    return np.full(len(window), total) if isinstance(total, float) else total
