"""What an emergency owes the journal is written once, in order, and stays owed as long as it is not durable."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from components.model.errors import Stop
from daemon.journal.committer import Committer
from daemon.journal.journal import Journal
from daemon.journal.log import JournalLog
from daemon.journal.owed import NOTE, Owed, kept
from daemon.journal.records import LatchChanged, Note, Record
from daemon.state.disk import RealDisk

OWED: list[Record] = [
    LatchChanged(at=1, phase="closing", scope="a", reason="x"),
    Note(at=2, kind="emergency margin", detail="okx: moved"),
    LatchChanged(at=3, phase="flat", scope="a", reason="x"),
]


async def reading(question: Callable[[], frozenset[bytes]]) -> frozenset[bytes]:
    return question()


class Desk:
    def __init__(self, folder: Path, committer: Committer) -> None:
        journal = Journal.open(folder / "journal", RealDisk(), name="a", now=lambda: 7)
        self.heard: list[Record] = []
        self.log = JournalLog(journal, committer, self.heard.append)

    @property
    def ours(self) -> list[Record]:
        return [each for _, each in self.log.journal.records() if not isinstance(each, Note) or each.kind != "opened"]


async def served(play: Callable[[Committer], object]) -> None:
    committer = Committer(threads=False)
    async with trio.open_nursery() as nursery:
        await nursery.start(committer.run)
        await play(committer)  # type: ignore[misc]
        nursery.cancel_scope.cancel()


async def test_they_are_written_in_order_and_it_is_said(tmp_path: Path) -> None:
    async def play(committer: Committer) -> None:
        desk, owed = Desk(tmp_path, committer), Owed()
        owed.records = list(OWED)
        await owed.pay(desk.log, 9, reading)
        *written, told = desk.ours[-4:]
        assert written == OWED
        assert isinstance(told, Note) and told.kind == NOTE and told.detail.startswith("3 record(s)")
        assert owed.records == []
        assert desk.heard == [told], "those who listen have been told of the others"
        await owed.pay(desk.log, 9, reading)
        assert desk.ours[-4:] == [*OWED, told], "and nothing twice"

    await served(play)


async def test_what_the_disk_has_kept_after_all_is_not_written_twice(tmp_path: Path) -> None:
    async def play(committer: Committer) -> None:
        desk, owed = Desk(tmp_path, committer), Owed()
        desk.log.append(OWED[1])
        await desk.log.commit()
        owed.records = list(OWED)
        await owed.pay(desk.log, 9, reading)
        assert [each for each in desk.ours if each in OWED] == [OWED[1], OWED[0], OWED[2]]
        assert len(kept(desk.log)) >= 4

    await served(play)


async def test_what_comes_while_it_is_written_is_written_too(tmp_path: Path) -> None:
    async def play(committer: Committer) -> None:
        desk, owed, more = Desk(tmp_path, committer), Owed(), [OWED[2]]
        owed.records = OWED[:2]

        async def slowly(question: Callable[[], frozenset[bytes]]) -> frozenset[bytes]:
            found = question()
            if more:
                owed.records.append(more.pop())
            return found

        await owed.pay(desk.log, 9, slowly)
        assert [each for each in desk.ours if each in OWED] == OWED
        assert owed.records == []

    await served(play)


async def test_a_journal_that_takes_nothing_leaves_all_of_it_owed(tmp_path: Path) -> None:
    async def play(committer: Committer) -> None:
        desk, owed = Desk(tmp_path, committer), Owed()
        owed.records = list(OWED)
        await committer.close(desk.log.journal)
        with pytest.raises(Stop):
            await owed.pay(desk.log, 9, reading)
        assert owed.records == OWED

    await served(play)
