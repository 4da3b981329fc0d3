"""With no daemon the journals answer: what they say, how old it is, and that nothing is touched by looking."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import msgspec
import pytest

from daemon.cli.main import main
from daemon.control.offline import all_seen, seen, view
from daemon.journal.reader import Located, journal_folder
from daemon.process.daemon import Daemon
from daemon.replica import CellState, Replica
from daemon.state.disk import RealDisk
from daemon.state.latch import Latches, Phase, requested
from daemon.state.lock import Holder, held, state_lock
from tests.daemon.house import BTC, LENDING, House, replica_of, ticked

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Replica]]:
    """A state directory after a daemon, and how its strategies stood."""
    state = tmp_path_factory.mktemp("left")
    house = House(state, LENDING, BTC, disk=RealDisk())
    pictures: dict[str, Replica] = {}

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 5)
        await ticked(daemon, LENDING, 1)
        pictures.update({name: replica_of(daemon, name) for name in (BTC, LENDING)})

    house.live(play)
    return state, pictures


def prints(state: Path) -> dict[str, tuple[int, bytes]]:
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in state.rglob("*") if path.is_file()}


def test_status_is_what_the_last_picture_was(left: tuple[Path, dict[str, Replica]]) -> None:
    state, pictures = left
    now = time.time()
    found = view(state, "status", None, {}, now)
    assert found is not None
    for replica in found.data:
        before = pictures[replica.strategy]
        assert replica.state is CellState.STOPPED
        assert replica.timestamp is not None and before.timestamp is not None
        assert replica.timestamp >= before.timestamp
        if replica.timestamp == before.timestamp:
            assert (replica.equity, replica.pnl, replica.positions) == (before.equity, before.pnl, before.positions)
            assert (replica.columns, replica.step, replica.trades) == (before.columns, before.step, before.trades)
        assert replica.observed == {}
    assert "the daemon does not run" in found.notes[0]
    assert " s ago (" in found.notes[0]


@pytest.mark.parametrize("kind", ["status", "positions", "orders", "events"])
def test_looking_touches_nothing(left: tuple[Path, dict[str, Replica]], kind: str) -> None:
    state, _ = left
    before = prints(state)
    found = view(state, kind, BTC, {"limit": "5"}, 0.0)
    assert found is not None and found.data
    assert view(state, kind, "nobody", {}, 0.0) is None
    assert view(state / "elsewhere", kind, None, {}, 0.0) is None
    assert prints(state) == before


@pytest.mark.parametrize("kind", ["status", "positions", "orders", "events"])
def test_the_command_ends_with_zero_and_says_how_old_it_is(
    left: tuple[Path, dict[str, Replica]], kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    state, _ = left
    with pytest.raises(SystemExit) as ended:
        main([kind, "--state", str(state)])
    assert ended.value.code == 0
    shown = capsys.readouterr()
    assert BTC in shown.out
    assert "the daemon does not run: this is what the journals say" in shown.err


def test_a_daemon_that_does_not_answer_is_not_taken_for_none(
    left: tuple[Path, dict[str, Replica]], capsys: pytest.CaptureFixture[str]
) -> None:
    state, _ = left
    with (
        held(state_lock(state), Holder(pid=os.getpid(), started="now"), "the state"),
        pytest.raises(SystemExit) as ended,
    ):
        main(["status", "--state", str(state)])
    assert ended.value.code == 69
    assert capsys.readouterr().out == ""


def test_a_damaged_journal_is_named_and_the_others_are_shown(tmp_path: Path) -> None:
    house = House(tmp_path, LENDING, BTC, disk=RealDisk())

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 2)

    house.live(play)
    path = journal_folder(tmp_path, BTC) / "000001.journal"
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(bytes(data))
    found, failed = all_seen(RealDisk(), tmp_path)
    assert (list(found), list(failed)) == ([LENDING], [BTC])
    shown = view(tmp_path, "status", None, {}, 0.0)
    assert shown is not None
    assert [each.strategy for each in shown.data] == [LENDING]
    assert any(note.startswith(f"{BTC}: journal {BTC} breaks at record 1") for note in shown.notes)


@pytest.mark.parametrize(("phase", "then"), [(Phase.CLOSING, "'basis safety finish'"), (Phase.FLAT, "'basis resume'")])
def test_a_book_from_before_an_emergency_stop_is_not_shown_as_what_is_held(
    left: tuple[Path, dict[str, Replica]], tmp_path: Path, phase: Phase, then: str
) -> None:
    state = tmp_path / "state"
    shutil.copytree(left[0], state)
    Latches(state).set(msgspec.structs.replace(requested(BTC, "a test", at=1, uid=0), phase=phase))
    for kind in ("status", "positions"):
        found = view(state, kind, None, {}, 0.0)
        assert found is not None
        (note,) = [note for note in found.notes if note.startswith(f"{BTC}: this book is of before its emergency stop")]
        assert then in note and "'basis orders'" in note
        assert not any(note.startswith(f"{LENDING}: this book") for note in found.notes)
    shown = view(state, "status", BTC, {}, 0.0)
    assert shown is not None and [each.phase for each in shown.data] == [phase.value]


def test_what_never_began_has_nothing_to_say(tmp_path: Path) -> None:
    assert seen(RealDisk(), Located(BTC, journal_folder(tmp_path, BTC))) is None
