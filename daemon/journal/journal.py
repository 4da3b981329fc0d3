"""The journal of one strategy, or of the daemon: it gives every record its sequence and its place in the hash chain.

Theory of operation. `append` only buffers. The committer takes what is buffered as a `Batch`, has it written and synced
in its thread, and tells the journal what became of it; nothing else is shared with that thread. A failed write or sync
poisons the journal for good: what was not durable is given up, and the strategy stops. Emergency records then go on in
the reserve, from the last durable record; whoever waits for ordinary ones is told that they are lost.

Only this file gives out sequences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from components.model.errors import Refuse
from daemon.journal.codec import decoder, encode
from daemon.journal.errors import (
    EVT_TOO_LARGE,
    JournalClosed,
    JournalPoisoned,
    ReserveSpent,
    newer,
    unavailable,
)  # fmt: skip
from daemon.journal.frames import FRAME_BYTES, MAX_PAYLOAD, SEGMENT_BYTES, Frame, Head, chained, frame_bytes
from daemon.journal.opening import Recovered, Resume, recover
from daemon.journal.records import VERSION, Note, Record
from daemon.journal.segments import Batch, Target, Written
from daemon.journal.walk import Walk
from daemon.state.disk import Disk

ANCHOR_AFTER_S = 0.8  # the anchor is at most 1 s behind what is durable
ROTATE_BYTES = 64 * 1024 * 1024


class JournalStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Where a journal stands. `lost` counts records that were given up when it was poisoned."""

    sequence: int
    durable: int
    anchored: int
    pending: int
    pending_bytes: int
    segment: int
    segment_bytes: int
    reserve_left: int
    lost: int
    poisoned: bool


