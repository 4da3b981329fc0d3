"""How the daemon stops: strategies that are to be closed then are closed as far as that fits, the others end after
their step, and whatever is left is cancelled; all within the time of a stop.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog
import trio

from daemon.cells.supervisor import Supervisor
from daemon.config.daemon_file import DaemonLimits
from daemon.state.latch import requested
from daemon.state.latch_keeper import LatchKeeper

log = structlog.get_logger()
CLOSE_SHARE = 0.7  # of the time of a stop, for strategies that are closed then


class Stopping:
    """`now` is market time, UTC ns."""

    def __init__(self, supervisor: Supervisor, latches: LatchKeeper, now: Callable[[], int]) -> None:
        self._supervisor = supervisor
        self._latches = latches
        self._now = now
        self.asked = trio.Event()
        self.cut_asked = False
        self._closed: list[str] = []  # strategies that this stop has asked to close

    def ask(self) -> None:
        """Asks for a clean stop; a second time cuts the steps under way."""
        if self.asked.is_set():
            self.cut_asked = True
            self._supervisor.cut()
        self.asked.set()

    async def end(self, limits: DaemonLimits, *, read_only: bool) -> None:
        """Clean, then at the next effect, then whatever is left is cancelled; all within the time of a stop."""
        budget = limits.stop_within_s
        await self._close_on_stop(CLOSE_SHARE * budget)
        budget -= CLOSE_SHARE * budget if self._closed else 0.0
        self._supervisor.stop()
        with trio.move_on_after(budget * 0.4):
            while self._supervisor.cells and not self.cut_asked:
                await trio.sleep(0.05)
        if self._supervisor.cells:
            self._supervisor.cut()
            with trio.move_on_after(budget * 0.5):
                while self._supervisor.cells:
                    await trio.sleep(0.05)
        self._supervisor.cancel()
        ids = [entry.id for entry in self._supervisor.config.strategies]
        standing = [self._latches.of(strategy) for strategy in ids]
        unfinished = any(latch is not None and not latch.is_closed for latch in standing)
        await self._latches.mark(unfinished and not read_only)

    async def _close_on_stop(self, within_s: float) -> None:
        """Strategies that are to be closed at a stop are latched, and what fits is sent; the rest is awaited, and the
        next start or the timer of the safety program goes on with it."""
        until = trio.current_time() + within_s
        for entry in self._supervisor.config.strategies:
            latch = self._latches.of(entry.id)
            if entry.run.mode.on_stop != "close" or (latch is not None and latch.is_closed):
                continue
            self._closed.append(entry.id)
            if (closing := self._supervisor.closing_of(entry.id)) is not None:
                closing.until = until
            if latch is None:
                self._latches.set(requested(entry.id, "on_stop: close", at=self._now(), uid=-1))
            self._supervisor.emergency_stop(entry.id, "on_stop: close")
        if not self._closed:
            return
        log.warning("stop.closes", strategies=self._closed, within_s=within_s)
        while trio.current_time() < until and not self.cut_asked:
            if all(self._has_closed(strategy) for strategy in self._closed):
                break
            await trio.sleep(0.05)
        await self._latches.written()

    def _has_closed(self, strategy: str) -> bool:
        closing = self._supervisor.closing_of(strategy)
        return closing is None or closing.phase == "flat" or closing.progress.waits
