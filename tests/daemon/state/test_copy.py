"""Copies of a state directory: whole, verified, and put back byte for byte or not at all."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from components.model.errors import InvalidInput, Stop
from daemon.journal.reader import journals, verify
from daemon.state.copy import CONTENTS, OPS_BACKUP, copy_state, restore_state, verify_copy
from daemon.state.disk import RealDisk
from daemon.state.lock import OPS_LOCKED, Holder, held, state_lock
from tests.daemon.journal.state import written

ME = Holder(pid=os.getpid(), started="now")
MADE = "2024-05-01T00:00:00+00:00"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Journals of a daemon and two strategies, and all that a copy leaves out."""
    state = tmp_path / "state"
    state.mkdir()
    written(RealDisk(), state)
    (state / "strategies" / "btc" / "EMERGENCY_STOP").write_text("{}")
    (state / "index.sqlite").write_text("derived")
    (state / "lock").write_text("{}")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(state / "s"))
    return state


def contents_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_copy_that_was_put_back_is_the_state_byte_for_byte(state: Path, tmp_path: Path) -> None:
    copied = copy_state(state, tmp_path / "copy", made=MADE)
    assert verify_copy(tmp_path / "copy") == copied
    assert restore_state(tmp_path / "copy", tmp_path / "new", holder=ME) == copied
    old, new = contents_of(state), contents_of(tmp_path / "new")
    assert set(old) - set(new) == {"index.sqlite"}
    assert all(new[name] == old[name] for name in copied.files)
    assert copied.size == sum(len(old[name]) for name in copied.files)
    assert "strategies/btc/EMERGENCY_STOP" in copied.files
    disk = RealDisk()
    assert [verify(disk, journal).ok for journal in journals(disk, tmp_path / "new")] == [True, True, True]


def test_anchors_are_copied_before_the_segments_they_vouch_for(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    plain = os.open

    def spied(path: Path | str, *words: int) -> int:
        if Path(path).is_relative_to(state):
            opened.append(Path(path).name)
        return plain(path, *words)

    monkeypatch.setattr(os, "open", spied)
    copy_state(state, tmp_path / "copy", made=MADE)
    last_anchor = max(i for i, name in enumerate(opened) if name == "anchor")
    assert last_anchor < min(i for i, name in enumerate(opened) if name.endswith(".journal"))


def test_every_difference_of_a_damaged_copy_is_named(state: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy_state(state, copy, made=MADE)
    segment = copy / "strategies" / "btc" / "journal" / "000001.journal"
    segment.write_bytes(segment.read_bytes()[:-1] + b"!")
    (copy / "strategies" / "eth" / "journal" / "anchor").unlink()
    (copy / "new").write_text("x")
    with pytest.raises(InvalidInput) as caught:
        restore_state(copy, tmp_path / "new", holder=ME)
    assert caught.value.code == OPS_BACKUP
    assert [fault.where for fault in caught.value.faults] == [
        "new", "strategies/btc/journal/000001.journal", "strategies/eth/journal/anchor",
    ]  # fmt: skip
    assert not (tmp_path / "new").exists()


def test_a_folder_without_contents_is_no_copy(state: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        verify_copy(state)
    assert CONTENTS in str(caught.value)


def test_nothing_is_put_over_a_state(state: Path, tmp_path: Path) -> None:
    copy_state(state, tmp_path / "copy", made=MADE)
    before = contents_of(state)
    with pytest.raises(Stop) as caught:
        restore_state(tmp_path / "copy", state, holder=ME)
    assert caught.value.code == OPS_BACKUP
    (state / "lock").write_bytes(before["lock"])
    assert contents_of(state) == before


def test_nothing_is_put_under_a_running_daemon(state: Path, tmp_path: Path) -> None:
    copy_state(state, tmp_path / "copy", made=MADE)
    target = tmp_path / "running"
    with held(state_lock(target), ME, "state"), pytest.raises(Stop) as caught:
        restore_state(tmp_path / "copy", target, holder=ME)
    assert caught.value.code == OPS_LOCKED
    assert [path.name for path in target.iterdir()] == ["lock"]


@pytest.mark.parametrize("place", ["full", "state/inside", "file"])
def test_a_copy_goes_to_an_empty_place_outside(state: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("keep")
    (tmp_path / "file").write_text("keep")
    before = contents_of(tmp_path)
    with pytest.raises(Stop) as caught:
        copy_state(state, tmp_path / place, made=MADE)
    assert caught.value.code == OPS_BACKUP
    assert contents_of(tmp_path) == before


def test_a_state_that_is_not_there_cannot_be_copied(tmp_path: Path) -> None:
    with pytest.raises(Stop):
        copy_state(tmp_path / "absent", tmp_path / "copy", made=MADE)
    assert not (tmp_path / "copy").exists()


def test_a_copy_that_failed_has_no_contents(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Stop, match="No space left"):
        copy_state(state, tmp_path / "copy", made=MADE)
    assert not (tmp_path / "copy" / CONTENTS).exists()
