"""The committer: who waits, who is told what, and how it ends."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints

from daemon.journal.committer import Committer
from daemon.journal.errors import JournalClosed, JournalPoisoned, ReserveSpent
from daemon.journal.journal import ANCHOR_AFTER_S, Journal
from daemon.journal.segments import Batch, Written
from daemon.state.disk import RealDisk
from tests.daemon.journal.desk import FOLDER, note, opened, ours
from tests.disks import CrashDisk


@asynccontextmanager
async def sitting(**options: bool) -> AsyncIterator[Committer]:
    """A committer that runs, and is stopped afterwards."""
    committer = Committer(**({"threads": False} | options))
    async with trio.open_nursery() as nursery:
        await nursery.start(committer.run)
        yield committer
        nursery.cancel_scope.cancel()


class SlowJournal(Journal):
    """A journal whose batches are held until let go, in a thread."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.go = threading.Semaphore(0)
        self.begun = 0

    def perform(self, batch: Batch) -> Written:
        self.begun += 1
        self.go.acquire()
        return super().perform(batch)


def slow(disk: CrashDisk) -> SlowJournal:
    journal = SlowJournal.open(FOLDER, disk, name="one", now=lambda: 0)
    assert isinstance(journal, SlowJournal)
    return journal


async def test_what_was_committed_survives_a_power_cut(autojump_clock: MockClock) -> None:
    disk = CrashDisk()
    async with sitting() as committer:
        journal = opened(disk)
        journal.append(note("a"))
        await committer.commit(journal)
        assert ours(opened(disk.crash(Random(1)))) == [note("a")]


async def test_all_who_wait_share_one_sync(autojump_clock: MockClock) -> None:
    disk = CrashDisk()
    heard: list[str] = []
    async with sitting() as committer:
        journal = opened(disk)
        disk.at_point = heard.append

        async def producer(number: int) -> None:
            journal.append(note(f"{number}"))
            await committer.commit(journal)

        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(producer, number)
        figures = committer.statistics()
        assert (figures.records, figures.waiting, figures.journals) == (50, 0, 1)
        assert figures.commits == heard.count("after:journal.sync") <= 3


async def test_a_commit_of_nothing_is_a_checkpoint_and_no_sync(autojump_clock: MockClock) -> None:
    disk = CrashDisk()
    async with sitting() as committer:
        journal = opened(disk)
        before = disk.operations
        with assert_checkpoints():
            await committer.commit(journal)
        assert disk.operations == before


async def test_a_poisoned_journal_fails_its_own_waiters_only(autojump_clock: MockClock) -> None:
    bad, good = CrashDisk(), CrashDisk()
    told: list[str] = []
    async with sitting() as committer:
        journals = {"bad": opened(bad), "good": opened(good)}
        bad.fail_at("journal.sync")

        async def producer(name: str) -> None:
            journals[name].append(note(name))
            try:
                await committer.commit(journals[name])
                told.append(f"{name} durable")
            except JournalPoisoned:
                told.append(f"{name} poisoned")

        async with trio.open_nursery() as nursery:
            for name in ("bad", "good", "bad"):
                nursery.start_soon(producer, name)
        with pytest.raises(JournalPoisoned):
            await committer.commit(journals["bad"])
        journals["good"].append(note("more"))
        await committer.commit(journals["good"])
    assert sorted(told) == ["bad poisoned", "bad poisoned", "good durable"]
    assert ours(opened(good)) == [note("good"), note("more")]


@pytest.mark.parametrize("turn", range(12))  # tasks take turns at random
async def test_whoever_waits_behind_a_failing_batch_is_not_taken_for_an_emergency_record(turn: int) -> None:
    """Sequences are given out anew in the reserve: the number alone does not say whose record is durable."""
    disk = CrashDisk()
    committer = Committer()
    journal = slow(disk)
    told: list[str] = []

    async def ordinary(text: str) -> None:
        journal.append(note(text))
        with pytest.raises(JournalPoisoned):
            await committer.commit(journal)
        told.append(text)

    async def first() -> None:
        await ordinary("first")
        await committer.record_emergency(journal, note("closing"), note("flat"), note("really"))
        with pytest.raises(JournalPoisoned):
            await committer.commit(journal)

    async with trio.open_nursery() as nursery:
        await nursery.start(committer.run)
        async with trio.open_nursery() as waiting:
            waiting.start_soon(first)
            while not journal.begun:
                await trio.lowlevel.checkpoint()
            waiting.start_soon(ordinary, "second")
            waiting.start_soon(ordinary, "third")
            while committer.statistics().waiting < 2:
                await trio.lowlevel.checkpoint()
            disk.fail_at("journal.write")
            journal.go.release(9)
        assert sorted(told) == ["first", "second", "third"]
        nursery.cancel_scope.cancel()
    assert ours(opened(disk)) == [note("closing"), note("flat"), note("really")]


async def test_an_emergency_record_caught_in_the_failing_batch_goes_to_the_reserve(autojump_clock: MockClock) -> None:
    disk = CrashDisk()
    async with sitting() as committer:
        journal = opened(disk)
        disk.fail_at("journal.sync")
        await committer.record_emergency(journal, note("closing"), note("flat"))
        disk.fail_at("reserve.sync")
        with pytest.raises(ReserveSpent):
            await committer.record_emergency(journal, note("more"))
    assert ours(opened(disk))[:2] == [note("closing"), note("flat")]


async def test_the_anchor_follows_although_nobody_commits_any_more(autojump_clock: MockClock) -> None:
    disk = CrashDisk()
    async with sitting() as committer:
        journal = opened(disk)
        journal.append(note("a"))
        await committer.commit(journal)
        assert journal.statistics().anchored == 0
        await trio.sleep(ANCHOR_AFTER_S + 0.1)
        assert journal.statistics().anchored == 1
        operations = disk.operations
        await trio.sleep(1000)
        assert disk.operations == operations


