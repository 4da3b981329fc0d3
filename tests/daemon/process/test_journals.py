"""The journals of a running daemon: what they are recovered to, and what becomes of one that takes nothing any more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
import trio

from components.model.errors import CFG_STATE, InvalidInput
from daemon.config.daemon_file import StrategyEntry
from daemon.journal.committer import Committer
from daemon.journal.records import Note, Record
from daemon.process.daemon import Daemon
from daemon.process.journals import AUDIT, Journals
from daemon.state.disk import RealDisk
from tests.builders import START
from tests.daemon.house import LENDING, House, ticked

T = TypeVar("T")


async def here(question: Callable[[], T]) -> T:
    await trio.lowlevel.checkpoint()
    return question()


def lived(folder: Path) -> StrategyEntry:
    async def play(daemon: Daemon) -> None:
        await ticked(daemon, LENDING, 3)

    house = House(folder, LENDING, disk=RealDisk())
    house.live(play)
    return house.config.strategies[0]


def with_journals(folder: Path, play: Callable[[Journals], Awaitable[None]]) -> list[tuple[str, Record]]:
    heard: list[tuple[str, Record]] = []

    async def main() -> None:
        committer = Committer(threads=False)
        async with trio.open_nursery() as nursery:
            await nursery.start(committer.run)
            hear = lambda whose, record: heard.append((whose, record))  # noqa: E731
            await play(Journals(RealDisk(), folder, committer, hear, here, code_hash="", at=START))
            nursery.cancel_scope.cancel()

    trio.run(main)
    return heard


def test_a_strategy_is_recovered_and_its_next_epoch_is_noted_before_anything_is_written(tmp_path: Path) -> None:
    entry = lived(tmp_path)

    async def play(journals: Journals) -> None:
        journal, recovered = await journals.recover(entry, START)
        assert (recovered.epoch, recovered.state is not None) == (1, True)
        assert (tmp_path / "strategies" / LENDING / "epoch").read_text() == "2\n"
        assert journals.usable(LENDING) is journal
        journal.append(Note(at=START, kind="a test", detail=""))

    assert with_journals(tmp_path, play) == [(LENDING, Note(at=START, kind="a test", detail=""))]


def test_an_entry_that_does_not_fit_its_journal_begins_no_epoch(tmp_path: Path) -> None:
    entry = lived(tmp_path)
    other = msgspec.structs.replace(
        entry, run=msgspec.structs.replace(entry.run, mode=msgspec.structs.replace(entry.run.mode, mode="btc_basis"))
    )

    async def play(journals: Journals) -> None:
        with pytest.raises(InvalidInput) as refused:
            await journals.recover(other, START)
        assert refused.value.code == CFG_STATE
        assert (tmp_path / "strategies" / LENDING / "epoch").read_text() == "1\n"

    with_journals(tmp_path, play)


def test_a_journal_that_takes_nothing_is_let_go_and_opened_anew(tmp_path: Path) -> None:
    entry = lived(tmp_path)

    async def play(journals: Journals) -> None:
        first, _ = await journals.recover(entry, START)
        first.journal._poison("a test", OSError(28, "No space left on device"))
        assert journals.usable(LENDING) is first, "its reserve takes what an emergency does"
        again, recovered = await journals.recover(entry, START)
        assert again is not first and journals.usable(LENDING) is again
        assert recovered.epoch == 2, "the epoch that the first one began is not given out twice"
        assert journals.usable(AUDIT) is journals.audit

    with_journals(tmp_path, play)
