"""The index: the newest orders and events of all journals in one SQLite file, for questions.

It is derived. Each journal's applied sequence is stored in the same transaction as what was applied; behind the journal
it catches up, ahead of it or beside it that journal is applied anew. A file that is damaged or of another layout is
made anew. It keeps as many events and finished orders of each journal as may be asked for, and every order that is
not finished. So deleting it changes no answer, and it does not grow with the journals. One thread at a time uses an
`Index`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import msgspec

from components.model.errors import Stop
from components.model.events import Event
from components.model.orders import Order, OrderState, follows
from daemon.journal.codec import decode, encode
from daemon.journal.errors import EVT_INDEX, JournalBroken
from daemon.journal.frames import Frame, Head
from daemon.journal.journal import record_of
from daemon.journal.reader import Located
from daemon.journal.records import Intent, Outcome, Record
from daemon.journal.told import events_of
from daemon.journal.walk import Place, Walk
from daemon.state.disk import Disk

LAYOUT = 4
SUFFIXES = ("", "-journal", "-wal", "-shm")  # files that an index may consist of; the last two of before
EVENTS_KEPT = 10_000  # of each journal; nobody may ask for more
ORDERS_KEPT = 10_000
_BATCH = 1000
_TABLES = """
CREATE TABLE applied (
    journal TEXT PRIMARY KEY, sequence INTEGER NOT NULL, hash BLOB NOT NULL,
    segment INTEGER NOT NULL, offset INTEGER NOT NULL, previous BLOB NOT NULL
) STRICT;
CREATE TABLE orders (
    journal TEXT NOT NULL, id TEXT NOT NULL, sequence INTEGER NOT NULL, number INTEGER NOT NULL,
    state TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (journal, id)
) STRICT;
CREATE INDEX orders_sequence ON orders (journal, sequence);
CREATE TABLE events (
    journal TEXT NOT NULL, sequence INTEGER NOT NULL, number INTEGER NOT NULL, type TEXT NOT NULL,
    body BLOB NOT NULL, PRIMARY KEY (journal, sequence, number)
) STRICT;
"""
_CONTENTS = ("applied", "orders", "events")
_DONE = (OrderState.FILLED, OrderState.PARTIAL, OrderState.REJECTED)
_FINAL = (*_DONE, OrderState.NOT_SENT)


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
    limit_price: float | None = None  # the worst price asked for, USDT per unit; None: at any
    at_least: float | None = None  # of a swap: the least asked for, units of what it gives
    reason: str = ""
    venue_reference: str = ""


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """An event and its place: `number` counts from 1 within its record."""

    strategy: str
    sequence: int
    number: int
    event: Event


class Index:
    """Opened by `Index.open`; `catch_up` before asking."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def open(cls, path: Path) -> Self:
        """The index in that file, made anew when the file is not there, damaged or of another layout.

        Stop EVT-009 when the file cannot be opened or somebody holds it.
        """
        try:
            return cls(_connected(path))
        except sqlite3.OperationalError as exc:
            raise Stop(EVT_INDEX, f"the index cannot be opened: {exc}", path=str(path)) from exc
        except sqlite3.DatabaseError:
            for suffix in SUFFIXES:
                with suppress(FileNotFoundError):
                    path.with_name(path.name + suffix).unlink()
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
        while chunk := tuple(islice(frames, _BATCH)):
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                for frame in chunk:
                    self._apply(journal.name, frame.sequence, record_of(journal.name, frame))
                self._trim(journal.name)
                last, place = chunk[-1], walk.place
                self._insert(
                    "applied", journal.name, last.sequence, last.digest, place.segment, place.offset, place.head.digest
                )
            count += len(chunk)
        return count

    def orders(self, strategy: str | None = None, state: str | None = None) -> tuple[OrderRow, ...]:
        """Orders by the sequence of their intents, those of one intent as they are executed."""
        rows = self._ask("orders", ("journal = ?", strategy), ("state = ?", state), order="journal, sequence, number")
        return tuple(decode(body, OrderRow) for (body,) in rows)

    def events(
        self,
        strategy: str | None = None,
        event_type: str | None = None,
        *,
        after: tuple[int, int] = (0, 0),
        limit: int = 1000,
    ) -> tuple[EventRow, ...]:
        """Events behind the place (sequence, number), oldest first, at most `limit`."""
        rows = self._ask(
            "events", ("journal = ?", strategy), ("type = ?", event_type), ("(sequence, number) > (?, ?)", *after),
            order="journal, sequence, number", limit=limit,
        )  # fmt: skip
        return tuple(decode(body, EventRow) for (body,) in rows)

    def latest_events(self, strategy: str, limit: int) -> tuple[EventRow, ...]:
        """The newest events of one strategy, oldest first."""
        rows = self._ask("events", ("journal = ?", strategy), order="sequence DESC, number DESC", limit=limit)
        return tuple(decode(body, EventRow) for (body,) in reversed(tuple(rows)))

    def latest_orders(self, strategy: str, limit: int) -> tuple[OrderRow, ...]:
        """The newest orders of one strategy, oldest first."""
        rows = self._ask("orders", ("journal = ?", strategy), order="sequence DESC, number DESC", limit=limit)
        return tuple(decode(body, OrderRow) for (body,) in reversed(tuple(rows)))

    def _from_where(self, disk: Disk, journal: Located) -> tuple[Walk, Iterator[Frame]]:
        """A walk behind what is applied, or from the beginning when that is not in the journal (any more)."""
        row = self._connection.execute("SELECT * FROM applied WHERE journal = ?", (journal.name,)).fetchone()
        if row is not None:
            _, sequence, digest, segment, offset, previous = row
            # In use, the reserve stands in for the end of the segments: places there mean nothing.
            if Walk(disk, journal.folder, journal.name).fork is None:
                start = Place(segment, offset, Head(sequence - 1, previous))
                walk = Walk(disk, journal.folder, journal.name, start=start)
            else:
                walk = Walk(disk, journal.folder, journal.name, after=sequence - 1)
            frames = iter(walk)
            with suppress(JournalBroken):  # if it is, the walk from the beginning says so
                first = next(frames, None)
                if first is not None and first.digest == digest:
                    return walk, frames
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                for table in _CONTENTS:
                    self._connection.execute(f"DELETE FROM {table} WHERE journal = ?", (journal.name,))
        walk = Walk(disk, journal.folder, journal.name)
        return walk, iter(walk)

    def _apply(self, journal: str, sequence: int, record: Record) -> None:
        match record:
            case Intent():
                for number, order in enumerate(record.group.orders, start=1):
                    self._intend(journal, sequence, number, record, order)
            case Outcome():
                self._resolve(journal, sequence, record)
            case _:
                pass
        for number, event in enumerate(events_of(journal, record), start=1):
            row = EventRow(strategy=journal, sequence=sequence, number=number, event=event)
            self._insert("events", journal, sequence, number, str(event.event_type), encode(row))

    def _trim(self, journal: str) -> None:
        """What is older than the newest that are kept goes; an order that is open stays however old it is."""
        self._connection.execute(
            "DELETE FROM events WHERE journal = ?1 AND (sequence, number) <= (SELECT sequence, number FROM events "
            "WHERE journal = ?1 ORDER BY sequence DESC, number DESC LIMIT 1 OFFSET ?2)",
            (journal, EVENTS_KEPT),
        )
        self._connection.execute(
            f"DELETE FROM orders WHERE journal = ?1 AND state IN ({', '.join(f'{state.value!r}' for state in _FINAL)}) "
            "AND sequence <= (SELECT sequence FROM orders WHERE journal = ?1 ORDER BY sequence DESC LIMIT 1 OFFSET ?2)",
            (journal, ORDERS_KEPT),
        )

    def _intend(self, journal: str, sequence: int, number: int, intent: Intent, order: Order) -> None:
        known = self._order(journal, order.id)
        if known is not None and known[1].state in _DONE:
            return
        group = intent.group
        row = OrderRow(
            strategy=journal, id=order.id, sequence=sequence, at=intent.at, state=OrderState.INTENT,
            origin=intent.origin, group=group.id, action=group.action, venue=order.venue, verb=order.verb,
            token=order.token, amount=order.amount, limit_price=order.limit_price, at_least=order.at_least,
        )  # fmt: skip
        self._insert("orders", journal, order.id, sequence, number, row.state, encode(row))

    def _resolve(self, journal: str, sequence: int, outcome: Outcome) -> None:
        """What is known stays known: a later "unknown" does not replace it."""
        known = self._order(journal, outcome.order_id)
        number, row = known or (0, OrderRow(
            strategy=journal, id=outcome.order_id, sequence=sequence, at=0, state="", origin=outcome.origin
        ))  # fmt: skip
        before = OrderState(row.state or OrderState.SENT)
        if before is OrderState.INTENT:
            before = OrderState.SENT  # that it left is not a record of its own
        if outcome.state == OrderState.UNKNOWN and not follows(before, OrderState.UNKNOWN):
            return
        row = msgspec.structs.replace(row, at=outcome.at, state=outcome.state, reason=outcome.reason)
        if (trade := outcome.trade) is not None:
            row = msgspec.structs.replace(
                row, quantity=trade.quantity, price=trade.price, venue=trade.venue, verb=trade.verb,
                token=trade.token, venue_reference=trade.venue_reference, reason=outcome.reason or trade.reason,
            )  # fmt: skip
        self._insert("orders", journal, row.id, row.sequence, number, row.state, encode(row))

    def _order(self, journal: str, order_id: str) -> tuple[int, OrderRow] | None:
        """An order and its place in its intent, from 1: orders of one transaction are shown as they are executed."""
        row = self._connection.execute(
            "SELECT number, body FROM orders WHERE journal = ? AND id = ?", (journal, order_id)
        ).fetchone()
        return None if row is None else (row[0], decode(row[1], OrderRow))

    def _insert(self, table: str, *values: object) -> None:
        self._connection.execute(f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(values))})", values)

    def _ask(self, table: str, *conditions: tuple[Any, ...], order: str, limit: int = -1) -> Sequence[tuple[bytes]]:
        """Bodies of the rows that meet all conditions whose values are given."""
        wanted = [(clause, values) for clause, *values in conditions if values[0] is not None]
        where = " AND ".join(clause for clause, _ in wanted) or "TRUE"
        return self._connection.execute(
            f"SELECT body FROM {table} WHERE {where} ORDER BY {order} LIMIT ?",
            [*(value for _, values in wanted for value in values), limit],
        ).fetchall()


def applied_sequences(path: Path) -> dict[str, int]:
    """How far the index in that file is, by journal; nothing when there is none that can be read. It is not changed."""
    if not path.is_file():
        return {}
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            return dict(connection.execute("SELECT journal, sequence FROM applied"))
    except sqlite3.DatabaseError:
        return {}


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        # No write-ahead log: it maps a file into memory, and a thread that waits for a disk there holds up every thread
        # of the process that wants memory, those that trade as well.
        connection.execute("PRAGMA journal_mode = TRUNCATE")
        connection.execute("PRAGMA mmap_size = 0")
        connection.execute("PRAGMA synchronous = NORMAL")  # what a power cut takes is applied again
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found not in (0, LAYOUT):
            raise sqlite3.DatabaseError(f"layout {found}")
        if found == 0:
            connection.executescript(f"BEGIN;{_TABLES}PRAGMA user_version = {LAYOUT};COMMIT;")
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection
