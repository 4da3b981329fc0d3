"""Every record type survives its way through the journal, and a reader refuses what it does not know."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from components.model.transactions import Transaction
from daemon.journal.codec import decoder, encode
from daemon.journal.records import (
    Answer,
    Command,
    ConfigChanged,
    EpochBegan,
    Events,
    HandedIn,
    Intent,
    LatchChanged,
    Manifest,
    NonceClosed,
    Note,
    Outcome,
    Record,
    Signed,
    Snapshot,
    StepAborted,
    StepBegin,
    StepEnd,
    is_tagged,
)
from tests.daemon.journal.state import begin, event, filled, intent, unknown

EACH: tuple[Record, ...] = (
    Manifest(
        epoch=3, strategy="btc", version="1", code_hash="c", config_hash="d", data_hash="", numpy="2", platform="p",
        config=b"\x01", state_hash="",
    ),
    begin(4),
    Answer(tick=4, effect=1, port="execute", value=b"\x00", error=""),
    intent("a", "b"),
    filled("a"),
    Events(events=(event(1), event(2, None))),
    StepEnd(tick=4, timestamp=5, state_hash="ab", state=b"\xff", row={"equity": float("inf")}),
    StepAborted(tick=4, reason="cut short"),
    HandedIn(id="a", item=b"\x02"),
    Command(at=1, id="c", kind="deposit", arguments={"amount": "5"}, uid=1000, key="k", answer="accepted"),
    Snapshot(
        at=1, last_tick=None, previous=b"", late={"a": b"\x02"}, cursors={"okx": 5}, booked=("okx|1",),
        commands=(Command(at=1, id="c", kind="resume", arguments={}, uid=0),),
    ),
    ConfigChanged(at=1, changes={"limits.x": ("1", "2")}, config=b"\x03", config_hash="e"),
    LatchChanged(at=1, phase="closing", scope="btc", reason="test", uid=0),
    Note(at=1, kind="daemon.ready", detail="btc"),
    EpochBegan(at=1, strategy="btc", epoch=2),
    Signed(
        transaction=Transaction(
            wallet="wallet", nonce=7, hash="0x1", raw=b"\x04", orders=("a",), max_fee_gwei=9.0, at=5
        )
    ),
    NonceClosed(at=1, nonce=7, hash="0x1"),
)  # fmt: skip


TAGS = [str(type(record).__struct_config__.tag) for record in EACH]


def back(data: bytes) -> Record:
    record: Record = decoder(Record).decode(data)
    return record


def test_there_is_an_example_of_each_record_type() -> None:
    assert {type(record) for record in EACH} == set(get_args(Record))


@pytest.mark.parametrize("record", EACH, ids=lambda record: type(record).__name__)
def test_a_record_comes_back_as_what_it_was_and_to_the_same_bytes(record: Record) -> None:
    data = encode(record)
    assert type(back(data)) is type(record)
    assert encode(back(data)) == data


def test_tags_are_the_names_that_people_see_and_differ() -> None:
    tags = [type(record).__struct_config__.tag for record in EACH]
    assert len(set(tags)) == len(tags)
    assert {"manifest", "step.begin", "step.end", "step.aborted", "intent", "outcome", "config.changed"} <= set(tags)


def test_records_are_frozen() -> None:
    for record in EACH:
        with pytest.raises(AttributeError):
            setattr(record, record.__struct_fields__[0], None)


def test_an_unknown_outcome_has_no_trade() -> None:
    outcome = back(encode(unknown("a")))
    assert isinstance(outcome, Outcome)
    assert outcome.trade is None and outcome.origin == "core"


def test_what_was_written_before_a_field_existed_is_read_with_its_default() -> None:
    plain = msgspec.msgpack.decode(encode(begin(4)))
    for late in ("commands", "asked", "taken", "cursors"):
        del plain[late]
    found = back(msgspec.msgpack.encode(plain))
    assert isinstance(found, StepBegin)
    assert (found.commands, found.asked, found.taken, found.cursors) == ((), (), (), {})
    group = msgspec.msgpack.decode(encode(intent("a")))
    del group["origin"]
    assert back(msgspec.msgpack.encode(group)) == intent("a")


@pytest.mark.parametrize(
    "plain",
    [
        {"type": "step.skipped", "tick": 4},
        {"type": "note", "at": 1, "kind": "x"},
        {"tick": 4},
        {"type": "note", "at": "1", "kind": "x", "detail": ""},
    ],
    ids=["another type", "a field is missing", "no type", "a field of another kind"],
)
def test_what_is_no_record_is_refused(plain: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        back(msgspec.msgpack.encode(plain))


def test_an_intent_says_by_default_that_the_core_meant_it() -> None:
    assert isinstance(EACH[3], Intent) and EACH[3].origin == "core"


def test_a_type_is_told_from_the_bytes_alone() -> None:
    for record in EACH:
        tag = type(record).__struct_config__.tag
        assert isinstance(tag, str)
        assert [other for other in TAGS if is_tagged(encode(record), other)] == [tag]
