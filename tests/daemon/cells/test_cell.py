"""One strategy's cell: what it writes when it starts and stops, what it counts, and what it does not lose."""

from __future__ import annotations

from pathlib import Path

import trio

from components.model.orders import Verb
from daemon.cells.core_actor import CHECKPOINT_STEPS
from daemon.journal.records import StepAborted, StepEnd
from daemon.process.daemon import Daemon
from daemon.replica import CellState
from tests.daemon.house import BTC, LENDING, House, ask, cell_of, in_state, replica_of, ticked, until


async def few(daemon: Daemon) -> None:
    await ticked(daemon, more=5)


def test_whole_states_are_written_now_and_then_and_a_hash_with_every_step(tmp_path: Path) -> None:
    house = House(tmp_path)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, more=2 * CHECKPOINT_STEPS + 3)

    house.live(play)
    steps = [record for record in house.records(LENDING) if isinstance(record, StepEnd) and record.row]
    whole = [i for i, record in enumerate(steps, start=1) if record.state]
    assert whole[:2] == [CHECKPOINT_STEPS, 2 * CHECKPOINT_STEPS]
    assert all(len(record.state_hash) == 64 for record in steps)


def test_an_error_in_a_step_leaves_its_commands_for_the_next_life(tmp_path: Path) -> None:
    house = House(tmp_path)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, more=2)
        core = cell_of(daemon).core

        def broken(*_: object, **__: object) -> int:
            raise RuntimeError("out of its mind")

        core.advance = broken  # type: ignore[method-assign]
        await ask(daemon, "deposit", key="k", amount="1000")
        await in_state(daemon, CellState.BACKING_OFF)
        await in_state(daemon, CellState.RUNNING)
        await ticked(daemon, more=3)
        assert replica_of(daemon).external_flows == 1000.0

    house.live(play)
    assert any(isinstance(record, StepAborted) for record in house.records(LENDING))
    deposits = [item for item in house.accounts[LENDING].settled("chain", 0).items if "deposit" in item.id]
    assert len(deposits) == 1


def test_rows_that_never_came_are_counted(tmp_path: Path) -> None:
    house = House(tmp_path)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, more=2)
        assert replica_of(daemon).missed == 0
        daemon.world.muted.add(LENDING)
        await trio.sleep(70.0)
        daemon.world.muted.clear()
        await ticked(daemon, more=2)
        assert replica_of(daemon).missed == 1
        assert replica_of(daemon).state is CellState.RUNNING

    house.live(play)


def test_a_stop_waits_for_the_step_under_way_and_names_nothing_that_is_known(tmp_path: Path) -> None:
    house = House(tmp_path, BTC)

    async def play(daemon: Daemon) -> None:
        await until(lambda: cell_of(daemon, BTC).desk.dispatch.in_flight, every_s=0.01)

    house.live(play)
    assert house.ended is not None
    assert house.ended.uncertain == {BTC: ()}
    ended = [record for record in house.records(BTC) if isinstance(record, StepEnd) and record.row]
    assert len(ended) == 1, "the entry was seen through"


def test_one_that_is_told_nothing_for_too_long_is_brought_to_safety(tmp_path: Path) -> None:
    house = House(tmp_path, LENDING, BTC)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 2)
        daemon.world.muted.add(BTC)
        await in_state(daemon, CellState.LATCHED, BTC)
        assert replica_of(daemon, BTC).reason.startswith("stuck: ")
        assert replica_of(daemon).state is CellState.RUNNING

    house.live(play)
    latch = house.latches.of(BTC)
    assert latch is not None
    assert latch.reason.startswith("stuck: ")


def test_what_was_adjusted_today_is_remembered_by_the_next_life(tmp_path: Path) -> None:
    house = House(tmp_path, BTC)
    seen: list[dict[int, float]] = []

    async def adopts(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 2)
        house.accounts[BTC].foreign_trade("f", "okx", Verb.PERP, "BTC", -0.05, daemon.clock.now())
        await until(lambda: cell_of(daemon, BTC).desk.observer.views["okx"].foreign)
        await ask(daemon, "adopt", BTC, key="a", venue="okx")
        await ticked(daemon, BTC, 2)
        seen.append(dict(cell_of(daemon, BTC).desk.unbooked.adjusted))

    async def lives(daemon: Daemon) -> None:
        seen.append(dict(cell_of(daemon, BTC).desk.unbooked.adjusted))
        await ticked(daemon, BTC, 2)

    house.live(adopts)
    house.live(lives)
    house.live(lives)
    assert seen[0]
    assert max(seen[0].values()) > 0.0
    assert seen[1] == seen[2] == seen[0]
