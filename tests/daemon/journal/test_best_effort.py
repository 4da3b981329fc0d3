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


def note(text: str) -> Note:
    return Note(at=0, kind="test", detail=text)


async def said(log: BestEffortLog, *texts: str) -> None:
    for text in texts:
        log.append(note(text))
        await log.commit()


async def test_a_record_is_written_or_shouted_once(autojump_clock: MockClock) -> None:
    shouted: list[str] = []
    reserve = Reserve(room=1)
    log = BestEffortLog(lambda: reserve, shouted.append)
    await said(log, "a", "b")
    await log.commit()
    assert len(reserve.kept) == len(shouted) == 1


async def test_a_disk_that_does_not_answer_is_waited_for_once(autojump_clock: MockClock) -> None:
    shouted: list[str] = []
    slow = Reserve(room=9, seconds=3600.0)
    log = BestEffortLog(lambda: slow, shouted.append, within_s=2.0)
    began = trio.current_time()
    await said(log, "a", "b", "c")
    assert trio.current_time() - began == 2.0
    assert len(shouted) == 3 and all("has not answered for 2 s" in each for each in shouted)


async def test_nobody_who_hears_it_stops_nothing(autojump_clock: MockClock) -> None:
    def deaf(text: str) -> None:
        raise OSError("the terminal is full")

    owed: list[tuple[Record, bool]] = []
    reserve = Reserve(room=0)
    log = BestEffortLog(lambda: reserve, deaf, lambda record, told: owed.append((record, told)))
    await said(log, "a")
    assert log.deaf == "the terminal is full"
    reserve.room = 1
    await said(log, "b")
    assert reserve.kept == [note("b")], "it was asked again"
    assert owed == [(note("a"), True)]


async def test_what_no_journal_took_is_owed_and_one_that_comes_back_is_written_to(autojump_clock: MockClock) -> None:
    owed: list[tuple[Record, bool]] = []
    reserve = Reserve(room=1)
    journals: list[Reserve] = []
    log = BestEffortLog(
        lambda: journals[-1] if journals else None,
        lambda text: None,
        lambda record, told: owed.append((record, told)),
    )
    await said(log, "a")
    journals.append(reserve)
    await said(log, "b", "c")
    assert reserve.kept == [note("b")]
    assert owed == [(note("a"), False), (note("c"), True)]
