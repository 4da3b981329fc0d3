"""The writing side of a journal: what runs in the committer's thread and touches files, and nothing else.

It owns the open segment and the reserve, a file of zeros made beforehand whose blocks are on the disk, so that the
last records of an emergency need no free space. After a failed write or sync it is not asked again for that file.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path

import msgspec

from daemon.journal.frames import Head, segment_bytes
from daemon.journal.walk import ANCHOR_FILE, RESERVE_FILE, Anchor, segment_name
from daemon.state.disk import AppendFile, Disk

RESERVE_BYTES = 256 * 1024


class Target(Enum):
    SEGMENT = "segment"
    RESERVE = "reserve"


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Frames that become durable together. `anchor`: say so in the anchor file afterwards."""

    target: Target
    previous: Head
    head: Head
    data: bytes
    records: int
    anchor: bool


class Written(msgspec.Struct, frozen=True):
    """What became of a batch. After an error of the data nobody knows; one of the anchor comes after it was durable."""

    data_error: OSError | None = None
    anchor_error: OSError | None = None


class SegmentWriter:
    """Writes the segments, the reserve and the anchor of one journal.

    `number` is the segment to go on with, `file` that segment or None when there is none yet.
    """

    def __init__(
        self, disk: Disk, folder: Path, journal: str, *, number: int, file: AppendFile | None,
        reserve: AppendFile | None, first: int, rotate_bytes: int,
    ) -> None:  # fmt: skip
        self._disk = disk
        self._folder = folder
        self._journal = journal
        self._file = file
        self._reserve = reserve
        self.first = first
        self._rotate_bytes = rotate_bytes
        self.number = number

    @property
    def bytes(self) -> int:
        """Size of the open segment."""
        return self._file.size if self._file is not None else 0

    @property
    def reserve_left(self) -> int:
        """Bytes that the reserve still takes; 0 when it could not be made."""
        return max(RESERVE_BYTES - self._reserve.size, 0) if self._reserve is not None else 0

    def perform(self, batch: Batch) -> Written:
        """Writes and syncs; blocks. OSError comes back as a value."""
        try:
            if batch.target is Target.RESERVE:
                self._to_reserve(batch)
            elif batch.data:
                self._to_segment(batch)
        except OSError as exc:
            return Written(data_error=exc)
        try:
            if batch.anchor:
                self.anchor(batch.head)
        except OSError as exc:
            return Written(anchor_error=exc)
        return Written()

    def anchor(self, head: Head) -> None:
        """Says on disk that everything up to `head` is durable, which it must be."""
        write_anchor(self._disk, self._folder, self._journal, head, self.first)

    def close(self) -> None:
        for file in (self._file, self._reserve):
            if file is not None:
                file.close()
        self._file = self._reserve = None

    def _to_segment(self, batch: Batch) -> None:
        file = self._file
        if file is not None and file.size >= self._rotate_bytes:
            file.close()
            self._file = file = None
            self.number += 1
            self.anchor(batch.previous)
        if file is None:
            file = self._file = self._disk.append("journal.segment", self._folder / segment_name(self.number))
        header = b"" if file.size else segment_bytes(batch.previous, self._journal)
        file.write("journal.write", header + batch.data)
        file.sync("journal.sync")

    def _to_reserve(self, batch: Batch) -> None:
        assert self._reserve is not None, "nothing goes to a reserve that is not there"
        header = b"" if self._reserve.size else segment_bytes(batch.previous, self._journal)
        self._reserve.write("reserve.write", header + batch.data)
        self._reserve.sync("reserve.sync")


def write_anchor(disk: Disk, folder: Path, journal: str, head: Head, first: int) -> None:
    disk.replace("anchor.replace", folder / ANCHOR_FILE, anchor_bytes(journal, head, first))


def anchor_bytes(journal: str, head: Head, first: int) -> bytes:
    anchor = Anchor(journal=journal, sequence=head.sequence, hash=head.hash, first=first)
    return msgspec.json.encode(anchor) + b"\n"


def make_reserve(disk: Disk, folder: Path) -> AppendFile | None:
    """A reserve of zeros, opened; None when the disk has no room for one."""
    path = folder / RESERVE_FILE
    try:
        if not disk.exists(path) or disk.size(path) < RESERVE_BYTES or disk.read(path).strip(b"\0"):
            disk.replace("reserve.make", path, bytes(RESERVE_BYTES))
        return disk.append("reserve.open", path, at=0)
    except OSError:
        return None
