"""The mailbox of a core actor: it holds one row, the newest. A row that nobody took in time is replaced and counted."""

from __future__ import annotations

import trio

from daemon.world.rows import MarketRow


class RowMailbox:
    def __init__(self) -> None:
        self._row: MarketRow | None = None
        self._handled = trio.Event()
        self._taken: trio.Event | None = None
        self._arrival = trio.Event()
        self._closed = False
        self.replaced = 0

    @property
    def depth(self) -> int:
        """Rows waiting: 0 or 1."""
        return int(self._row is not None)

    @property
    def waiting(self) -> MarketRow | None:
        """The row that nobody has taken yet."""
        return self._row

    def put(self, row: MarketRow) -> trio.Event:
        """Leaves a row; the event is set when it has been handled, replaced, or will never be."""
        if self._row is not None:
            self.replaced += 1
            self._handled.set()
        self._row, self._handled = row, trio.Event()
        if self._closed:
            self._handled.set()
        self._arrival.set()
        return self._handled

    async def get(self) -> MarketRow | None:
        """The newest row, None once the mailbox is closed and empty. `done` must follow each row."""
        while self._row is None:
            if self._closed:
                return None
            self._arrival = trio.Event()
            await self._arrival.wait()
        row, self._row = self._row, None
        self._taken = self._handled
        return row

    def done(self) -> None:
        """The row that was taken has been handled."""
        if self._taken is not None:
            self._taken.set()
            self._taken = None

    def close(self) -> None:
        """No more rows are taken; whoever waits for one to be handled is let go."""
        self._closed = True
        self._row = None
        self._handled.set()
        self._arrival.set()
