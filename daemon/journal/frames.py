"""Frames: how records lie in the bytes of a segment. Pure: bytes in, frames or the first break out.

Theory of operation. A segment is a header and then frames. A frame is

    magic 4 · version 2 · zero 2 · length 4 · sequence 8 · durable 8 · crc32 of these 4 · hash 32 · payload

little-endian. `hash` is SHA-256 over the hash before, version, length, sequence and payload: the chain. `durable` is
the sequence up to which the journal was synced when the frame was written. So an intact frame proves that everything
up to its `durable` was once on the disk: a break there is damage, while a break behind all that is proven may be the
torn end of a write that nobody was told of. The segment header repeats the hash before its first frame, so that a
journal whose oldest segments were pruned still verifies.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from struct import Struct
from typing import NamedTuple
from zlib import crc32

MAGIC = b"\xb5JF\x01"
FRAME_BYTES = 64  # in front of the payload
SEGMENT_BYTES = 80  # in front of the first frame
MAX_PAYLOAD = 1 << 28

_SEGMENT_MAGIC = b"BASISJ\x00\x01"
_FIXED = Struct("<4sHxxIQQ")
_CRC = Struct("<I")
_CHAINED = Struct("<HIQ")
_BASE = Struct("<8sQ32s")


class Head(NamedTuple):
    """The last record of a chain; sequence 0 is the beginning."""

    sequence: int
    digest: bytes

    @property
    def hash(self) -> str:
        """Hex, as it is logged and exported."""
        return self.digest.hex()


class Frame(NamedTuple):
    """One record as it lies in the file; `offset` is that of its first byte."""

    sequence: int
    version: int
    durable: int
    digest: bytes
    payload: bytes
    offset: int

    @property
    def end(self) -> int:
        return self.offset + FRAME_BYTES + len(self.payload)


class Break(NamedTuple):
    """Where a chain ends before its bytes do.

    `was_durable`: something behind the break proves that the record had been on the disk, so it is no torn write.
    """

    reason: str
    sequence: int
    offset: int
    was_durable: bool


class Proof(NamedTuple):
    """What can still be read behind a break: the lowest sequence of a frame, and up to where it was all durable."""

    lowest: int
    durable: int


def genesis(journal: str) -> Head:
    """The head of an empty journal; two journals never share a chain."""
    return Head(0, sha256(b"basisd journal\n" + journal.encode()).digest())


def chained(head: Head, payload: bytes, version: int) -> Head:
    """The head after one more record."""
    sequence = head.sequence + 1
    fields = _CHAINED.pack(version, len(payload), sequence)
    return Head(sequence, sha256(head.digest + fields + payload).digest())


def frame_bytes(head: Head, payload: bytes, *, version: int, durable: int) -> bytes:
    """The frame of the record that made `head`."""
    fixed = _FIXED.pack(MAGIC, version, len(payload), head.sequence, durable)
    return b"".join((fixed, _CRC.pack(crc32(fixed)), head.digest, payload))


def segment_bytes(base: Head, journal: str) -> bytes:
    """The header of a segment whose first record follows `base`."""
    fields = _BASE.pack(_SEGMENT_MAGIC, base.sequence, base.digest)
    return fields + sha256(fields + journal.encode()).digest()


def segment_base(data: bytes, journal: str) -> Head | str:
    """The head that a segment says it follows, or why it does not say."""
    if len(data) < SEGMENT_BYTES:
        return "the segment header is cut short"
    fields = data[: _BASE.size]
    magic, sequence, digest = _BASE.unpack(fields)
    if magic != _SEGMENT_MAGIC or sha256(fields + journal.encode()).digest() != data[_BASE.size : SEGMENT_BYTES]:
        return "the segment header is damaged or of another journal"
    return Head(sequence, digest)


def parse(data: bytes, offset: int, head: Head) -> Iterator[Frame | Break]:
    """Frames from `offset` on that follow `head`, and the first break, if there is one, as the last item."""
    while offset < len(data):
        reason = ""
        sequence, payload_at = head.sequence + 1, offset + FRAME_BYTES
        fixed = data[offset : offset + _FIXED.size]
        crc = data[offset + _FIXED.size : offset + _FIXED.size + _CRC.size]
        if len(data) < payload_at:
            reason = "the record is cut short"
        elif fixed[:4] != MAGIC or _CRC.pack(crc32(fixed)) != crc:
            reason = "the frame is damaged"
        else:
            _, version, length, found, durable = _FIXED.unpack(fixed)
            payload = data[payload_at : payload_at + length]
            expected = chained(head, payload, version)
            if found != sequence:
                reason = f"record {found} stands in its place"
            elif len(payload) < length:
                reason = "the record is cut short"
            elif expected.digest != data[payload_at - 32 : payload_at]:
                reason = "the hash does not match"
            else:
                frame = Frame(sequence, version, durable, expected.digest, payload, offset)
                yield frame
                head, offset = expected, frame.end
        if reason:
            yield Break(reason, sequence, offset, proven(data, offset).durable >= sequence)
            return


def proven(data: bytes, offset: int) -> Proof:
    """What the intact frame headers from `offset` on say."""
    lowest, durable = 0, 0
    offset = data.find(MAGIC, offset)
    while offset >= 0:
        fixed = data[offset : offset + _FIXED.size]
        crc = data[offset + _FIXED.size : offset + _FIXED.size + _CRC.size]
        if len(fixed) == _FIXED.size and _CRC.pack(crc32(fixed)) == crc:
            _, _, _, sequence, upto = _FIXED.unpack(fixed)
            lowest, durable = min(lowest or sequence, sequence), max(durable, upto)
        offset = data.find(MAGIC, offset + 1)
    return Proof(lowest, durable)
