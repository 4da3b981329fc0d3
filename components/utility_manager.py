"""Utility Manager: prices, indices and conversions; the only place that converts.

For every position key it knows three columns over the market: the value of one native unit in share-class currency, the
coins one unit moves with, and how a change of that value splits into P&L parts (SPEC §5). All are pure functions of a
row and the row before it, computed once per market and cut by windows.

A token that the mode needs no price of (an airdrop, a fee in a third asset) is *unvalued*: it counts nothing in equity
and in coins, and whoever shows balances lists it beside them. A series that the mode does need and that is not there
still raises MissingData: missing data is never zero.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Literal

import msgspec

from components.model.errors import MissingData, NotPriced
from components.model.keys import PositionKey, PositionType, token_of
from components.model.market import Column, Market, Row, Window, shifted, step_of
from components.model.requirements import LST_PROTOCOL, reference_price, requirements
from components.model.slices import ModeSlice

COINS = ("BTC", "ETH")
ETH_LIKE = ("ETH", "WETH")


class Unit(msgspec.Struct, frozen=True):
    """One native unit of a position over the whole market.

    `value` in share-class currency; `coins` of `coin` it moves with (0 for cash); `terms` are (P&L part, change of the
    value of one unit since the row before): their sum is the step of `value`.
    """

    value: Column | float
    coin: str | None
    coins: Column | float
    terms: tuple[tuple[str, Column], ...]


CASH = Unit(1.0, None, 0.0, ())
UNVALUED = Unit(0.0, None, 0.0, ())


class Units(dict[PositionKey, Unit]):
    """What one native unit of a key is worth over one market: worked out when it is first asked for."""

    def __init__(self, market: Market, valued: Callable[[Market, PositionKey], Unit]) -> None:
        super().__init__()
        self.market = market
        self._valued = valued

    def __missing__(self, key: PositionKey) -> Unit:
        unit = self[key] = self._valued(self.market, key)
        return unit


class RowValues(dict[PositionKey, float]):
    """Share-class value of one native unit at one row, by key: worked out when it is first asked for."""

    def __init__(self, row: Row, units: Units) -> None:
        super().__init__()
        self.row = row
        self._units = units

    def __missing__(self, key: PositionKey) -> float:
        value = self[key] = _at(self.row, self._units[key].value)
        return value


class UtilityManager:
    """`required` are the series without which there is no value; None = every series a key asks for."""

    def __init__(self, share_class: Literal["USDT", "ETH"], required: Collection[str] | None = None) -> None:
        self._share_class = share_class
        self._required = None if required is None else frozenset(required)
        self._units: Units | None = None  # of the market asked about last
        self._values: RowValues | None = None  # of the row asked for last

    @classmethod
    def of(cls, mode: ModeSlice) -> UtilityManager:
        """The prices of a mode, which knows what it needs."""
        return cls(mode.share_class, requirements(mode))

    def unit(self, market: Market, key: PositionKey) -> Unit:
        """What one native unit of `key` is worth; MissingData when a required series is not there."""
        units = self._units
        if units is None or market is not units.market:
            units = self.units(market)
        return units[key]

    def units(self, market: Market) -> Units:
        """The same for any key."""
        units = self._units
        if units is None or market is not units.market:
            units = self._units = Units(market, self._valued)
        return units

    def is_valued(self, row: Row, key: PositionKey) -> bool:
        """Whether there is a price of this key at all."""
        return self.unit(row.market, key) is not UNVALUED

    def value_at(self, row: Row, key: PositionKey) -> float:
        """Share-class value of one native unit at one row."""
        return self.values_at(row)[key]

    def values_at(self, row: Row) -> RowValues:
        """The same for any key: a decision asks for the same ones again and again."""
        values = self._values
        if values is None or row.index != values.row.index or row.market is not values.row.market:
            values = self._values = RowValues(row, self.units(row.market))
        return values

    def worth_at(self, row: Row, balances: Mapping[PositionKey, float]) -> float:
        """Share-class value of balances at one row, summed in their order; a balance of zero needs no price."""
        values, total = self.values_at(row), 0.0
        for key, native in balances.items():
            if native != 0.0:
                total += native * values[key]
        return total

    def coins_at(self, row: Row, key: PositionKey) -> float:
        """Coins of the key's coin that one native unit moves with, at one row."""
        return _at(row, self.unit(row.market, key).coins)

    def price_usdt(self, market: Market, coin: str) -> Column:
        """The reference price of a coin."""
        return market.column(reference_price(coin))

    def usdt_per_share_class(self, window: Window) -> Column | float:
        """USDT per unit of share-class currency."""
        if self._share_class == "USDT":
            return 1.0
        return window.column(reference_price("ETH"))

    def _valued(self, market: Market, key: PositionKey) -> Unit:
        try:
            return self._build(market, key)
        except MissingData as missing:
            if self._required is None or missing.missing in self._required:
                raise
            return UNVALUED

    def _build(self, market: Market, key: PositionKey) -> Unit:
        match key.position_type:
            case PositionType.PERP_QUOTE if self._share_class == "USDT":
                return CASH
            case PositionType.PERP_QUOTE:
                raise NotPriced(key, "an ETH share class holds no exchange positions")
            case PositionType.PERP:
                return self._on_exchange(market, key, f"{key.venue}.perp.{token_of(key)}")
            case PositionType.A_TOKEN:
                return self._supplied(market, token_of(key), f"{key.venue}.supply_index.{token_of(key)}")
            case PositionType.DEBT_TOKEN:
                return self._owed(market, key)
            case PositionType.BASE_TOKEN:
                return self._base(market, key)

    def _base(self, market: Market, key: PositionKey) -> Unit:
        token = key.symbol
        if token == "USDT":
            return self._cash(market)
        if token in ETH_LIKE or token in COINS:
            series = f"{key.venue}.spot.{token}"
            if series in market.columns and self._share_class == "USDT":
                return self._on_exchange(market, key, series)
            return self._coin(market, key, token)
        if token in LST_PROTOCOL:
            return self._supplied(market, token, None)
        return self._dust(market, token)

    def _cash(self, market: Market) -> Unit:
        if self._share_class == "USDT":
            return CASH
        value = market.derived("1/ETH", lambda: 1.0 / market.column(reference_price("ETH")))
        return Unit(value, None, 0.0, (("delta", market.derived("step(1/ETH)", lambda: step_of(value))),))

    def _coin(self, market: Market, key: PositionKey, token: str) -> Unit:
        """ETH or a coin off the exchanges: valued at the reference price."""
        coin = "ETH" if token in ETH_LIKE else token
        if self._share_class == coin:
            return Unit(1.0, coin, 1.0, ())
        if self._share_class != "USDT":
            raise NotPriced(key, f"an ETH share class holds no {coin}")
        series = reference_price(coin)
        return Unit(market.column(series), coin, 1.0, (("delta", market.step(series)),))

    def _on_exchange(self, market: Market, key: PositionKey, series: str) -> Unit:
        """Spot or perp of one exchange: its own price; what differs from the reference is basis."""
        coin = token_of(key)
        if self._share_class != "USDT":
            raise NotPriced(key, "an ETH share class holds no exchange positions")
        reference = reference_price(coin)
        delta = market.step(reference)
        terms: tuple[tuple[str, Column], ...] = (("delta", delta),)
        if series != reference:
            own = market.column(series)
            basis = market.derived(f"basis({series})", lambda: step_of(own) - delta)
            terms = (("basis", basis), *terms)
        return Unit(market.column(series), coin, 1.0, terms)

    def _supplied(self, market: Market, token: str, index_name: str | None) -> Unit:
        """A supplied token (index) or an LST in the wallet (no index): native unit is the scaled balance."""
        index = None if index_name is None else market.column(index_name)
        if token == "USDT":
            if index is None or index_name is None:
                raise ValueError("a supplied token needs its supply index")
            return Unit(index, None, 0.0, (("supply_yield", market.step(index_name)),))
        if token not in LST_PROTOCOL:
            raise MissingData.column(f"{token}.ratio", market.columns)
        name = f"{token}@{index_name or 'wallet'}"
        ratio_name = f"{LST_PROTOCOL[token]}.ratio.{token}"
        ratio = market.column(ratio_name)
        price = self._eth_value(market)
        coins = ratio if index is None else market.derived(f"eth({name})", lambda: index * ratio)
        value = _times(market, f"value({name})", coins, price)
        ratio_step = market.step(ratio_name)
        terms: list[tuple[str, Column]] = []
        if index is not None and index_name is not None:
            grown = market.step(index_name)
            terms.append(("supply_yield", market.derived(f"supply({name})", lambda: _scaled(grown * ratio, price))))
            held = market.before(index_name)
            staked = market.derived(f"staked({name})", lambda: _scaled(held * ratio_step, price))
        else:
            staked = market.derived(f"staked({name})", lambda: _scaled(ratio_step, price))
        terms.append(("staking_yield_oracle", staked))
        terms.extend(self._delta(market, f"delta({name})", coins))
        return Unit(value, "ETH", coins, tuple(terms))

    def _owed(self, market: Market, key: PositionKey) -> Unit:
        token = token_of(key)
        index_name = f"{key.venue}.borrow_index.{token}"
        index, grown = market.column(index_name), market.step(index_name)
        name = f"owed {token}"
        price = self._eth_value(market) if token in ETH_LIKE else 1.0
        coins = market.derived(f"eth({name})", lambda: -index)
        value = _times(market, f"value({name})", coins, price)
        cost = market.derived(f"cost({name})", lambda: _scaled(-grown, price))
        if token not in ETH_LIKE:
            return Unit(value, None, 0.0, (("borrow_costs", cost),))
        terms = (("borrow_costs", cost), *self._delta(market, f"delta({name})", coins))
        return Unit(value, "ETH", coins, terms)

    def _dust(self, market: Market, token: str) -> Unit:
        """A reward token: priced by its pool against ETH."""
        series = f"uniswap.eth_price.{token}"
        value = _times(market, f"value({token})", market.column(series), self._eth_value(market))
        return Unit(value, None, 0.0, (("dust", market.derived(f"dust({token})", lambda: step_of(value))),))

    def _eth_value(self, market: Market) -> Column | float:
        return 1.0 if self._share_class == "ETH" else market.column(reference_price("ETH"))

    def _delta(self, market: Market, name: str, coins: Column) -> tuple[tuple[str, Column], ...]:
        """What the price of ETH alone moves: the coins held before × the step of the price."""
        if self._share_class == "ETH":
            return ()
        step = market.step(reference_price("ETH"))
        return (("delta", market.derived(name, lambda: shifted(coins) * step)),)


def _scaled(column: Column, price: Column | float) -> Column:
    """`column × price`; as it is when the price is 1."""
    return column if isinstance(price, float) and price == 1.0 else column * price


def _times(market: Market, name: str, column: Column, price: Column | float) -> Column:
    return column if isinstance(price, float) and price == 1.0 else market.derived(name, lambda: column * price)


def _at(row: Row, value: Column | float) -> float:
    return value if isinstance(value, float) else row.of(value)
