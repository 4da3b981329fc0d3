"""How the daemon stops: what is to be closed at a stop is latched and closed, what is not goes on at the next start."""

from __future__ import annotations

from pathlib import Path

from msgspec import structs

from daemon.config.daemon_file import DaemonSlice
from daemon.process.daemon import Daemon
from daemon.replica import CellState
from daemon.state.latch import MARKER
from tests.daemon.house import BTC, LENDING, House, replica_of, ticked


def lending_closes(config: DaemonSlice) -> DaemonSlice:
    return structs.replace(
        config,
        strategies=tuple(
            structs.replace(each, run=structs.replace(each.run, mode=structs.replace(each.run.mode, on_stop="close")))
            if each.id == LENDING
            else each
            for each in config.strategies
        ),
    )


def test_a_stop_closes_whom_it_is_told_to_close_and_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    house = House(tmp_path, LENDING, BTC, changed=lending_closes, speed=60.0)  # a block takes a fifth of a second

    async def lives(daemon: Daemon) -> None:
        await ticked(daemon, LENDING, 3)
        await ticked(daemon, BTC, 3)

    async def again(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 2)
        assert replica_of(daemon, LENDING).state is CellState.LATCHED
        assert replica_of(daemon, BTC).state is CellState.RUNNING

    house.live(lives)
    latch = house.latches.of(LENDING)
    assert latch is not None and (latch.reason, latch.is_closed) == ("on_stop: close", True)
    assert house.latches.of(BTC) is None
    assert not any("aToken" in str(key) and amount > 1e-6 for key, amount in house.accounts[LENDING].balances.items())
    assert any(":Perp:" in str(key) and amount for key, amount in house.accounts[BTC].balances.items())
    assert not (tmp_path / MARKER).exists(), "nothing is left for the safety program to finish"
    house.live(again)
    assert house.crashes.seen == []
