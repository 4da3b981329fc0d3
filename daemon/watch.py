"""What looks after the daemon itself: loop lag, the watchdog of systemd, stuck cells, the loss of all strategies."""

from __future__ import annotations

from collections.abc import Callable

import structlog
import trio

from daemon.health import Health
from daemon.journal.committer import Committer
from daemon.latch import Latches
from daemon.live_guard import LiveGuard
from daemon.loss_guard import loss_fraction
from daemon.metrics import Metrics
from daemon.notify import Notifier
from daemon.operator import Operator
from daemon.supervisor import Supervisor

log = structlog.get_logger()
GUARD_EVERY_S = 5.0


class Watch:
    def __init__(
        self,
        health: Health,
        metrics: Metrics,
        committer: Committer,
        supervisor: Supervisor,
        operator: Operator,
        latches: Latches,
        notifier: Notifier,
        *,
        free_bytes: Callable[[], int | None],
        status: Callable[[], str],
    ) -> None:
        self._health = health
        self._metrics = metrics
        self._committer = committer
        self._supervisor = supervisor
        self._operator = operator
        self._latches = latches
        self._notifier = notifier
        self._free_bytes = free_bytes
        self._status = status

    async def lag(self, every_s: float) -> None:
        """Measures how late the loop is, and tells metrics how everything stands."""
        while True:
            began = trio.current_time()
            await trio.sleep(every_s)
            late = max(0.0, trio.current_time() - began - every_s)
            self._metrics.loop_lag(late)
            self._health.loop_lag(late)
            if not self._committer.statistics().waiting:  # nobody has been waiting since the last look: it works
                self._health.beat("committer", within_s=max(30.0, 3.0 * every_s))
            self._metrics.components(self._health.components())
            self._metrics.ready(bool(self._health.readiness()))
            free = self._free_bytes()
            if free is not None:
                self._metrics.disk_free(free)

    async def guard(self, limits: LiveGuard) -> None:
        """Feeds the watchdog while the loop is alive and every cell makes progress; a stuck cell is made safe first."""
        while True:
            await trio.sleep(self._notifier.feed_every_s or GUARD_EVERY_S)
            loss, limit = loss_fraction(self._supervisor.replicas.values()), limits.stop_loss_fraction
            if loss is not None and limit is not None and loss >= limit and self._latches.of_all() is None:
                await self._operator.emergency(None, f"loss of {loss:.2%} of net deposits, limit {limit:.2%}", -1)
            for strategy, reason in self._health.stuck().items():
                log.critical("cell.stuck", strategy=strategy, reason=reason)
                await self._operator.emergency(strategy, f"stuck: {reason}", -1)
            starving = self._health.starving()
            if starving:
                self._notifier.feed()
            else:
                log.critical("watchdog.not_fed", reasons=starving.reasons)
            self._notifier.status(self._status())
