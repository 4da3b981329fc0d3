"""Exposure Monitor: what is held, in money and in coins, over a window.

It adds across keys left to right in key order and accumulates nothing along time, so a row's numbers do not depend on
the window it is seen in. Only columns somebody acts on are computed here; `detail` spells out one row for people.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np

from components.maths.columns import extent
from components.model.keys import (
    GAS,
    PositionKey,
    PositionType,
    base_token,
    perp,
    perp_quote,
    token_of,
)
from components.model.market import Column, Market, Window
from components.model.once import once
from components.model.orders import Verb, coins_moved
from components.model.requirements import reference_price
from components.model.slices import CexSlice, ModeSlice
from components.position_monitor import BookColumns
from components.utility_manager import UtilityManager


class Account(msgspec.Struct, frozen=True, dict=True):
    """One exchange: equity (cash + unrealised + counted spot) and perp notional, USDT; `margin_ratio` = their quotient,
    None without a position."""

    equity_usdt: Column
    notional_usdt: Column | None
    margin_ratio: Column | None

    @once
    def ratio_extent(self) -> tuple[float, float] | None:
        """The lowest and the highest margin ratio."""
        return None if self.margin_ratio is None else extent(self.margin_ratio)


class Exposure(msgspec.Struct, frozen=True, dict=True):
    """Columns over one window.

    `worth` of each position and `equity`, their sum in key order, in share-class currency; `net_coin` and `gross_coin`
    in coins of the asset (a number where nothing changes), None for a mode that is not hedged; `collateral_eth`,
    `debt_eth` and `ltv` None without debt. Orders whose outcome is not known may add between `uncertain_low` and
    `uncertain_high` coins to `net_coin`.
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
    uncertain_low: float = 0.0
    uncertain_high: float = 0.0

    @once
    def ltv_extent(self) -> tuple[float, float] | None:
        """The lowest and the highest LTV."""
        return None if self.ltv is None else extent(self.ltv)

    @once
    def drift(self) -> Column | float | None:
        """|net coin| ÷ gross coin; None where nothing is hedged."""
        net, gross = self.net_coin, self.gross_coin
        if net is None or gross is None:
            return None
        if isinstance(net, float) and isinstance(gross, float):
            return abs(net) / gross if gross > 0.0 else None
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.abs(net) / gross

    @once
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


class Exchange(msgspec.Struct, frozen=True):
    """What an account is made of: its positions, the series of its marks, and the coins that count as margin."""

    cash: PositionKey
    size: PositionKey
    quote: PositionKey
    spot: PositionKey
    marks: str
    spot_series: str
    haircut: float | None

    @classmethod
    def of(cls, mode: ModeSlice, venue: CexSlice) -> Exchange:
        name, coin = venue.name, mode.asset
        haircut = venue.haircuts.get(coin, 0.0) if mode.collateral == "unified" else None
        keys = base_token(name, "USDT"), perp(name, coin), perp_quote(name, coin), base_token(name, coin)
        return cls(*keys, f"{name}.perp.{coin}", f"{name}.spot.{coin}", haircut)


class Layout(msgspec.Struct, frozen=True):
    """Which of the keys of a book play which part, found once per set of keys and market.

    `values` and `coins` are what one unit is worth and how many coins it moves with, of those that need it; `hedged`
    are those whose coins are hedged.
    """

    values: tuple[tuple[PositionKey, Column | float], ...]
    coins: tuple[tuple[PositionKey, Column | float], ...]
    hedged: tuple[PositionKey, ...]
    collateral: tuple[PositionKey, ...]
    debt: tuple[PositionKey, ...]


