"""The index: derived, complete, and of no consequence when it is gone."""

from __future__ import annotations

import math
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from components.model.errors import Stop
from daemon.journal import index as index_module
from daemon.journal.errors import EVT_INDEX, JournalBroken, JournalPoisoned
from daemon.journal.index import Index, OrderRow
from daemon.journal.journal import Journal
from daemon.journal.reader import Located, journal_folder, journals
from daemon.journal.records import Events
from daemon.orders.undone import undone_outcome
from tests.daemon.journal.desk import note
from tests.daemon.journal.state import AT, BTC, event, filled, intent, unknown, write, written
from tests.disks import CrashDisk

STATE = Path("/state")


@pytest.fixture
def disk() -> CrashDisk:
    disk = CrashDisk()
    written(disk, STATE)
    return disk


def of(name: str) -> Located:
    return Located(name, journal_folder(STATE, name))


def caught_up(disk: CrashDisk, path: Path) -> Index:
    index = Index.open(path)
    for journal in journals(disk, STATE):
        index.catch_up(disk, journal)
    return index


def answers(index: Index) -> tuple[str, ...]:
    found = (index.orders(), index.events())
    index.close()
    return tuple(map(repr, found))


def states(index: Index, strategy: str) -> dict[str, str]:
    return {row.id: row.state for row in index.orders(strategy)}


def test_orders_have_their_last_state(disk: CrashDisk, tmp_path: Path) -> None:
    index = caught_up(disk, tmp_path / "index.sqlite")
    assert states(index, "btc") == {"a": "filled", "b": "filled", "c": "intent"}
    assert [row.id for row in index.orders("btc", "filled")] == ["a", "b"]
    assert [(row.strategy, row.id) for row in index.orders(state="filled")] == [
        ("btc", "a"), ("btc", "b"), ("eth", "a"),
    ]  # fmt: skip
    (order,) = index.orders("eth")
    assert order == OrderRow(
        strategy="eth", id="a", sequence=1, at=AT + 6, state="filled", origin="core", group="g1", action="entry_full",
        venue="binance", verb="spot", token="BTC", amount=0.5, quantity=0.5, price=60_000.0, venue_reference="77",
    )  # fmt: skip
    index.close()


def test_an_unknown_outcome_is_replaced_and_a_known_one_is_not(tmp_path: Path) -> None:
    disk = CrashDisk()
    index = Index.open(tmp_path / "index.sqlite")
    for records, state in (([intent("a"), unknown("a")], "unknown"), ([filled("a"), unknown("a")], "filled")):
        write(disk, STATE, "btc", records)
        index.catch_up(disk, of("btc"))
        assert states(index, "btc") == {"a": state}
    write(disk, STATE, "btc", [intent("a"), filled("stray")])
    index.catch_up(disk, of("btc"))
    assert states(index, "btc") == {"a": "filled", "stray": "filled"}
    index.close()


def test_an_order_that_its_chain_took_back_is_so_until_more_is_known(tmp_path: Path) -> None:
    disk = CrashDisk()
    index = Index.open(tmp_path / "index.sqlite")
    undone = undone_outcome("a", AT, "block b1 is no longer in the chain")
    for records, state in (([intent("a"), filled("a"), undone], "undone"), ([filled("a")], "filled")):
        write(disk, STATE, "btc", records)
        index.catch_up(disk, of("btc"))
        assert states(index, "btc") == {"a": state}
    index.close()


def test_events_come_back_bit_for_bit_and_in_pages(disk: CrashDisk, tmp_path: Path) -> None:
    index = caught_up(disk, tmp_path / "index.sqlite")
    found = index.events("btc")
    assert [row.event.sequence for row in found] == [1, 2, 3]
    assert found[1].event.amount is not None and math.isnan(found[1].event.amount)
    assert [row.event.sequence for row in index.events(event_type="funding")] == [3]
    first = index.events("btc", limit=1)
    place = (first[0].sequence, first[0].number)
    assert [row.event.sequence for row in index.events("btc", after=place)] == [2, 3]
    index.close()


