"""What the daemon's parts talk to, by hand: a venue that lists what it did, a journal in memory, quiet metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import trio
from trio.testing import MockClock

from components.model.events import EventType
from components.model.keys import PositionKey, VenueName, base_token
from components.model.orders import OrderGroup, OrderId, Trade
from daemon.journal.errors import JournalPoisoned
from daemon.journal.frames import Head
from daemon.journal.records import Outcome, Record
from venues.interfaces import (
    NO_WAIT,
    OrderReport,
    OutcomeUnknown,
    PositionsReport,
    ReportStatus,
    RestingOrder,
    SentOrder,
    Settled,
    SettledPage,
    Unavailable,
)

T = TypeVar("T")
SECOND_NS = 1_000_000_000
CASH = base_token("binance", "USDT")


def virtual(play: Callable[[], Awaitable[T]]) -> T:
    """Runs a play in virtual time: what waits does not take long."""

    async def whole() -> T:
        return await play()

    return trio.run(whole, clock=MockClock(autojump_threshold=0))


class Log:
    """A journal in memory: what was appended, how much is durable; from `breaks_at` records on it takes nothing."""

    def __init__(self, breaks_at: int | None = None) -> None:
        self.records: list[Record] = []
        self.durable = 0
        self.reserve: list[Record] = []
        self.breaks_at = breaks_at

    @property
    def head(self) -> Head:
        return Head(len(self.records), b"\0" * 32)

    def append(self, record: Record) -> int:
        if self.breaks_at is not None and len(self.records) >= self.breaks_at:
            raise JournalPoisoned("hand", "no space left")
        self.records.append(record)
        return len(self.records)

    async def commit(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.breaks_at is not None and len(self.records) >= self.breaks_at:
            raise JournalPoisoned("hand", "no space left")
        self.durable = len(self.records)

    async def record_emergency(self, *records: Record) -> None:
        await trio.lowlevel.checkpoint()
        self.reserve += records

    def states(self) -> list[tuple[str, str]]:
        """Order ids and outcomes, in the order of the journal."""
        return [(each.order_id, each.state) for each in self.records if isinstance(each, Outcome)]


class Quiet:
    """Metrics that count requests and keep nothing else."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []

    def order(self, venue: str, strategy: str, side: str, outcome: str) -> None: ...

    def order_ack(self, venue: str, seconds: float) -> None: ...

    def order_retry(self, reason: str) -> None: ...

    def step(self, strategy: str, seconds: float, outcome: str) -> None: ...

    def reconciliation(self, venue: str, outcome: str) -> None: ...

    def venue_request(self, venue: str, endpoint: str, outcome: str, seconds: float) -> None:
        self.asked.append((venue, endpoint, outcome))


class HandClock:
    """Market time: process time from `start` on."""

    def __init__(self, start: int = 0) -> None:
        self.start = start

    def now(self) -> int:
        return self.start + int(trio.current_time() * SECOND_NS)

    async def sleep_until(self, at: int) -> None:
        await trio.sleep(max(0.0, (at - self.now()) / SECOND_NS))


def settled(
    id: str, amount: float = 1.0, *, at: int = 0, known_at: int | None = None, venue: str = "binance", **more: object
) -> Settled:
    """A reward of USDT that a venue paid."""
    words: dict[str, object] = {
        "event_type": EventType.REWARD,
        "token": "USDT",
        "changes": {base_token(venue, "USDT"): amount},
        "part": "rewards",
        **more,
    }
    return Settled(id=id, venue=venue, at=at, known_at=at if known_at is None else known_at, amount=amount, **words)  # type: ignore[arg-type]


class HandVenue:
    """A venue that lists what it is given and fails when told: `down` refuses questions, `slow_s` delays answers."""

    def __init__(self, name: VenueName = "binance", *, venues: frozenset[VenueName] | None = None) -> None:
        self._name = name
        self._venues = venues or frozenset({name})
        self.items: list[Settled] = []
        self.strange: list[Settled] = []
        self.book: dict[PositionKey, float] = {}
        self.reports: dict[OrderId, OrderReport] = {}
        self.resting: tuple[RestingOrder, ...] = ()
        self.stamp = 0
        self.cancelled: list[OrderId] = []
        self.cursors: list[int] = []
        self.skip: set[str] = set()  # left out of the next page
        self.down = False
        self.slow_s = 0.0
        self.terms = NO_WAIT

    @property
    def name(self) -> VenueName:
        return self._name

    @property
    def venues(self) -> frozenset[VenueName]:
        return self._venues

    async def submit(self, group: OrderGroup) -> tuple[Trade, ...]:
        raise OutcomeUnknown("this venue takes no orders")

    async def query(self, sent: SentOrder) -> OrderReport:
        await self._answer()
        return self.reports.get(sent.order.id) or OrderReport(order_id=sent.order.id, status=ReportStatus.ABSENT)

    async def cancel(self, sent: SentOrder) -> OrderReport:
        await self._answer()
        self.cancelled.append(sent.order.id)
        return OrderReport(order_id=sent.order.id, status=ReportStatus.ABSENT)

    async def cancel_resting(self, resting: RestingOrder) -> None:
        await self._answer()
        self.cancelled.append(resting.reference)
        self.resting = tuple(each for each in self.resting if each != resting)

    async def open_orders(self) -> tuple[RestingOrder, ...]:
        await self._answer()
        return self.resting

    async def positions(self) -> PositionsReport:
        await self._answer()
        return PositionsReport(balances=dict(self.book), asked_at=self.stamp, answered_at=self.stamp)

    async def marks(self) -> Mapping[str, float]:
        await self._answer()
        return {}

    async def settled(self, cursor: int) -> SettledPage:
        await self._answer()
        self.cursors.append(cursor)
        page = tuple(item for item in self.items[cursor:] if item.id not in self.skip)
        self.skip.clear()
        return SettledPage(page, len(self.items))

    async def foreign(self, cursor: int) -> SettledPage:
        await self._answer()
        return SettledPage(tuple(self.strange[cursor:]), len(self.strange))

    async def _answer(self) -> None:
        await trio.sleep(self.slow_s)
        if self.down:
            raise Unavailable(f"{self._name} is down")
