"""Which epochs a strategy has begun: kept beside its journal as well, so that a journal that is gone is noticed, and no
order id is ever given out twice.

Order ids are made of strategy, epoch and step. The journal knows its epochs; this file knows them when the journal does
not: `state/strategies/<id>/epoch`, the daemon's journal, and what the index has applied (each epoch is a record at
least, so its sequence is never below the epoch). A file is written before the first record of its epoch.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import structlog

from components.model.errors import Severity, Stop, catalogued
from daemon.exits import Exit
from daemon.journal.index import applied_sequences
from daemon.journal.reader import journal_folder
from daemon.journal.records import Note, Record
from daemon.state.disk import Disk
from daemon.state.latch import Latches, Phase
from daemon.world.traces import has_traded

log = structlog.get_logger()
EVT_GONE = catalogued(
    "EVT-010",
    Severity.CRITICAL,
    "A journal is gone that was there",
    "Put back a backup. To begin anew on purpose, move the whole folder of the strategy away, its accounts included",
)
EPOCH_FILE = "epoch"
NOTE = "epoch.began"


class JournalGone(Stop):
    """Something else in the state directory remembers a life that the journal does not. Nothing was changed."""

    exit_code = Exit.DAMAGED


class Epochs:
    """The epochs of one state directory. `index` is the file of the index; calls block."""

    def __init__(self, disk: Disk, state: Path, index: Path, noted: Iterable[Record]) -> None:
        self._disk = disk
        self._state = state
        self._index = index
        self._noted: dict[str, int] = {}
        for record in noted:
            if isinstance(record, Note) and record.kind == NOTE:
                strategy, _, epoch = record.detail.rpartition(" ")
                self._noted[strategy] = max(self._noted.get(strategy, 0), int(epoch))

    def before(self, strategy: str) -> int:
        """The last epoch that anything but the journal knows of; JournalGone when the journal should know it."""
        own = self._own(strategy)
        known = max(own, self._noted.get(strategy, 0))
        if any(name.endswith(".journal") or name == "anchor" for name in self._names(strategy)):
            return known
        if (trace := self._trace(strategy, own)) is not None:
            raise JournalGone(EVT_GONE, f"the journal of {strategy} is gone, though {trace}", journal=strategy)
        known = max(known, applied_sequences(self._index).get(strategy, 0))
        if known:
            log.warning("strategy.anew", strategy=strategy, after_epoch=known, reason="nothing of it is left")
        return known

    def begin(self, strategy: str, epoch: int) -> None:
        """Durable before the first record of the epoch is."""
        self._disk.replace("epoch.replace", self._path(strategy), f"{epoch}\n".encode())
        self._noted[strategy] = max(self._noted.get(strategy, 0), epoch)

    def _trace(self, strategy: str, own: int) -> str | None:
        """What in the folder of the strategy shows that it has lived."""
        if own:
            return f"epoch {own} is on record"
        latch = Latches(self._state).own(strategy)
        if latch is not None and latch.phase is not Phase.REQUESTED:
            return f"its latch stands at {latch.phase.value}"
        return "its accounts have seen orders" if has_traded(self._state / "strategies" / strategy) else None

    def _own(self, strategy: str) -> int:
        try:
            return int(self._disk.read(self._path(strategy)))
        except (OSError, ValueError):
            return 0

    def _path(self, strategy: str) -> Path:
        return self._state / "strategies" / strategy / EPOCH_FILE

    def _names(self, strategy: str) -> tuple[str, ...]:
        return self._disk.list(journal_folder(self._state, strategy))


def check_daemon_journal(disk: Disk, state: Path) -> None:
    """JournalGone when strategies have journals and the daemon, which opens its own first, has none: pauses, commands
    that were acknowledged and their keys would be forgotten."""
    if any(name.endswith(".journal") or name == "anchor" for name in disk.list(state / "journal" / "daemon")):
        return
    for name in disk.list(state / "strategies"):
        if "anchor" in disk.list(journal_folder(state, name)):
            raise JournalGone(EVT_GONE, f"the daemon's journal is gone, though {name} has one", journal="daemon")
