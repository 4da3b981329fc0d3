"""A recorded run fed through the core again: the same inputs must give the same decisions and the same state.

Recovery uses it to bring the last checkpoint up to the last finished step; `basis replay` uses it as a proof. Ports
answer from the journal, in order, errors included. A step that was aborted is not replayed: the core that ran it was
discarded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from components.core import Core, CoreState, Ports
from components.model.errors import BasisError, Refuse, Retry, Severity, Stop, catalogued
from components.model.events import Event, PaymentBatch
from components.model.keys import CHAIN_VENUES, PositionKey, VenueName
from components.model.market import Window
from components.model.orders import OrderGroup, Trade
from components.model.positions import Book
from components.model.slices import RunSlice
from components.ports import Approved, RowBlock, Settlements, Standing
from daemon.journal.codec import decode, encode
from daemon.journal.records import Answer, Intent
from daemon.recorded.steps import NOTHING_SETTLED, Refusal, Step, hash_of, rows_of, shown
from daemon.world.rows import window_of

EVT_DIVERGED = catalogued(
    "EVT-020",
    Severity.CRITICAL,
    "A recorded step does not repeat",
    "The code or the journal is not the one that made this record; see the difference shown",
)
FAMILIES: Mapping[str, type[BasisError]] = {"Retry": Retry, "Refuse": Refuse, "Stop": Stop}


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The first thing that is not as recorded."""

    tick: int
    timestamp: int
    what: str
    recorded: str
    replayed: str


class Diverged(Exception):
    def __init__(self, difference: Difference) -> None:
        super().__init__(f"tick {difference.tick}: {difference.what}")
        self.difference = difference


class RecordedPorts:
    """All ports of a core, answering from one recorded step."""

    def __init__(self) -> None:
        self._step: Step | None = None
        self._answers: Iterator[Answer] = iter(())
        self._intents: Iterator[Intent] = iter(())
        self.settlements: Settlements = NOTHING_SETTLED
        self.events: list[Event] = []
        self.row: dict[str, float] = {}

    def begin(self, step: Step, settlements: Settlements) -> None:
        self._step = step
        self._answers, self._intents = iter(step.answers), iter(step.intents)
        self.settlements = settlements
        self.events, self.row = [], {}

    def settle(self, window: Window, book: Book) -> Settlements:
        return self.settlements

    def accept(self, window: Window, settlements: Settlements, rows: int) -> None:
        pass

    def positions(self, venues: frozenset[VenueName]) -> Mapping[PositionKey, float]:
        return decode(self._next("positions"), dict[PositionKey, float])

    def execute(self, approved: Approved) -> tuple[Trade, ...]:
        return decode(self._next("execute"), tuple[Trade, ...])

    def intend(self, group: OrderGroup, at: int) -> None:
        recorded = next(self._intents, None)
        if recorded is None or recorded.group != group:
            self.differ("an order group", "none" if recorded is None else shown(recorded.group), shown(group))

    def record(self, events: Sequence[Event | PaymentBatch]) -> None:
        for event in events:
            self.events += event.events() if isinstance(event, PaymentBatch) else [event]

    def rows(self, block: RowBlock) -> None:
        for name, column in block.columns.items():
            self.row[name] = column if isinstance(column, float) else float(column[-1])

    def finish(self) -> None:
        """Everything recorded was asked for."""
        left = next(self._intents, None)
        if left is not None:
            self.differ("an order group", shown(left.group), "none")

    def differ(self, what: str, recorded: str, replayed: str) -> None:
        assert self._step is not None
        begin = self._step.begin
        raise Diverged(
            Difference(tick=begin.tick, timestamp=begin.timestamp, what=what, recorded=recorded, replayed=replayed)
        )

    def _next(self, port: str) -> bytes:
        answer = next(self._answers, None)
        if answer is None or answer.port != port:
            self.differ("a question to a port", "none" if answer is None else answer.port, port)
            raise AssertionError
        if answer.error:
            refusal = msgspec.json.decode(answer.error, type=Refusal)
            raise FAMILIES.get(refusal.family, Stop)(refusal.code, refusal.message)
        return answer.value


class RecordedCore:
    """A core over recorded ports, brought forward step by step."""

    def __init__(self, run: RunSlice, strategy: str, epoch: int, state: CoreState) -> None:
        self.ports = RecordedPorts()
        self.core = make_core(run, self.ports, strategy, epoch)
        self.core.restore(state)

    def advance(self, step: Step) -> str:
        """Repeats one step; the hash of the state after it. Diverged at the first difference."""
        begin = step.begin
        self.ports.begin(step, decode(begin.settlements, Settlements))
        row, previous = rows_of(begin)
        self.core.advance(window_of(row, previous), standing=decode(begin.standing, Standing), commands=begin.commands)
        self.ports.finish()
        for recorded, replayed in zip(step.events, self.ports.events, strict=False):
            if encode(recorded) != encode(replayed):
                self.ports.differ(f"event {recorded.sequence}", shown(recorded), shown(replayed))
        if len(step.events) != len(self.ports.events):
            self.ports.differ("the number of events", str(len(step.events)), str(len(self.ports.events)))
        state_hash = hash_of(encode(self.core.state()))
        if state_hash != step.end.state_hash:
            self.ports.differ("the state after the step", step.end.state_hash, state_hash)
        return state_hash


def make_core(run: RunSlice, ports: object, strategy: str, epoch: int) -> Core:
    """The core of one strategy with one object behind all its ports."""
    venues = (*run.exchanges, *CHAIN_VENUES)
    wired = Ports(
        market_data=None,  # type: ignore[arg-type]  # rows are pushed, never pulled
        observation=ports,  # type: ignore[arg-type]
        execution=dict.fromkeys(venues, ports),  # type: ignore[arg-type]
        sink=ports,  # type: ignore[arg-type]
    )
    return Core(run, wired, strategy_id=strategy, run_id=f"{strategy}/{epoch}")
