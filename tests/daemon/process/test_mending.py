"""The daemon's own journal after a disk that took nothing: said while it lasts, and opened again after it."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from components.model.errors import Stop
from daemon.cells.authority import Pause
from daemon.journal.records import Command, Note
from daemon.monitoring.health import Level
from daemon.process.daemon import Daemon
from tests.daemon.house import LENDING, House, ask, cell_of, ticked, until


def journal_level(daemon: Daemon) -> tuple[Level, str]:
    (found,) = [each for each in daemon.health.components() if each.name == "journal"]
    return found.level, found.reason


@pytest.mark.parametrize("how", ["full", "a failed sync"])
def test_its_own_journal_is_mended_once_the_disk_takes_it(how: str, tmp_path: Path) -> None:
    house = House(tmp_path, LENDING)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, LENDING, 2)
        await ask(daemon, "pause", LENDING, reason="before")
        await ask(daemon, "resume", LENDING)
        if how == "full":
            house.crash_disk.fill(0)
        else:
            house.crash_disk.fail_at("journal.sync")
        with pytest.raises(Stop, match="journal daemon can no longer be written"):
            await ask(daemon, "pause", LENDING, reason="lost")
        await trio.sleep(0.1)
        if how == "full":
            await until(lambda: "journal" in [each.name for each in daemon.health.components()])
            level, why = journal_level(daemon)
            assert level is Level.FAILED
            assert "commands are refused" in why
            house.crash_disk.repair()
        await until(lambda: not daemon._audit.journal.poisoned)
        assert journal_level(daemon)[0] is Level.OK
        answer = await ask(daemon, "pause", LENDING, reason="after")
        assert answer.ok
        await until(lambda: LENDING in daemon.supervisor.cells and cell_of(daemon).desk.paused == Pause(reason="after"))

    house.live(play)
    records = house.records("daemon")
    done = [
        each for each in records if isinstance(each, Command) and each.answer == "accepted" and each.kind == "pause"
    ]
    assert [each.arguments["reason"] for each in done] == ["before", "after"]
    assert [each.kind for each in records if isinstance(each, Note)].count("journal.mended") == 1
