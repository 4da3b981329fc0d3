"""Recovery: from a verified journal to everything a cell needs to go on.

Last checkpoint, brought forward over the finished steps after it; what left in a step that was cut short, with or
without an outcome; outcomes and commands that no step has booked yet; how far each venue's items are booked.

Steps that other code has made need not repeat: its decisions may have been others. From the first one that does not,
the strategy goes on as if it had not been booked: orders that were sent since enter with the next row as late outcomes,
venues' items are read again, commands are served again. So an upgrade needs no clean stop before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

import msgspec

from components.core import CoreState
from components.model.errors import Severity, Stop, catalogued
from components.model.orders import UNCERTAIN, GroupKind, Order
from components.model.slices import RunSlice
from components.model.transactions import Transaction, kept_after
from components.ports import Happening
from daemon.journal.codec import decode, encode
from daemon.journal.journal import Journal
from daemon.journal.records import (
    Command,
    ConfigChanged,
    HandedIn,
    Intent,
    Manifest,
    NonceClosed,
    Outcome,
    Record,
    Signed,
    Snapshot,
    StepBegin,
    StepEnd,
)
from daemon.orders.outcomes import late_of
from daemon.recorded.core import Diverged, RecordedCore
from daemon.recorded.steps import Step, hash_of, rows_of, steps_of
from daemon.recorded.unbooked import Unbooked, unbooked_of
from daemon.world.rows import MarketRow

EVT_NO_CHECKPOINT = catalogued(
    "EVT-021",
    Severity.CRITICAL,
    "The journal cannot be brought forward",
    "Restore a backup, or start the version named in the last manifest and stop it cleanly before upgrading",
)
T = TypeVar("T")


class Recovered(msgspec.Struct, kw_only=True):
    """What a journal says; `state` is None for a journal that has no checkpoint yet."""

    epoch: int = 0
    state: CoreState | None = None
    state_hash: str = ""
    previous: MarketRow | None = None
    last_tick: int | None = None
    last_at: int | None = None  # time of the last row that was handled, booked or not, UTC ns
    unbooked: Unbooked = msgspec.field(default_factory=Unbooked)
    uncertain: list[Order] = []  # sent, and nobody knows what became of them
    signed: dict[str, Transaction] = {}  # what the wallet has signed and is not final, by hash
    cut_tick: int | None = None
    steps: int = 0
    repeated: int = 0
    columns: Mapping[str, float] = {}  # result columns of the last finished step
    not_repeated: int = 0  # finished steps of other code that did not repeat, and whose facts come late now
    run: RunSlice | None = None  # the configuration of its last records; None for a journal that never began


def recover(records: Iterable[Record], run: RunSlice, strategy: str, code: str = "") -> Recovered:
    """Reads a journal from its beginning. Stop(EVT-021) when steps after the last checkpoint do not repeat that this
    code has made itself; `code` is its hash."""
    reading = _Reading(run, strategy, code)
    for record in records:
        reading.take(record)
    return reading.finish()


def recover_journal(journal: Journal, run: RunSlice, strategy: str, code: str = "") -> Recovered:
    """Reads an opened journal from where its last complete epoch begins. Stop(EVT-021) as `recover`, and when that
    beginning was exported and removed."""
    after = max(journal.resume - 1, 0)
    if after < journal.pruned:
        raise Stop(EVT_NO_CHECKPOINT, f"it begins at record {journal.pruned + 1}, and no epoch in it has a snapshot")
    return recover((record for _, record in journal.records(after)), run, strategy, code)


class _Finished(msgspec.Struct, frozen=True, kw_only=True):
    """A finished step after the last checkpoint, and all that booking it has settled."""

    epoch: int
    run: RunSlice
    other_code: bool
    step: Step
    before: _Standing
    late: Mapping[str, Happening]
    loose: Mapping[str, tuple[Order, Outcome | None]]
    commands: Mapping[str, Command]


class _Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How far everything was booked at one moment."""

    cursors: Mapping[str, int]
    previous: MarketRow | None
    last_tick: int | None
    columns: Mapping[str, float]


