"""Showing hurts nobody: while a core computes, and when a picture cannot be taken."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog

from daemon.cells import showing
from daemon.cli.status import reasons
from daemon.process.daemon import Daemon
from daemon.replica import CellState
from tests.daemon.house import BTC, House, cell_of, replica_of, ticked


def test_a_picture_that_cannot_be_taken_ends_nothing_and_is_shown_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path, BTC)

    def fails(*parts: object) -> None:
        raise ZeroDivisionError("no price")

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 2)
        good = replica_of(daemon, BTC)
        monkeypatch.setattr(showing, "picture", fails)
        with structlog.testing.capture_logs() as lines:
            await ticked(daemon, BTC, 3)
        shown = replica_of(daemon, BTC)
        assert shown.trouble == "ZeroDivisionError: no price" and shown.tick == good.tick
        assert shown.heartbeat > good.heartbeat
        assert [line["event"] for line in lines].count("picture.failed") == 1
        assert any("this picture is old" in line for line in reasons(shown, None))
        monkeypatch.undo()
        await ticked(daemon, BTC, 1)
        assert replica_of(daemon, BTC).trouble == ""

    house.live(play)
    assert house.crashes.seen == []


def test_while_a_core_computes_its_last_picture_is_shown_on_with_what_the_cell_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path, BTC)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 2)
        cell, before = cell_of(daemon, BTC), replica_of(daemon, BTC)
        monkeypatch.setattr(showing, "picture", lambda *parts: pytest.fail("the books are being written"))
        cell.desk.is_stepping = True
        cell.desk.become(CellState.HALTED, "a look")
        shown = replica_of(daemon, BTC)
        assert (shown.state, shown.reason, shown.trouble) == (CellState.HALTED, "a look", "")
        assert (shown.equity, shown.tick) == (before.equity, before.tick)
        cell.desk.is_stepping = False
        monkeypatch.undo()

    house.live(play)
