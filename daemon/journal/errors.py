"""What can be wrong with a journal, as errors an operator can act on."""

from __future__ import annotations

from components.model.errors import Refuse, Severity, Stop, catalogued
from daemon.exits import Exit

EVT_BROKEN = catalogued(
    "EVT-001",
    Severity.CRITICAL,
    "A journal does not verify",
    "Nothing was changed. Compare the head with the one last logged, and put back a backup: see 'basis audit verify'",
)
EVT_POISONED = catalogued(
    "EVT-002",
    Severity.CRITICAL,
    "A journal can no longer be written",
    "Check disk and free space: it is opened again by itself, with what was durable; until then nothing new leaves",
)
EVT_UNAVAILABLE = catalogued(
    "EVT-003",
    Severity.CRITICAL,
    "A journal cannot be opened",
    "Check disk, free space and permissions of the state directory; nothing was lost",
)
EVT_NEWER = catalogued(
    "EVT-004",
    Severity.ERROR,
    "A journal has records that this version cannot read",
    "Run the version that wrote it, or a later one; nothing was changed",
)
EVT_TOO_LARGE = catalogued(
    "EVT-005", Severity.ERROR, "A record is too large for the journal", "Report this: no record should ever be so large"
)
EVT_CLOSED = catalogued(
    "EVT-006", Severity.ERROR, "A journal is closed", "It is written only while its strategy runs; nothing was recorded"
)
EVT_RESERVE_SPENT = catalogued(
    "EVT-007",
    Severity.CRITICAL,
    "Not even the reserve of a journal takes this record",
    "Read what was done from stderr and from the venues; free space on the disk, then restart",
)
EVT_NO_JOURNAL = catalogued(
    "EVT-008", Severity.ERROR, "There is no such journal", "Name the state directory: --state or BASIS_STATE_DIR"
)
EVT_INDEX = catalogued(
    "EVT-009",
    Severity.ERROR,
    "The index of the journals cannot be opened",
    "Check permissions, or who else holds index.sqlite; it may be deleted, it is made anew from the journals",
)


class JournalBroken(Stop):
    """A journal is not what was written: cut below its anchor, or changed inside. The files are left as they are."""

    exit_code = Exit.DAMAGED

    def __init__(self, reason: str, *, journal: str, segment: str, sequence: int, offset: int) -> None:
        self.reason = reason
        self.journal = journal
        self.segment = segment
        self.sequence = sequence
        self.offset = offset
        super().__init__(
            EVT_BROKEN,
            f"journal {journal} breaks at record {sequence}: {reason}",
            segment=segment,
            sequence=sequence,
            offset=offset,
        )


class JournalPoisoned(Stop):
    """A write or sync failed: what is on the disk behind the last durable record is unknown, and no more is added."""

    def __init__(self, journal: str, reason: str) -> None:
        super().__init__(EVT_POISONED, f"journal {journal} can no longer be written: {reason}", journal=journal)


class JournalClosed(Stop):
    """Nobody writes this journal any more."""

    def __init__(self, journal: str) -> None:
        super().__init__(EVT_CLOSED, f"journal {journal} is closed", journal=journal)


class ReserveSpent(Stop):
    """An emergency record fits nowhere: the only case in which an order may leave without one."""

    def __init__(self, journal: str, reason: str) -> None:
        super().__init__(EVT_RESERVE_SPENT, journal=journal, reason=reason)


def is_wanting(error: BaseException) -> bool:
    """Whether a disk keeps a journal from being had: it is there again when the disk is."""
    return isinstance(error, Stop) and error.code in (EVT_POISONED, EVT_UNAVAILABLE)


def unavailable(journal: str, error: OSError) -> Stop:
    """The error for a disk that does not let a journal be opened."""
    return Stop(EVT_UNAVAILABLE, f"journal {journal} cannot be opened: {error}", journal=journal)


def newer(journal: str, sequence: int, found: str) -> Stop:
    return Stop(EVT_NEWER, f"record {sequence} of journal {journal} cannot be read: {found}", journal=journal)


def no_journal(where: str) -> Refuse:
    return Refuse(EVT_NO_JOURNAL, f"there is no journal in {where}")
