"""Short answers for people: the newest events, and orders with what became of them.

They come from the index, which is brought up to the journals first; without the index file the answers are the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from daemon.disk import Disk
from daemon.journal.index import Index
from daemon.journal.reader import DAEMON, journals

INDEX_FILE = "index.sqlite"
ORDERS_SHOWN = 200


class Queries:
    """The index of one state directory. Calls block, and come from one thread."""

    def __init__(self, disk: Disk, state: Path) -> None:
        self._disk = disk
        self._state = state
        self._index: Index | None = None

    def catch_up(self) -> int:
        """Applies what the journals have more; how many records."""
        if self._index is None:
            self._index = Index.open(self._state / INDEX_FILE)
        return sum(self._index.catch_up(self._disk, journal) for journal in journals(self._disk, self._state))

    def events(self, strategy: str | None, limit: int) -> list[dict[str, Any]]:
        """The newest `limit` events of one strategy or of all, oldest first."""
        rows = [row for name in self._names(strategy) for row in self._open().latest_events(name, limit)]
        rows.sort(key=lambda row: (row.event.timestamp, row.strategy, row.sequence, row.number))
        return [
            {
                "timestamp": row.event.timestamp,
                "strategy": row.strategy,
                "order": row.event.order,
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
        rows.sort(key=lambda row: (row.at, row.strategy, row.sequence))
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
