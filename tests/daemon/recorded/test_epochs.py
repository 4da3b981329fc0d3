"""A journal that is gone is noticed by what else remembers it, and no epoch is lived twice."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from components.model.errors import Stop
from daemon.exits import Exit
from daemon.journal.records import Intent, Manifest
from daemon.process.daemon import Daemon
from daemon.recorded.epochs import JournalGone, check_daemon_journal
from daemon.replica import CellState
from daemon.state.disk import RealDisk
from tests.daemon.house import BTC, LENDING, House, ask, cell_of, in_state, replica_of, ticked


def lived(tmp_path: Path, *, orders_asked: bool = False) -> House:
    house = House(tmp_path, LENDING, BTC, disk=RealDisk(), persistent=True)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 4)
        if orders_asked:
            await ask(daemon, "orders", BTC)  # the index has read them

    house.live(play)
    return house


def ids_of(house: House) -> set[str]:
    return {order.id for each in house.records(BTC) if isinstance(each, Intent) for order in each.group.orders}


@pytest.mark.parametrize("traces", ["epoch", "ledger", "all"])
def test_an_emptied_journal_is_refused_for_its_strategy_alone(traces: str, tmp_path: Path) -> None:
    house = lived(tmp_path)
    shutil.rmtree(tmp_path / "strategies" / BTC / "journal")
    if traces == "epoch":
        shutil.rmtree(tmp_path / "strategies" / BTC / "venues")
    if traces == "ledger":
        (tmp_path / "strategies" / BTC / "epoch").unlink()

    async def play(daemon: Daemon) -> None:
        await in_state(daemon, CellState.FAILED, BTC)
        await ticked(daemon, LENDING, 3)
        assert "EVT-010" in replica_of(daemon, BTC).reason

    house.live(play)
    assert house.ended is not None
    assert house.ended.broken == {BTC: Exit.DAMAGED}
    assert not list((tmp_path / "strategies" / BTC).glob("journal/*.journal")), "nothing was begun"


@pytest.mark.parametrize("memory", ["daemon's journal", "index"])
def test_a_strategy_that_begins_anew_repeats_no_order_id(memory: str, tmp_path: Path) -> None:
    house = lived(tmp_path, orders_asked=True)
    before = ids_of(house)
    shutil.rmtree(tmp_path / "strategies" / BTC)
    if memory == "index":  # as a version left it that noted no epochs
        shutil.rmtree(tmp_path / "journal" / "daemon")
        shutil.copytree(lived(tmp_path / "other").state / "journal" / "daemon", tmp_path / "journal" / "daemon")
    else:
        for each in tmp_path.glob("index.sqlite*"):
            each.unlink()

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 4)
        assert cell_of(daemon, BTC).epoch > 1

    house.live(play)
    (manifest,) = [each for each in house.records(BTC) if isinstance(each, Manifest)]
    assert manifest.epoch > 1
    assert before and ids_of(house) and not before & ids_of(house)


def test_each_start_is_an_epoch_of_its_own_on_disk_first(tmp_path: Path) -> None:
    house = lived(tmp_path)
    assert (tmp_path / "strategies" / BTC / "epoch").read_text() == "1\n"
    (tmp_path / "strategies" / BTC / "epoch").write_text("7\n")  # a start that was cut before its first record

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 1)
        assert cell_of(daemon, BTC).epoch == 8

    house.live(play)


def test_the_daemons_own_journal_is_missed_too(tmp_path: Path) -> None:
    house = lived(tmp_path)
    shutil.rmtree(tmp_path / "journal" / "daemon")
    with pytest.raises(JournalGone, match="daemon's journal is gone"):
        check_daemon_journal(RealDisk(), tmp_path)

    async def play(daemon: Daemon) -> None:
        raise AssertionError("it has started")

    with pytest.raises((Stop, ExceptionGroup)):
        house.live(play)
    check_daemon_journal(RealDisk(), tmp_path / "a new one")
