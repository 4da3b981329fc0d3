"""Observer: what the venues of one account report, gathered by its pollers, until the core has booked it.

Pollers write here, the core actor reads; both live on the event loop. Items are sorted by (known_at, venue, id), kept
once per venue id however often a venue repeats them, and handed out again until the step that took them is durable. A
question that was not answered changes nothing but the count of errors.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol, TypeVar

import msgspec
import numpy as np
import trio

from components.model.errors import Refuse
from components.model.keys import TRANSIT, PositionKey, VenueName
from components.model.orders import Order, Trade
from components.model.positions import Book
from components.ports import CashFlows, Happening, Settlements
from daemon.cells.venue_clock import VenueClock
from daemon.errors import OPS_REFUSED
from daemon.recorded.unbooked import Unbooked
from daemon.replica import VenueState
from venues.clock import Clock
from venues.interfaces import Asking, RestingOrder, Settled, Unavailable

T = TypeVar("T")
ABSOLUTE, RELATIVE = 1e-8, 1e-9  # as in Reconciliation
RESYNC_POLLS = 10  # every so often the stream is read again from a little earlier: frames get lost
OVERLAP = 64
RECHECK_S = 0.5  # before a venue is asked again what it has just told
FOREIGN = "|foreign"  # behind a venue's name: the cursor below which foreign items are adopted


class VenueTelemetry(Protocol):
    def venue_request(self, venue: str, endpoint: str, outcome: str, seconds: float) -> None: ...

    def reconciliation(self, venue: str, outcome: str) -> None: ...


class View(msgspec.Struct):
    """One venue as last seen. Times: market ns, but `answered`, `asked_at` and `traded_at` process seconds.

    `positions` answer the question of `asked_at`; older than `traded_at`, the last time an order of ours did something
    there, they say nothing about what is held now.
    """

    client: Asking
    cursor: int = 0
    foreign_cursor: int = 0
    adopted_cursor: int = 0
    polls: int = 0
    positions: Mapping[PositionKey, float] = {}
    positions_at: int | None = None
    asked_at: float | None = None
    traded_at: float | None = None
    told_at: float | None = None  # process time of the last answer to the core
    answered: float | None = None
    requests: int = 0
    errors: int = 0
    failures: int = 0  # in a row
    error: str = ""
    mismatches: tuple[str, ...] = ()
    mismatched: int = 0  # polls in a row that did not agree
    foreign: dict[str, Settled] = {}
    resting: tuple[RestingOrder, ...] = ()
    clock: VenueClock = msgspec.field(default_factory=VenueClock)

    @property
    def strangers(self) -> tuple[RestingOrder, ...]:
        """Orders of somebody else that rest on this account and may trade at any moment."""
        return tuple(each for each in self.resting if each.order_id is None)

    @property
    def is_current(self) -> bool:
        """Whether its positions were asked for after the last trade there."""
        return self.asked_at is not None and (self.traded_at is None or self.asked_at >= self.traded_at)


class Taken(msgspec.Struct, frozen=True):
    """What a step books: the settlements, the ids it takes, and the cursors to go on from."""

    settlements: Settlements
    ids: tuple[str, ...]
    cursors: Mapping[str, int]


class Observer:
    def __init__(
        self,
        clients: Iterable[Asking],
        clock: Clock,
        telemetry: VenueTelemetry,
        unbooked: Unbooked,
        *,
        timeout_s: float = 2.0,
    ) -> None:
        self.views = {client.name: View(client=client) for client in clients}
        for name, view in self.views.items():  # what is below the cursors was booked in a life before
            view.cursor = unbooked.cursors.get(name, 0)
            view.foreign_cursor = view.adopted_cursor = unbooked.cursors.get(f"{name}{FOREIGN}", 0)
        self._clock = clock
        self._telemetry = telemetry
        self._timeout = timeout_s
        self._waiting: dict[str, Settled] = {}
        self._unbooked = unbooked

    def traded(self, order: Order, trade: Trade) -> None:
        """An order has done something, or may have: what venues told before is old."""
        touched = {order.venue, *(key.venue for key in trade.changes)}
        touched |= {key.venue for key in (order.source, order.target) if key is not None}
        for view in self.views.values():
            if view.client.name in touched or view.client.venues & touched:
                view.traded_at = trio.current_time()

    async def look(self, venue: VenueName) -> View:
        """Asks one venue for everything now; Refuse OPS-005 when it does not answer."""
        view = self.views[venue]
        before = view.asked_at
        await self._poll(view, True)
        if view.failures or view.asked_at == before:
            raise Refuse(OPS_REFUSED, f"{venue} does not answer ({view.error}): what it holds now is not known")
        return view

    async def refresh(self, *, positions: bool) -> None:
        """Asks all venues at once for what they did on their own, and for positions; each within the time-out."""
        async with trio.open_nursery() as nursery:
            for view in self.views.values():
                nursery.start_soon(self._poll, view, positions)

    async def watch(self, every_s: Callable[[], float]) -> None:
        """Pollers, one per venue, for as long as they are let: between rows, and when none come, somebody looks.

        `every_s` is asked before each look, in seconds of process time."""
        async with trio.open_nursery() as nursery:
            for view in self.views.values():
                nursery.start_soon(self._keep_polling, view, every_s)

    async def positions(self, venues: frozenset[VenueName]) -> dict[PositionKey, float]:
        """What the venues say we hold, asked now; Unavailable when one of them does not answer."""
        found: dict[PositionKey, float] = {}
        asked = [view for view in self.views.values() if view.client.venues & venues]

        async def ask(view: View) -> None:
            if view.told_at is not None and (view.traded_at is None or view.told_at > view.traded_at):
                await trio.sleep(RECHECK_S)  # it was asked after the last trade already: an answer at once is the same
            report = await self._ask(view, "positions", view.client.positions, keep=False)
            view.told_at = trio.current_time()
            found.update({key: amount for key, amount in report.balances.items() if key.venue in venues})

        failed: list[Unavailable] = []

        async def ask_or_note(view: View) -> None:
            try:
                await ask(view)
            except Unavailable as error:
                failed.append(error)

        async with trio.open_nursery() as nursery:
            for view in asked:
                nursery.start_soon(ask_or_note, view)
        if failed:
            raise failed[0]
        return dict(sorted(found.items()))

    def take(self, until: int) -> Taken:
        """Everything known by `until` that is not booked yet; it stays here until a durable step has booked it."""
        due = sorted(
            (item for item in self._not_booked() if item.known_at <= until),
            key=lambda item: (item.known_at, item.venue, item.id),
        )
        return Taken(
            Settlements(rows=1, cash=_cash(due), happenings=tuple(_happening(item) for item in due if not item.cash)),
            tuple(key_of(item) for item in due),
            self._cursors(),
        )

    def _not_booked(self) -> Iterable[Settled]:
        """What waits for a step; what a durable one has booked is let go."""
        for each in self._waiting.keys() & self._unbooked.booked.keys():
            del self._waiting[each]
        return self._waiting.values()

    def _cursors(self) -> dict[str, int]:
        """How far the items of each venue are read, and how far what a foreign hand did there is adopted."""
        cursors = {name: view.cursor for name, view in self.views.items()}
        for name, view in self.views.items():
            if not view.foreign:
                view.adopted_cursor = view.foreign_cursor
            if view.adopted_cursor:
                cursors[f"{name}{FOREIGN}"] = view.adopted_cursor
        return cursors

    def compare(self, expected: Mapping[PositionKey, float]) -> None:
        """Holds the last positions against what is expected of them; a venue that did not answer is left out, and what
        travels too: it has left one venue and not reached the other, and only they can tell."""
        book = Book(expected)
        for name, view in self.views.items():
            if view.positions_at is None or view.failures:
                self._telemetry.reconciliation(name, "unanswered")
                continue
            found = book.differences(
                view.positions, absolute=ABSOLUTE, relative=RELATIVE, venues=view.client.venues - {TRANSIT}
            )
            view.mismatches = tuple(f"{d.key} expected {d.expected!r} observed {d.observed!r}" for d in found)
            view.mismatched = view.mismatched + 1 if found else 0
            self._telemetry.reconciliation(name, "mismatch" if found else "agreed")

    def differences(self, venue: VenueName, expected: Mapping[PositionKey, float]) -> dict[PositionKey, float]:
        """Observed less expected at one venue, where they will differ once the next step has booked what is known.

        Refuse OPS-005 while that includes an uncertain order, whose outcome may be the difference, or the last look at
        the venue is older than the last trade there.
        """
        view = self.views[venue]
        book = Book(expected)
        for item in self._not_booked():
            if item.undoes is not None:
                raise Refuse(OPS_REFUSED, f"a chain took back order {item.undoes}; the next step books that")
            if view.positions_at is None or item.at <= view.positions_at:
                book.apply(item.changes)
        for happening in self._unbooked.late.values():
            if happening.unknown is not None:
                order = happening.unknown.id
                raise Refuse(OPS_REFUSED, f"order {order} is uncertain; its outcome may be the difference")
            book.apply(happening.changes)
        if not view.is_current:
            raise Refuse(OPS_REFUSED, f"the last look at {venue} is older than the last trade there; ask again")
        found = book.differences(view.positions, absolute=ABSOLUTE, relative=RELATIVE, venues=view.client.venues)
        return {difference.key: difference.observed - difference.expected for difference in found}

    def states(self) -> tuple[VenueState, ...]:
        return tuple(
            VenueState(
                name=name,
                reachable=view.failures == 0 and view.answered is not None,
                last_answer_at=view.positions_at,
                requests=view.requests,
                errors=view.errors,
                error=view.error,
                mismatches=view.mismatches,
                foreign=len(view.foreign),
                strangers=tuple(f"{each.key} {each.left!r} ({each.reference})" for each in view.strangers),
            )
            for name, view in self.views.items()
        )

    def observed(self) -> dict[PositionKey, float]:
        """All positions as last reported."""
        return {key: amount for view in self.views.values() for key, amount in view.positions.items()}

    async def _keep_polling(self, view: View, every_s: Callable[[], float]) -> None:
        while True:
            await trio.sleep(every_s())
            await self._poll(view, True)

    async def _poll(self, view: View, positions: bool) -> None:
        try:
            await self._read_settled(view)
            if positions:
                asked_at = trio.current_time()
                held = await self._ask(view, "positions", view.client.positions, keep=True)
                if held.venue_time is not None:
                    view.clock.heard(held.asked_at, held.venue_time, held.answered_at)
                if view.asked_at is None or asked_at >= view.asked_at:  # two may have asked: the later question counts
                    view.positions, view.asked_at, view.positions_at = held.balances, asked_at, held.answered_at
                await self._read_foreign(view)
                view.resting = await self._ask(view, "open_orders", view.client.open_orders, keep=True)
        except Unavailable:
            return  # counted where it was asked

    async def _read_settled(self, view: View) -> None:
        view.polls += 1
        start = view.cursor
        if view.polls % RESYNC_POLLS == 0 or view.mismatched:
            start = max(0, start - OVERLAP)
        page = await self._ask(view, "settled", lambda: view.client.settled(start), keep=True)
        for item in page.items:
            key = key_of(item)
            if key not in self._unbooked.booked:
                self._waiting.setdefault(key, item)
        view.cursor = max(view.cursor, page.cursor)

    async def _read_foreign(self, view: View) -> None:
        page = await self._ask(view, "foreign", lambda: view.client.foreign(view.foreign_cursor), keep=True)
        for item in page.items:
            view.foreign[key_of(item)] = item
        view.foreign_cursor = max(view.foreign_cursor, page.cursor)

    async def _ask(self, view: View, endpoint: str, question: Callable[[], Awaitable[T]], *, keep: bool) -> T:
        """One question within the time-out; Unavailable otherwise. `keep` counts failures in a row."""
        began = trio.current_time()
        view.requests += 1
        try:
            with trio.fail_after(self._timeout):
                answer = await question()
        except (Unavailable, trio.TooSlowError) as error:
            view.errors += 1
            view.failures += keep
            view.error = error.message if isinstance(error, Unavailable) else f"{endpoint}: no answer in time"
            self._telemetry.venue_request(view.client.name, endpoint, "error", trio.current_time() - began)
            if isinstance(error, Unavailable):
                raise
            raise Unavailable(view.error, venue=view.client.name) from error
        view.answered = trio.current_time()
        view.failures = 0
        view.error = ""
        self._telemetry.venue_request(view.client.name, endpoint, "ok", view.answered - began)
        return answer


def key_of(item: Settled) -> str:
    """An id that is unique over all venues."""
    return f"{item.venue}|{item.id}"


def _cash(items: list[Settled]) -> tuple[CashFlows, ...]:
    """Small regular payments, those of one kind and position together."""
    groups: dict[tuple[str, ...], list[Settled]] = {}
    for item in items:
        if item.cash:
            (key,) = item.changes
            groups.setdefault((str(key), item.part or "", item.event_type.value, item.token, item.detail), []).append(
                item
            )
    flows = []
    for group in groups.values():
        (key,) = group[0].changes
        flows.append(
            CashFlows(
                key=key,
                part=group[0].part or "",
                event_type=group[0].event_type,
                token=group[0].token,
                row=np.zeros(len(group), dtype=np.int64),
                at=np.array([item.at for item in group], dtype=np.int64),
                amount=np.array([item.changes[key] for item in group]),
                detail=group[0].detail,
            )
        )
    return tuple(flows)


def _happening(item: Settled) -> Happening:
    return Happening(
        event_type=item.event_type,
        at=item.at,
        venue=item.venue,
        token=item.token,
        amount=item.amount,
        changes=item.changes,
        part=item.part,
        detail=item.detail,
        arrived=item.arrived,
        undoes=item.undoes,
        finalizes=item.finalizes,
        block=item.block,
    )
