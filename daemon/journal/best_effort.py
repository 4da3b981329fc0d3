"""The journal of an emergency: written where it can be, shouted and owed where not; it never holds up a closing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import trio

from components.model.errors import Stop
from daemon.journal.records import Record


class ReserveLog(Protocol):
    """A journal that keeps some room for an emergency, even when it takes nothing else any more."""

    async def record_emergency(self, *records: Record) -> None: ...


class BestEffortLog:
    """The journal, else its reserve, else a shout: the one exception to "durable before it is sent".

    A disk that does not answer within `within_s` counts as one that takes nothing; from then on nobody waits for it.
    `journal` is asked each time: it may come back. What it did not take is left with `owe`, with whether a journal has
    told it to those who listen already; who has the journal writes it there as soon as that can be done.
    """

    def __init__(
        self,
        journal: Callable[[], ReserveLog | None],
        shout: Callable[[str], None],
        owe: Callable[[Record, bool], None] = lambda record, told: None,
        *,
        within_s: float = 2.0,
    ) -> None:
        self._journal = journal
        self._shout = shout
        self._owe = owe
        self._within = within_s
        self._waiting: list[Record] = []
        self.failed = ""  # why nothing is written any more
        self.deaf = ""  # why nobody hears what is shouted

    def append(self, record: Record) -> int:
        """Kept until `commit`; the sequence is given out there."""
        self._waiting.append(record)
        return -1

    async def commit(self) -> None:
        records, self._waiting = self._waiting, []
        if not records:
            return
        log, told = self._journal(), False
        why = "there is no journal" if log is None else self.failed
        if log is not None and not self.failed:
            told = True
            try:
                with trio.fail_after(self._within):
                    await log.record_emergency(*records)
                return
            except trio.TooSlowError:
                why = self.failed = f"the disk has not answered for {self._within:g} s"
            except (Stop, OSError) as error:
                why = error.message if isinstance(error, Stop) else str(error)
        for record in records:
            self._owe(record, told)
            self._say(f"not journaled ({why}): {record}")

    def _say(self, text: str) -> None:
        try:
            self._shout(text)
        except (OSError, ValueError) as error:  # a full or closed terminal stops no closing, and is no reason of a disk
            self.deaf = str(error)
