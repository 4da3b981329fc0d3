"""Bytes of frames and segments: what is read is what was written, or the first break with its reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.journal.frames import (
    FRAME_BYTES,
    MAGIC,
    SEGMENT_BYTES,
    Break,
    Frame,
    Head,
    Proof,
    chained,
    frame_bytes,
    genesis,
    parse,
    proven,
    segment_base,
    segment_bytes,
)

PAYLOADS = [b"one", b"", b"three" * 50]


def chain(*payloads: bytes, durable: int = 0) -> bytes:
    head, data = genesis("test"), b""
    for payload in payloads:
        head = chained(head, payload, 1)
        data += frame_bytes(head, payload, version=1, durable=durable)
    return data


def parsed(data: bytes) -> list[Frame | Break]:
    return list(parse(data, 0, genesis("test")))


def broken(data: bytes) -> Break:
    last = parsed(data)[-1]
    assert isinstance(last, Break)
    return last


@given(st.lists(st.binary(max_size=200)))
def test_what_was_written_is_read(payloads: list[bytes]) -> None:
    frames = parsed(chain(*payloads))
    assert [frame.payload for frame in frames if isinstance(frame, Frame)] == payloads
    assert [frame.sequence for frame in frames] == list(range(1, len(payloads) + 1))


def test_offsets_say_where_a_frame_lies() -> None:
    data = chain(*PAYLOADS)
    frames = [frame for frame in parsed(data) if isinstance(frame, Frame)]
    assert [frame.offset for frame in frames] == [0, FRAME_BYTES + 3, 2 * FRAME_BYTES + 3]
    assert frames[-1].end == len(data)


@given(st.integers(0, len(chain(*PAYLOADS)) * 8 - 1))
def test_any_flipped_bit_breaks_the_chain_at_its_record(bit: int) -> None:
    data = bytearray(chain(*PAYLOADS))
    data[bit // 8] ^= 1 << bit % 8
    found = broken(bytes(data))
    starts = [0, FRAME_BYTES + 3, 2 * FRAME_BYTES + 3]
    assert found.offset == max(start for start in starts if start <= bit // 8)
    assert found.sequence == starts.index(found.offset) + 1


def test_the_reason_is_exact() -> None:
    data = chain(*PAYLOADS)
    assert broken(data[:-1]).reason == "the record is cut short"
    assert broken(data[: FRAME_BYTES + 3 + 10]) == Break("the record is cut short", 2, FRAME_BYTES + 3, False)
    assert broken(data[:-1] + b"x").reason == "the hash does not match"
    assert broken(b"\0" * 100).reason == "the frame is damaged"
    assert broken(data[FRAME_BYTES + 3 :]).reason == "record 2 stands in its place"


def test_a_record_that_claims_another_sequence_is_a_break() -> None:
    head = chained(genesis("test"), b"one", 1)
    assert broken(frame_bytes(Head(7, head.digest), b"one", version=1, durable=0)).reason.startswith("record 7")


def test_the_hash_covers_version_and_place() -> None:
    assert chained(genesis("a"), b"x", 1) != chained(genesis("b"), b"x", 1)
    assert chained(genesis("a"), b"x", 1) != chained(genesis("a"), b"x", 2)
    assert chained(Head(3, b"0" * 32), b"x", 1) != chained(Head(4, b"0" * 32), b"x", 1)


@pytest.mark.parametrize(("durable", "was_durable"), [(0, False), (1, False), (2, True)])
def test_an_intact_frame_behind_a_break_proves_what_was_durable(durable: int, was_durable: bool) -> None:
    data = bytearray(chain(*PAYLOADS, durable=durable))
    data[FRAME_BYTES + 3] ^= 1  # record 2; record 3 still tells
    assert broken(bytes(data)).was_durable is was_durable


def test_magic_inside_a_payload_proves_nothing() -> None:
    assert proven(MAGIC * 100, 0) == Proof(0, 0)
    assert proven(chain(b"a", b"b", durable=5), 1) == Proof(2, 5)


def test_a_segment_says_what_it_follows_and_whose_it_is() -> None:
    base = chained(genesis("test"), b"one", 1)
    data = segment_bytes(base, "test")
    assert len(data) == SEGMENT_BYTES
    assert segment_base(data, "test") == base
    assert segment_base(data[:-1], "test") == "the segment header is cut short"
    assert segment_base(data, "other") == "the segment header is damaged or of another journal"
    for offset in range(SEGMENT_BYTES):
        flipped = bytearray(data)
        flipped[offset] ^= 4
        assert isinstance(segment_base(bytes(flipped), "test"), str)
