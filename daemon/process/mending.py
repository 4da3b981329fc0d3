"""Mending the daemon's own journal: a failed write has closed it, and it is opened again once the disk takes it.

Strategies mend theirs by starting anew; the daemon goes on, with commands refused meanwhile and health saying why. What
was not durable is given up: whoever asked for it was told so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog
import trio

from components.model.errors import Stop
from daemon.journal.committer import Committer
from daemon.journal.journal import Journal
from daemon.journal.log import JournalLog
from daemon.journal.records import Note
from daemon.monitoring.health import Health, Level

log = structlog.get_logger()
EVERY_S = 2.0
FREE_BYTES = 1 << 20  # with less it is not tried
COMPONENT = "journal"


class Mending:
    """`reopen` opens and verifies the journal in a folder; `now` is market time, UTC ns."""

    def __init__(
        self,
        audit: JournalLog,
        committer: Committer,
        health: Health,
        reopen: Callable[[Path], Awaitable[Journal]],
        free_bytes: Callable[[], int | None],
        now: Callable[[], int],
    ) -> None:
        self._audit = audit
        self._committer = committer
        self._health = health
        self._reopen = reopen
        self._free_bytes = free_bytes
        self._now = now

    async def run(self) -> None:
        """Looks every now and then, for ever."""
        while True:
            await trio.sleep(EVERY_S)
            if self._audit.journal.poisoned:
                await self._mend(self._audit.journal)

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
