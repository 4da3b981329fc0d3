"""A journal that is gone is noticed by what else remembers it, and no epoch is lived twice."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from components.model.errors import Stop
from daemon.exits import Exit
from daemon.journal.records import EpochBegan, Intent, Manifest, Note
from daemon.process.daemon import Daemon
from daemon.recorded.epochs import EpochDamaged, Epochs, JournalGone, check_daemon_journal
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


def removed(state: Path) -> None:
    shutil.rmtree(state / "strategies" / BTC)


def refused(house: House, code: str) -> str:
    """Starts it: one strategy is refused with this code, the other trades; what the refusal says."""
    said: list[str] = []

    async def play(daemon: Daemon) -> None:
        await in_state(daemon, CellState.FAILED, BTC)
        await ticked(daemon, LENDING, 3)
        said.append(replica_of(daemon, BTC).reason)

    house.live(play)
    assert house.ended is not None
    assert house.ended.broken == {BTC: Exit.DAMAGED}
    assert code in said[0]
    return said[0]


@pytest.mark.parametrize("memory", ["daemon's journal", "index"])
def test_a_removed_folder_is_no_new_strategy(memory: str, tmp_path: Path) -> None:
    house = lived(tmp_path, orders_asked=True)
    removed(tmp_path)
    if memory == "index":
        shutil.rmtree(tmp_path / "journal" / "daemon")
        shutil.copytree(lived(tmp_path / "other").state / "journal" / "daemon", tmp_path / "journal" / "daemon")
    else:
        for each in tmp_path.glob("index.sqlite*"):
            each.unlink()
    said = refused(house, "EVT-010")
    assert f"nothing is left of {BTC}" in said and "anew" in said
    assert not list((tmp_path / "strategies" / BTC).glob("journal/*.journal")), "nothing was begun"


def test_a_removed_ledger_is_no_new_account(tmp_path: Path) -> None:
    house = lived(tmp_path)
    shutil.rmtree(tmp_path / "strategies" / BTC / "venues")
    assert "paper.ledger" in refused(house, "SIM-005")
    assert not (tmp_path / "strategies" / BTC / "venues").exists(), "nothing was begun"


ABSURD = ["9" * 5000, "1" + "0" * 30, str(2**63), "10000001", "-3", "0", "", "1.5", "new", "anewer", "\x00\x00", "٣"]


@pytest.mark.parametrize("text", ABSURD)
def test_an_absurd_epoch_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "strategies" / BTC / "epoch"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(EpochDamaged, match="EVT-024") as caught:
        Epochs(RealDisk(), tmp_path, tmp_path / "none", ()).before(BTC)
    assert str(path) in str(caught.value)
    assert path.read_text() == text


def test_an_absurd_epoch_keeps_its_strategy_down_and_no_other(tmp_path: Path) -> None:
    house = lived(tmp_path)
    path = tmp_path / "strategies" / BTC / "epoch"
    path.write_text(ABSURD[1])
    assert str(path) in refused(house, "EVT-024")


def test_epochs_are_read_from_the_notes_of_before(tmp_path: Path) -> None:
    """Journals of before have a note; the record that took its place may come behind it, or an odd name inside it."""
    noted = [
        Note(at=1, kind="epoch.began", detail="a strategy 4"),
        EpochBegan(at=2, strategy="a strategy", epoch=3),
        EpochBegan(at=3, strategy="b", epoch=7),
        Note(at=4, kind="daemon.ready", detail="b 99"),
    ]
    epochs = Epochs(RealDisk(), tmp_path, tmp_path / "none", noted)
    for strategy, known in (("a strategy", 4), ("b", 7), ("c", 0)):
        epoch = tmp_path / "strategies" / strategy / "epoch"
        epoch.parent.mkdir(parents=True)
        epoch.write_text("anew")
        assert epochs.before(strategy) == known


def test_each_start_is_a_record_in_the_daemons_journal(tmp_path: Path) -> None:
    house = lived(tmp_path)
    records = house.records("daemon")
    began = [(each.strategy, each.epoch) for each in records if isinstance(each, EpochBegan)]
    assert sorted(began) == [(BTC, 1), (LENDING, 1)]
    assert not [each for each in records if isinstance(each, Note) and each.kind == "epoch.began"]


@pytest.mark.parametrize("memory", ["daemon's journal", "index"])
def test_a_strategy_that_begins_anew_repeats_no_order_id(memory: str, tmp_path: Path) -> None:
    house = lived(tmp_path, orders_asked=True)
    before = ids_of(house)
    removed(tmp_path)
    (tmp_path / "strategies" / BTC).mkdir()
    (tmp_path / "strategies" / BTC / "epoch").write_text("anew\n")
    if memory == "index":  # as a version left it that noted no epochs
        shutil.rmtree(tmp_path / "journal" / "daemon")
        shutil.copytree(lived(tmp_path / "other").state / "journal" / "daemon", tmp_path / "journal" / "daemon")
    else:
        for each in tmp_path.glob("index.sqlite*"):
            each.unlink()

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 4)
        assert cell_of(daemon, BTC).desk.epoch > 1

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
        assert cell_of(daemon, BTC).desk.epoch == 8

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
