"""The event log: every settlement on its own line, the balances after it, and a chain nobody can mend."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import msgspec

from components.model.events import GENESIS, Event, canonical_bytes
from daemon.backtest.results.events import FIELDS, single_events, write_events
from tests.daemon.handmade import CASH, SHORT, batch, event


def test_batches_become_lines_in_global_order(tmp_path: Path) -> None:
    log = write_events(tmp_path / "log.csv", (event(0), batch(1), event(4, balances={})))

    rows = read(tmp_path / "log.csv")
    assert log.events == 5
    assert list(rows[0]) == [*FIELDS, f"balance.{CASH}", f"balance.{SHORT}", "hash"]
    assert [int(row["order"]) for row in rows] == [0, 1, 2, 3, 4]
    assert [row["timestamp"][11:16] for row in rows] == ["00:00", "01:00", "01:00", "02:00", "00:00"]


def test_balances_are_those_after_each_event(tmp_path: Path) -> None:
    write_events(tmp_path / "log.csv", (event(0), batch(1), event(4, balances={})))

    rows = read(tmp_path / "log.csv")
    assert [float(row[f"balance.{CASH}"]) for row in rows] == [100.0, 101.5, 101.75, 101.25, 0.0]
    assert [float(row[f"balance.{SHORT}"]) for row in rows] == [0.0, -1.0, -1.0, -1.0, 0.0]


def test_what_has_no_amount_has_an_empty_cell_and_texts_survive(tmp_path: Path) -> None:
    write_events(tmp_path / "log.csv", (event(0, amount=None, detail='stale: "okx", no trade'),))

    (row,) = read(tmp_path / "log.csv")
    assert row["amount"] == ""
    assert row["detail"] == 'stale: "okx", no trade'


def test_the_chain_can_be_checked_from_the_events_alone(tmp_path: Path) -> None:
    events = (event(0), batch(1), event(4))

    log = write_events(tmp_path / "log.csv", events)

    last = GENESIS
    for one, row in zip(single_events(events), read(tmp_path / "log.csv"), strict=True):
        last = hashlib.sha256(last.encode() + canonical_bytes(one)).hexdigest()
        assert row["hash"] == last
    assert log.last_hash == last


def test_a_changed_event_changes_every_later_hash(tmp_path: Path) -> None:
    events = [event(i) for i in range(4)]
    write_events(tmp_path / "log.csv", events)
    events[1] = msgspec.structs.replace(events[1], amount=-1.0000001)
    write_events(tmp_path / "other.csv", events)

    pairs = zip(read(tmp_path / "log.csv"), read(tmp_path / "other.csv"), strict=True)
    assert [one["hash"] == other["hash"] for one, other in pairs] == [True, False, False, False]


def test_no_events_leave_a_header(tmp_path: Path) -> None:
    nothing: tuple[Event, ...] = ()

    assert write_events(tmp_path / "log.csv", nothing).last_hash == GENESIS
    assert read(tmp_path / "log.csv") == []


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
