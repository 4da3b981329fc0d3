"""Retention: whole segments at the beginning of a journal are copied elsewhere, checked, and removed.

Only what no start needs may go: segments that end before the last epoch that has a Snapshot, and whose newest record is
old enough. The order makes every power cut harmless: copy and check → say in the anchor that the journal begins later →
remove, oldest first. Whoever calls owns the state directory; the daemon does not run.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from daemon.journal.frames import Frame
from daemon.journal.journal import record_of
from daemon.journal.opening import Resume
from daemon.journal.reader import DAEMON, Located
from daemon.journal.segments import anchor_bytes
from daemon.journal.walk import ANCHOR_FILE, Walk, segment_name
from daemon.state.disk import Disk

DAY_NS = 86_400_000_000_000


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """One segment: its records [first, last], and the time of the last one that has any (journal time, UTC ns)."""

    number: int
    first: int
    last: int
    until: int
    bytes: int


class Pruning(msgspec.Struct, frozen=True, kw_only=True):
    """What may go from one journal, oldest first, and why no more does."""

    journal: str
    segments: tuple[Segment, ...]
    kept: int
    reason: str

    @property
    def records(self) -> int:
        return sum(segment.last - segment.first + 1 for segment in self.segments)

    @property
    def bytes(self) -> int:
        return sum(segment.bytes for segment in self.segments)


def plan(disk: Disk, journal: Located, *, keep_days: float) -> Pruning:
    """Verifies the whole journal and says what may go. Raises JournalBroken at damage."""
    if journal.name == DAEMON:
        return Pruning(
            journal=journal.name, segments=(), kept=1, reason="it says what was asked for, and is kept whole"
        )
    walk = Walk(disk, journal.folder, journal.name)
    bounds: dict[int, tuple[int, int, int]] = {}  # by segment: first record, last record, newest time
    resume = Resume()
    for frame in walk:
        number = walk.place.segment
        resume.saw(frame.sequence, frame.payload)
        first, _, until = bounds.get(number, (frame.sequence, 0, 0))
        bounds[number] = (first, frame.sequence, max(until, _time_of(journal.name, frame)))
    newest = max((until for _, _, until in bounds.values()), default=0)
    segments = [
        Segment(
            number=number,
            first=first,
            last=last,
            until=until,
            bytes=disk.size(journal.folder / segment_name(number)),
        )
        for number, (first, last, until) in sorted(bounds.items())
    ]
    useless = [segment for segment in segments if segment.last < resume.at]
    old = [segment for segment in useless if segment.until < newest - keep_days * DAY_NS]
    if len(old) == len(useless) and resume.at:
        reason = f"a start needs record {resume.at} and those after it; a restart moves that on"
    elif resume.at:
        reason = f"the others are younger than {keep_days:g} days"
    else:
        reason = "no epoch in it begins with a snapshot yet; a restart of the daemon makes one"
    return Pruning(journal=journal.name, segments=tuple(old), kept=len(segments) - len(old), reason=reason)


def prune(disk: Disk, journal: Located, pruning: Pruning, export: Path) -> tuple[Path, ...]:
    """Does what `plan` said; the copies. OSError leaves the journal as it was, or shorter and whole."""
    if not pruning.segments:
        return ()
    folder = export / journal.name
    disk.make_folder("prune.folder", folder)
    copies = []
    for segment in pruning.segments:
        name = segment_name(segment.number)
        data = disk.read(journal.folder / name)
        copy = folder / name
        if not disk.exists(copy) or sha256(disk.read(copy)).digest() != sha256(data).digest():
            disk.replace("prune.copy", copy, data)
        if sha256(disk.read(copy)).digest() != sha256(data).digest():
            raise OSError(f"{copy} does not read back as what was written")
        copies.append(copy)
    anchor = Walk(disk, journal.folder, journal.name).anchor
    assert anchor is not None, "it was verified"
    last = pruning.segments[-1].last
    if anchor.first < last:
        disk.replace("prune.anchor", journal.folder / ANCHOR_FILE, anchor_bytes(journal.name, anchor.head, last))
    for segment in pruning.segments:
        disk.unlink("prune.remove", journal.folder / segment_name(segment.number))
    return tuple(copies)


def _time_of(journal: str, frame: Frame) -> int:
    """When a record was made, 0 for one that does not say."""
    record: Any = record_of(journal, frame)
    return getattr(record, "at", 0) or getattr(record, "timestamp", 0)
