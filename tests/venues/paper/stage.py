"""What a test of simulated venues needs at hand: an account in an embedded market, its doors, and virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import trio
from trio.testing import MockClock

from components.model.keys import PositionKey, base_token
from components.model.market import Market
from components.model.orders import Action, GroupKind, Order, OrderGroup, Trade, Verb
from components.model.slices import RunSlice
from daemon.world.clocks import MarketClock
from tests.acceptance.runs import embedded, slice_of
from venues.interfaces import SentOrder
from venues.paper.account import PaperAccount
from venues.paper.door.door import PaperVenue
from venues.paper.door.doors import doors
from venues.paper.door.faults import Fault, FaultPlan
from venues.paper.door.passage import Profile

T = TypeVar("T")
USDT = base_token("binance", "USDT")
BTC = base_token("binance", "BTC")
WALLET_USDT = base_token("wallet", "USDT")
GAS = base_token("gas", "ETH")
START, END = "2024-05-01", "2024-05-04"
RICH: Mapping[PositionKey, float] = {
    USDT: 1_000_000.0,
    base_token("bybit", "USDT"): 500_000.0,
    WALLET_USDT: 100_000.0,
    base_token("wallet", "ETH"): 100.0,
    GAS: 1.0,
}


def basis_run() -> RunSlice:
    return slice_of("btc_basis")


def basis_market(run: RunSlice | None = None, end: str = END) -> Market:
    return embedded(run or basis_run(), START, end)


def account_of(mode: str = "btc_basis", row: int = 0, **more: Any) -> PaperAccount:
    """A rich account that has lived up to `row` of three days of hours."""
    run = slice_of(mode)
    account = PaperAccount(run, embedded(run, START, END), RICH, **more)
    if row >= 0:
        account.advance_to(row)
    return account


def order(id: str = "o1", verb: Verb = Verb.SPOT, amount: float = 1.0, venue: str = "binance", **more: Any) -> Order:
    return Order(id=id, verb=verb, venue=venue, token=more.pop("token", "BTC"), amount=amount, leg="leg", **more)


def sent(id: str) -> SentOrder:
    """A spot order of this id, as it left at the beginning of time."""
    return SentOrder(order=order(id), sent_at=0)


def group(*orders: Order, kind: GroupKind = GroupKind.ONE) -> OrderGroup:
    return OrderGroup(id="g", kind=kind, action=Action.ENTRY_FULL, reason="test", orders=orders or (order(),))


class Desk:
    """One account, its doors and faults, and a market clock that runs with the virtual clock of the test."""

    def __init__(self, *faults: Fault, mode: str = "btc_basis", row: int = 0, profile: Profile | None = None) -> None:
        self.account = account_of(mode, row)
        self.plan = FaultPlan(faults)
        self.clock = MarketClock(self.account.timestamp)
        self.start = self.account.timestamp
        profiles = dict.fromkeys(self.account.doors, profile) if profile else None
        self.doors = doors(self.account, self.clock, self.plan, seed=3, profiles=profiles)

    @property
    def binance(self) -> PaperVenue:
        return self.doors["binance"]

    @property
    def chain(self) -> PaperVenue:
        return self.doors["chain"]

    def faulty(self, kind: str, venue: str = "binance", duration_s: float = 60.0, **parameters: float | str) -> None:
        """A fault from now (the start) on."""
        self.plan.add(Fault(kind=kind, venue=venue, at=self.start, duration_s=duration_s, parameters=parameters))

    def spot(self, id: str = "o1", amount: float = 1.0) -> Callable[[], Awaitable[tuple[Trade, ...]]]:
        return lambda: self.binance.submit(group(order(id, amount=amount)))


def played(play: Callable[[], Awaitable[T]]) -> T:
    """Runs a play in virtual time: what waits does not take long."""

    async def whole() -> T:
        return await play()

    return trio.run(whole, clock=MockClock(autojump_threshold=0))
