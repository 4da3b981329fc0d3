"""The daemon around its strategies: what goes wrong with its own files ends there, is said, and is mended."""

from __future__ import annotations

import os
from pathlib import Path

from daemon.process.daemon import Daemon
from daemon.state.disk import RealDisk
from tests.daemon.house import LENDING, House, cell_of, ticked, until


def test_restarts_on_a_journal_that_fails_let_its_files_go(tmp_path: Path) -> None:
    house = House(tmp_path, LENDING, disk=RealDisk())
    counts: list[int] = []

    async def play(daemon: Daemon) -> None:
        for _ in range(4):
            await ticked(daemon, LENDING, 2)
            counts.append(len(os.listdir("/proc/self/fd")))
            restarts = daemon.supervisor.restarts[LENDING]
            journal = cell_of(daemon).desk.journal.journal  # type: ignore[attr-defined]
            journal._poison("a test", OSError(28, "No space left on device"))
            await until(lambda before=restarts: daemon.supervisor.restarts[LENDING] > before)  # type: ignore[misc]
            await until(lambda: LENDING in daemon.supervisor.cells and cell_of(daemon).actor.steps > 0)

    house.live(play)
    assert max(counts) <= counts[0] + 1, counts
