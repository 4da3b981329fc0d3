"""The doors that the contract of a VenueClient is played on, each with what a play needs beside the client.

A new kind of venue is one more function in `STAGES`: it opens the door, yields a `Stage`, and closes it. A play asks
the stage for orders that the venue can and cannot do, makes it misbehave, and compares with the venue's own truth.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import msgspec
import trio

from components.model.keys import PositionKey
from components.model.orders import OrderGroup, Verb
from components.model.requirements import HOUR_NS, Grid
from daemon.world.clocks import MarketClock
from tests.acceptance.runs import slice_of, stamp
from tests.venues.paper.stage import END, RICH, START, group, order
from venues.interfaces import SentOrder, VenueClient
from venues.paper.account import PaperAccount
from venues.paper.door.doors import doors
from venues.paper.door.faults import Fault, FaultPlan
from venues.paper.door.passage import Profile
from venues.paper.remote.client import remote_doors
from venues.paper.remote.server import AccountConfig, Served, Server, ServerConfig

Open = Callable[[Path], AbstractAsyncContextManager["Stage"]]
MODE = "usdt_market_neutral"
SPEED = 1.0  # of a stage, on the virtual clock of its test
QUICK = Profile(latency_s=0.001, spread=0.0)


class Stage(msgspec.Struct, kw_only=True):
    """One door on its stage."""

    client: VenueClient
    account: PaperAccount
    plan: FaultPlan
    clock: MarketClock
    speed: float

    def doable(self, id: str) -> OrderGroup:
        """A small order that this venue does."""
        if self.client.name == "chain":
            return group(order(id, Verb.SWAP, 1.0, venue="uniswap", token="ETH", into_token="USDT"))
        return group(order(id, Verb.SPOT, 1.0, venue=self.client.name, token="ETH"))

    def undoable(self, id: str) -> OrderGroup:
        """An order that asks for more than there is."""
        if self.client.name == "chain":
            return group(order(id, Verb.SWAP, 1e6, venue="uniswap", token="ETH", into_token="USDT"))
        return group(order(id, Verb.SPOT, 1e6, venue=self.client.name, token="ETH"))

    def sent(self, id: str) -> SentOrder:
        """The order of this id as it left."""
        return SentOrder(order=self.doable(id).orders[0], sent_at=self.clock.now())

    def faulty(self, kind: str, *, lasts_s: float = 86_400.0, **parameters: float | str) -> None:
        """A fault at this door from now on, for so long in market time."""
        self.plan.add(
            Fault(kind=kind, venue=self.client.name, at=self.clock.now(), duration_s=lasts_s, parameters=parameters)
        )

    def heal(self) -> None:
        self.plan.heal()

    async def passes(self, market_s: float) -> None:
        """So much market time goes by; no row does."""
        await trio.sleep(market_s / self.speed)

    async def is_final(self) -> None:
        """Until nothing that was done before can be taken back."""
        await trio.sleep(self.client.terms.final_s + self.client.terms.answer_s)

    @property
    def held(self) -> Mapping[PositionKey, float]:
        """The truth, whatever the door says."""
        return {key: amount for key, amount in self.account.positions(self.client.name).items() if amount}

    def times_done(self, id: str) -> int:
        """How often the venue has done an order."""
        return sum(trade.order_id == id for trade in self.account.registry.fills)


EXCHANGE = frozenset({"rests"})
ON_CHAIN = frozenset({"reorganises", "reverts", "drops", "replaces"})
POWERS = EXCHANGE | ON_CHAIN


def _in_process(door: str) -> Open:
    @asynccontextmanager
    async def opened(folder: Path) -> AsyncIterator[Stage]:
        config = _account()
        served = Served(config)
        served.account.advance_to(0)
        clock = MarketClock(served.account.timestamp, speed=SPEED)
        plan = FaultPlan()
        profiles = dict.fromkeys(served.account.doors, QUICK)
        client = doors(served.account, clock, plan, seed=3, profiles=profiles, speed=SPEED)[door]
        yield Stage(client=client, account=served.account, plan=plan, clock=clock, speed=SPEED)

    return opened


def _remote(door: str) -> Open:
    @asynccontextmanager
    async def opened(folder: Path) -> AsyncIterator[Stage]:
        server = Server(ServerConfig(accounts=(_account(),)))
        served = server.served["a"]
        served.account.advance_to(0)
        path = folder / "venues.sock"
        clock = MarketClock(served.account.timestamp, speed=SPEED)
        async with trio.open_nursery() as nursery:
            await nursery.start(lambda task_status: server.serve(path, task_status=task_status))
            client = remote_doors(str(path), "a", served.account.doors, clock, speed=SPEED)[door]
            yield Stage(client=client, account=served.account, plan=served.plan, clock=clock, speed=SPEED)
            nursery.cancel_scope.cancel()

    return opened


def _account() -> AccountConfig:
    run = slice_of(MODE)
    grid = Grid(stamp(START), stamp(END), HOUR_NS)
    balances = {**RICH, **{key: 1e6 for key in RICH if key.symbol == "USDT"}}
    profiles = dict.fromkeys((*run.exchanges, "chain"), QUICK)
    return AccountConfig(id="a", run=run, balances=balances, grid=grid, profiles=profiles, speed=SPEED)


class Kind(msgspec.Struct, frozen=True):
    """How a stage is opened, and what may happen there: a case that needs more is not played on it."""

    opened: Open
    can: frozenset[str]


STAGES: Mapping[str, Kind] = {
    "paper exchange": Kind(_in_process("binance"), EXCHANGE),
    "remote paper exchange": Kind(_remote("binance"), EXCHANGE),
    "paper chain": Kind(_in_process("chain"), ON_CHAIN),
    "remote paper chain": Kind(_remote("chain"), ON_CHAIN),
}
