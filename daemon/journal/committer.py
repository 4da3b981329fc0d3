"""The committer: makes the journals of the daemon durable, one write and one sync for all who wait.

Theory of operation. `commit` puts its caller in line behind one journal. `run` serves the journals in turn, one batch
each: whoever comes while a batch is under way is in the next one, so no journal holds up another for longer than one
sync. The blocking part runs in a single worker thread, and is never cut short: a write that has begun ends, and then
its waiters are told. A poisoned journal fails its own waiters; the others go on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import msgspec
import trio

from components.model.errors import Stop
from daemon.journal.errors import JournalClosed, JournalPoisoned
from daemon.journal.journal import Journal
from daemon.journal.records import Record

CLOSE_S = 10.0  # for the last batches and anchors at the end

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Observe = Callable[[str, float, int], None]


class CommitterStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """`last_latency_s` is from the first waiter of the last batch to its durability."""

    commits: int
    records: int
    records_per_commit: float
    last_latency_s: float
    waiting: int
    journals: int


class _Waiter:
    """One caller of `commit`, since when (process time), and up to which record."""

    def __init__(self, sequence: int, since: float) -> None:
        self.sequence = sequence
        self.since = since
        self.done = trio.Event()
        self.error: Stop | None = None


class Committer:
    """One for all journals. `observe` hears journal name, latency in seconds and number of records of each commit.

    `threads=False` blocks the loop instead of a thread, for simulations: a virtual clock does not see threads.
    """

    def __init__(self, *, threads: bool = True, observe: Observe = lambda journal, seconds, records: None) -> None:
        self._threads = threads
        self._observe = observe
        self._limiter = trio.CapacityLimiter(1)
        self._lines: dict[Journal, list[_Waiter]] = {}
        self._closing: dict[Journal, trio.Event] = {}
        self._wake = trio.Event()
        self._is_running = False
        self._commits = 0
        self._records = 0
        self._last_latency_s = 0.0

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serves until cancelled; then writes what is pending, anchors, and closes the journals it has served."""
        self._is_running = True
        task_status.started()
        try:
            while True:
                await self._work()
                for journal in list(self._lines):
                    if journal in self._closing:
                        await self._finish(journal)
                    elif self._lines[journal] or self._is_due(journal):
                        await self._serve(journal)
        finally:
            with trio.move_on_after(CLOSE_S, shield=True):
                for journal in list(self._lines):
                    await self._finish(journal)
            self._is_running = False
            for journal in list(self._lines):
                self._leave(journal)

    async def commit(self, journal: Journal, *, emergency: bool = False) -> None:
        """Returns when all that was appended so far is durable.

        Raises JournalPoisoned when it never will be, and JournalClosed when nobody writes any more. Only records from
        `append_emergency` may be waited for with `emergency`: they alone survive a poisoned journal.
        """
        # Nothing is awaited before the caller is in line: what it has appended cannot be lost unseen in between.
        journal.check(emergency=emergency)
        if not self._is_running:
            raise JournalClosed(journal.name)
        line = self._lines.setdefault(journal, [])
        if not journal.pending:
            await trio.lowlevel.checkpoint()
            return
        waiter = _Waiter(journal.head.sequence, trio.current_time())
        line.append(waiter)
        self._wake.set()
        await waiter.done.wait()
        if waiter.error is not None:
            raise waiter.error

    async def record_emergency(self, journal: Journal, *records: Record) -> None:
        """Appends the records and makes them durable; when the journal is poisoned meanwhile, again in its reserve.

        ReserveSpent when they fit nowhere.
        """
        while True:
            for record in records:
                journal.append_emergency(record)
            try:
                await self.commit(journal, emergency=True)
            except JournalPoisoned:
                continue  # now it goes to the reserve, and from there to ReserveSpent
            return

    async def close(self, journal: Journal) -> None:
        """Writes what is pending, anchors and closes the files; a poisoned journal is only closed.

        Cancelled, it leaves the rest to `run`.
        """
        if not self._is_running:
            await self._finish(journal)
            return
        self._lines.setdefault(journal, [])
        closed = self._closing.setdefault(journal, trio.Event())
        self._wake.set()
        await closed.wait()

    def statistics(self) -> CommitterStatistics:
        return CommitterStatistics(
            commits=self._commits,
            records=self._records,
            records_per_commit=self._records / self._commits if self._commits else 0.0,
            last_latency_s=self._last_latency_s,
            waiting=sum(map(len, self._lines.values())),
            journals=len(self._lines),
        )

    async def _work(self) -> None:
        """Returns when somebody waits or an anchor is due."""
        due = [at for journal in self._lines if (at := journal.anchor_due_at) is not None]
        with trio.move_on_at(min(due, default=float("inf"))):
            await self._wake.wait()
        self._wake = trio.Event()

    def _is_due(self, journal: Journal) -> bool:
        return journal.anchor_due_at is not None and journal.anchor_due_at <= trio.current_time()

    async def _serve(self, journal: Journal, *, anchor: bool = False) -> None:
        """One batch of one journal, and the word to those who waited for it."""
        line = self._lines.get(journal, [])
        self._lines[journal] = []
        began = min((waiter.since for waiter in line), default=trio.current_time())
        batch = journal.take(trio.current_time(), anchor=anchor)
        if batch is not None:
            written = await self._blocking(journal.perform, batch)
            now = trio.current_time()
            journal.wrote(batch, written, now)
            if batch.records and written.data_error is None:
                self._commits += 1
                self._records += batch.records
                self._last_latency_s = now - began
                self._observe(journal.name, now - began, batch.records)
        # Sequences are given out anew in the reserve, so whoever waits now learns now whether its own are lost.
        line += self._lines[journal]
        self._lines[journal] = []
        for waiter in line:
            if waiter.sequence <= journal.durable.sequence:
                waiter.done.set()
            elif journal.poisoned:
                waiter.error = JournalPoisoned(journal.name, journal.reason)
                waiter.done.set()
            else:
                self._lines[journal].append(waiter)
                self._wake.set()

    async def _finish(self, journal: Journal) -> None:
        while journal.pending or journal.anchor_due_at is not None:
            await self._serve(journal, anchor=True)
        await self._blocking(journal.shut)
        self._leave(journal)

    def _leave(self, journal: Journal) -> None:
        for waiter in self._lines.pop(journal, []):
            waiter.error = JournalClosed(journal.name)
            waiter.done.set()
        if journal in self._closing:
            self._closing.pop(journal).set()

    async def _blocking(self, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
        if not self._threads:
            return work(*arguments)
        # No deadline: the system call cannot be cut short, and going on before it ends would be a second owner.
        with trio.CancelScope(shield=True):
            result = await trio.to_thread.run_sync(work, *arguments, limiter=self._limiter, thread_name="journal")
        return result
