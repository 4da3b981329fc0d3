"""State directories as the version before has left them, with positions open, are gone on with.

`tests/data/states` holds them as `basis run --config configs/paper.yaml --speed 600` of that version left them: stopped
in order (`clean`), killed in the middle (`killed`), and with a pause, a deposit and a latch in them (`commands`).
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from components.model.errors import InvalidInput
from daemon.config.daemon_file import DaemonSlice, load_daemon
from daemon.config.settings import PACKAGED
from daemon.control.offline import all_seen
from daemon.journal.reader import journals, verify
from daemon.journal.records import Manifest
from daemon.process.daemon import Daemon
from daemon.process.restart import check_restart
from daemon.provenance import provenance
from daemon.recorded.configuration import last_configuration
from daemon.replica import CellState
from daemon.state.disk import RealDisk
from daemon.state.latch import Latches
from tests.daemon.house import BTC, House, cell_of, replica_of, until
from venues.paper.store import read_ledger

STATES = Path(__file__).resolve().parents[2] / "data" / "states"
ALL = ("btc-basis", "eth-leveraged", "lending", "market-neutral")


@pytest.fixture(params=["clean", "killed", "commands"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    with tarfile.open(STATES / f"state-0-{request.param}.tar.xz") as kept:
        kept.extractall(tmp_path / request.param, filter="data")
    return tmp_path / request.param


def config_of(state: Path) -> DaemonSlice:
    return load_daemon(PACKAGED / "paper.yaml", environ={"BASIS_STATE_DIR": str(state)})


def test_everything_in_it_can_be_read(state: Path) -> None:
    disk = RealDisk()
    assert [verify(disk, journal).ok for journal in journals(disk, state)] == [True] * 5
    found, failed = all_seen(disk, state)
    assert (sorted(found), failed) == (sorted(ALL), {})
    assert any(":Perp:" in held for held in found["market-neutral"].holds())
    for name in ALL:
        assert read_ledger(state / "strategies" / name / "venues" / "paper.ledger")
    try:
        check_restart(last_configuration(state), config_of(state), disk)
    except InvalidInput as invalid:
        raise AssertionError(invalid.faults) from invalid


def test_it_goes_on_with_its_positions(state: Path) -> None:
    held, _ = all_seen(RealDisk(), state)
    house = House(state, *ALL, disk=RealDisk(), persistent=True, provenance=provenance())
    latched = {name for name in ALL if Latches(state).of(name) is not None}

    async def play(daemon: Daemon) -> None:
        running = [name for name in ALL if name not in latched]
        await until(lambda: all(cell_of(daemon, name).actor.steps >= 4 for name in running))
        for name in ALL:
            picture = replica_of(daemon, name)
            assert picture.state is not CellState.FAILED, picture.reason
            assert not any(venue.mismatches for venue in picture.venues), (name, picture.venues)
            assert picture.missed == 0
        for key, amount in held[BTC].expected.items():
            if ":Perp:" in key:
                assert replica_of(daemon, BTC).positions[key] == pytest.approx(amount, rel=0.2)

    house.live(play)
    assert house.crashes.seen == []
    for name in ALL:
        epochs = [each.epoch for each in house.records(name) if isinstance(each, Manifest)]
        assert epochs == sorted(set(epochs))
        assert len(epochs) >= 2
