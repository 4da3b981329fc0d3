"""Closing needs no journal, no file, no cell and nobody who listens: what could not be written is said instead."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import trio

from daemon.journal.committer import Committer
from daemon.journal.journal import Journal
from daemon.journal.log import JournalLog
from daemon.journal.owed import NOTE as OWED
from daemon.journal.reader import journal_folder
from daemon.journal.records import Intent, LatchChanged, Note, Record
from daemon.process.daemon import Daemon
from daemon.replica import CellState
from daemon.state.latch import ALL, Latch, Latches, Phase, requested
from tests.daemon.house import BTC, LENDING, House, ask, cell_of, in_state, replica_of, ticked, until
from tests.simulation.host_faults import HostDisk
from tests.simulation.left_open import left_open
from venues.paper.door.faults import Fault


def in_phase(daemon: Daemon, strategy: str, phase: Phase) -> bool:
    """As it stands in memory: the disk may know nothing of it."""
    latch = daemon.latches.of(strategy)
    return latch is not None and latch.phase is phase


def damaged(house: House, strategy: str) -> None:
    node = house.crash_disk.seen[journal_folder(house.state, strategy) / "000001.journal"]
    assert node is not None
    node.seen[300] ^= 1


def with_positions(house: House) -> None:
    async def lives(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 3)

    house.live(lives)
    assert left_open(house.accounts[BTC]) != ()


def test_a_strategy_whose_journal_is_broken_is_closed_by_an_emergency_stop(tmp_path: Path) -> None:
    house = House(tmp_path, LENDING, BTC)
    with_positions(house)
    damaged(house, BTC)

    async def play(daemon: Daemon) -> None:
        await in_state(daemon, CellState.FAILED, BTC)
        plan = await ask(daemon, "emergency_plan", BTC)
        assert bytes(plan.data).count(b'"perp"') == 3, "the plan does not say that nothing is there"
        told = await ask(daemon, "emergency_stop", BTC, reason="a test")
        assert f"{BTC} awaits position" in told.message
        await until(lambda: in_phase(daemon, BTC, Phase.FLAT))
        assert left_open(house.accounts[BTC]) == ()
        replica = replica_of(daemon, BTC)
        assert (replica.state, replica.phase) == (CellState.LATCHED, "flat")
        assert replica.equity == pytest.approx(100_000.0, rel=0.01), "of what the venues hold"
        await ticked(daemon, LENDING, 2)
        await ask(daemon, "resume", BTC)
        await in_state(daemon, CellState.FAILED, BTC)

    house.live(play)


def test_a_broken_journal_over_naked_positions_closes_them_by_itself(tmp_path: Path) -> None:
    """on_failure: default holds what is hedged, by what the venues hold: unknown is the worst end."""
    house = House(tmp_path, LENDING, BTC)
    with_positions(house)
    damaged(house, BTC)
    account = house.accounts[BTC]
    short = next(key for key in account.balances if key.startswith("okx:Perp:"))
    account.world.adjust({short: -account.balances[short]})

    async def play(daemon: Daemon) -> None:
        await until(lambda: in_phase(daemon, BTC, Phase.FLAT))
        assert left_open(account) == ()

    house.live(play)


@pytest.mark.parametrize("silent_s", [20.0, 600.0])
def test_a_moment_of_silence_closes_no_hedged_book(tmp_path: Path, silent_s: float) -> None:
    """Who cannot be asked is asked again for a minute; only then is unknown the worst end."""
    house = House(tmp_path, LENDING, BTC)
    with_positions(house)
    damaged(house, BTC)
    plan = house.plans[BTC]
    plan.add(Fault(kind="connect_refused", venue="okx", at=0, duration_s=1e10))

    async def play(daemon: Daemon) -> None:
        await trio.sleep(silent_s)
        plan.heal()
        await in_state(daemon, CellState.FAILED if silent_s < 60.0 else CellState.LATCHED, BTC)
        await trio.sleep(300.0)
        assert (left_open(house.accounts[BTC]) != ()) == (silent_s < 60.0)

    house.live(play)


def test_a_strategy_that_wants_for_a_journal_goes_on_by_itself_when_the_disk_takes_it_again(tmp_path: Path) -> None:
    """Restarts may be used up by then: what is hedged is held, and nobody has to come for a disk that is well again."""
    disk = HostDisk()
    house = House(tmp_path, BTC, disk=disk)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 3)
        disk.is_full = True
        await in_state(daemon, CellState.FAILED, BTC)
        assert replica_of(daemon, BTC).restart_at is not None
        await trio.sleep(90.0)
        assert replica_of(daemon, BTC).state in (CellState.FAILED, CellState.BACKING_OFF)
        assert daemon.latches.of(BTC) is None, "hedged, so held"
        disk.is_full = False
        await in_state(daemon, CellState.RUNNING, BTC)

    house.live(play)
    assert left_open(house.accounts[BTC]) != ()


def test_restarts_used_up_before_the_first_step_is_not_hedged_by_default(tmp_path: Path) -> None:
    house = House(tmp_path, BTC)
    with_positions(house)
    account = house.accounts[BTC]
    for key in [key for key in account.balances if ":Perp:" in key]:
        account.world.adjust({key: -account.balances[key]})

    async def broken(*_: object, **__: object) -> None:
        await trio.lowlevel.checkpoint()
        raise RuntimeError("no step was ever finished")

    async def play(daemon: Daemon) -> None:
        make = daemon.supervisor._make_cell

        async def made(entry: object) -> object:
            cell = await make(entry)  # type: ignore[arg-type]
            cell.actor.step = broken  # type: ignore[method-assign,assignment]
            return cell

        daemon.supervisor._make_cell = made  # type: ignore[assignment]
        daemon.supervisor.restart(BTC)
        await until(lambda: in_phase(daemon, BTC, Phase.FLAT), within_s=7200.0)
        assert left_open(account) == ()

    house.live(play)


@pytest.mark.parametrize("shouting", ["heard", "full"])
def test_a_full_disk_and_nobody_to_shout_to(tmp_path: Path, shouting: str) -> None:
    house = House(tmp_path, BTC)

    def full(text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 3)
        if shouting == "full":
            daemon._parts = daemon._parts.__class__(
                **{name: getattr(daemon._parts, name) for name in daemon._parts.__struct_fields__ if name != "shout"},
                shout=full,
            )
            cell_of(daemon, BTC).desk.surround(daemon._surroundings(daemon.config))
        house.crash_disk.fill(0)
        for log in daemon._journals.of.values():
            log.journal._reserve_failed = True
        told = await ask(daemon, "emergency_stop", BTC, reason="a test")
        assert "audit journal takes nothing" in told.message
        await until(lambda: in_phase(daemon, BTC, Phase.FLAT))
        assert left_open(house.accounts[BTC]) == ()

    house.live(play)


def test_a_latch_that_cannot_be_written_stands_in_memory_and_the_answer_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path, BTC)
    written = Latches._write

    def refuses(self: Latches, scope: str, latch: Latch) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 3)
        monkeypatch.setattr(Latches, "_write", refuses)
        told = await ask(daemon, "emergency_stop", BTC, reason="a test")
        assert "THE LATCH COULD NOT BE WRITTEN (Read-only file system)" in told.message
        assert house.latches.of(BTC) is None
        await until(lambda: in_phase(daemon, BTC, Phase.FLAT))
        assert left_open(house.accounts[BTC]) == ()
        cell_of(daemon, BTC).cut()  # a crash, and the next life of the cell, while the disk still takes nothing
        await trio.sleep(120.0)
        assert replica_of(daemon, BTC).state is CellState.LATCHED, "it never trades unlatched"
        assert left_open(house.accounts[BTC]) == ()
        monkeypatch.setattr(Latches, "_write", written)
        await until(lambda: house.latches.of(BTC) is not None)
        assert daemon.latches.unwritten == {}

    house.live(play)


def test_a_cell_that_crashes_again_and_again_does_not_trade_unlatched_on_a_disk_that_heals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path, BTC)

    def refuses(self: Latches, scope: str, latch: Latch) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 3)
        house.crash_disk.fill(0)
        monkeypatch.setattr(Latches, "_write", refuses)
        await until(lambda: replica_of(daemon, BTC).state is CellState.BACKING_OFF)
        await daemon.operator.emergency(BTC, "a test", 0)
        await until(lambda: in_phase(daemon, BTC, Phase.FLAT))
        house.crash_disk.repair()
        before = len(house.accounts[BTC].truth().fills)
        await trio.sleep(1800.0)
        assert left_open(house.accounts[BTC]) == ()
        assert len(house.accounts[BTC].truth().fills) == before

    house.live(play)


def test_a_journal_that_hangs_keeps_no_emergency_from_closing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The core waits for its disk inside a step that cannot be cancelled; closing does not wait for either."""
    house = House(tmp_path, BTC)
    hangs = [False]
    commit, emergency = JournalLog.commit, Committer.record_emergency

    async def committed(self: JournalLog) -> None:
        if hangs[0] and self.journal.name == BTC:
            await healed.wait()
        await commit(self)

    async def recorded(self: Committer, journal: object, *records: object) -> None:
        if hangs[0]:
            await healed.wait()
        await emergency(self, journal, *records)  # type: ignore[arg-type]

    healed = trio.Event()
    monkeypatch.setattr(JournalLog, "commit", committed)
    monkeypatch.setattr(Committer, "record_emergency", recorded)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 3)
        hangs[0] = True
        await trio.sleep(90.0)
        began = trio.current_time()
        await daemon.operator.emergency(BTC, "a test", 0)
        await until(lambda: in_phase(daemon, BTC, Phase.FLAT), within_s=300.0)
        assert left_open(house.accounts[BTC]) == ()
        assert trio.current_time() - began < 60.0
        hangs[0] = False
        healed.set()

    house.live(play)