class Journal:
    """Opened by `Journal.open`, written by `append`, made durable by a `Committer`."""

    def __init__(self, folder: Path, disk: Disk, name: str, recovered: Recovered) -> None:
        self.name = name
        self.folder = folder
        self._disk = disk
        self._writer = recovered.writer
        self._resume = Resume(recovered.resume)
        self._head = self._durable = self._anchored = recovered.head
        self._buffer: list[tuple[Head, bytes]] = []
        self._unanchored_since: float | None = None
        self._in_reserve = False
        self._reserve_failed = False
        self._closed = False
        self._lost = 0
        self.reason = ""

    @classmethod
    def open(
        cls, folder: Path, disk: Disk, *, name: str, now: Callable[[], int], rotate_bytes: int = ROTATE_BYTES
    ) -> Journal:
        """Verifies the whole chain against the anchor, sets a torn end aside, and is ready for the next record.

        Blocks. `now` stamps the notes about what was found (UTC ns). Raises JournalBroken (exit 65) at damage, leaving
        the files as they are, and Stop EVT-003 when the disk does not let it.
        """
        try:
            recovered = recover(disk, folder, name, rotate_bytes)
        except OSError as exc:
            raise unavailable(name, exc) from exc
        journal = cls(folder, disk, name, recovered)
        if recovered.anchor_error is not None:
            journal._poison("writing the anchor", recovered.anchor_error)
        elif recovered.notes:
            for kind, detail in recovered.notes:
                journal.append(Note(at=now(), kind=kind, detail=detail))
            batch = journal.take(0.0, anchor=True)
            assert batch is not None, "there are notes to write"
            journal.wrote(batch, journal.perform(batch), 0.0)
        return journal

    @property
    def head(self) -> Head:
        """The last record appended: `sequence`, and `hash` in hex."""
        return self._head

    @property
    def durable(self) -> Head:
        """The last record that survives a power cut."""
        return self._durable

    @property
    def resume(self) -> int:
        """The record from which on everything is here that a start needs; 0 = only the whole journal has it."""
        return self._resume.at

    @property
    def pruned(self) -> int:
        """Records up to this one were exported and removed."""
        return self._writer.first

    @property
    def pending(self) -> int:
        """Records appended and not yet durable."""
        return self._head.sequence - self._durable.sequence

    @property
    def poisoned(self) -> bool:
        return bool(self.reason)

    @property
    def closed(self) -> bool:
        """Whether its files were let go: nothing is written any more, not even to the reserve."""
        return self._closed

    @property
    def anchor_due_at(self) -> float | None:
        """Process time at which the anchor has to follow; None when it is not behind."""
        return None if self._unanchored_since is None else self._unanchored_since + ANCHOR_AFTER_S

    def append(self, record: Record) -> int:
        """The sequence of the record, which is not durable yet. Raises JournalPoisoned or JournalClosed."""
        self.check()
        return self._buffered(self._payload(record))

    def append_emergency(self, record: Record) -> int:
        """Like `append`, but a poisoned journal goes on in its reserve; ReserveSpent when that does not take it.

        It is committed with `commit(journal, emergency=True)`.
        """
        if self._closed or not self.poisoned:
            return self.append(record)
        payload = self._payload(record)
        waiting = sum(FRAME_BYTES + len(each) for _, each in self._buffer)
        needed = waiting + SEGMENT_BYTES + FRAME_BYTES + len(payload)
        if self._reserve_failed or needed > self._writer.reserve_left:
            raise ReserveSpent(self.name, self.reason)
        self._in_reserve = True
        return self._buffered(payload)

    def check(self, *, emergency: bool = False) -> None:
        """Raises JournalClosed or JournalPoisoned when records can no longer become durable."""
        if self._closed:
            raise JournalClosed(self.name)
        if self.poisoned and not (emergency and self._in_reserve and not self._reserve_failed):
            raise JournalPoisoned(self.name, self.reason)

    def records(self, after: int = 0) -> Iterator[tuple[int, Record]]:
        """Durable records behind sequence `after`, read from the disk and verified again."""
        upto = self._durable.sequence
        for frame in Walk(self._disk, self.folder, self.name, after=after):
            if frame.sequence > upto:
                return
            yield frame.sequence, record_of(self.name, frame)

    def take(self, at: float, *, anchor: bool = False) -> Batch | None:
        """All that waits to be written, for `SegmentWriter.perform`; None when there is nothing to do.

        `at` is process time in seconds. Only one batch may be under way.
        """
        due = self.anchor_due_at
        is_behind = self._anchored.sequence < self._head.sequence
        anchor = not self.poisoned and ((anchor and is_behind) or (due is not None and at >= due))
        if not self._buffer and not anchor:
            return None
        durable = self._durable.sequence
        data = b"".join(frame_bytes(head, payload, version=VERSION, durable=durable) for head, payload in self._buffer)
        batch = Batch(
            target=Target.RESERVE if self._in_reserve else Target.SEGMENT, previous=self._durable, head=self._head,
            data=data, records=len(self._buffer), anchor=anchor,
        )  # fmt: skip
        self._buffer = []
        return batch

    def perform(self, batch: Batch) -> Written:
        """Blocks until the batch is on the disk, or is known not to be; touches files only, so a thread may do it."""
        return self._writer.perform(batch)

    def wrote(self, batch: Batch, written: Written, at: float) -> None:
        """Takes note of what became of a batch, at process time `at`."""
        if written.data_error is not None:
            self._lost += batch.records
            self._reserve_failed = self._in_reserve
            self._poison(f"writing the {batch.target.value}", written.data_error)
            return
        self._durable = batch.head
        if written.anchor_error is not None:
            self._poison("writing the anchor", written.anchor_error)
        elif batch.anchor:
            self._anchored = batch.head
            self._unanchored_since = None
        elif self._unanchored_since is None and not self.poisoned:
            self._unanchored_since = at

    def flush(self, at: float, *, anchor: bool = False) -> None:
        """Makes durable what was appended, in this thread; for tests and tools. Raises JournalPoisoned."""
        batch = self.take(at, anchor=anchor)
        if batch is not None:
            self.wrote(batch, self.perform(batch), at)
        self.check(emergency=True)

    def shut(self) -> None:
        """Closes the files; what is pending is given up."""
        if not self._closed:
            self._closed = True
            self._writer.close()

    def statistics(self) -> JournalStatistics:
        return JournalStatistics(
            sequence=self._head.sequence, durable=self._durable.sequence, anchored=self._anchored.sequence,
            pending=self.pending, pending_bytes=sum(len(payload) for _, payload in self._buffer),
            segment=self._writer.number, segment_bytes=self._writer.bytes, reserve_left=self._writer.reserve_left,
            lost=self._lost, poisoned=self.poisoned,
        )  # fmt: skip

    def _payload(self, record: Record) -> bytes:
        payload = encode(record)
        if len(payload) > MAX_PAYLOAD:
            raise Refuse(EVT_TOO_LARGE, journal=self.name, bytes=len(payload))
        return payload

    def _buffered(self, payload: bytes) -> int:
        self._head = chained(self._head, payload, VERSION)
        self._resume.saw(self._head.sequence, payload)
        self._buffer.append((self._head, payload))
        return self._head.sequence

    def _poison(self, doing: str, error: OSError) -> None:
        """From here on nothing ordinary is written; what is not durable is not written later either."""
        self.reason = self.reason or f"{doing}: {error.strerror or error}"
        self._lost += len(self._buffer)
        self._buffer = []
        self._head = self._durable
        self._resume = Resume()  # what it pointed to may be lost
        self._unanchored_since = None


def record_of(journal: str, frame: Frame) -> Record:
    """The record in a frame; Stop EVT-004 when it has a shape that this version does not know."""
    try:
        record: Record = decoder(Record).decode(frame.payload)
    except msgspec.DecodeError as exc:
        raise newer(journal, frame.sequence, str(exc)) from exc
    return record
