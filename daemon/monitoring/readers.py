"""Who looks at the daemon, each in a task of its own: nothing they do can delay or end what they look at.

A cell, the supervisor, the journal and the emergency path `tell`: that leaves a frozen fact in a bounded tray and
returns. The reader's task takes it out when the loop has time for it. What a reader raises is the reader's own: it is
counted, named once in the log, and shown in health. A tray that runs over loses its oldest facts and counts them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import NoReturn, TypeVar

import structlog
import trio

from daemon.errors import short

log = structlog.get_logger()
TRAY = 4096
AT_A_TIME = 64
A = TypeVar("A")


class Reader:
    """One reader's tray and its task."""

    def __init__(self, name: str, *, tray: int = TRAY) -> None:
        self.name = name
        self._tray: deque[Callable[[], object]] = deque(maxlen=tray)
        self._arrival = trio.Event()
        self.dropped = 0
        self.errors = 0
        self.error = ""  # of the last fact that could not be read; "" once one could

    def tell(self, read: Callable[..., object], *facts: object) -> None:
        """Leaves facts for the reader, who will call `read` with them; never waits, never raises."""
        if len(self._tray) == self._tray.maxlen:
            self.dropped += 1
        self._tray.append(partial(read, *facts))
        self._arrival.set()

    async def run(self) -> NoReturn:
        """Reads for as long as it is let; between some facts and the next others have their turn."""
        while True:
            await self._arrival.wait()
            self._arrival = trio.Event()
            while self._tray:
                self.drain(AT_A_TIME)
                await trio.lowlevel.checkpoint()

    def drain(self, most: int | None = None) -> None:
        """Reads what lies there now, or the oldest `most`."""
        for _ in range(len(self._tray) if most is None else min(most, len(self._tray))):
            read = self._tray.popleft()
            try:
                read()
            except Exception as error:  # the edge around a reader
                self._failed(error)
            else:
                self.error = ""

    def _failed(self, error: Exception) -> None:
        text = short(error)
        self.errors += 1
        if text != self.error:
            log.error("reader.failed", reader=self.name, error=text, exc_info=error)
        self.error = text
