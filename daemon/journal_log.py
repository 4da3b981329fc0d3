"""One journal and the committer that makes it durable, as the parts of a cell use them."""

from __future__ import annotations

from collections.abc import Callable

from daemon.journal.committer import Committer
from daemon.journal.frames import Head
from daemon.journal.journal import Journal
from daemon.journal.records import Events, Outcome, Record


class JournalLog:
    """One journal and the committer that makes it durable."""

    def __init__(self, journal: Journal, committer: Committer, heard: Callable[[Events | Outcome], None]) -> None:
        self.journal = journal
        self._committer = committer
        self._heard = heard

    @property
    def head(self) -> Head:
        return self.journal.head

    def append(self, record: Record) -> int:
        sequence = self.journal.append(record)
        if isinstance(record, (Events, Outcome)):
            self._heard(record)
        return sequence

    async def commit(self) -> None:
        await self._committer.commit(self.journal)

    async def record_emergency(self, *records: Record) -> None:
        """Appends and makes durable, in the reserve if the journal takes nothing else."""
        await self._committer.record_emergency(self.journal, *records)