class _Reading:
    """The state machine behind `recover`."""

    def __init__(self, run: RunSlice, strategy: str, code: str) -> None:
        self._code = code
        self._other_code = False
        self._run = run
        self._strategy = strategy
        self._out = Recovered()
        self._checkpoint: bytes = b""
        self._checkpoint_run = run
        self._since: list[_Finished] = []
        self._begin: StepBegin | None = None
        self._parts: list[Record] = []
        self._loose: dict[str, tuple[Order, Outcome | None]] = {}  # sent, and not booked by a finished step
        self._atomic: dict[str, str] = {}  # the group of such an order whose steps are done together or not at all
        self._unbooked = self._out.unbooked

    def take(self, record: Record) -> None:
        out = self._out
        match record:
            case Manifest():
                out.epoch = record.epoch
                self._other_code = bool(self._code and record.code_hash and record.code_hash != self._code)
                self._run = out.run = decode(record.config, RunSlice)
                self._cut()
            case StepBegin():
                self._cut()
                self._begin, self._parts = record, []
            case StepEnd():
                self._end(record)
            case Intent():
                for order in record.group.orders:
                    self._unbooked.sent_at[order.id] = record.at
                    self._loose[order.id] = (order, None)
                    if record.group.kind is GroupKind.ATOMIC:
                        self._atomic[order.id] = record.group.id
                self._parts.append(record)
            case Outcome():
                if record.state not in UNCERTAIN:
                    self._unbooked.sent_at.pop(record.order_id, None)
                known = self._loose.get(record.order_id)
                if known is not None:
                    self._loose[record.order_id] = (known[0], record)
                self._parts.append(record)
            case HandedIn():
                self._unbooked.late[record.id] = decode(record.item, Happening)
            case Command():
                if record.answer == "accepted":
                    self._unbooked.commands[record.id] = record
            case Signed():
                out.signed[record.transaction.hash] = record.transaction
            case NonceClosed():
                out.signed = kept_after(out.signed, record.nonce, record.hash)
            case ConfigChanged():
                self._run = out.run = decode(record.config, RunSlice)
            case Snapshot():
                self._begin_at(record)
            case _:
                self._parts.append(record)

    def finish(self) -> Recovered:
        self._cut()
        out = self._out
        if self._checkpoint:
            state = decode(self._checkpoint, CoreState)
            out.state_hash = hash_of(self._checkpoint)
            out.state, out.repeated = self._bring_forward(state)
        half_known = {
            self._atomic.get(id)
            for id, (_, outcome) in self._loose.items()
            if outcome is None or outcome.state in UNCERTAIN
        }
        for order, outcome in self._loose.values():
            happening = late_of(order, outcome.trade if outcome else None)
            is_open = outcome is None or outcome.state in UNCERTAIN
            if is_open or self._atomic.get(order.id, order.id) in half_known:
                out.uncertain.append(order)
            elif happening is not None:
                self._unbooked.late.setdefault(order.id, happening)
        return out

    def _end(self, end: StepEnd) -> None:
        out, unbooked = self._out, self._unbooked
        out.cut_tick = None  # a step that was cut short before this was told by the epoch after it
        begin, self._begin = self._begin, None
        if begin is None:  # the checkpoint that an epoch starts from
            self._checkpoint, self._since = end.state, []
            return
        (step,) = steps_of([begin, *self._parts, end])
        assert isinstance(step, Step)
        before = self._standing()
        released = _released(begin.taken, unbooked.late), _released(begin.asked, unbooked.commands)
        sent = [order.id for intent in step.intents for order in intent.group.orders]
        loose = _released((*sent, *begin.taken), self._loose)
        out.steps += 1
        out.columns = end.row or out.columns
        unbooked.adjust(end.timestamp, end.row, end.row.get("equity", 0.0))
        unbooked.book(begin.taken, begin.asked, begin.cursors)
        out.last_tick, out.last_at = begin.tick, begin.timestamp
        out.previous = rows_of(begin)[0]
        for intent in step.intents:
            for order in intent.group.orders:
                self._loose.pop(order.id, None)
        for each in begin.taken:
            self._loose.pop(each, None)
        if end.state:
            self._checkpoint, self._since = end.state, []
        else:
            self._since.append(
                _Finished(
                    epoch=out.epoch,
                    run=self._run,
                    other_code=self._other_code,
                    step=step,
                    before=before,
                    late=released[0],
                    loose=loose,
                    commands=released[1],
                )
            )

    def _begin_at(self, snapshot: Snapshot) -> None:
        """All that came before it and still matters is in it."""
        out = self._out
        self._loose, self._atomic = {}, {}
        self._unbooked = out.unbooked = unbooked_of(snapshot)
        out.last_tick = snapshot.last_tick
        out.signed = {each.hash: each for each in snapshot.signed}
        out.previous = decode(snapshot.previous, MarketRow) if snapshot.previous else None
        out.last_at = out.previous.timestamp if out.previous is not None else None

    def _cut(self) -> None:
        """A step that has begun and not ended is closed; it is never resumed."""
        if self._begin is not None:
            self._out.cut_tick = self._begin.tick
        self._begin, self._parts = None, []

    def _bring_forward(self, state: CoreState) -> tuple[CoreState, int]:
        recorded: RecordedCore | None = None
        at: tuple[int, RunSlice] | None = None
        for number, each in enumerate(self._since):
            if recorded is None or at != (each.epoch, each.run):
                recorded, at = RecordedCore(each.run, self._strategy, each.epoch, state), (each.epoch, each.run)
            try:
                self._out.state_hash = recorded.advance(each.step)
            except Diverged as diverged:
                difference = diverged.difference
                if each.other_code:
                    self._unbook(self._since[number:])
                    self._out.state_hash = hash_of(encode(state))
                    return decode(encode(state), CoreState), number
                raise Stop(
                    EVT_NO_CHECKPOINT,
                    f"tick {difference.tick} does not repeat: {difference.what} was {difference.recorded}, "
                    f"is now {difference.replayed}",
                ) from diverged
            state = recorded.core.state()
        return decode(encode(state), CoreState), len(self._since)

    def _unbook(self, steps: list[_Finished]) -> None:
        """Takes back that these steps are booked: what they have settled is open again, and enters late."""
        out, unbooked, first = self._out, self._unbooked, steps[0].before
        out.not_repeated = len(steps)
        unbooked.cursors = dict(first.cursors)
        out.previous, out.last_tick, out.columns = first.previous, first.last_tick, first.columns
        for each in reversed(steps):
            for id in each.step.begin.taken:
                unbooked.booked.pop(id, None)
            unbooked.late = {**each.late, **unbooked.late}
            unbooked.commands = {**each.commands, **unbooked.commands}
            self._loose = {**each.loose, **self._loose}

    def _standing(self) -> _Standing:
        out = self._out
        return _Standing(
            cursors=self._unbooked.cursors,
            previous=out.previous,
            last_tick=out.last_tick,
            columns=out.columns,
        )


def _released(ids: Iterable[str], held: Mapping[str, T]) -> dict[str, T]:
    return {id: held[id] for id in ids if id in held}
