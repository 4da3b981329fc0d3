"""What no step of a strategy has booked yet, and how far the rest is booked.

There is one for each life of a strategy: recovery reads it off the journal, the running cell keeps it, and the snapshot
that its next life begins with holds it. *Only a step that is durable books.*
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from components.model.orders import OrderId
from components.ports import Happening
from daemon.journal.codec import decode, encode
from daemon.journal.records import Command, Snapshot
from daemon.world.rows import MarketRow

REMEMBERED = 4096  # ids of booked items that a venue may repeat
DAY_NS = 86_400_000_000_000


class Unbooked(msgspec.Struct, kw_only=True):
    late: dict[str, Happening] = {}  # by the id that the step which books it names
    commands: dict[str, Command] = {}  # accepted, and served by the next step, by id
    cursors: dict[str, int] = {}  # per venue: every item below is booked
    booked: dict[str, None] = {}  # ids of the newest booked items, oldest first
    adjusted: dict[int, float] = {}  # share of equity that was adjusted, by UTC day; the last day only
    sent_at: dict[OrderId, int] = {}  # when orders left whose outcome is not known, market time, UTC ns

    def book(self, taken: Iterable[str], asked: Iterable[str], cursors: Mapping[str, int]) -> None:
        """A step is durable that took these items, served these commands and read each venue up to there."""
        for id in taken:
            self.late.pop(id, None)
            self.booked[id] = None
        for id in asked:
            self.commands.pop(id, None)
        self.cursors = dict(cursors)
        while len(self.booked) > REMEMBERED:
            del self.booked[next(iter(self.booked))]

    def adjust(self, timestamp: int, row: Mapping[str, float], equity: float) -> None:
        """Adds what was adjusted in a row to the share of its day; other days are over."""
        share = abs(row.get("adjustment", 0.0)) / max(equity, 1e-9)
        if share:
            day = timestamp // DAY_NS
            self.adjusted = {day: self.adjusted.get(day, 0.0) + share}

    def snapshot(self, at: int, previous: MarketRow | None, last_tick: int | None) -> Snapshot:
        """All of it as a record, with the last row that was handled."""
        return Snapshot(
            at=at,
            last_tick=last_tick,
            previous=encode(previous) if previous is not None else b"",
            late={id: encode(happening) for id, happening in self.late.items()},
            commands=tuple(self.commands.values()),
            cursors=dict(self.cursors),
            booked=tuple(self.booked),
            adjusted=dict(self.adjusted),
            sent_at=dict(self.sent_at),
        )


def unbooked_of(snapshot: Snapshot) -> Unbooked:
    """What a snapshot holds."""
    return Unbooked(
        late={id: decode(item, Happening) for id, item in snapshot.late.items()},
        commands={command.id: command for command in snapshot.commands},
        cursors=dict(snapshot.cursors),
        booked=dict.fromkeys(snapshot.booked),
        adjusted=dict(snapshot.adjusted),
        sent_at=dict(snapshot.sent_at),
    )