@pytest.mark.parametrize("kept", [False, True])
def test_a_disk_that_answers_late_has_everything_in_the_books_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    """What it was given before it hung it may keep after all: that is not written again, and what it never got is."""
    house = House(tmp_path, BTC)
    hangs, healed = [False], trio.Event()
    commit, append = Committer.commit, Journal.append_emergency

    async def committed(self: Committer, journal: Journal, *, emergency: bool = False) -> None:
        if hangs[0] and journal.name == BTC:
            await healed.wait()
        await commit(self, journal, emergency=emergency)

    def appended(self: Journal, record: Record) -> int:
        return append(self, record) if kept or not hangs[0] else 0

    monkeypatch.setattr(Committer, "commit", committed)
    monkeypatch.setattr(Journal, "append_emergency", appended)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 3)
        hangs[0] = True
        await daemon.operator.emergency(BTC, "a test", 0)
        await until(lambda: in_phase(daemon, BTC, Phase.FLAT), within_s=300.0)
        hangs[0] = False
        healed.set()
        await ask(daemon, "resume", BTC)
        await in_state(daemon, CellState.RUNNING, BTC)
        await ticked(daemon, BTC, 2)
        held = {str(key): amount for key, amount in house.accounts[BTC].balances.items() if amount}
        assert {k: v for k, v in replica_of(daemon, BTC).positions.items() if v} == pytest.approx(held)

    house.live(play)
    records = house.records(BTC)
    intended = [order.id for each in records if isinstance(each, Intent) for order in each.group.orders]
    assert set(house.accounts[BTC].truth().orders) <= set(intended)
    assert len(intended) == len(set(intended))
    assert [each.phase for each in records if isinstance(each, LatchChanged)] == ["closing", "flat"], "once"


