"""The emergency latch on disk: who stands under it, how it advances, and that doubt counts as a latch."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.state.latch import ALL, UNREADABLE, Latch, Latches, Phase, remove_durably, replace_durably, requested

IDS = ("a", "b")


def of_all(at: int = 1) -> Latch:
    return requested(ALL, "operator", at=at, uid=1000)


def test_without_a_file_nobody_is_latched(tmp_path: Path) -> None:
    assert Latches(tmp_path).of("a") is None
    assert Latches(tmp_path / "absent").of_all() is None


def test_a_latch_for_one_leaves_the_others_alone(tmp_path: Path) -> None:
    latch = requested("a", "loss limit", at=1, uid=0)
    Latches(tmp_path).set(latch)
    again = Latches(tmp_path)
    assert again.of("a") == latch
    assert again.of("b") is None


def test_each_strategy_advances_by_itself_under_a_latch_for_all(tmp_path: Path) -> None:
    latches, latch = Latches(tmp_path), of_all()
    latches.set(latch)
    latches.advance("a", Phase.CLOSING)
    advanced = latches.advance("a", Phase.FLAT)
    assert (advanced.id, advanced.scope, advanced.reason, advanced.is_closed) == (latch.id, "a", "operator", True)
    assert Latches(tmp_path).of("a") == advanced
    standing = latches.of("b")
    assert standing is not None
    assert standing.phase is Phase.REQUESTED


def test_a_new_request_closes_again_what_is_flat(tmp_path: Path) -> None:
    latches = Latches(tmp_path)
    latches.set(of_all(at=1))
    latches.advance("a", Phase.FLAT)
    latches.set(of_all(at=2))
    standing = latches.of("a")
    assert standing is not None
    assert standing.phase is Phase.REQUESTED
    assert standing.id == of_all(at=2).id


def test_resumed_is_only_who_was_resumed_and_the_last_one_ends_it(tmp_path: Path) -> None:
    latches = Latches(tmp_path)
    latches.set(of_all())
    flat = latches.advance("a", Phase.FLAT)
    assert latches.release("a", IDS) == flat
    assert Latches(tmp_path).of("a") is None
    assert Latches(tmp_path).of("b") is not None
    latches.release("b", IDS)
    assert Latches(tmp_path).of("b") is None
    assert latches.of_all() is None
    assert not latches.path(ALL).exists()


def test_a_resumed_strategy_can_be_latched_again(tmp_path: Path) -> None:
    latches = Latches(tmp_path)
    latches.set(of_all())
    latches.release("a", IDS)
    own = requested("a", "again", at=9, uid=0)
    latches.set(own)
    assert latches.of("a") == own


def test_a_crash_while_resuming_leaves_the_strategy_latched(tmp_path: Path) -> None:
    latches = Latches(tmp_path)
    latches.set(of_all())
    latches.advance("a", Phase.FLAT)

    def power_cut(path: Path) -> None:
        raise OSError("power cut")

    with pytest.raises(OSError, match="power cut"):
        Latches(tmp_path, remove=power_cut).release("a", IDS)
    assert Latches(tmp_path).of("a") is not None


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b'{"scope": "a", "phase": "done"}', b"\xff\xfe"])
@pytest.mark.parametrize("scope", ["a", ALL])
def test_a_file_that_cannot_be_read_is_a_latch(tmp_path: Path, content: bytes, scope: str) -> None:
    latches = Latches(tmp_path)
    path = latches.path(scope)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    standing = latches.of("a")
    assert standing is not None
    assert (standing.phase, standing.reason) == (Phase.REQUESTED, UNREADABLE)
    assert latches.advance("a", Phase.FLAT).is_closed
    latches.release("a", ["a"])
    assert latches.of("a") is None


def test_a_folder_in_its_place_is_a_latch(tmp_path: Path) -> None:
    Latches(tmp_path).path(ALL).mkdir(parents=True)
    assert Latches(tmp_path).of("a") is not None


def test_only_a_latched_strategy_advances(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not latched"):
        Latches(tmp_path).advance("a", Phase.CLOSING)


def test_all_writes_go_through_the_given_disk(tmp_path: Path) -> None:
    written: list[Path] = []

    def replace(path: Path, data: bytes) -> None:
        written.append(path)
        replace_durably(path, data)

    latches = Latches(tmp_path, replace)
    latches.set(of_all())
    latches.advance("a", Phase.CLOSING)
    latches.release("a", IDS)
    assert written == [latches.path(ALL), latches.path("a"), latches.path(ALL)]


def test_a_failed_write_leaves_the_old_latch_and_no_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "EMERGENCY_STOP"
    replace_durably(path, b"old")

    def full(self: Path, target: Path) -> Path:
        raise OSError("no space left")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="no space"):
        replace_durably(path, b"new")
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["EMERGENCY_STOP"]


def test_data_and_name_are_synced_in_this_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    done: list[str] = []
    sync, replace = os.fsync, Path.replace

    def spied_sync(descriptor: int) -> None:
        done.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
        sync(descriptor)

    def spied_replace(self: Path, target: Path) -> Path:
        done.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", spied_sync)
    monkeypatch.setattr(Path, "replace", spied_replace)
    path = tmp_path / "latch"
    replace_durably(path, b"x")
    remove_durably(path)
    remove_durably(path)
    assert done == ["file", "rename", "folder", "folder"]


def test_a_request_is_part_of_what_is_under_way_only_if_that_closes_all_of_it(tmp_path: Path) -> None:
    latches = Latches(tmp_path)
    everything = requested(ALL, "first", at=1, uid=0)
    assert latches.under_way(ALL, IDS) is None and latches.under_way("a", IDS) is None
    latches.set(everything)
    assert latches.under_way(ALL, IDS) == everything == latches.under_way("a", IDS)
    for name in IDS:
        assert latches.under_way(ALL, IDS) == everything, "as long as one is being closed"
        latches.advance(name, Phase.FLAT)
    assert latches.under_way(ALL, IDS) is None, "all are flat: they are looked at again"
    latches.set(requested(ALL, "second", at=2, uid=0))
    latches.release("a", IDS)
    assert latches.under_way(ALL, IDS) is None, "one was resumed"
    latches.set(requested("a", "by itself", at=3, uid=0))
    latches.advance("b", Phase.FAILED)
    assert latches.under_way(ALL, IDS) is None, "one has failed"
