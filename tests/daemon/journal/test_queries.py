"""Questions for people: the newest first to be had, in order, and the same with the index or without."""

from __future__ import annotations

from pathlib import Path

from daemon.journal.index import Index
from daemon.journal.journal import Journal
from daemon.journal.queries import INDEX_FILE, Queries
from daemon.journal.reader import journal_folder
from daemon.journal.records import Events
from daemon.state.disk import RealDisk
from tests.daemon.journal.state import event, filled, intent, unknown, written


def opened(state: Path) -> Queries:
    return Queries(RealDisk(), state)


def more(state: Path, *records: object, name: str = "btc") -> None:
    journal = Journal.open(journal_folder(state, name), RealDisk(), name=name, now=lambda: 0)
    for record in records:
        journal.append(record)  # type: ignore[arg-type]
    journal.flush(0.0, anchor=True)
    journal.shut()


def test_the_newest_events_come_oldest_first(tmp_path: Path) -> None:
    written(RealDisk(), tmp_path)
    more(tmp_path, Events(events=tuple(event(number) for number in range(100, 160))))
    rows = opened(tmp_path).events("btc", 5)
    assert [row["order"] for row in rows] == [155, 156, 157, 158, 159]
    assert {row["strategy"] for row in rows} == {"btc"}


def test_all_strategies_are_asked_when_none_is_named(tmp_path: Path) -> None:
    written(RealDisk(), tmp_path)
    rows = opened(tmp_path).events(None, 1000)
    assert {row["strategy"] for row in rows} == {"btc", "eth"}
    assert [row["timestamp"] for row in rows] == sorted(row["timestamp"] for row in rows)
    assert opened(tmp_path).events("nobody", 5) == []


def test_orders_are_told_with_their_last_state(tmp_path: Path) -> None:
    more(tmp_path, intent("x", "y"), unknown("x"), filled("x"))
    rows = {row["id"]: row for row in opened(tmp_path).orders("btc")}
    assert (rows["x"]["state"], rows["y"]["state"]) == ("filled", "intent")
    assert rows["x"]["price"] == 60_000.0


def test_orders_of_one_transaction_are_listed_as_they_are_executed(tmp_path: Path) -> None:
    more(tmp_path, intent("z", "a", "m", "b"))
    assert [row["id"] for row in opened(tmp_path).orders("btc")] == ["z", "a", "m", "b"]
    more(tmp_path, filled("m"), filled("z"))
    index = Index.open(tmp_path / INDEX_FILE)
    assert [row.id for row in index.orders("btc")] == ["z", "a", "m", "b"]
    index.close()


def test_what_came_since_is_caught_up_with(tmp_path: Path) -> None:
    more(tmp_path, intent("x"))
    queries = opened(tmp_path)
    assert [row["state"] for row in queries.orders("btc")] == ["intent"]
    more(tmp_path, filled("x"))
    assert [row["state"] for row in queries.orders("btc")] == ["filled"]
    assert queries.catch_up() == 0


def told(queries: Queries) -> str:
    """As text, in which a figure that is not a number is equal to itself."""
    return repr((queries.events(None, 100), queries.orders(None)))


def test_without_the_index_the_answers_are_the_same(tmp_path: Path) -> None:
    written(RealDisk(), tmp_path)
    queries = opened(tmp_path)
    before = told(queries)
    queries.close()
    (tmp_path / INDEX_FILE).unlink()
    assert told(opened(tmp_path)) == before
    (tmp_path / INDEX_FILE).write_bytes(b"not a database at all" * 100)
    assert told(opened(tmp_path)) == before


def test_one_damaged_journal_keeps_back_no_other(tmp_path: Path) -> None:
    written(RealDisk(), tmp_path)
    sound = opened(tmp_path).orders("eth")
    path = journal_folder(tmp_path, "btc") / "000001.journal"
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(bytes(data))
    for index in ("kept", "gone"):
        queries = opened(tmp_path)
        assert [row for row in queries.orders(None) if row["strategy"] == "eth"] == sound
        assert queries.events("eth", 5)
        if index == "kept":  # it has read what was damaged since
            assert (queries.trouble(None), bool(queries.orders("btc"))) == ("", True)
        else:
            assert "journal btc breaks at record 1" in queries.trouble("btc")
            assert queries.trouble("btc") in queries.trouble(None)
            assert queries.trouble("eth") == ""
        queries.close()
        for each in tmp_path.glob("index.sqlite*"):
            each.unlink()