def test_it_keeps_what_may_be_asked_for_and_every_open_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "EVENTS_KEPT", 20)
    monkeypatch.setattr(index_module, "ORDERS_KEPT", 5)
    monkeypatch.setattr(index_module, "_BATCH", 7)
    disk, path = CrashDisk(), tmp_path / "index.sqlite"
    records = [intent("open"), unknown("open")]
    for number in range(40):
        records += [
            intent(f"o{number}"),
            filled(f"o{number}"),
            Events(events=(event(2 * number), event(2 * number + 1))),
        ]
    write(disk, STATE, "btc", records)
    index = caught_up(disk, path)
    assert [row.event.sequence for row in index.events("btc")] == list(range(60, 80))
    assert [row.id for row in index.orders("btc")] == ["open", *(f"o{number}" for number in range(35, 40))]
    before = answers(index)
    path.unlink()
    assert answers(caught_up(disk, path)) == before


def test_deleting_it_changes_no_answer(disk: CrashDisk, tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    before = answers(caught_up(disk, path))
    path.unlink()
    assert answers(caught_up(disk, path)) == before


@pytest.mark.parametrize("damage", ["bytes", "layout"])
def test_a_damaged_file_or_another_layout_is_made_anew(disk: CrashDisk, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "index.sqlite"
    before = answers(caught_up(disk, path))
    if damage == "bytes":
        path.write_bytes(b"not a database at all" * 100)
    else:
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
    assert answers(caught_up(disk, path)) == before


def test_a_file_that_cannot_be_opened_is_not_deleted(tmp_path: Path) -> None:
    with pytest.raises(Stop) as caught:
        Index.open(tmp_path)
    assert caught.value.code == EVT_INDEX
    assert tmp_path.is_dir()


def test_it_catches_up_in_steps_and_applies_nothing_twice(disk: CrashDisk, tmp_path: Path) -> None:
    index = caught_up(disk, tmp_path / "index.sqlite")
    assert index.applied("btc") == len(BTC)
    assert index.catch_up(disk, of("btc")) == 0
    write(disk, STATE, "btc", [note(f"{number}") for number in range(30)] + list(BTC[:3]))
    assert index.catch_up(disk, of("btc")) == 33
    assert index.applied("btc") == len(BTC) + 33
    step_by_step = answers(index)
    assert answers(caught_up(disk, tmp_path / "other.sqlite")) == step_by_step


def test_an_index_cut_short_inside_a_long_journal_goes_on(
    disk: CrashDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash between two transactions: what was committed with its sequence is not applied again."""
    monkeypatch.setattr(index_module, "_BATCH", 3)
    index = Index.open(tmp_path / "index.sqlite")
    apply, applied = index._apply, []

    def crashing(journal: str, sequence: int, record: object) -> None:
        if sequence == 8:
            raise KeyboardInterrupt
        applied.append(sequence)
        apply(journal, sequence, record)  # type: ignore[arg-type]

    monkeypatch.setattr(index, "_apply", crashing)
    with pytest.raises(KeyboardInterrupt):
        index.catch_up(disk, of("btc"))
    monkeypatch.undo()
    assert index.applied("btc") == 6
    index.close()
    assert answers(caught_up(disk, tmp_path / "index.sqlite")) == answers(caught_up(disk, tmp_path / "new.sqlite"))


def test_ahead_of_its_journal_it_is_made_anew(tmp_path: Path) -> None:
    """It may have read what a power cut then took."""
    disk = CrashDisk()
    folder = journal_folder(STATE, "btc")
    journal = Journal.open(folder, disk, name="btc", now=lambda: AT)
    journal.append(intent("a"))
    journal.flush(0.0)
    size = disk.size(folder / "000001.journal")
    journal.append(intent("b"))
    journal.flush(0.0)
    index = caught_up(disk, tmp_path / "index.sqlite")
    assert states(index, "btc") == {"a": "intent", "b": "intent"}

    disk.cut(folder / "000001.journal", size)
    write(disk, STATE, "btc", [])
    index.catch_up(disk, of("btc"))

    assert states(index, "btc") == {"a": "intent"}
    assert index.applied("btc") == 1
    write(disk, STATE, "btc", [intent("c")])
    index.catch_up(disk, of("btc"))
    assert states(index, "btc") == {"a": "intent", "c": "intent"}
    index.close()


def test_beside_its_journal_it_is_made_anew(tmp_path: Path) -> None:
    disk, other = CrashDisk(), CrashDisk()
    write(disk, STATE, "btc", [intent("a"), intent("b")])
    write(other, STATE, "btc", [intent("c"), intent("d"), intent("e")])
    index = caught_up(disk, tmp_path / "index.sqlite")
    index.catch_up(other, of("btc"))
    assert states(index, "btc") == {"c": "intent", "d": "intent", "e": "intent"}
    index.close()


def test_records_of_an_emergency_are_in_it_before_and_after_they_join_the_segments(tmp_path: Path) -> None:
    disk = CrashDisk()
    folder = journal_folder(STATE, "btc")
    journal = Journal.open(folder, disk, name="btc", now=lambda: AT)
    journal.append(intent("a"))
    journal.flush(0.0)
    index = caught_up(disk, tmp_path / "index.sqlite")
    disk.fail_at("journal.sync")
    journal.append(intent("given up"))
    with pytest.raises(JournalPoisoned):
        journal.flush(0.0)
    index.catch_up(disk, of("btc"))  # reads what nobody was told is durable
    for id, applied in (("x", 2), ("y", 1)):  # what was given up is undone, the rest is not done again
        journal.append_emergency(intent(id))
        journal.flush(0.0)
        assert index.catch_up(disk, of("btc")) == applied
    assert sorted(states(index, "btc")) == ["a", "x", "y"]

    write(disk, STATE, "btc", [filled("x")])
    index.catch_up(disk, of("btc"))
    assert states(index, "btc") == {"a": "intent", "x": "filled", "y": "intent"}
    index.close()


def test_a_broken_journal_is_an_error_and_leaves_the_index(disk: CrashDisk, tmp_path: Path) -> None:
    index = caught_up(disk, tmp_path / "index.sqlite")
    path = journal_folder(STATE, "eth") / "000001.journal"
    disk.damage(path, disk.size(path) - 1)
    with pytest.raises(JournalBroken):
        index.catch_up(disk, of("eth"))
    assert index.applied("btc") == len(BTC)
    index.close()


def test_tables_are_strict(tmp_path: Path) -> None:
    Index.open(tmp_path / "index.sqlite").close()
    connection = sqlite3.connect(tmp_path / "index.sqlite")
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    assert {"orders", "events", "applied"} <= set(names)
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute("INSERT INTO events VALUES ('x', 'not a number', 1, 'trade', x'')")
    connection.close()


def test_the_limit_of_an_order_is_kept_with_it(tmp_path: Path) -> None:
    disk, asked = CrashDisk(), intent("a", "b")
    limited = tuple(
        msgspec.structs.replace(each, limit_price=limit, at_least=least)
        for each, limit, least in zip(asked.group.orders, (60_300.0, None), (None, 1.25), strict=True)
    )
    asked = msgspec.structs.replace(asked, group=msgspec.structs.replace(asked.group, orders=limited))
    write(disk, STATE, "btc", [asked, filled("a")])
    index = Index.open(tmp_path / "index.sqlite")
    index.catch_up(disk, of("btc"))
    assert [(row.state, row.limit_price, row.at_least) for row in index.orders("btc")] == [
        ("filled", 60_300.0, None),
        ("intent", None, 1.25),
    ]
    index.close()


def test_no_file_of_it_is_mapped_into_memory(disk: CrashDisk, tmp_path: Path) -> None:
    """A thread that waits for a disk inside of a mapping holds up all others; an index of before loses its log."""
    before, state = tmp_path / "before", tmp_path / "state"
    before.mkdir()
    with closing(sqlite3.connect(before / "index.sqlite")) as old:
        old.execute("PRAGMA journal_mode = WAL")
        old.execute("CREATE TABLE other (id INTEGER)")
        old.commit()
        shutil.copytree(before, state)  # as a daemon that is killed leaves it
    assert {each.name for each in state.iterdir()} == {"index.sqlite", "index.sqlite-wal", "index.sqlite-shm"}
    index = caught_up(disk, state / "index.sqlite")
    assert states(index, "btc") == {"a": "filled", "b": "filled", "c": "intent"}
    assert "index.sqlite" not in Path("/proc/self/maps").read_text()
    assert {each.name for each in state.iterdir()} <= {"index.sqlite", "index.sqlite-journal"}
    index.close()
