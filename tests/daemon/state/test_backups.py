"""Copies beside a running daemon: settled in one moment, made at leisure, and harmless to the loop."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from components.model.errors import Refuse, Stop
from daemon.process.daemon import Daemon
from daemon.recorded.proof import prove
from daemon.state import backups
from daemon.state.backups import Backups
from daemon.state.copy import CONTENTS, restore_state, snapshot, verify_copy
from daemon.state.disk import RealDisk
from daemon.state.lock import Holder
from tests.daemon.house import BTC, LENDING, House, ask, cell_of, ticked

MADE = "2024-05-01T00:00:00+00:00"
MB = 1 << 20


def large(folder: Path, megabytes: int) -> Path:
    state = folder / "state"
    journal = state / "strategies" / "btc" / "journal"
    journal.mkdir(parents=True)
    (journal / "000001.journal").write_bytes(bytes(range(256)) * (megabytes * MB // 256))
    (journal / "anchor").write_text("an anchor")
    return state


def with_backups(state: Path, play: Callable[[Backups], Awaitable[None]]) -> None:
    async def main() -> None:
        found = Backups(state, lambda: MADE, threads=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(found.run)
            await play(found)
            nursery.cancel_scope.cancel()

    trio.run(main)


def test_the_loop_goes_on_while_a_large_state_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, late = large(tmp_path, 96), []
    monkeypatch.setattr(backups, "ANSWER_AFTER_S", 0.2)
    monkeypatch.setattr(backups, "BYTES_PER_S", 96e6)

    async def play(found: Backups) -> None:
        async def beat() -> None:
            while True:
                began = trio.current_time()
                await trio.sleep(0.01)
                late.append(trio.current_time() - began - 0.01)

        told: list[dict[str, Any]] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(beat)
            while not told or not told[-1]["done"]:
                told.append(dict(await found.ask(tmp_path / "copy")))
            nursery.cancel_scope.cancel()
        copied = [each["copied"] for each in told[:-1]]
        assert copied == sorted(copied)
        assert copied[-1] > 0
        assert told[-1]["bytes"] > 96 * MB

    with_backups(state, play)
    assert verify_copy(tmp_path / "copy").made == MADE
    assert sorted(late)[-3] < 0.5, "blocked as a copy on the loop blocks it"


def test_what_comes_after_the_moment_is_not_in_it(tmp_path: Path) -> None:
    state = large(tmp_path, 3)
    journal = state / "strategies" / "btc" / "journal"
    before = (journal / "000001.journal").read_bytes()
    with snapshot(state, tmp_path / "copy") as taken:
        with (journal / "000001.journal").open("ab") as file:
            file.write(b"later")
        (journal / "anchor").write_text("a later anchor")
        (journal / "new").write_bytes(before)
        (journal / "new").replace(journal / "000001.journal")
        taken.copy(made=MADE)
    copy = tmp_path / "copy" / "strategies" / "btc" / "journal"
    assert (copy / "000001.journal").read_bytes() == before
    assert (copy / "anchor").read_text() == "an anchor"
    assert sorted(path.name for path in copy.iterdir()) == ["000001.journal", "anchor"]
    verify_copy(tmp_path / "copy")


def test_one_copy_at_a_time_and_errors_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = large(tmp_path, 24)
    monkeypatch.setattr(backups, "ANSWER_AFTER_S", 0.05)
    monkeypatch.setattr(backups, "BYTES_PER_S", 24e6)

    async def play(found: Backups) -> None:
        assert not (await found.ask(tmp_path / "one"))["done"]
        with pytest.raises(Refuse, match="under way"):
            await found.ask(tmp_path / "two")
        while not (await found.ask(tmp_path / "one"))["done"]:
            pass
        with pytest.raises(Stop, match="not empty"):
            await found.ask(tmp_path / "one")
        with pytest.raises(Stop, match="inside the state"):
            await found.ask(state / "copy")

    with_backups(state, play)


def test_a_stop_ends_a_copy_which_then_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = large(tmp_path, 64)
    monkeypatch.setattr(backups, "ANSWER_AFTER_S", 0.05)
    monkeypatch.setattr(backups, "BYTES_PER_S", 4e6)

    async def play(found: Backups) -> None:
        assert not (await found.ask(tmp_path / "copy"))["done"]

    began = time.monotonic()
    with_backups(state, play)
    assert time.monotonic() - began < 5.0, "16 s of copying are left"
    assert not (tmp_path / "copy" / CONTENTS).exists()


def test_a_copy_of_a_running_daemon_goes_on_where_it_was(tmp_path: Path) -> None:
    house = House(tmp_path / "state", LENDING, BTC, disk=RealDisk(), persistent=True)
    told: list[Any] = []

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 4)
        answer = await ask(daemon, "backup", None, folder=str(tmp_path / "copy"))
        told.append(msgspec.json.decode(answer.data))
        await ticked(daemon, BTC, 4)

    house.live(play)
    assert told[0]["done"]
    restore_state(tmp_path / "copy", tmp_path / "again", holder=Holder(pid=1, started="now"))
    config = msgspec.structs.replace(house.config, state=str(tmp_path / "again"))
    again = House(tmp_path / "again", LENDING, BTC, disk=RealDisk(), persistent=True, changed=lambda _: config)

    async def goes_on(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 3)
        assert not any(venue.mismatches for venue in daemon.supervisor.replicas[BTC].venues)
        assert cell_of(daemon, BTC).desk.counts.missed == 0

    again.live(goes_on)
    assert prove(tmp_path / "again" / "strategies" / BTC / "journal").identical
