"""The index: orders, events, steps and commands of all journals in one SQLite file, for questions.

It is derived. Each journal's applied sequence is stored in the same transaction as what was applied; behind the journal
it catches up, ahead of it or beside it that journal is applied anew. A file that is damaged or of another layout is
made anew. So deleting it changes no answer. One thread at a time uses an `Index`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import msgspec

from components.model.events import Event
from components.model.orders import LIFECYCLE, OrderState
from daemon.disk import Disk
from daemon.journal.codec import decode, encode
from daemon.journal.frames import Head
from daemon.journal.journal import record_of
from daemon.journal.reader import Located
from daemon.journal.records import Command, Events, Intent, Outcome, Record, StepAborted, StepEnd
from daemon.journal.walk import Place, Walk

LAYOUT = 1
_BATCH = 1000
_TABLES = """
CREATE TABLE applied (
    journal TEXT PRIMARY KEY, sequence INTEGER NOT NULL, hash BLOB NOT NULL,
    segment INTEGER NOT NULL, offset INTEGER NOT NULL, previous BLOB NOT NULL
) STRICT;
CREATE TABLE orders (
    journal TEXT NOT NULL, id TEXT NOT NULL, sequence INTEGER NOT NULL, at INTEGER NOT NULL, state TEXT NOT NULL,
    origin TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (journal, id)
) STRICT;
CREATE INDEX orders_state ON orders (state);
CREATE TABLE events (
    journal TEXT NOT NULL, sequence INTEGER NOT NULL, number INTEGER NOT NULL, at INTEGER NOT NULL,
    type TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (journal, sequence, number)
) STRICT;
CREATE INDEX events_type ON events (type);
CREATE TABLE steps (
    journal TEXT NOT NULL, sequence INTEGER NOT NULL, tick INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (journal, sequence)
) STRICT;
CREATE TABLE commands (
    journal TEXT NOT NULL, sequence INTEGER NOT NULL, key TEXT NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (journal, sequence)
) STRICT;
CREATE INDEX commands_key ON commands (key) WHERE key <> '';
"""
_CONTENTS = ("applied", "orders", "events", "steps", "commands")


class OrderRow(msgspec.Struct, frozen=True, kw_only=True):
    """An order and the last thing known of it. `sequence` is that of its intent, `at` of its last change (UTC ns)."""

    strategy: str
    id: str
    sequence: int
    at: int
    state: str
    origin: str
    group: str = ""
    action: str = ""
    venue: str = ""
    verb: str = ""
    token: str = ""
    amount: float | None = None  # as asked, native units
    quantity: float | None = None  # as done, signed, native units
    price: float | None = None
    reason: str = ""
    venue_reference: str = ""


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    strategy: str
    sequence: int
    event: Event


class StepRow(msgspec.Struct, frozen=True, kw_only=True):
    """A step that ended, or was aborted for a reason. Its state is not kept here."""

    strategy: str
    sequence: int
    step: StepEnd | StepAborted


class CommandRow(msgspec.Struct, frozen=True, kw_only=True):
    journal: str
    sequence: int
    command: Command


class Index:
    """Opened by `Index.open`; `catch_up` before asking."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def open(cls, path: Path) -> Self:
        """The index in that file, made anew when the file is not there, damaged or of another layout."""
        try:
            return cls(_connected(path))
        except sqlite3.DatabaseError:
            for name in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
                with suppress(FileNotFoundError):
                    name.unlink()
            return cls(_connected(path))

    def close(self) -> None:
        self._connection.close()

    def applied(self, journal: str) -> int:
        """The last sequence of a journal that answers include."""
        row = self._connection.execute("SELECT sequence FROM applied WHERE journal = ?", (journal,)).fetchone()
        return row[0] if row else 0

    def catch_up(self, disk: Disk, journal: Located) -> int:
        """Applies what the journal has more than the index; how many records. Raises JournalBroken at damage."""
        walk, frames = self._from_where(disk, journal)
        count = 0
        done = False
        while not done:
            with self._transaction():
                frame = None
                for frame in frames:
                    self._apply(journal.name, frame.sequence, record_of(journal.name, frame))
                    count += 1
                    if count % _BATCH == 0:
                        break
                else:
                    done = True
                if frame is not None:
                    place = walk.place
                    self._connection.execute(
                        "INSERT OR REPLACE INTO applied VALUES (?, ?, ?, ?, ?, ?)",
                        (journal.name, frame.sequence, frame.digest, place.segment, place.offset, place.head.digest),
                    )
        return count

    def orders(self, strategy: str | None = None, state: str | None = None) -> tuple[OrderRow, ...]:
        """Orders by the sequence of their intents."""
        rows = self._ask("orders", ("journal", strategy), ("state", state), order="journal, sequence, id")
        return tuple(decode(body, OrderRow) for *_, body in rows)

    def events(
        self, strategy: str | None = None, event_type: str | None = None, *, after: int = 0, limit: int = 1000
    ) -> tuple[EventRow, ...]:
        """Events of records behind sequence `after`, oldest first, at most `limit`."""
        rows = self._ask(
            "events", ("journal", strategy), ("type", event_type), ("sequence >", after),
            order="journal, sequence, number", limit=limit,
        )  # fmt: skip
        return tuple(EventRow(strategy=row[0], sequence=row[1], event=decode(row[-1], Event)) for row in rows)

    def steps(self, strategy: str | None = None, *, after: int = 0, limit: int = 1000) -> tuple[StepRow, ...]:
        """Steps of records behind sequence `after`, oldest first, at most `limit`."""
        rows = self._ask(
            "steps", ("journal", strategy), ("sequence >", after), order="journal, sequence", limit=limit
        )  # fmt: skip
        return tuple(decode(row[-1], StepRow) for row in rows)

    def commands(self, key: str | None = None) -> tuple[CommandRow, ...]:
        """Commands with that idempotency key, or all, in the order of their journals."""
        rows = self._ask("commands", ("key", key), order="journal, sequence")
        return tuple(CommandRow(journal=row[0], sequence=row[1], command=decode(row[-1], Command)) for row in rows)