async def test_the_end_writes_what_is_pending_anchors_and_closes(autojump_clock: MockClock) -> None:
    disk = CrashDisk()
    kept: list[Journal] = []
    async with sitting() as committer:
        journal = opened(disk)
        kept.append(journal)
        journal.append(note("a"))
        await committer.commit(journal)
        journal.append(note("nobody waits for this one"))
    (journal,) = kept
    assert journal.statistics().anchored == 2
    with pytest.raises(JournalClosed):
        journal.append(note("too late"))
    assert committer.statistics().journals == 0


async def test_one_journal_is_closed_while_the_others_go_on(autojump_clock: MockClock) -> None:
    disk, other = CrashDisk(), CrashDisk()
    async with sitting() as committer:
        journal, stays = opened(disk), opened(other)
        journal.append(note("a"))
        await committer.close(journal)
        assert ours(opened(disk)) == [note("a")]
        with pytest.raises(JournalClosed):
            await committer.commit(journal)
        stays.append(note("b"))
        await committer.commit(stays)
        await committer.close(opened(CrashDisk()))  # never committed to


async def test_nobody_waits_for_a_committer_that_does_not_run() -> None:
    committer = Committer()
    journal = opened(CrashDisk())
    journal.append(note("a"))
    with pytest.raises(JournalClosed):
        await committer.commit(journal)
    await committer.close(journal)


async def test_a_write_that_has_begun_ends_before_the_committer_does() -> None:
    disk = CrashDisk()
    committer = Committer()
    journal = slow(disk)
    async with trio.open_nursery() as nursery:
        await nursery.start(committer.run)
        journal.append(note("a"))
        nursery.start_soon(committer.commit, journal)
        while not journal.begun:
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
        journal.go.release(9)
    assert journal.durable.sequence == 1 and journal.statistics().anchored == 1


async def test_whoever_is_next_in_turn_when_the_end_comes_is_still_served() -> None:
    disk, other = CrashDisk(), CrashDisk()
    committer = Committer()
    journal, next_one = slow(disk), slow(other)
    async with trio.open_nursery() as nursery:
        await nursery.start(committer.run)
        for each in (journal, next_one):
            each.append(note("a"))
            nursery.start_soon(committer.commit, each)
        while not journal.begun + next_one.begun:
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
        for each in (journal, next_one):
            each.go.release(9)
    assert journal.durable.sequence == next_one.durable.sequence == 1
    assert ours(opened(disk)) == ours(opened(other)) == [note("a")]


async def test_a_waiter_that_gives_up_leaves_its_record() -> None:
    disk = CrashDisk()
    committer = Committer()
    journal = slow(disk)
    async with trio.open_nursery() as nursery:
        await nursery.start(committer.run)
        journal.append(note("a"))
        with trio.CancelScope() as impatient:
            nursery.start_soon(cancel_when, lambda: journal.begun == 1, impatient)
            await committer.commit(journal)
        assert impatient.cancelled_caught
        journal.go.release(9)
        journal.append(note("b"))
        await committer.commit(journal)
        nursery.cancel_scope.cancel()
    assert ours(opened(disk)) == [note("a"), note("b")]


async def cancel_when(condition: Callable[[], bool], scope: trio.CancelScope) -> None:
    while not condition():
        await trio.lowlevel.checkpoint()
    scope.cancel()


async def test_journals_take_turns(autojump_clock: MockClock) -> None:
    """A journal that always has somebody waiting does not keep another from being served."""
    turns: list[str] = []
    async with sitting() as committer:
        journals = {"greedy": opened(CrashDisk()), "modest": opened(CrashDisk())}

        async def producer(name: str, count: int) -> None:
            for number in range(count):
                journals[name].append(note(f"{number}"))
                await committer.commit(journals[name])
                turns.append(name)

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(producer, "greedy", 20)
            nursery.start_soon(producer, "modest", 10)
    last_modest = len(turns) - turns[::-1].index("modest")
    assert turns[:last_modest].count("greedy") <= 5 * 12


async def test_latency_is_observed_per_commit(autojump_clock: MockClock) -> None:
    seen: list[tuple[str, float, int]] = []
    committer = Committer(threads=False, observe=lambda *figures: seen.append(figures))
    journal = opened(CrashDisk())
    async with trio.open_nursery() as nursery:
        await nursery.start(committer.run)
        journal.append(note("a"))
        journal.append(note("b"))
        await committer.commit(journal)
        nursery.cancel_scope.cancel()
    assert committer.statistics().last_latency_s == seen[0][1]
    assert seen == [("one", pytest.approx(0.0), 2)]


async def test_on_a_real_disk_many_producers_share_syncs(tmp_path: Path) -> None:
    syncs: list[str] = []
    committer = Committer()
    journal = Journal.open(tmp_path, RealDisk(syncs.append), name="one", now=lambda: 0)

    async def producer(number: int) -> None:
        for step in range(5):
            journal.append(note(f"{number}.{step}"))
            await committer.commit(journal)
            assert journal.durable.sequence >= step

    async with trio.open_nursery() as nursery:
        await nursery.start(committer.run)
        async with trio.open_nursery() as producers:
            for number in range(40):
                producers.start_soon(producer, number)
        nursery.cancel_scope.cancel()
    journal = Journal.open(tmp_path, RealDisk(), name="one", now=lambda: 0)
    assert len(list(journal.records())) == 200
    assert syncs.count("after:journal.sync") < 100
    journal.shut()