class ExposureMonitor:
    def __init__(self, mode: ModeSlice, exchanges: Mapping[str, CexSlice], prices: UtilityManager) -> None:
        self._mode = mode
        self._prices = prices
        self._hedged = bool(mode.hedge_allocation)
        self._exchanges = {venue: Exchange.of(mode, exchanges[venue]) for venue in mode.hedge_allocation}
        self._known: tuple[Market | None, tuple[PositionKey, ...]] = (None, ())
        self._layout = Layout((), (), (), (), ())

    def measure(self, book: BookColumns) -> Exposure:
        """Exposure at every row of the book's window."""
        window = book.window
        layout = self._layout_of(book)
        worth = self._worth(book, layout)
        coins = {
            key: book.quantities[key] * (each if isinstance(each, float) else window.cut(each))
            for key, each in layout.coins
        }
        collateral, debt = _sum(coins, layout.collateral), _sum(coins, layout.debt)
        owed = None if debt is None else -debt
        net, gross = _net_and_gross(book, coins, layout.hedged) if self._hedged else (None, None)
        moves = self._uncertain_moves(book) if book.uncertain else ()
        return Exposure(
            window=window,
            book=book,
            worth=worth,
            equity=_total(worth, window),
            accounts={
                venue: self._account(book, worth, venue, exchange) for venue, exchange in self._exchanges.items()
            },
            net_coin=net,
            gross_coin=gross,
            collateral_eth=collateral,
            debt_eth=owed,
            ltv=None if owed is None or collateral is None else owed / collateral,
            uncertain_low=sum(min(move, 0.0) for move in moves),
            uncertain_high=sum(max(move, 0.0) for move in moves),
        )

    def _worth(self, book: BookColumns, layout: Layout) -> dict[PositionKey, Column | float]:
        """Balance × value of one unit by position held, in key order, share-class currency."""
        window, quantities, flowing = book.window, book.quantities, book.flowing
        found: dict[PositionKey, Column | float] = {}
        for key, value in layout.values:
            column = flowing.get(key)
            native = quantities[key] if column is None else column
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
        self, book: BookColumns, worth: Mapping[PositionKey, Column | float], venue: str, exchange: Exchange
    ) -> Account:
        window, quantities = book.window, book.quantities
        equity = book.native(exchange.cash)
        held = quantities.get(exchange.size, 0.0)
        if held != 0.0:
            equity = equity + (worth[exchange.size] + quantities.get(exchange.quote, 0.0))  # size × mark + quote
        if exchange.haircut is not None and exchange.spot in quantities:
            equity = equity + book.native(exchange.spot) * exchange.haircut * window.column(exchange.spot_series)
        equity = np.full(len(window), equity) if isinstance(equity, float) else equity
        worst = abs(held)
        if book.uncertain:
            moves = [o.amount for o in book.uncertain if o.verb is Verb.PERP and o.venue == venue]
            low, high = sum(min(move, 0.0) for move in moves), sum(max(move, 0.0) for move in moves)
            worst = max(worst, abs(held + low), abs(held + high))
        if worst == 0.0:
            return Account(equity, None, None)
        notional = worst * window.column(exchange.marks)
        return Account(equity, notional, equity / notional)

    def _uncertain_moves(self, book: BookColumns) -> tuple[float, ...]:
        """Coins that each uncertain order would move, at the first row."""
        coin, row = self._mode.asset, book.window.row(0)
        reference = row.value(reference_price(coin)) if self._hedged else 1.0
        return tuple(coins_moved(order, coin, reference) for order in book.uncertain)

    def _layout_of(self, book: BookColumns) -> Layout:
        held = tuple(key for key, quantity in book.quantities.items() if quantity != 0.0 or key in book.flowing)
        if self._known != (book.window.market, held):
            self._known, self._layout = (book.window.market, held), self._find_layout(book.window.market, held)
        return self._layout

    def _find_layout(self, market: Market, keys: tuple[PositionKey, ...]) -> Layout:
        units = {key: self._prices.unit(market, key) for key in keys}
        aave = tuple(key for key in keys if key.venue == "aave_v3" and isinstance(units[key].coins, np.ndarray))
        hedged = tuple(key for key in keys if self._hedged and self._moves_with(key, self._mode.asset))
        collateral = tuple(k for k in aave if k.position_type is PositionType.A_TOKEN and k.symbol != "aUSDT")
        debt = tuple(k for k in aave if k.position_type is PositionType.DEBT_TOKEN)
        return Layout(
            values=tuple((key, unit.value) for key, unit in units.items()),
            coins=tuple((key, units[key].coins) for key in dict.fromkeys((*hedged, *collateral, *debt))),
            hedged=hedged,
            collateral=collateral,
            debt=debt,
        )

    @staticmethod
    def _moves_with(key: PositionKey, coin: str) -> bool:
        if key.position_type is PositionType.PERP_QUOTE:
            return False
        token = token_of(key)
        return token == coin or (coin == "ETH" and token in ("WETH", "weETH", "wstETH"))


def _total(worth: Mapping[PositionKey, Column | float], window: Window) -> Column:
    total: Column | float | None = None
    for each in worth.values():
        total = each if total is None else total + each
    return total if isinstance(total, np.ndarray) else np.full(len(window), total or 0.0)


def _sum(coins: Mapping[PositionKey, Column | float], keys: tuple[PositionKey, ...]) -> Column | None:
    """Coins of several positions; None without one."""
    total: Column | float | None = None
    for key in keys:
        total = coins[key] if total is None else total + coins[key]
    return total if isinstance(total, np.ndarray) else None


def _net_and_gross(
    book: BookColumns, coins: Mapping[PositionKey, Column | float], hedged: tuple[PositionKey, ...]
) -> tuple[Column | float, Column | float]:
    """Net coins over everything, and the larger of the long and the short side; a gas debt is no side, it is hedged by
    either."""
    net: Column | float | None = None
    short = gas = 0.0
    for key in hedged:
        if key.position_type is PositionType.PERP:
            short += abs(book.quantities[key])
        elif key.venue == GAS:
            gas += book.quantities[key]
        net = coins[key] if net is None else net + coins[key]
    if isinstance(net, np.ndarray):
        return net, np.maximum(net - gas + short, short)
    net = net or 0.0
    return net, max(net - gas + short, short)
