"""Every scheduling point of one entry is cancelled once; the cell starts again, and nothing is lost or done twice."""

from __future__ import annotations

import pytest
import trio

from daemon.journal.records import Manifest
from daemon.process.daemon import Daemon
from tests.simulation.harness import Run, simulate
from tests.simulation.oracles import judged

STRATEGY = "market-neutral"
HOURS = 0.7


class Cut(trio.abc.Instrument):
    """Counts the task steps of the process while the first step of the core is under way; cancels it at one of them."""

    def __init__(self, daemon: Daemon, at: int | None) -> None:
        self._daemon = daemon
        self._at = at
        self.counted = 0
        self._done = False

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        cell = self._daemon.supervisor.cells.get(STRATEGY)
        if self._done or cell is None or cell.desk.epoch > 1 or cell.desk.counts.ticks != 1 or cell.actor.steps:
            return
        self.counted += 1
        if self.counted == self._at:
            self._done = True
            cell._core_scope.cancel()


def entry(at: int | None) -> tuple[Run, int]:
    """An entry that is cancelled at that point, None = not at all; and how many points it has."""
    cuts: list[Cut] = []

    async def script(daemon: Daemon, result: Run, until: float) -> None:
        cuts.append(Cut(daemon, at))
        trio.lowlevel.add_instrument(cuts[0])
        await trio.sleep_forever()

    run = simulate(41, HOURS, ids=(STRATEGY,), script=script)
    return run, cuts[0].counted


def assert_whole(run: Run, at: int) -> None:
    assert judged(run) == [], at
    replica = run.replicas[STRATEGY]
    assert replica.trades <= 12, (at, replica.trades)  # 11 without a cut; what became known late is not counted
    assert replica.positions["aave_v3:aToken:awstETH"] > 0.0, at
    shorts = [key for key in replica.positions if ":Perp:" in key]
    assert len(shorts) == 3, at


def test_a_cancelled_entry_goes_on_from_where_it_was() -> None:
    _, points = entry(None)
    assert points > 100
    for at in range(1, points + 1, max(1, points // 24)):
        run, _ = entry(at)
        assert_whole(run, at)
        assert sum(isinstance(record, Manifest) for record in run.records[STRATEGY]) == 2, at


@pytest.mark.slow
def test_every_point_of_an_entry_is_cancelled_once() -> None:
    _, points = entry(None)
    for at in range(1, points + 1):
        run, _ = entry(at)
        assert_whole(run, at)
