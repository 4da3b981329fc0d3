"""One step of the core actor: nothing is booked before it is durable, and what is uncertain is asked after first."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.model.events import EventType
from components.ports import Settlements
from daemon.journal.codec import decode
from daemon.journal.records import Events, Outcome, StepBegin, StepEnd
from daemon.process.daemon import Daemon
from daemon.replica import CellState
from tests.daemon.house import BTC, LENDING, House, ask, in_state, replica_of, ticked, until


def test_a_step_is_written_in_its_order(tmp_path: Path) -> None:
    house = House(tmp_path, BTC)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 1)

    house.live(play)
    names = [type(record).__name__ for record in house.records(BTC)]
    step = names[names.index("StepBegin") : names.index("StepEnd", names.index("StepBegin")) + 1]
    assert step[0] == "StepBegin"
    assert step.index("Intent") < step.index("Outcome") < step.index("Answer")
    assert step.count("Outcome") == 6
    assert step[-1] == "StepEnd"


def test_what_venues_did_is_booked_once_and_told_to_the_core_with_the_row(tmp_path: Path) -> None:
    house = House(tmp_path)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, more=2)
        await ask(daemon, "deposit", key="k", amount="500")
        await ticked(daemon, more=4)

    house.live(play)
    begins = [record for record in house.records(LENDING) if isinstance(record, StepBegin)]
    with_deposit = [record for record in begins if any("deposit" in id for id in record.taken)]
    assert len(with_deposit) == 1
    told = decode(with_deposit[0].settlements, Settlements)
    assert [happening.amount for happening in told.happenings if happening.event_type is EventType.DEPOSIT] == [500.0]
    asked = [record for record in begins if record.asked]
    assert [record.commands for record in asked] == [("deposit",)]
    assert asked[0].tick < with_deposit[0].tick, "the account does it, and tells so in its own words"


def test_an_uncertain_order_is_asked_after_on_every_row_and_booked_with_the_one_that_knows(tmp_path: Path) -> None:
    house = House(tmp_path, BTC)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 2)
        for kind, endpoint, times in (("reset_after_send", "submit", 1), ("black_hole", "query", 3)):
            house.fault(BTC, kind, "binance", after_s=180.0, endpoint=endpoint, times=times)
        await ask(daemon, "deposit", BTC, key="k", amount="20000")
        await until(lambda: replica_of(daemon, BTC).uncertain)
        await until(lambda: not replica_of(daemon, BTC).uncertain)
        await ticked(daemon, BTC, 2)
        assert not any(venue.mismatches for venue in replica_of(daemon, BTC).venues)

    house.live(play)
    records = house.records(BTC)
    resolved = [record for record in records if isinstance(record, Outcome) and record.origin == "resolved"]
    assert resolved
    at = records.index(resolved[0])
    begin = next(record for record in records[at:] if isinstance(record, StepBegin))
    assert {outcome.order_id for outcome in resolved} <= set(begin.taken)
    events = [event for record in records if isinstance(record, Events) for event in record.events]
    assert {EventType.ORDER_UNKNOWN, EventType.ORDER_RESOLVED} <= {event.event_type for event in events}


def test_a_row_that_is_implausible_is_skipped_and_nothing_of_it_is_lost(tmp_path: Path) -> None:
    house = House(tmp_path)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, more=2)
        house.offset_ms = 5_000.0
        await ask(daemon, "deposit", key="k", amount="500")
        trades = replica_of(daemon).trades
        await ticked(daemon, more=3)
        shown = replica_of(daemon)
        assert shown.trades == trades
        assert shown.withheld == ("the clock is 5000 ms off, limit 500 ms",)
        house.offset_ms = 0.0
        await ticked(daemon, more=3)
        assert replica_of(daemon).external_flows == 500.0
        assert replica_of(daemon).trades > trades

    house.live(play)


@pytest.mark.parametrize("what", ["full", "read-only"])
def test_a_disk_that_takes_nothing_ends_the_step_before_anything_is_booked(what: str, tmp_path: Path) -> None:
    house = House(tmp_path, LENDING)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, more=3)
        before = replica_of(daemon)
        house.crash_disk.fill(0) if what == "full" else house.crash_disk.read_only()
        await in_state(daemon, CellState.BACKING_OFF)
        told = replica_of(daemon)
        assert told.step == before.step
        assert "lending" in told.reason or "journal" in told.reason.lower() or "space" in told.reason
        house.crash_disk.repair()
        await in_state(daemon, CellState.RUNNING)
        await ticked(daemon, more=3)

    house.live(play)
    ticks = [record.tick for record in house.records(LENDING) if isinstance(record, StepEnd) and record.row]
    assert ticks == sorted(set(ticks))


@pytest.mark.parametrize("lives", [3])
def test_the_state_goes_on_from_life_to_life(lives: int, tmp_path: Path) -> None:
    house, whole = House(tmp_path / "a", BTC), House(tmp_path / "b", BTC)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()

    async def some(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 4)

    async def all_at_once(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 4 * lives)

    for _ in range(lives):
        house.live(some)
    whole.live(all_at_once)

    def equities(of: House) -> dict[int, float]:
        rows = (record for record in of.records(BTC) if isinstance(record, StepEnd) and record.row)
        return {record.timestamp: record.row["equity"] for record in rows}

    ours, theirs = equities(house), equities(whole)
    shared = sorted(set(ours) & set(theirs))
    assert len(shared) >= 3 * lives
    assert [ours[at] for at in shared] == pytest.approx([theirs[at] for at in shared], rel=1e-12)
