"""Short answers for people: the newest events, and orders with what became of them.

They come from the index, which is brought up to the journals first; without the index file the answers are the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from components.model.errors import Stop
from daemon.journal.index import Index
from daemon.journal.reader import DAEMON, journals
from daemon.state.disk import Disk

INDEX_FILE = "index.sqlite"
IN_MEMORY = Path(":memory:")  # an index for one answer, that touches nothing
ORDERS_SHOWN = 200


class Queries:
    """The index of one state directory. Calls block, and come from one thread."""

    def __init__(self, disk: Disk, state: Path, *, file: Path | None = None) -> None:
        self._disk = disk
        self._state = state
        self._file = file or state / INDEX_FILE
        self._index: Index | None = None
        self.failed: dict[str, str] = {}  # journals that could not be read to their end, and why

    def catch_up(self) -> int:
        """Applies what the journals have more; how many records. One that is damaged keeps back no other: it is in
        `failed`, and what it said before the damage is told."""
        if self._index is None:
            self._index = Index.open(self._file)
        count = 0
        for journal in journals(self._disk, self._state):
            try:
                count += self._index.catch_up(self._disk, journal)
            except (Stop, OSError) as error:
                self.failed[journal.name] = error.message if isinstance(error, Stop) else str(error)
            else:
                self.failed.pop(journal.name, None)
        return count

    def trouble(self, strategy: str | None) -> str:
        """What is missing in answers about one strategy or all, in words; empty when nothing is."""
        return "; ".join(why for name, why in sorted(self.failed.items()) if strategy in (None, name))

    def events(self, strategy: str | None, limit: int) -> list[dict[str, Any]]:
        """The newest `limit` events of one strategy or of all, oldest first."""
        rows = [row for name in self._names(strategy) for row in self._open().latest_events(name, limit)]
        rows.sort(key=lambda row: (row.event.timestamp, row.strategy, row.sequence, row.number))
        return [
            {
                "timestamp": row.event.timestamp,
                "strategy": row.strategy,
                "order": row.event.sequence,
                "event_type": row.event.event_type.value,
                "venue": row.event.venue,
                "token": row.event.token,
                "amount": row.event.amount,
                "status": row.event.status,
                "detail": row.event.detail,
                "correlation_id": row.event.correlation_id,
            }
            for row in rows[-limit:]
        ]

    def orders(self, strategy: str | None) -> list[dict[str, Any]]:
        """The newest orders with their last state, oldest first."""
        rows = [row for name in self._names(strategy) for row in self._open().latest_orders(name, ORDERS_SHOWN)]
        rows.sort(key=lambda row: (row.at, row.strategy, row.sequence))  # stable: within an intent as executed
        return [msgspec.to_builtins(row) for row in rows]

    def close(self) -> None:
        if self._index is not None:
            self._index.close()
            self._index = None

    def _open(self) -> Index:
        self.catch_up()
        assert self._index is not None
        return self._index

    def _names(self, strategy: str | None) -> list[str]:
        self.catch_up()
        found = [journal.name for journal in journals(self._disk, self._state) if journal.name != DAEMON]
        return [name for name in found if strategy in (None, name)]
