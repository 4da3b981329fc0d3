"""A journal on a disk that can fail, and the scenario that is cut short everywhere."""

from __future__ import annotations

from pathlib import Path

from daemon.journal.errors import JournalPoisoned, ReserveSpent
from daemon.journal.journal import Journal
from daemon.journal.records import Command, Note, Record
from daemon.state.disk import Disk

FOLDER = Path("/state/strategies/one/journal")
NAME = "one"
ROTATE_BYTES = 1_500


def note(text: str) -> Note:
    return Note(at=1, kind="test", detail=text)


def wide(text: str) -> Command:
    """A record of several sectors."""
    return Command(at=2, id=text, kind="status", arguments={"filler": text * 150}, uid=0)


def opened(disk: Disk, folder: Path = FOLDER) -> Journal:
    return Journal.open(folder, disk, name=NAME, now=lambda: 7, rotate_bytes=ROTATE_BYTES)


def ours(journal: Journal) -> list[Record]:
    """The durable records, without what recovery noted."""
    return [record for _, record in journal.records() if not (isinstance(record, Note) and record.kind != "test")]


class Scenario:
    """Some steps of a strategy: two sittings, batches of one and of many, rotations, and an emergency at the end.

    `sent` is what was appended, in order; `acknowledged` what somebody was told is durable.
    """

    def __init__(self) -> None:
        self.sent: list[Record] = []
        self.acknowledged: list[Record] = []
        self.emergency: list[Record] = []
        self.steps = 0

    def play(self, disk: Disk) -> None:
        journal = opened(disk)
        for step in range(4):
            self._batch(journal, [note(f"{step}"), wide(f"{step}a"), note(f"{step}b")], at=step * 0.6)
        journal.flush(9.0, anchor=True)
        journal.shut()
        journal = opened(disk)
        for step in range(4, 8):
            self._batch(journal, [wide(f"{step}")], at=10.0 + step * 0.3)
        journal.shut()

    def _batch(self, journal: Journal, records: list[Record], *, at: float) -> None:
        self.steps += 1
        try:
            for record in records:
                journal.append(record)
                self.sent.append(record)
            journal.flush(at)
        except JournalPoisoned:
            kept = journal.durable.sequence
            assert kept >= len(self.acknowledged)
            self._after_poison(journal)
            raise
        self.acknowledged += records

    def _after_poison(self, journal: Journal) -> None:
        """What an emergency does: it goes on recording."""
        last = note("closed everything")
        try:
            journal.append_emergency(last)
            journal.flush(99.0)
        except (ReserveSpent, JournalPoisoned):
            return
        self.emergency.append(last)
