"""One journal and the committer that makes it durable, as the parts of a cell use them."""

from __future__ import annotations

from collections.abc import Callable

from daemon.journal.committer import Committer
from daemon.journal.frames import Head
from daemon.journal.journal import Journal
from daemon.journal.records import Record


class JournalLog:
    """One journal and the committer that makes it durable. `heard` is left every record that was appended, those of
    an emergency too; it only leaves it somewhere."""

    def __init__(self, journal: Journal, committer: Committer, heard: Callable[[Record], None]) -> None:
        self.journal = journal
        self._committer = committer
        self._heard = heard

    @property
    def head(self) -> Head:
        return self.journal.head

    def append(self, record: Record) -> int:
        sequence = self.journal.append(record)
        self._heard(record)
        return sequence

    async def commit(self) -> None:
        await self._committer.commit(self.journal)

    async def record_emergency(self, *records: Record) -> None:
        """Appends and makes durable, in the reserve if the journal takes nothing else."""
        for record in records:
            self._heard(record)  # first: what happens to money is told even if it cannot be kept
        await self._committer.record_emergency(self.journal, *records)
