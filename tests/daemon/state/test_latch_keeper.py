"""Latches of a running daemon: in memory first, on the disk as soon as it lets them, and heard wherever they appear."""

from __future__ import annotations

import errno
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from daemon.state import latch_keeper
from daemon.state.latch import ALL, MARKER, Latches, Phase, requested
from daemon.state.latch_keeper import LatchKeeper
from tests.daemon.house import BTC


def test_what_is_set_stands_at_once_and_is_on_the_disk(tmp_path: Path) -> None:
    keeper = LatchKeeper(tmp_path, threads=False)
    latch = requested(BTC, "a test", at=1, uid=0)
    keeper.set(latch)
    assert keeper.of(BTC) == Latches(tmp_path).of(BTC) == latch
    keeper.release(BTC, (BTC,))
    assert keeper.of(BTC) is None and Latches(tmp_path).of(BTC) is None


async def test_a_disk_that_takes_nothing_is_tried_again_until_it_does(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    refusing = [True]

    def replace(path: Path, data: bytes) -> None:
        if refusing[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        path.write_bytes(data)

    keeper = LatchKeeper(tmp_path, replace=replace, threads=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run)
        keeper.set(requested(BTC, "a test", at=1, uid=0))
        keeper.advance(BTC, Phase.CLOSING)
        assert await keeper.written() == {BTC: "No space left on device"}
        assert Latches(tmp_path).of(BTC) is None
        refusing[0] = False
        await trio.sleep(2 * latch_keeper.AGAIN_S)
        written = Latches(tmp_path).of(BTC)
        assert written is not None and written.phase is Phase.CLOSING, "the newest state"
        nursery.cancel_scope.cancel()


async def test_a_latch_of_somebody_else_is_heard_once_and_never_after_it_was_released(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    keeper = LatchKeeper(tmp_path, threads=False)
    assert keeper.of(BTC) is None
    Latches(tmp_path).set(requested(BTC, "by hand", at=1, uid=0))
    assert [latch.reason for latch in await keeper.look((BTC,))] == ["by hand"]
    assert await keeper.look((BTC,)) == []
    keeper.release(BTC, (BTC,))
    assert await keeper.look((BTC,)) == [] and keeper.of(BTC) is None


def test_a_file_that_is_deleted_by_hand_changes_nothing(tmp_path: Path) -> None:
    keeper = LatchKeeper(tmp_path, threads=False)
    keeper.set(requested(BTC, "a test", at=1, uid=0))
    keeper.path(BTC).unlink()
    assert keeper.of(BTC) is not None


async def test_a_disk_that_hangs_is_not_waited_for(tmp_path: Path) -> None:
    """The real worker thread, in real time."""
    let_go: list[Callable[[], None]] = []
    done = trio.Event()
    token = trio.lowlevel.current_trio_token()

    def hang(path: Path, data: bytes) -> None:
        trio.from_thread.run(done.wait, trio_token=token)

    let_go.append(done.set)
    keeper = latch_keeper.LatchKeeper(tmp_path, replace=hang)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run)
        keeper.set(requested(BTC, "a test", at=1, uid=0))
        with trio.fail_after(2.0):
            assert await keeper.written(0.1) == {BTC: latch_keeper.HUNG}
        standing = keeper.of(BTC)
        assert standing is not None and standing.phase is Phase.REQUESTED
        done.set()
        assert await keeper.written(2.0) == {}
        nursery.cancel_scope.cancel()


@contextmanager
def no_descriptors_left() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_that_nothing_can_be_opened_is_no_emergency(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A crowd that uses up the descriptors once sold everything: no file could be read, so each was a latch."""
    keeper = LatchKeeper(tmp_path, threads=False)
    assert keeper.of(BTC) is None
    with no_descriptors_left():
        assert await keeper.look((ALL, BTC)) == []
        assert LatchKeeper(tmp_path, threads=False).of(BTC) is None, "nor is it at a start"
    assert keeper.of(BTC) is None


async def test_a_latch_that_cannot_be_opened_again_asks_for_nothing_new(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    keeper = LatchKeeper(tmp_path, threads=False)
    keeper.set(requested(ALL, "a test", at=1, uid=0))
    keeper.release(BTC, (BTC, "lending"))
    with no_descriptors_left():
        assert await keeper.look((ALL, BTC)) == []
    assert keeper.of(BTC) is None, "who was resumed stays so"
    assert keeper.of("lending") is not None


async def test_a_file_that_is_there_and_cannot_be_opened_is_a_latch(tmp_path: Path, autojump_clock: MockClock) -> None:
    keeper = LatchKeeper(tmp_path, threads=False)
    assert keeper.of(BTC) is None
    Latches(tmp_path).set(requested(BTC, "by hand", at=1, uid=0))
    with no_descriptors_left():
        assert [latch.scope for latch in await keeper.look((BTC,))] == [BTC]


async def test_every_file_that_says_nothing_readable_is_heard(tmp_path: Path, autojump_clock: MockClock) -> None:
    """`touch EMERGENCY_STOP`, once more after everybody was resumed."""
    keeper = LatchKeeper(tmp_path, threads=False)
    for _ in range(3):
        keeper.path(ALL).touch()
        assert [latch.scope for latch in await keeper.look((ALL, BTC))] == [ALL]
        assert await keeper.look((ALL, BTC)) == [], "once"
        keeper.advance(BTC, Phase.FLAT)
        standing = keeper.of(BTC)
        assert standing is not None and standing.is_closed
        keeper.release(BTC, (BTC,))
        assert keeper.of(BTC) is None and not keeper.path(ALL).exists()


def test_a_disk_that_hangs_keeps_nobody_from_ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = threading.Event()
    monkeypatch.setattr(latch_keeper, "mark", lambda state, is_closing: hangs.wait(20.0))
    monkeypatch.setattr(latch_keeper, "ANSWER_S", 0.2)
    began = time.monotonic()
    trio.run(LatchKeeper(tmp_path).mark, True)
    assert time.monotonic() - began < 5.0
    hangs.set()


def test_the_marker_of_the_timer_says_whether_there_is_something_to_close(tmp_path: Path) -> None:
    for threads in (True, False):
        keeper = LatchKeeper(tmp_path, threads=threads)
        trio.run(keeper.mark, True)
        assert (tmp_path / MARKER).exists()
        trio.run(keeper.mark, False)
        assert not (tmp_path / MARKER).exists()
