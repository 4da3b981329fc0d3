"""Reading journals from outside: what is there, whether it holds, and in words a person can read."""

from __future__ import annotations

import json
import math
from enum import Enum
from pathlib import Path
from random import Random
from typing import Any, get_args

import msgspec
import pytest
from msgspec import inspect

from components.model.errors import Refuse
from components.model.keys import PositionKey
from daemon.cli.audit import _in_a_line
from daemon.journal.errors import EVT_NO_JOURNAL, JournalBroken, JournalPoisoned
from daemon.journal.journal import Journal
from daemon.journal.reader import (
    Entry,
    Located,
    entries,
    exported,
    journal_folder,
    journals,
    located,
    readable,
    tail,
    verify,
)
from daemon.journal.records import Record
from daemon.journal.walk import ANCHOR_FILE
from daemon.state.disk import RealDisk
from tests.daemon.journal.desk import note, opened
from tests.daemon.journal.state import AT, BTC, DAEMON_RECORDS, write, written
from tests.disks import CrashDisk

STATE = Path("/state")


@pytest.fixture
def disk() -> CrashDisk:
    disk = CrashDisk()
    written(disk, STATE)
    return disk


def of(name: str) -> Located:
    return Located(name, journal_folder(STATE, name))


def test_all_journals_of_a_state_directory_are_found(disk: CrashDisk) -> None:
    assert [journal.name for journal in journals(disk, STATE)] == ["daemon", "btc", "eth"]
    assert [journal.name for journal in located(disk, STATE, "eth")] == ["eth"]
    for state, name in ((STATE, "nobody"), (Path("/elsewhere"), None)):
        with pytest.raises(Refuse) as caught:
            located(disk, state, name)
        assert caught.value.code == EVT_NO_JOURNAL


def test_a_sound_journal_verifies_with_its_head(disk: CrashDisk) -> None:
    found = verify(disk, of("btc"))
    assert found.ok and found.records == found.sequence == found.anchored == len(BTC)
    assert (found.first, found.unfinished_bytes, found.in_reserve) == (1, 0, False)
    assert found.segments > 1
    assert found.hash == list(entries(disk, of("btc")))[-1].hash


def test_a_broken_journal_says_where_and_the_others_still_verify(disk: CrashDisk) -> None:
    path = journal_folder(STATE, "btc") / "000001.journal"
    disk.damage(path, disk.size(path) - 1)
    found = verify(disk, of("btc"))
    assert not found.ok and found.segment == "000001.journal" and "hash" in found.reason
    assert 1 <= found.record <= len(BTC) and found.offset > 0
    assert verify(disk, of("eth")).ok
    with pytest.raises(JournalBroken):
        list(entries(disk, of("btc")))


def test_reading_beside_the_writer_shows_what_is_being_written(disk: CrashDisk) -> None:
    folder = journal_folder(STATE, "eth")
    journal = Journal.open(folder, disk, name="eth", now=lambda: AT)
    before = disk.contents()
    file = disk.append("journal.segment", folder / "000001.journal")
    file.write("journal.write", b"half a frame")
    found = verify(disk, of("eth"))
    assert found.ok and found.unfinished_bytes == 12 and found.sequence == journal.head.sequence
    assert len(list(entries(disk, of("eth")))) == 3
    assert {path for path, data in disk.contents().items() if before[path] != data} == {folder / "000001.journal"}


def test_the_reserve_is_part_of_the_journal() -> None:
    disk = CrashDisk()
    folder = journal_folder(STATE, "one")
    journal = opened(disk, folder)
    disk.fail_at("journal.sync")
    journal.append(note("given up"))
    with pytest.raises(JournalPoisoned):
        journal.flush(0.0)
    journal.append_emergency(note("closing"))
    journal.flush(0.0)
    found = verify(disk, of("one"))
    assert found.ok and found.in_reserve and found.unfinished_bytes > 0
    assert [entry.record for entry in tail(disk, of("one"), 5)] == [note("closing")]


@pytest.mark.parametrize("count", [0, 1, 3, len(BTC), 50])
def test_the_tail_is_the_last_records(disk: CrashDisk, count: int) -> None:
    found = [entry.record for entry in tail(disk, of("btc"), count)]
    assert repr(found) == repr(list(BTC)[max(len(BTC) - count, 0) :])  # one has a NaN, which equals nothing


def test_the_tail_of_a_long_journal_reads_its_last_segment_only(disk: CrashDisk) -> None:
    first = journal_folder(STATE, "btc") / "000001.journal"
    disk.damage(first, disk.size(first) - 1)
    assert [entry.record for entry in tail(disk, of("btc"), 1)] == [BTC[-1]]


