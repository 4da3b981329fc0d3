"""A walk over a journal's files: every frame in order, the chain checked on the way, and what stands at the end.

Read-only, and good while the daemon writes. The rules of judgement are here and nowhere else:

- below the anchor, or inside (something behind it proves it was durable), a break is damage: `JournalBroken`;
- at the end above both it is `torn`: a write that nobody was told of;
- when the reserve was used, what the segments hold beyond its base was never acknowledged: torn too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from daemon.journal.errors import JournalBroken, newer
from daemon.journal.frames import SEGMENT_BYTES, Break, Frame, Head, genesis, parse, proven, segment_base
from daemon.journal.records import VERSION
from daemon.state.disk import Disk

ANCHOR_FILE = "anchor"
RESERVE_FILE = "reserve.journal"
_SUFFIX = ".journal"


class Anchor(msgspec.Struct, frozen=True, kw_only=True):
    """How far a journal surely goes."""

    journal: str
    sequence: int
    hash: str  # hex
    first: int = 0  # records up to here were pruned

    @property
    def head(self) -> Head:
        return Head(self.sequence, bytes.fromhex(self.hash))


class Place(NamedTuple):
    """Where a frame begins, and the head it follows: enough to go on from there."""

    segment: int
    offset: int
    head: Head


class Torn(NamedTuple):
    """What is to be cut: from `offset` in `file` to its end. `sequence` would have been the next record."""

    file: str
    offset: int
    sequence: int
    reason: str


class Walk:
    """One pass over a journal. The fields are true once the iteration has ended.

    Frames after sequence `after` are yielded; segments that end before it are not read. `start` goes on from a known
    place instead. Raises JournalBroken at damage, and Stop EVT-004 at a record of a later version.
    """

    def __init__(self, disk: Disk, folder: Path, journal: str, *, after: int = 0, start: Place | None = None) -> None:
        self._disk = disk
        self._folder = folder
        self._journal = journal
        self._after = after
        self._start = start
        # The anchor first: what is read later is never older.
        self.anchor = self._read_anchor()
        self.segments = self._numbers()
        self._oldest = self.segments[:1]
        self.fork, self._reserve = self._read_reserve()
        self.first = self.head = genesis(journal)
        self.end = 0  # bytes of the last segment that verify
        self.proven_end = 0  # bytes of the last segment that the anchor vouches for
        self.reserve_end = 0
        self.records = 0
        self.torn: list[Torn] = []
        self.place = Place(0, 0, self.head)  # of the last frame

    def __iter__(self) -> Iterator[Frame]:
        if self.anchor is None:
            if self.segments:
                raise self._broken("the anchor is missing", ANCHOR_FILE, 1, 0)
            return
        start = self._start
        known = start is not None
        if start is not None:
            self.segments = tuple(number for number in self.segments if number >= start.segment)
            self.head = start.head
        elif self._after:
            self.segments = self.segments[self._index_of(self._after) :]
        for number in self.segments:
            skipped = start.offset if start is not None and number == start.segment else 0
            yield from self._segment(number, skipped, known=known)
            known = True
        yield from self._emergency()
        if self.head.sequence < self.anchor.sequence:
            reason = f"cut short, the anchor says that record {self.anchor.sequence} was durable"
            raise self._broken(reason, self._last_name(), self.head.sequence + 1, self.end)

    def starts(self) -> Iterator[int]:
        """The sequences that the segments begin after, newest first; 0 is the last when nothing was pruned."""
        for number in reversed(self.segments[1:]):
            base = self._base_of(number)
            if base is not None:
                yield base
        yield 0

    def _segment(self, number: int, skipped: int, *, known: bool) -> Iterator[Frame]:
        file = segment_name(number)
        data = self._disk.read(self._folder / file, skipped)
        self.end = self.proven_end = skipped
        if not data:
            return
        if not skipped:
            base = segment_base(data, self._journal)
            if isinstance(base, str):
                sequence = self.head.sequence + 1
                self._break(file, Break(base, sequence, 0, proven(data, 0).durable >= sequence))
                return
            if (number,) == self._oldest and self.anchor is not None and base.sequence > self.anchor.first:
                raise self._broken("the records before are missing", file, base.sequence, 0)
            if not known and (base.sequence or base == self.head):
                self.first = self.head = base
            elif base != self.head:
                reason = "the segment does not continue the one before"
                raise self._broken(reason, file, self.head.sequence + 1, 0)
            self.end = SEGMENT_BYTES
        for item in parse(data, self.end - skipped, self.head):
            if isinstance(item, Break):
                self._break(file, item._replace(offset=item.offset + skipped))
                return
            if self.fork is not None and item.sequence > self.fork.sequence:
                if item.durable > self.fork.sequence:
                    reason = "a durable record stands beside the reserve"
                    raise self._broken(reason, file, item.sequence, item.offset)
                reason = "never acknowledged; the reserve goes on before it"
                self.torn.append(Torn(file, item.offset + skipped, item.sequence, reason))
                return
            self.place = Place(number, item.offset + skipped, self.head)
            self._take(file, item)
            self.end = item.end + skipped
            if self.anchor is not None and item.sequence <= self.anchor.sequence:
                self.proven_end = self.end
            if item.sequence > self._after:
                yield item

    def _emergency(self) -> Iterator[Frame]:
        if self.fork is None:
            if self._reserve.strip(b"\0"):
                reason = "the reserve was being written for the first time"
                self.torn.append(Torn(RESERVE_FILE, 0, self.head.sequence + 1, reason))
            return
        if self.head != self.fork:
            reason = f"the reserve goes on after record {self.fork.sequence}, which is not there"
            raise self._broken(reason, RESERVE_FILE, self.head.sequence + 1, 0)
        self.reserve_end = SEGMENT_BYTES
        for item in parse(self._reserve, SEGMENT_BYTES, self.head):
            if isinstance(item, Break):
                if item.was_durable:
                    raise self._broken(item.reason, RESERVE_FILE, item.sequence, item.offset)
                if self._reserve[item.offset :].strip(b"\0"):
                    self.torn.append(Torn(RESERVE_FILE, item.offset, item.sequence, item.reason))
                return
            self._take(RESERVE_FILE, item)
            self.reserve_end = item.end
            if item.sequence > self._after:
                yield item

    def _take(self, file: str, frame: Frame) -> None:
        if frame.version > VERSION:
            raise newer(self._journal, frame.sequence, f"it has version {frame.version}, known is {VERSION}")
        anchor = self.anchor
        if anchor is not None and frame.sequence == anchor.sequence and frame.digest.hex() != anchor.hash:
            raise self._broken("not the record that the anchor names", file, frame.sequence, frame.offset)
        self.head = Head(frame.sequence, frame.digest)
        self.records += 1

    def _break(self, file: str, found: Break) -> None:
        is_inside = file != self._last_name() or found.was_durable
        if is_inside or (self.anchor is not None and found.sequence <= self.anchor.sequence):
            raise self._broken(found.reason, file, found.sequence, found.offset)
        self.torn.append(Torn(file, found.offset, found.sequence, found.reason))

    def _read_anchor(self) -> Anchor | None:
        path = self._folder / ANCHOR_FILE
        if not self._disk.exists(path):
            return None
        try:
            anchor = msgspec.json.decode(self._disk.read(path), type=Anchor)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise self._broken(f"the anchor cannot be read: {exc}", ANCHOR_FILE, 0, 0) from exc
        if anchor.journal != self._journal:
            raise self._broken(f"the anchor is of journal {anchor.journal!r}", ANCHOR_FILE, 0, 0)
        if anchor.sequence < 1 and anchor.hash != genesis(self._journal).hash:
            raise self._broken("the anchor is not of this journal", ANCHOR_FILE, 0, 0)
        return anchor

    def _numbers(self) -> tuple[int, ...]:
        stems = (name.removesuffix(_SUFFIX) for name in self._disk.list(self._folder) if name.endswith(_SUFFIX))
        numbers = tuple(sorted(int(stem) for stem in stems if stem.isdecimal()))
        for before, after in zip(numbers, numbers[1:], strict=False):
            if after != before + 1:
                raise self._broken("a segment is missing", segment_name(before + 1), 0, 0)
        return numbers

    def _read_reserve(self) -> tuple[Head | None, bytes]:
        path = self._folder / RESERVE_FILE
        data = self._disk.read(path) if self._disk.exists(path) else b""
        base = segment_base(data, self._journal)
        if not isinstance(base, str):
            return base, data
        proof = proven(data, 0)
        if proof.lowest and proof.durable >= proof.lowest:
            raise self._broken(base, RESERVE_FILE, proof.lowest, 0)
        return None, data

    def _index_of(self, sequence: int) -> int:
        """The last segment that begins at or before the record after `sequence`."""
        for index in range(len(self.segments) - 1, 0, -1):
            base = self._base_of(self.segments[index])
            if base is not None and base <= sequence:
                return index
        return 0

    def _base_of(self, number: int) -> int | None:
        data = self._disk.read(self._folder / segment_name(number), 0, SEGMENT_BYTES)
        base = segment_base(data, self._journal)
        return None if isinstance(base, str) else base.sequence

    def _last_name(self) -> str:
        return segment_name(self.segments[-1]) if self.segments else ANCHOR_FILE

    def _broken(self, reason: str, file: str, sequence: int, offset: int) -> JournalBroken:
        return JournalBroken(reason, journal=self._journal, segment=file, sequence=sequence, offset=offset)


def segment_name(number: int) -> str:
    return f"{number:06d}{_SUFFIX}"
