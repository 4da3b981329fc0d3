"""A journal and its committer as one: who listens hears at once, who waits is told when it is durable."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from daemon.journal.committer import Committer
from daemon.journal.errors import JournalPoisoned
from daemon.journal.journal import Journal
from daemon.journal.log import JournalLog
from daemon.journal.records import Events, Note, Outcome
from tests.daemon.fakes import virtual
from tests.daemon.journal.state import event, filled
from tests.disks import CrashDisk

NOTE = Note(at=1, kind="test", detail="x")


class Desk:
    def __init__(self) -> None:
        self.disk = CrashDisk()
        self.heard: list[object] = []
        self.journal = Journal.open(Path("/state/journal"), self.disk, name="a", now=lambda: 0)

    async def with_log(self, play: object) -> None:
        committer = Committer(threads=False)
        log = JournalLog(self.journal, committer, self.heard.append)
        async with trio.open_nursery() as nursery:
            await nursery.start(committer.run)
            await play(log)  # type: ignore[operator]
            nursery.cancel_scope.cancel()


def test_every_record_is_heard_as_it_is_appended() -> None:
    desk = Desk()

    async def play(log: JournalLog) -> None:
        assert [log.append(record) for record in (NOTE, Events(events=(event(1),)), filled("x"))] == [1, 2, 3]
        assert [type(record) for record in desk.heard] == [Note, Events, Outcome]
        assert log.head.sequence == 3
        assert desk.journal.durable.sequence == 0
        await log.commit()
        assert desk.journal.durable.sequence == 3

    virtual(lambda: desk.with_log(play))


def test_a_disk_that_fails_is_told_to_who_waits_and_an_emergency_goes_to_the_reserve() -> None:
    desk = Desk()

    async def play(log: JournalLog) -> None:
        log.append(NOTE)
        await log.commit()
        desk.disk.fill(0)
        log.append(NOTE)
        with pytest.raises(JournalPoisoned):
            await log.commit()
        await log.record_emergency(NOTE)
        assert desk.journal.durable.sequence == 2
        with pytest.raises(JournalPoisoned):
            log.append(NOTE)

    virtual(lambda: desk.with_log(play))
