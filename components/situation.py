"""What is held at one row, in the terms a plan is made of: underlying amounts, coins, accounts, cash on its way.

Read-only and cheap: it asks the position monitor afresh each time, so it is true after every trade of a tight loop.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps

from components.maths.costs import impact_fraction
from components.model.keys import (
    GAS,
    RESERVE,
    WALLET,
    PositionKey,
    PositionType,
    VenueName,
    a_token,
    base_token,
    debt_token,
    perp,
    perp_quote,
    token_of,
)
from components.model.market import Row
from components.model.orders import ETH_TOKENS, InFlight, Order, coins_moved, leg_of
from components.model.requirements import LST_PROTOCOL, reference_price, reward_tokens
from components.model.slices import RunSlice
from components.position_monitor import PositionMonitor
from components.strategies.strategy import View
from components.utility_manager import UtilityManager

ETH_PRICE = reference_price("ETH")


def once(figure: Callable[[Situation], float]) -> Callable[[Situation], float]:
    """A figure that is worked out of the book once, until the book changes."""
    name = figure.__name__

    @wraps(figure)
    def known(now: Situation) -> float:
        figures = now.figures if now.version == now.book.version else now.forget()
        value = figures.get(name)
        if value is None:
            value = figures[name] = figure(now)
        return value

    return known


class Situation:
    def __init__(self, run: RunSlice, row: Row, positions: PositionMonitor, prices: UtilityManager) -> None:
        self.run = run
        self.mode = run.mode
        self.row = row
        self.coin = run.mode.asset
        self._positions = positions
        self.book = positions.expected  # balances in key order, native units
        self.version = self.book.version
        self.figures: dict[str, float] = {}  # worked out of the book as of that version
        self._read: dict[str, float] = {}  # values of the row, which does not change
        self._marks: dict[str, float] = {}
        self._coins: dict[PositionKey, float] = {}  # per unit of what is long, at the row
        self._prices = prices
        self._eth_usdt = row.value(ETH_PRICE) if ETH_PRICE in row.market.columns else 1.0
        self.lst = run.mode.lst_type
        self.ratio = row.value(f"{LST_PROTOCOL[self.lst]}.ratio.{self.lst}") if self.lst else 1.0

    def value(self, name: str) -> float:
        """A series at the row."""
        value = self._read.get(name)
        if value is None:
            value = self._read[name] = self.row.value(name)
        return value

    def held(self, key: PositionKey) -> float:
        """Native balance of a key."""
        return self.book.of(key)

    def cash(self, venue: str) -> float:
        """USDT on an exchange or in the wallet."""
        return self.book.of(base_token(venue, "USDT"))

    def wallet(self, token: str) -> float:
        return self.book.of(base_token(WALLET, token))

    def reserve(self) -> float:
        return self.book.of(base_token(RESERVE, self.mode.share_class))

    def spot_price(self, venue: str) -> float:
        """USDT per coin on an exchange."""
        return self.value(f"{venue}.spot.{self.coin}")

    def has_price(self, venue: str) -> bool:
        """Whether the market knows a spot price of the coin there, and trades are made at it."""
        known = f"{venue}.spot.{self.coin}" in self.row.market.columns
        return known and (venue in self.run.exchanges or self.mode.costs == "default")

    def mark(self, venue: str) -> float:
        mark = self._marks.get(venue)
        if mark is None:
            mark = self._marks[venue] = self.row.value(f"{venue}.perp.{self.coin}")
        return mark

    def reference(self) -> float:
        """USDT per coin of the asset; 1 where the asset is USDT."""
        return 1.0 if self.coin == "USDT" else self.value(reference_price(self.coin))

    def eth_usdt(self) -> float:
        """USDT per ETH; 1 where a mode needs no such price, and then amounts in USDT are amounts in ETH."""
        return self._eth_usdt

    def value_usdt(self, key: PositionKey) -> float:
        """USDT per native unit of a key."""
        return self._prices.value_at(self.row, key) * (self.eth_usdt() if self.mode.share_class == "ETH" else 1.0)

    def coins(self, venue: str) -> float:
        """Spot coins on an exchange."""
        return self.book.of(base_token(venue, self.coin))

    def size(self, venue: str) -> float:
        """Perp size, signed."""
        return self.book.of(perp(venue, self.coin))

    def account(self, venue: str) -> float:
        """Cash + unrealised, USDT."""
        figures = self.figures if self.version == self.book.version else self.forget()
        account = figures.get(venue)
        if account is None:
            size, account = self.size(venue), self.cash(venue)
            if size != 0.0:
                account = account + size * self.mark(venue) + self.book.of(perp_quote(venue, self.coin))
            figures[venue] = account
        return account

    def buyer(self) -> VenueName | None:
        """The exchange where coins for the chain are bought and sold and that hedges nothing: its cash is margin of
        nobody, so it is there for whoever needs it."""
        venue = self.mode.spot_venue
        is_one = self.mode.lst_type is not None and venue in self.run.exchanges
        return venue if is_one and venue not in self.mode.hedge_allocation else None

    @once
    def lent(self) -> float:
        """USDT supplied, with interest."""
        return self.book.of(a_token("USDT")) * self._index("aave_v3.supply_index.USDT", self.book.of(a_token("USDT")))

    def lst_in_wallet(self) -> float:
        return self.wallet(self.lst) if self.lst else 0.0

    @once
    def collateral(self) -> float:
        """LST units supplied, with interest."""
        if self.lst is None:
            return 0.0
        scaled = self.book.of(a_token(self.lst))
        return scaled * self._index(f"aave_v3.supply_index.{self.lst}", scaled)

    @once
    def debt(self) -> float:
        """WETH owed, with interest."""
        scaled = self.book.of(debt_token("WETH"))
        return scaled * self._index("aave_v3.borrow_index.WETH", scaled)

    def staked_coins(self) -> float:
        """ETH that is staked, less what is owed against it."""
        return (self.lst_in_wallet() + self.collateral()) * self.ratio - self.debt()

    @once
    def long_coins(self) -> float:
        """Coins of the asset over everything but perps; debt and gas debt count against."""
        total, per_unit = 0.0, self._coins
        for key in _long(tuple(self.book), self.coin):
            native = self.book.of(key)
            if native != 0.0:
                coins = per_unit.get(key)
                if coins is None:
                    coins = per_unit[key] = self._prices.coins_at(self.row, key)
                total += native * coins
        return total

    def forget(self) -> dict[str, float]:
        """The book has changed: what was worked out of it no longer holds."""
        self.version, self.figures = self.book.version, {}
        return self.figures

    def on_its_way(self, target: PositionKey) -> float:
        """What arrives at `target` later."""
        flights = self._positions.in_flight
        return sum(flight.amount for flight in flights.values() if flight.target == target) if flights else 0.0

    def queued(self) -> float:
        """ETH that an unstaking queue still holds."""
        return sum(flight.amount for flight in self.flights() if flight.source.symbol in LST_PROTOCOL)

    def flights(self) -> tuple[InFlight, ...]:
        """What is on its way."""
        return tuple(self._positions.in_flight.values())

    def uncertain(self) -> tuple[Order, ...]:
        """Orders whose outcome is not known."""
        return tuple(self._positions.uncertain.values())

    def worth(self, key: PositionKey) -> float:
        """Share-class value of a balance; a debt is negative."""
        return self.book.of(key) * self._prices.value_at(self.row, key)

    def dust(self) -> float:
        """What is worth no more than this is not a position, share-class currency."""
        return self.mode.dust_threshold

    def series_of(self, key: PositionKey) -> tuple[str, ...]:
        """The series whose age decides whether a position can be sold."""
        token, free = token_of(key), self.mode.costs == "none"
        if key.position_type is PositionType.PERP:
            return (f"{key.venue}.perp.{token}",)
        if token in LST_PROTOCOL:
            return (f"{LST_PROTOCOL[token]}.ratio.{token}" if free else f"dex.ratio.{token}",)
        if key.venue in self.run.exchanges:
            return (f"{key.venue}.spot.{token}",)
        return (f"uniswap.eth_price.{token}",) if token in reward_tokens(self.mode) else ()

    def travelling(self) -> bool:
        return bool(self._positions.in_flight)

    def gas(self) -> float:
        """ETH kept for gas (ETH class) or owed for it (USDT class, negative)."""
        return self.book.of(base_token(GAS, "ETH"))

    @once
    def equity(self) -> float:
        """Share-class value of everything, in key order."""
        return self._prices.worth_at(self.row, self.book)

    def view(self) -> View:
        venues = self.mode.hedge_allocation
        return View(
            spot={v: self.spot_price(v) for v in venues if f"{v}.spot.{self.coin}" in self.row.market.columns},
            mark={venue: self.mark(venue) for venue in venues},
            reference=self.reference(),
            ratio=self.ratio,
        )

    def net_coins(self) -> tuple[float, float]:
        """Net coins over everything: the lowest and the highest they may be, given the orders uncertain."""
        if not self.mode.hedge_allocation:
            return 0.0, 0.0
        net = self.long_coins() + sum([self.size(venue) for venue in self.mode.hedge_allocation])
        if not self._positions.uncertain:
            return net, net
        moves = [coins_moved(order, self.coin, self.reference()) for order in self._positions.uncertain.values()]
        return net + sum(min(move, 0.0) for move in moves), net + sum(max(move, 0.0) for move in moves)

    def open_legs(self) -> frozenset[str]:
        """Legs on which the outcome of an order is not known: nothing else may happen there before it is."""
        return frozenset(leg_of(order, self.run.exchanges) for order in self._positions.uncertain.values())

    def exit_rate(self, lst_units: float) -> float:
        """ETH per LST that a market exit of `lst_units` gets; the protocol rate under `costs: none`."""
        if self.mode.costs == "none" or self.lst is None:
            return self.ratio
        chain = self.run.chain
        market = self.value(f"dex.ratio.{self.lst}")
        pair = f"{self.lst}/ETH"
        impact = impact_fraction(lst_units * self.ratio * self.value(ETH_PRICE), chain.swap_impact[pair])
        return market * (1.0 - chain.swap_fee[pair]) * (1.0 - impact)

    def units_for(self, eth: float) -> float:
        """LST units whose market exit gives at least `eth`; the rate falls with the size, so it is found by steps."""
        units = eth / self.ratio
        for _ in range(8):
            units = eth / self.exit_rate(units)
        return units * (1.0 + 1e-9)

    def stale(self, *names: str) -> tuple[str, ...]:
        """Which of these series are too old to trade on."""
        return tuple(name for name in names if self.row.is_stale(name))

    def _index(self, name: str, scaled: float) -> float:
        return self.value(name) if scaled != 0.0 else 1.0


@lru_cache(maxsize=64)
def _long(keys: tuple[PositionKey, ...], coin: str) -> tuple[PositionKey, ...]:
    """Those that move with the coin and are no perp, in the same order."""
    tokens = ETH_TOKENS if coin == "ETH" else (coin,)
    perps = (PositionType.PERP, PositionType.PERP_QUOTE)
    return tuple(key for key in keys if key.position_type not in perps and token_of(key) in tokens)
