"""The journals of a running daemon: its own, and one per strategy, opened when a cell begins and again when a write of
it has failed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from components.model.errors import CFG_STATE, InvalidInput
from daemon.config.daemon_file import StrategyEntry
from daemon.control.offline import Seen
from daemon.journal.committer import Committer
from daemon.journal.errors import unavailable
from daemon.journal.journal import Journal
from daemon.journal.log import JournalLog
from daemon.journal.queries import INDEX_FILE
from daemon.journal.records import Command, Note, Record
from daemon.process.restart import misfit
from daemon.recorded.epochs import Epochs, check_daemon_journal
from daemon.recorded.recovery import Recovered, recover_journal
from daemon.state.disk import Disk

AUDIT = "daemon"


class Journals:
    """Opening and reading block; `hear` is told every record of every journal, and whose it is."""

    def __init__(
        self,
        disk: Disk,
        state: Path,
        committer: Committer,
        hear: Callable[[str, Record], None],
        *,
        code_hash: str,
        at: int,
    ) -> None:
        self._disk = disk
        self._state = state
        self._committer = committer
        self._hear = hear
        self._code_hash = code_hash
        self.of: dict[str, JournalLog] = {}
        check_daemon_journal(disk, state)
        self.audit = self._open(AUDIT, state / "journal" / "daemon", at)
        self.audited = [each for _, each in self.audit.journal.records() if isinstance(each, (Command, Note))]
        self._epochs = Epochs(disk, state, state / INDEX_FILE, self.audited)

    def usable(self, strategy: str) -> JournalLog | None:
        """The journal of a strategy, if it is open and takes anything."""
        journal = self.of.get(strategy)
        return None if journal is None or journal.journal.poisoned else journal

    async def let_go(self, strategy: str) -> None:
        """Lets the files of a journal go that takes nothing any more: it will be opened anew."""
        known = self.of.get(strategy)
        if known is not None and known.journal.poisoned:
            await self._committer.close(known.journal)

    def recover(self, entry: StrategyEntry, at: int) -> tuple[JournalLog, Recovered]:
        """A strategy's journal, opened or opened again, and what it says; reads all of it. InvalidInput CFG-020 when
        the entry does not fit it, Stop when it is damaged, gone, or takes no epoch."""
        journal = self.of.get(entry.id)
        before = 0
        if journal is None or journal.journal.poisoned:
            before = self._epochs.before(entry.id)
            journal = self._open(entry.id, self._state / "strategies" / entry.id / "journal", at)
        code = self._code_hash
        recovered = recover_journal(journal.journal, entry.run, entry.id, code)
        if recovered.run is not None:
            known = Seen(strategy=entry.id, run=recovered.run, recovered=recovered)
            faults = tuple(misfit(entry, known))
            if faults:
                raise InvalidInput(CFG_STATE, faults)
        recovered.epoch = max(recovered.epoch, before)
        try:
            self._epochs.begin(entry.id, recovered.epoch + 1)
        except OSError as error:
            raise unavailable(entry.id, error) from error
        return journal, recovered

    def _open(self, name: str, folder: Path, at: int) -> JournalLog:
        journal = self.opened(name, folder, at)
        opened = self.of[name] = JournalLog(journal, self._committer, partial(self._hear, name))
        return opened

    def opened(self, name: str, folder: Path, at: int) -> Journal:
        return Journal.open(folder, self._disk, name=name, now=lambda: at)
