"""What could not be journaled while something was closed: kept until the journal takes records again, and written then.

An emergency waits for no journal. What it did meanwhile is shouted, and owed: the next life of the strategy reads its
journal, and would take a book for true that its venues contradict. What a process takes with it when it ends was only
shouted; then the differences are adopted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog

from daemon.journal.codec import encode
from daemon.journal.log import JournalLog
from daemon.journal.records import Note, Record

log = structlog.get_logger()
NOTE = "owed.written"
Reading = Callable[[Callable[[], frozenset[bytes]]], Awaitable[frozenset[bytes]]]


class Owed:
    """Of one journal, in order."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    async def pay(self, journal: JournalLog, at: int, reading: Reading) -> None:
        """Writes them, durable when it returns. What a disk has kept after all, though it did not answer in time, is
        not written twice. Stop when the journal takes nothing: then all of them stay owed."""
        while self.records:
            owed, known = list(self.records), await reading(lambda: kept(journal))
            missing = [record for record in owed if encode(record) not in known]
            for record in missing:
                journal.journal.append(record)  # those who listen have been told
            detail = f"{len(missing)} record(s) of an emergency that the journal did not take at the time"
            journal.append(Note(at=at, kind=NOTE, detail=detail))
            await journal.commit()
            del self.records[: len(owed)]
            log.warning("journal.owed_written", journal=journal.journal.name, records=len(missing))


def kept(journal: JournalLog) -> frozenset[bytes]:
    """What the journal holds since it began its last epoch, as bytes; reads."""
    after = max(journal.journal.resume - 1, journal.journal.pruned, 0)
    return frozenset(encode(record) for _, record in journal.journal.records(after))
