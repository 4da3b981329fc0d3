"""What an emergency writes is kept where it can be, and shouted where it cannot; it waits for no disk."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from daemon.journal.best_effort import BestEffortLog
from daemon.journal.errors import ReserveSpent
from daemon.journal.records import Note, Record


class Reserve:
    """A journal with room for so many records, on a disk that takes its time for each."""

    def __init__(self, room: int, seconds: float = 0.0) -> None:
        self.room = room
        self.seconds = seconds
        self.kept: list[Record] = []

    async def record_emergency(self, *records: Record) -> None:
        await trio.sleep(self.seconds)
        if self.room < len(records):
            raise ReserveSpent("btc", "no space left")
        self.room -= len(records)
        self.kept += records


async def said(log: BestEffortLog, *texts: str) -> None:
    for text in texts:
        log.append(Note(at=0, kind="test", detail=text))
        await log.commit()


async def test_a_record_is_written_or_shouted_once(autojump_clock: MockClock) -> None:
    shouted: list[str] = []
    reserve = Reserve(room=1)
    log = BestEffortLog(reserve, shouted.append)
    await said(log, "a", "b")
    await log.commit()
    assert len(reserve.kept) == len(shouted) == 1


async def test_a_disk_that_does_not_answer_is_waited_for_once(autojump_clock: MockClock) -> None:
    shouted: list[str] = []
    log = BestEffortLog(Reserve(room=9, seconds=3600.0), shouted.append, within_s=2.0)
    began = trio.current_time()
    await said(log, "a", "b", "c")
    assert trio.current_time() - began == 2.0
    assert len(shouted) == 3 and all("has not answered for 2 s" in each for each in shouted)


async def test_nobody_who_hears_it_stops_nothing(autojump_clock: MockClock) -> None:
    def deaf(text: str) -> None:
        raise OSError("the terminal is full")

    log = BestEffortLog(None, deaf)
    await said(log, "a")
    assert log.failed == "nobody hears what is shouted"
