"""The journals of a running daemon: its own, and one per strategy, opened when a cell begins and again when a write of
it has failed.

One that takes nothing any more is let go only when there is room for another beginning: until then its reserve takes
what an emergency does. What not even that took is owed, and written as soon as the journal is open again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import trio

from components.model.errors import CFG_STATE, InvalidInput
from daemon.config.daemon_file import StrategyEntry
from daemon.control.offline import Seen
from daemon.journal.committer import Committer
from daemon.journal.errors import JournalPoisoned, unavailable
from daemon.journal.journal import Journal
from daemon.journal.log import JournalLog
from daemon.journal.owed import Owed
from daemon.journal.queries import INDEX_FILE
from daemon.journal.records import Command, EpochBegan, Note, Record
from daemon.process.restart import misfit
from daemon.recorded.epochs import Epochs, check_daemon_journal
from daemon.recorded.recovery import Recovered, recover_journal
from daemon.state.disk import Disk

AUDIT = "daemon"
FREE_BYTES = 1 << 20  # with less it is not tried
T = TypeVar("T")


class Asking(Protocol):
    """Does in a thread of its own what reads for long."""

    def __call__(self, question: Callable[[], T]) -> Awaitable[T]: ...


class Journals:
    """`hear` is told every record of every journal, and whose it is; `asking` is where opening and reading block."""

    def __init__(
        self,
        disk: Disk,
        state: Path,
        committer: Committer,
        hear: Callable[[str, Record], None],
        asking: Asking,
        *,
        code_hash: str,
        at: int,
    ) -> None:
        self._disk = disk
        self._state = state
        self._committer = committer
        self._hear = hear
        self._asking = asking
        self._owed: defaultdict[str, Owed] = defaultdict(Owed)
        self._one = defaultdict[str, trio.Lock](trio.Lock)  # who opens one again is alone with it
        self._before: dict[str, int] = {}  # the last epoch that anything but the journal knew of when it was opened
        self._code_hash = code_hash
        self.of: dict[str, JournalLog] = {}
        check_daemon_journal(disk, state)
        self.audit = self._open(AUDIT, state / "journal" / "daemon", at)
        self.audited = [
            each for _, each in self.audit.journal.records() if isinstance(each, (Command, EpochBegan, Note))
        ]
        self._epochs = Epochs(disk, state, state / INDEX_FILE, self.audited)

    def usable(self, strategy: str) -> JournalLog | None:
        """The journal of a strategy, if it takes what an emergency does, and owes nothing."""
        journal = self.of.get(strategy)
        return None if journal is None or journal.journal.closed or self._owed[strategy].records else journal

    def owe(self, strategy: str, record: Record, told: bool) -> None:
        """Keeps what no journal took; `told` = whoever listens has heard of it."""
        if not told:
            self._hear(strategy, record)
        self._owed[strategy].records.append(record)

    async def mend(self, strategy: str, at: int) -> None:
        """Opens a journal again that takes nothing, and writes what it is owed. Stop while that cannot be done."""
        if self._owed[strategy].records or self._is_spent(strategy):
            await self._opened_again(strategy, at)

    async def recover(self, entry: StrategyEntry, at: int) -> tuple[JournalLog, Recovered]:
        """A strategy's journal, opened or opened again, and what it says; reads all of it. InvalidInput CFG-020 when
        the entry does not fit it, Stop when it is damaged, gone, or takes no epoch."""
        journal = await self._opened_again(entry.id, at)
        return journal, await self._asking(partial(self._read, entry, journal))

    def _is_spent(self, strategy: str) -> bool:
        journal = self.of.get(strategy)
        return journal is None or journal.journal.poisoned

    async def _opened_again(self, strategy: str, at: int) -> JournalLog:
        async with self._one[strategy]:
            if self._is_spent(strategy):
                await self._let_go(strategy)
                await self._asking(partial(self._open_strategy, strategy, at))
            journal = self.of[strategy]
            await self._owed[strategy].pay(journal, at, self._asking)
            return journal

    async def _let_go(self, strategy: str) -> None:
        """Lets the files of a journal go that takes nothing any more; JournalPoisoned when its reserve is all there
        is."""
        known = self.of.get(strategy)
        if known is None or known.journal.closed:
            return
        if (free := self._free_bytes()) is not None and free < FREE_BYTES:
            raise JournalPoisoned(strategy, f"{known.journal.reason}; the disk has {free} bytes left")
        await self._committer.close(known.journal)

    def _free_bytes(self) -> int | None:
        try:
            return self._disk.free_bytes(self._state)
        except OSError:
            return None

    def _open_strategy(self, strategy: str, at: int) -> None:
        self._before[strategy] = self._epochs.before(strategy)
        self._open(strategy, self._state / "strategies" / strategy / "journal", at)

    def _read(self, entry: StrategyEntry, journal: JournalLog) -> Recovered:
        recovered = recover_journal(journal.journal, entry.run, entry.id, self._code_hash)
        if recovered.run is not None:
            known = Seen(strategy=entry.id, run=recovered.run, recovered=recovered)
            faults = tuple(misfit(entry, known))
            if faults:
                raise InvalidInput(CFG_STATE, faults)
        recovered.epoch = max(recovered.epoch, self._before.get(entry.id, 0))
        try:
            self._epochs.begin(entry.id, recovered.epoch + 1)
        except OSError as error:
            raise unavailable(entry.id, error) from error
        return recovered

    def _open(self, name: str, folder: Path, at: int) -> JournalLog:
        journal = self.opened(name, folder, at)
        opened = self.of[name] = JournalLog(journal, self._committer, partial(self._hear, name))
        return opened

    def opened(self, name: str, folder: Path, at: int) -> Journal:
        return Journal.open(folder, self._disk, name=name, now=lambda: at)
