"""The ports of a running core: what it is told was fetched before the step, what it does goes over the bridge.

Everything a port answers is recorded in order, exceptions included, so that the step can be replayed from the journal.
Records are buffered in the core's thread and handed over with the next effect, because only the event loop writes the
journal.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar

import msgspec

from components.model.errors import BasisError
from components.model.events import Event, PaymentBatch
from components.model.keys import PositionKey, VenueName
from components.model.market import Window
from components.model.orders import OrderGroup, Trade
from components.model.positions import Book
from components.ports import Approved, RowBlock, Settlements
from daemon.cells.bridge import Effects
from daemon.journal.codec import encode
from daemon.journal.records import Answer, Events, Record
from daemon.recorded.steps import NOTHING_SETTLED, Refusal, family_of

T = TypeVar("T")


class Outside(Protocol):
    """The loop's side of the ports. `records` were made by the core since the last effect and come first."""

    async def intend(self, records: list[Record], group: OrderGroup, at: int) -> None: ...

    async def execute(self, records: list[Record], approved: Approved) -> tuple[Trade, ...]: ...

    async def positions(self, records: list[Record], venues: frozenset[VenueName]) -> Mapping[PositionKey, float]: ...


class StepPorts:
    """Observation, Execution and Sink of one cell's core."""

    def __init__(self, effects: Effects, outside: Outside) -> None:
        self._effects = effects
        self._outside = outside
        self._settlements = NOTHING_SETTLED
        self._tick = 0
        self._effect = 0
        self._records: list[Record] = []
        self.row: dict[str, float] = {}

    def begin(self, tick: int, settlements: Settlements) -> None:
        """What the coming step is told."""
        self._tick, self._effect = tick, 0
        self._settlements = settlements
        self._records = []
        self.row = {}

    def drain(self) -> list[Record]:
        """The records made since the last effect."""
        records, self._records = self._records, []
        return records

    # Observation

    def settle(self, window: Window, book: Book) -> Settlements:
        return self._settlements

    def accept(self, window: Window, settlements: Settlements, rows: int) -> None:
        """The venues have done it already."""

    def positions(self, venues: frozenset[VenueName]) -> Mapping[PositionKey, float]:
        return self._answered("positions", self._outside.positions, venues)

    # Execution

    def execute(self, approved: Approved) -> tuple[Trade, ...]:
        return self._answered("execute", self._outside.execute, approved, critical=True)

    # Sink

    def intend(self, group: OrderGroup, at: int) -> None:
        self._effects.call(self._outside.intend, self.drain(), group, at, critical=True)

    def record(self, events: Sequence[Event | PaymentBatch]) -> None:
        for event in events:
            self._records.append(Events(events=tuple(event.events()) if isinstance(event, PaymentBatch) else (event,)))

    def rows(self, block: RowBlock) -> None:
        for name, column in block.columns.items():
            self.row[name] = column if isinstance(column, float) else float(column[-1])

    def _answered(
        self, port: str, effect: Callable[..., Awaitable[T]], argument: object, *, critical: bool = False
    ) -> T:
        self._effect += 1
        number = self._effect
        try:
            value = self._effects.call(effect, self.drain(), argument, critical=critical)
        except BasisError as error:
            refusal = Refusal(family_of(error), error.code, error.message)
            self._records.append(
                Answer(tick=self._tick, effect=number, port=port, error=msgspec.json.encode(refusal).decode())
            )
            raise
        self._records.append(Answer(tick=self._tick, effect=number, port=port, value=encode(value)))
        return value