@pytest.mark.parametrize("scope", [ALL, BTC])
def test_a_latch_that_appears_on_the_disk_is_heard(tmp_path: Path, scope: str) -> None:
    """The way that nobody can crowd out: no socket, no signal, only a file."""
    house = House(tmp_path, BTC)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 3)
        house.latches.set(requested(scope, "by hand", at=1, uid=0))
        await trio.sleep(2.0)
        assert replica_of(daemon, BTC).state is CellState.LATCHED
        await until(lambda: in_phase(daemon, BTC, Phase.FLAT))
        assert left_open(house.accounts[BTC]) == ()
        await ask(daemon, "resume", BTC)
        await in_state(daemon, CellState.RUNNING, BTC)
        await trio.sleep(300.0)
        assert replica_of(daemon, BTC).state is CellState.RUNNING, "it is heard once"

    house.live(play)
    assert [record.origin for record in house.records(BTC) if isinstance(record, Intent)].count("emergency") >= 1


@pytest.mark.parametrize("comes_back", ["while it is closed", "when it is resumed"])
def test_what_was_done_without_a_journal_is_in_the_books_as_soon_as_it_is_back(tmp_path: Path, comes_back: str) -> None:
    """Nothing of it is lost to the next life of the strategy, and nobody has to adopt what we did ourselves."""
    disk = HostDisk()
    house = House(tmp_path, BTC, disk=disk)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 3)
        disk.is_full = True
        await until(lambda: replica_of(daemon, BTC).state is CellState.BACKING_OFF)
        await until(lambda: daemon._journals.of[BTC].journal.closed)
        await daemon.operator.emergency(BTC, "a test", 0)
        await until(lambda: in_phase(daemon, BTC, Phase.FLAT))
        assert left_open(house.accounts[BTC]) == ()
        assert not any(isinstance(each, Intent) and each.origin == "emergency" for each in house.records(BTC))
        disk.is_full = False
        if comes_back == "while it is closed":
            await until(lambda: any(isinstance(each, Note) and each.kind == OWED for each in house.records(BTC)))
        await ask(daemon, "resume", BTC)
        await in_state(daemon, CellState.RUNNING, BTC)
        await ticked(daemon, BTC, 2)
        held = {str(key): amount for key, amount in house.accounts[BTC].balances.items() if amount}
        positions = {key: amount for key, amount in replica_of(daemon, BTC).positions.items() if amount}
        assert positions == pytest.approx(held)

    house.live(play)
    records = house.records(BTC)
    intended = [order.id for each in records if isinstance(each, Intent) for order in each.group.orders]
    assert set(house.accounts[BTC].truth().orders) <= set(intended), "every order has its intent in the journal"
    assert len(intended) == len(set(intended)), "once"
    assert [each.phase for each in records if isinstance(each, LatchChanged)] == ["closing", "flat"]


def test_the_reserve_of_a_journal_is_kept_for_an_emergency_while_there_is_no_room_for_another(tmp_path: Path) -> None:
    house = House(tmp_path, BTC)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 3)
        house.crash_disk.fill(1000)  # a record by half, and no room to set that aside
        await until(lambda: replica_of(daemon, BTC).restarts >= 3)
        await daemon.operator.emergency(BTC, "a test", 0)
        await until(lambda: in_phase(daemon, BTC, Phase.FLAT))
        assert left_open(house.accounts[BTC]) == ()
        emergency = [each for each in house.records(BTC) if isinstance(each, Intent) and each.origin == "emergency"]
        assert emergency, "durable before they left, on a disk without a free byte"

    house.live(play)
