"""Reload: a new configuration takes effect between two steps, wholly or not at all, and is journaled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog

from components.model.errors import CFG_INVALID, InvalidInput
from daemon.cells.supervisor import Supervisor
from daemon.config.daemon_file import DaemonSlice
from daemon.config.difference import reload as compare
from daemon.journal.codec import encode
from daemon.journal.records import ConfigChanged
from daemon.orders.dispatch import OrderLog

log = structlog.get_logger()


class Reloader:
    """`read` gives the configuration as it is on disk now, or raises InvalidInput with every fault."""

    def __init__(
        self,
        supervisor: Supervisor,
        audit: OrderLog,
        market_now: Callable[[], int],
        read: Callable[[], DaemonSlice] | None,
        take: Callable[[DaemonSlice], Awaitable[None]],
    ) -> None:
        self._supervisor = supervisor
        self._audit = audit
        self._now = market_now
        self._read = read
        self._take = take

    async def reload(self) -> str:
        """What was changed, in words; InvalidInput leaves everything as it was."""
        if self._read is None:
            return "nothing to reload"
        new, old = self._read(), self._supervisor.config
        difference = compare(old, new)
        if difference.faults:
            raise InvalidInput(CFG_INVALID, difference.faults)
        if not difference.changes:
            return "configuration reloaded: nothing has changed"
        before = {entry.id: entry for entry in old.strategies}
        self._audit.append(
            ConfigChanged(
                at=self._now(),
                changes=difference.changes,
                config=encode([entry.run for entry in new.strategies]),
                config_hash=new.config_hash,
            )
        )
        await self._audit.commit()
        for entry in new.strategies:
            cell = self._supervisor.cells.get(entry.id)
            known = before.get(entry.id)
            if cell is not None and known is not None and known.run != entry.run:
                cell.reconfigure(entry.run, difference.of(entry.id))
        self._supervisor.config = new
        await self._take(new)
        log.info("config.changed", changes=dict(difference.changes))
        return f"configuration reloaded: {', '.join(difference.changes)}"
