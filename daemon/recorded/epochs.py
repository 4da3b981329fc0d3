"""Which epochs a strategy has begun: kept beside its journal as well, so that a journal that is gone is noticed, and no
order id is ever given out twice.

Order ids are made of strategy, epoch and step. The journal knows its epochs; this file knows them when the journal does
not: `state/strategies/<id>/epoch`, the daemon's journal, and what the index has applied (each epoch is a record at
least, so its sequence is never below the epoch). A file is written before the first record of its epoch.

The word `anew` in that file is how an operator says that a strategy of which nothing is left shall begin again.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import structlog

from components.model.errors import Severity, Stop, catalogued
from daemon.exits import Exit
from daemon.journal.index import applied_sequences
from daemon.journal.reader import journal_folder
from daemon.journal.records import EpochBegan, Note, Record
from daemon.state.disk import Disk
from daemon.state.latch import Latches, Phase
from daemon.world.traces import has_traded

log = structlog.get_logger()
EVT_GONE = catalogued(
    "EVT-010",
    Severity.CRITICAL,
    "A journal is gone that was there",
    "Put back a backup. To begin anew on purpose, with new accounts and without what it held: move what is left of "
    "its folder away, make the folder anew, empty, and write the word anew into the file epoch in it",
)
EVT_EPOCH = catalogued(
    "EVT-024",
    Severity.CRITICAL,
    "The file with the epoch of a strategy is damaged",
    "Check its journal with 'basis audit verify'; when that is whole, remove the file named: it is written again",
)
EPOCH_FILE = "epoch"
ANEW = "anew"
MOST = 10_000_000  # epochs: a start every minute for nineteen years
NOTE_OF_BEFORE = "epoch.began"


class JournalGone(Stop):
    """Something else in the state directory remembers a life that the journal does not. Nothing was changed."""

    exit_code = Exit.DAMAGED


class EpochDamaged(Stop):
    """What the file says is no epoch. Nothing was changed."""

    exit_code = Exit.DAMAGED


class Epochs:
    """The epochs of one state directory. `index` is the file of the index; calls block."""

    def __init__(self, disk: Disk, state: Path, index: Path, noted: Iterable[Record]) -> None:
        self._disk = disk
        self._state = state
        self._index = index
        self._noted: dict[str, int] = {}
        for record in noted:
            if isinstance(record, EpochBegan):
                self._note(record.strategy, record.epoch)
            elif isinstance(record, Note) and record.kind == NOTE_OF_BEFORE:
                strategy, _, epoch = record.detail.rpartition(" ")
                self._note(strategy, int(epoch))

    def before(self, strategy: str) -> int:
        """The last epoch that anything but the journal knows of; JournalGone when the journal should know it, and
        EpochDamaged when its file does not say."""
        own, is_anew = self._own(strategy)
        known = max(own, self._noted.get(strategy, 0))
        if any(name.endswith(".journal") or name == "anchor" for name in self._names(strategy)):
            return known
        if (trace := self._trace(strategy, own)) is not None:
            raise JournalGone(EVT_GONE, f"the journal of {strategy} is gone, though {trace}", journal=strategy)
        known = max(known, applied_sequences(self._index).get(strategy, 0))
        if known and not is_anew:
            folder = self._path(strategy).parent
            reason = f"nothing is left of {strategy} in {folder}, though it has begun before; what it held is not known"
            raise JournalGone(EVT_GONE, reason, journal=strategy)
        if known:
            log.warning("strategy.anew", strategy=strategy, after_epoch=known, reason="asked for in its epoch file")
        return known

    def begin(self, strategy: str, epoch: int) -> None:
        """Durable before the first record of the epoch is."""
        self._disk.replace("epoch.replace", self._path(strategy), f"{epoch}\n".encode())
        self._note(strategy, epoch)

    def _note(self, strategy: str, epoch: int) -> None:
        self._noted[strategy] = max(self._noted.get(strategy, 0), epoch)

    def _trace(self, strategy: str, own: int) -> str | None:
        """What in the folder of the strategy shows that it has lived."""
        if own:
            return f"epoch {own} is on record"
        latch = Latches(self._state).own(strategy)
        if latch is not None and latch.phase is not Phase.REQUESTED:
            return f"its latch stands at {latch.phase.value}"
        return "its accounts have seen orders" if has_traded(self._state / "strategies" / strategy) else None

    def _own(self, strategy: str) -> tuple[int, bool]:
        """What the file of the strategy says (0 without one), and whether it asks for a new beginning."""
        path = self._path(strategy)
        try:
            text = self._disk.read(path).strip()
        except FileNotFoundError:
            return 0, False
        except OSError as error:
            raise EpochDamaged(EVT_EPOCH, f"it cannot be read: {error.strerror}", path=str(path)) from error
        if text == ANEW.encode():
            return 0, True
        if not text.isdigit() or len(text) > len(str(MOST)) or not 0 < int(text) <= MOST:
            found = repr(text[:40].decode(errors="replace"))
            raise EpochDamaged(EVT_EPOCH, f"it says {found}, not a number from 1 to {MOST}", path=str(path))
        return int(text), False

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
