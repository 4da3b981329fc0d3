"""A strategy fails alone: it starts again with growing pauses, is given up after too many, and the others go on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import trio
from msgspec import structs

from daemon.config.daemon_file import DaemonSlice
from daemon.exits import Exit
from daemon.journal.reader import journal_folder
from daemon.monitoring.beside import LONGEST_BACKOFF_S
from daemon.monitoring.health import Level
from daemon.process.daemon import Daemon
from daemon.replica import CellState
from daemon.state.latch import Phase
from tests.daemon.house import BTC, LENDING, House, ask, cell_of, in_state, replica_of, ticked, until


async def broken(*_: object, **__: object) -> None:
    await trio.lowlevel.checkpoint()
    raise RuntimeError("the core is out of its mind")


def breaks(daemon: Daemon, strategy: str = LENDING) -> None:
    """The next step of this life of the cell raises."""
    cell_of(daemon, strategy).actor.step = broken  # type: ignore[method-assign,assignment]


def policy(**changes: object) -> Callable[[DaemonSlice], DaemonSlice]:
    """Restart policy and `on_failure` of every strategy."""
    on_failure = changes.pop("on_failure", None)

    def change(config: DaemonSlice) -> DaemonSlice:
        entries = []
        for entry in config.strategies:
            entry = structs.replace(entry, restart=structs.replace(entry.restart, **changes))
            entries.append(structs.replace(entry, on_failure=on_failure or entry.on_failure))
        return structs.replace(config, strategies=tuple(entries))

    return change


def test_a_strategy_that_crashes_starts_again_and_the_others_do_not_notice(tmp_path: Path) -> None:
    house = House(tmp_path, LENDING, BTC)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 2)
        before = cell_of(daemon, BTC)
        breaks(daemon)
        await in_state(daemon, CellState.BACKING_OFF)
        told = replica_of(daemon)
        assert told.reason.startswith("RuntimeError: the core is out of its mind; starts again in")
        assert told.restart_at is not None
        await in_state(daemon, CellState.RUNNING)
        await ticked(daemon, LENDING, 2)
        assert replica_of(daemon).restarts == 1
        assert cell_of(daemon, BTC) is before
        assert replica_of(daemon, BTC).restarts == 0

    house.live(play)
    assert len(house.crashes.seen) == 1
    assert "out of its mind" in house.crashes.seen[0]


def test_pauses_double_up_to_a_minute(tmp_path: Path) -> None:
    pauses: list[float] = []

    async def play(daemon: Daemon) -> None:
        for _ in range(6):
            await in_state(daemon, CellState.RUNNING)
            breaks(daemon)
            await in_state(daemon, CellState.BACKING_OFF)
            at = replica_of(daemon).restart_at
            assert at is not None
            pauses.append(round(at - trio.current_time()))

    House(tmp_path, changed=policy(backoff_s=5.0, max_restarts=20, window_s=36_000.0)).live(play)
    assert pauses == [5, 10, 20, 40, LONGEST_BACKOFF_S, LONGEST_BACKOFF_S]


def test_crashes_that_are_long_ago_do_not_count(tmp_path: Path) -> None:
    async def play(daemon: Daemon) -> None:
        for _ in range(4):
            await in_state(daemon, CellState.RUNNING)
            breaks(daemon)
            await in_state(daemon, CellState.BACKING_OFF)
            await in_state(daemon, CellState.RUNNING)
            await trio.sleep(400.0)
        assert replica_of(daemon).state is CellState.RUNNING

    House(tmp_path, changed=policy(backoff_s=1.0, max_restarts=1, window_s=300.0)).live(play)


def test_after_too_many_it_holds_and_waits_for_somebody(tmp_path: Path) -> None:
    house = House(tmp_path, changed=policy(backoff_s=1.0, max_restarts=1, window_s=36_000.0, on_failure="hold"))

    async def play(daemon: Daemon) -> None:
        for _ in range(2):
            await in_state(daemon, CellState.RUNNING)
            breaks(daemon)
            await until(lambda: replica_of(daemon).state is not CellState.RUNNING)
        await in_state(daemon, CellState.FAILED)
        assert replica_of(daemon).reason.startswith("restarts used up: RuntimeError")
        await trio.sleep(600.0)
        assert replica_of(daemon).state is CellState.FAILED
        assert house.latches.of(LENDING) is None
        await ask(daemon, "resume")
        await in_state(daemon, CellState.RUNNING)
        await ticked(daemon, more=2)

    house.live(play)


def test_or_closes_everything_when_the_policy_says_so(tmp_path: Path) -> None:
    house = House(tmp_path, BTC, changed=policy(backoff_s=1.0, max_restarts=0, on_failure="flatten"))

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 2)
        assert any(":Perp:" in str(key) and amount for key, amount in house.accounts[BTC].balances.items())
        breaks(daemon, BTC)
        await until(lambda: (latch := house.latches.of(BTC)) is not None and latch.phase is Phase.FLAT)
        assert not any(":Perp:" in str(key) and amount for key, amount in house.accounts[BTC].balances.items())
        assert replica_of(daemon, BTC).state is CellState.LATCHED

    house.live(play)
    latch = house.latches.of(BTC)
    assert latch is not None
    assert latch.reason == "restarts used up"


def test_a_damaged_journal_keeps_its_strategy_down_and_no_other(tmp_path: Path) -> None:
    house = House(tmp_path, LENDING, BTC)

    async def lives(daemon: Daemon) -> None:
        await ticked(daemon, LENDING, 2)
        await ticked(daemon, BTC, 2)

    house.live(lives)
    path = journal_folder(tmp_path, LENDING) / "000001.journal"
    node = house.crash_disk.seen[path]
    assert node is not None
    node.seen[300] ^= 1
    damaged = bytes(node.seen)

    async def again(daemon: Daemon) -> None:
        await in_state(daemon, CellState.FAILED)
        assert "breaks at" in replica_of(daemon).reason or "record" in replica_of(daemon).reason
        await ticked(daemon, BTC, 2)

    house.live(again)
    assert house.ended is not None
    assert house.ended.broken == {LENDING: Exit.DAMAGED}
    assert bytes(node.seen) == damaged, "the file is untouched"


def test_a_stop_does_not_wait_for_a_pause_to_end(tmp_path: Path) -> None:
    async def play(daemon: Daemon) -> None:
        await in_state(daemon, CellState.RUNNING)
        breaks(daemon)
        await in_state(daemon, CellState.BACKING_OFF)
        began = trio.current_time()
        daemon.stop()
        await until(lambda: not daemon.supervisor.cells)
        assert trio.current_time() - began < 1.0

    House(tmp_path, changed=policy(backoff_s=50.0)).live(play)


class Failing:
    def crashed(self, strategy: str, error: BaseException) -> None:
        raise ConnectionError("nobody takes reports")


def test_whoever_reports_may_fail_in_the_supervisor_s_face(tmp_path: Path) -> None:
    house = House(tmp_path)

    async def play(daemon: Daemon) -> None:
        daemon.supervisor._reports = Failing()
        await ticked(daemon, more=1)
        breaks(daemon)
        await in_state(daemon, CellState.BACKING_OFF)
        await in_state(daemon, CellState.RUNNING)

    house.live(play)


def test_a_report_that_fails_takes_no_strategy_down(tmp_path: Path) -> None:
    """A second strategy goes on, and the one that crashed starts again."""
    house = House(tmp_path, LENDING, BTC)
    house.crashes = Failing()  # type: ignore[assignment]

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 1)
        breaks(daemon)
        await in_state(daemon, CellState.BACKING_OFF)
        await in_state(daemon, CellState.RUNNING)
        await ticked(daemon, BTC, 2)
        (shown,) = [each for each in daemon.health.components() if each.name == "reader:reports"]
        assert shown.level is Level.DEGRADED and "nobody takes reports" in shown.reason

    house.live(play)
    assert house.ended is not None and not house.ended.broken


def test_a_pause_outlives_a_crash_until_it_is_resumed(tmp_path: Path) -> None:
    async def play(daemon: Daemon) -> None:
        await ticked(daemon, LENDING, 2)
        await ask(daemon, "pause", reason="a look")
        await ticked(daemon, LENDING, 1)
        breaks(daemon)
        await in_state(daemon, CellState.BACKING_OFF)
        await until(lambda: LENDING in daemon.supervisor.cells)
        await ticked(daemon, LENDING, 2)
        assert (replica_of(daemon).state, replica_of(daemon).reason) == (CellState.PAUSED, "a look")
        await ask(daemon, "resume")
        await ticked(daemon, LENDING, 1)
        assert replica_of(daemon).state is CellState.RUNNING
        breaks(daemon)
        await in_state(daemon, CellState.BACKING_OFF)
        await until(lambda: LENDING in daemon.supervisor.cells)
        await ticked(daemon, LENDING, 2)
        assert replica_of(daemon).state is CellState.RUNNING

    House(tmp_path, changed=policy(backoff_s=1.0)).live(play)


def test_a_pause_outlives_an_emergency_only_until_it_is_resumed(tmp_path: Path) -> None:
    house = House(tmp_path, BTC)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 2)
        await ask(daemon, "pause", BTC, reason="a look")
        await daemon.operator.emergency(BTC, "a test", 0)
        await until(lambda: (latch := house.latches.of(BTC)) is not None and latch.phase is Phase.FLAT)
        await ask(daemon, "resume", BTC)
        await ticked(daemon, BTC, 3)
        assert replica_of(daemon, BTC).state is CellState.RUNNING

    house.live(play)
