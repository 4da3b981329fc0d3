"""The core actor: one step per row, and everything around it that makes the step durable and repeatable.

Order of one step: ask the venues what they did → find out about uncertain orders → authority → journal what the step is
told → run the core in its thread → journal what it did and the hash of its state → durable → only then is it booked,
published and the next row taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
import trio

from components.core import PAY, Core
from components.model.keys import PositionKey, VenueName
from components.model.orders import OrderGroup, OrderState, Trade
from components.model.positions import Book
from components.ports import Approved, Happening, Settlements, Standing
from daemon.cells.bridge import Bridge
from daemon.cells.desk import Desk
from daemon.cells.step_ports import StepPorts
from daemon.journal.codec import encode
from daemon.journal.records import Command, Intent, Record, StepAborted, StepBegin, StepEnd
from daemon.orders.outcomes import late_of, outcome_of
from daemon.orders.undone import reversed_in, undone_outcome
from daemon.recorded.steps import begin_of, hash_of
from daemon.replica import About
from daemon.world.rows import MarketRow, window_of

CHECKPOINT_STEPS = 16


class StepOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one row: decided, or why it was skipped."""

    row: MarketRow
    decided: bool
    seconds: float
    reasons: tuple[str, ...] = ()


class Outbound:
    """The loop's side of a core's ports: journals first, then acts."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._log = desk, desk.journal

    async def intend(self, records: list[Record], group: OrderGroup, at: int) -> None:
        self._append(records)
        self._log.append(Intent(at=self._desk.around.clock.now(), group=group))
        await self._log.commit()

    async def execute(self, records: list[Record], approved: Approved) -> tuple[Trade, ...]:
        self._append(records)
        return await self._desk.dispatch.send(approved.group, adds_risk=approved.adds_risk)

    async def positions(self, records: list[Record], venues: frozenset[VenueName]) -> Mapping[PositionKey, float]:
        self._append(records)
        return await self._desk.observer.positions(venues)

    def _append(self, records: Sequence[Record]) -> None:
        for record in records:
            self._log.append(record)


def words_of(command: Command) -> tuple[str, ...]:
    """What a command is to the core: its kind, and at what cost."""
    return (command.kind, PAY) if command.arguments.get("at_any_cost") else (command.kind,)


class CoreActor:
    """Owns the core of one strategy; nobody else touches it."""

    def __init__(self, desk: Desk, core: Core, ports: StepPorts, bridge: Bridge) -> None:
        self._desk, self._log = desk, desk.journal
        self._observer, self._authority, self._unbooked = desk.observer, desk.authority, desk.unbooked
        self.core, self.ports = core, ports
        self._bridge = bridge
        self.previous: MarketRow | None = None
        self.standing = Standing()
        self.steps = 0
        self.state_hash = ""
        self.row: dict[str, float] = {}

    async def step(self, row: MarketRow, asked: Mapping[str, Command], *, positions: bool) -> StepOutcome:
        """One row, which serves the commands `asked`. They and what is not booked stay for the next one when this one
        is skipped or cut short."""
        began = trio.current_time()
        await self._observer.refresh(positions=positions)
        await self._find_out()
        taken = self._observer.take(row.timestamp)
        late = dict(self._unbooked.late)
        settlements = msgspec.structs.replace(
            taken.settlements,
            happenings=reversed_in(taken.settlements.happenings, late.values(), self.core.positions.unfinal),
        )
        if positions:
            self._observer.compare(self._after(settlements))
        now = self._desk.circumstances()
        self.standing = self._authority.judge(row, list(self._observer.views.values()), now)
        stale = tuple(c.reason for c in self._authority.contracts if c.about is About.MARKET and not c.holds)
        if stale:
            return StepOutcome(row=row, decided=False, seconds=trio.current_time() - began, reasons=stale)
        self._note_undone(settlements.happenings)
        begin = begin_of(
            row,
            self.previous,
            settlements,
            self.standing,
            commands=tuple(word for command in asked.values() for word in words_of(command)),
            asked=tuple(asked),
            taken=(*taken.ids, *late),
            cursors=taken.cursors,
        )
        self._log.append(begin)
        self.ports.begin(row.tick, settlements)
        window = window_of(row, self.previous)
        core, standing = self.core, self.standing
        finished = False
        try:
            await self._bridge.step(lambda: core.advance(window, standing=standing, commands=begin.commands))
            finished = True
        finally:
            if not finished:
                for record in self.ports.drain():
                    self._log.append(record)
                self._log.append(StepAborted(tick=row.tick, reason="cut short"))
        await self._finish(row, begin)
        return StepOutcome(row=row, decided=True, seconds=trio.current_time() - began)

    async def _finish(self, row: MarketRow, begin: StepBegin) -> None:
        """Makes the step durable, and then books what it took."""
        for record in self.ports.drain():
            self._log.append(record)
        state = encode(self.core.state())
        self.state_hash = hash_of(state)
        self.steps += 1
        self.row = dict(self.ports.row)
        checkpoint = self.steps % CHECKPOINT_STEPS == 0
        self._log.append(
            StepEnd(
                tick=row.tick,
                timestamp=row.timestamp,
                state_hash=self.state_hash,
                state=state if checkpoint else b"",
                row=self.row,
            )
        )
        await self._log.commit()
        self._unbooked.book(begin.taken, begin.asked, begin.cursors)
        self._unbooked.adjust(row.timestamp, self.row, self.core.pnl.equity)
        self.previous = row

    def checkpoint(self) -> StepEnd | None:
        """The whole state as a record, for a clean stop; None before the first step."""
        if self.previous is None:
            return None
        state = encode(self.core.state())
        return StepEnd(
            tick=self.previous.tick, timestamp=self.previous.timestamp, state_hash=hash_of(state), state=state
        )

    async def _find_out(self) -> None:
        """Asks after every uncertain order; what is answered enters the book with this row."""
        uncertain = [order for order in self.core.positions.uncertain.values() if order.id not in self._unbooked.late]
        answers = await self._desk.dispatch.ask_all(uncertain, self.core.run.exchanges)
        for order in uncertain:
            trade = answers.get(order.id)
            happening = late_of(order, trade)
            if trade is not None and happening is not None:
                now = self._desk.around.clock.now()
                self._log.append(outcome_of(order, trade, OrderState.UNKNOWN, at=now, origin="resolved"))
                self._unbooked.late[order.id] = happening
                self._unbooked.sent_at.pop(order.id, None)

    def _note_undone(self, happenings: Iterable[Happening]) -> None:
        """Orders whose trades a chain took back are uncertain from here on, also for who reads the journal."""
        now = self._desk.around.clock.now()
        for happening in happenings:
            if happening.undoes is not None:
                reason = f"block {happening.block} is no longer in the chain"
                self._log.append(undone_outcome(happening.undoes, now, reason))
                self._unbooked.sent_at[happening.undoes] = now

    def _after(self, settlements: Settlements) -> Book:
        """The expected book once these settlements are booked."""
        book = Book(self.core.positions.expected)
        for flow in settlements.cash:
            book.apply({flow.key: float(flow.amount.sum())})
        for happening in settlements.happenings:
            book.apply(happening.changes)
        return book