def test_each_record_is_exported_as_one_line_of_strict_json(disk: CrashDisk) -> None:
    lines = list(exported(disk, of("btc")))
    assert all(line.count(b"\n") == 1 for line in lines)
    records = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    assert [record["sequence"] for record in records] == list(range(1, len(BTC) + 1))
    assert [record["type"] for record in records[:3]] == ["step.begin", "intent", "outcome"]
    assert {record["journal"] for record in records} == {"btc"}
    assert all(len(record["hash"]) == 64 for record in records)


def test_what_json_cannot_say_is_said_in_words(disk: CrashDisk) -> None:
    records = [json.loads(line) for line in exported(disk, of("btc"))]
    step = records[0]
    assert (step["values"], step["previous"], step["settlements"]) == ([60_000.0, "nan"], None, ["settled"])
    assert records[4]["value"] == {"binance:BaseToken:USDT": "inf", "path": [1.0, "nan"]}
    assert [event["amount"] for event in records[5]["events"]] == [1.0, "nan", None]
    assert records[6]["row"] == {"equity": "-inf"}
    assert records[6]["state"] == "0102"


def test_it_works_on_a_real_disk(tmp_path: Path) -> None:
    disk = RealDisk()
    written(disk, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert all(verify(disk, journal).ok for journal in journals(disk, tmp_path))
    assert sum(len(list(exported(disk, journal))) for journal in journals(disk, tmp_path)) == len(BTC) + 3 + 3
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(DAEMON_RECORDS) == 3


def test_a_journal_without_its_anchor_does_not_verify(disk: CrashDisk) -> None:
    del disk.seen[journal_folder(STATE, "eth") / ANCHOR_FILE]
    assert verify(disk, of("eth")).reason == "the anchor is missing"
    write(disk, STATE, "new", [])
    assert verify(disk, of("new")).ok


def grown(kind: inspect.Type, rng: Random) -> Any:
    """Any value of a type, with what is rare as likely as what is common."""
    match kind:
        case inspect.UnionType():
            return grown(rng.choice(kind.types), rng)
        case inspect.StructType():
            return kind.cls(**{field.name: grown(field.type, rng) for field in kind.fields})
        case inspect.CustomType():
            return PositionKey(f"binance:Perp:{rng.choice(('BTC', 'ETH'))}USDT")
        case inspect.EnumType():
            members: list[Enum] = list(kind.cls)
            return rng.choice(members)
        case inspect.LiteralType():
            return rng.choice(kind.values)
        case inspect.DictType():
            return {grown(kind.key_type, rng): grown(kind.value_type, rng) for _ in range(rng.randrange(3))}
        case inspect.VarTupleType():
            return tuple(grown(kind.item_type, rng) for _ in range(rng.randrange(3)))
        case inspect.ListType():
            return [grown(kind.item_type, rng) for _ in range(rng.randrange(3))]
        case inspect.TupleType():
            return tuple(grown(each, rng) for each in kind.item_types)
        case inspect.FloatType():
            return rng.choice((0.0, -1.5, math.nan, math.inf, -math.inf, 1e300))
        case inspect.IntType():
            return rng.choice((0, -1, 2**62))
        case inspect.BoolType():
            return rng.random() < 0.5
        case inspect.NoneType():
            return None
        case inspect.StrType():
            return rng.choice(("", "värd\n", "binance:Perp:BTCUSDT", '"}'))
        case inspect.BytesType():
            odd = ({1: {2: [b"x", math.nan]}}, {"a": msgspec.msgpack.Ext(5, b"y")}, "text", [["<f8", bytes(16)]])
            return rng.choice((b"", b"\xc1", rng.randbytes(24), msgspec.msgpack.encode(rng.choice(odd))))
        case _:
            raise AssertionError(f"{kind} is not grown here")


@pytest.mark.parametrize("kind", get_args(Record), ids=lambda kind: kind.__name__)
def test_any_record_can_be_exported_and_shown_in_a_line(kind: type) -> None:
    rng = Random(7)
    for sequence in range(300):
        entry = Entry(journal="btc", sequence=sequence, hash="ab", record=grown(inspect.type_info(kind), rng))
        line = json.loads(msgspec.json.encode(readable(entry)), parse_constant=pytest.fail)
        assert line["sequence"] == sequence
        assert _in_a_line(entry)["type"] == line["type"]
