"""Mending journals: a failed write has closed one, and it is opened again once the disk takes it.

Strategies mend theirs by starting anew; one that is closed without its cell does not, and what closing it does must be
in its books before it does. The daemon goes on without its own journal, with commands refused meanwhile and health
saying why. What was not durable of that is given up: whoever asked for it was told so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import msgspec
import structlog
import trio

from components.model.errors import Stop
from daemon.journal.committer import Committer
from daemon.journal.journal import Journal
from daemon.journal.log import JournalLog
from daemon.journal.records import Note
from daemon.monitoring.health import Health, Level
from daemon.process.journals import FREE_BYTES

log = structlog.get_logger()
EVERY_S, LONGEST_PAUSE_S = 2.0, 60.0
COMPONENT = "journal"


class _Try(msgspec.Struct, frozen=True):
    """How the last try to mend a journal ended, and when the next is due (process time)."""

    next_at: float = 0.0
    pause_s: float = EVERY_S
    why: str = ""


class Mending:
    """`reopen` opens and verifies the journal in a folder; `now` is market time, UTC ns. `strategies` are being closed
    without their cells, `mend` mends the journal of one."""

    def __init__(
        self,
        audit: JournalLog,
        committer: Committer,
        health: Health,
        reopen: Callable[[Path], Awaitable[Journal]],
        free_bytes: Callable[[], int | None],
        now: Callable[[], int],
        *,
        strategies: Callable[[], Iterable[str]] = tuple,
        mend: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self._audit = audit
        self._committer = committer
        self._health = health
        self._reopen = reopen
        self._free_bytes = free_bytes
        self._now = now
        self._strategies = strategies
        self._mend_strategy = mend
        self._tries: dict[str, _Try] = {}  # by strategy

    async def run(self) -> None:
        """Looks every now and then, for ever."""
        while True:
            await trio.sleep(EVERY_S)
            if self._audit.journal.poisoned:
                await self._mend(self._audit.journal)
            for strategy in tuple(self._strategies()):
                await self._mend_of(strategy)

    async def _mend_of(self, strategy: str) -> None:
        """Opening reads all of a journal: it is tried less and less often, and the same failure is told once."""
        before = self._tries.get(strategy, _Try())
        if self._mend_strategy is None or trio.current_time() < before.next_at:
            return
        try:
            await self._mend_strategy(strategy)
            self._tries.pop(strategy, None)
        except (Stop, OSError) as error:
            if (why := str(error)) != before.why:
                log.error("journal.not_mended", journal=strategy, error=why)
            pause = min(2.0 * before.pause_s, LONGEST_PAUSE_S)
            self._tries[strategy] = _Try(trio.current_time() + pause, pause, why)

    async def _mend(self, journal: Journal) -> None:
        why = f"the daemon's journal takes nothing ({journal.reason}): commands are refused, emergency stops are not"
        self._health.report(COMPONENT, Level.FAILED, why)
        free = self._free_bytes()
        if free is not None and free < FREE_BYTES:
            return
        try:
            await self._committer.close(journal)
            fresh = await self._reopen(journal.folder)
        except Stop as error:
            log.error("journal.not_mended", error=str(error))
            return
        if fresh.poisoned:
            fresh.shut()
            return
        self._audit.journal = fresh
        self._audit.append(Note(at=self._now(), kind="journal.mended", detail=journal.reason))
        self._health.report(COMPONENT, Level.OK)
        log.warning("journal.mended", journal=journal.name, after=journal.reason, lost=journal.statistics().lost)
