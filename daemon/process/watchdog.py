"""What looks after the daemon itself: loop lag, the watchdog of systemd, stuck cells, the loss of all strategies."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec
import structlog
import trio

from daemon.cells.supervisor import Supervisor
from daemon.config.live_guard import LiveGuard
from daemon.control.operator import Operator
from daemon.journal.committer import Committer
from daemon.monitoring.health import Health, Level
from daemon.monitoring.metrics import Metrics
from daemon.monitoring.output import Stream
from daemon.monitoring.readers import Reader
from daemon.process.notify import Notifier
from daemon.safety.loss import LossGuard
from daemon.state.latch import Latches
from daemon.world.awake import STALL_S, Lateness

log = structlog.get_logger()
GUARD_EVERY_S = 5.0
SHOWN_FOR_S = 60.0  # how long health tells of a suspend that is over
SUSPENDED = "process"  # the component that health shows it as


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """What of the daemon is looked after."""

    health: Health
    metrics: Metrics
    committer: Committer
    supervisor: Supervisor
    operator: Operator
    latches: Latches
    free_bytes: Callable[[], int | None]
    readers: tuple[Reader, ...] = ()
    streams: Callable[[], Iterable[Stream]] = tuple


class Watch:
    """`status` is told to systemd each time it is fed."""

    def __init__(self, watched: Watched, notifier: Notifier, status: Callable[[], str]) -> None:
        self._watched = watched
        self._health, self._metrics = watched.health, watched.metrics
        self._notifier = notifier
        self._status = status
        self._lateness: Lateness | None = None
        self._losses = LossGuard()
        self._suspended_at: float | None = None

    async def lag(self, every_s: float) -> None:
        """Measures how late the loop is, and tells metrics how everything stands."""
        while True:
            late = await self._sleep(every_s)
            self._metrics.loop_lag(late)
            self._health.loop_lag(late)
            if not self._watched.committer.statistics().waiting:  # no one waits since the last look: it works
                self._health.beat("committer", within_s=max(30.0, 3.0 * every_s))
            self._tell_of_readers()
            self._metrics.components(self._health.components())
            self._metrics.ready(bool(self._health.readiness()))
            free = self._watched.free_bytes()
            if free is not None:
                self._metrics.disk_free(free)

    async def guard(self, limits: LiveGuard) -> None:
        """Feeds the watchdog while the loop is alive and every cell makes progress; a stuck cell is made safe first.

        Its own lateness comes first: for as long as nothing could run nobody was stuck.
        """
        every_s = self._notifier.feed_every_s or GUARD_EVERY_S
        while True:
            await self._sleep(every_s)
            loss, limit = self._losses.fraction(self._watched.supervisor.replicas.values()), limits.stop_loss_fraction
            if limit is not None:
                self._tell_of_losses()
            is_too_much = loss is not None and limit is not None and loss >= limit
            if is_too_much and self._watched.latches.of_all() is None:
                await self._watched.operator.emergency(
                    None, f"loss of {loss:.2%} of net deposits, limit {limit:.2%}", -1
                )
            for strategy, reason in self._health.stuck().items():
                log.critical("cell.stuck", strategy=strategy, reason=reason)
                await self._watched.operator.emergency(strategy, f"stuck: {reason}", -1)
            starving = self._health.starving()
            if starving:
                self._notifier.feed()
            else:
                log.critical("watchdog.not_fed", reasons=starving.reasons)
            self._notifier.status(self._status())

    def _tell_of_losses(self) -> None:
        """A guard that does not see everything says so."""
        unknown = ", ".join(self._losses.unknown)
        level = Level.DEGRADED if unknown else Level.OK
        self._health.report("loss_guard", level, f"what {unknown} is worth has never been known" if unknown else "")

    async def _sleep(self, seconds: float) -> float:
        """Sleeps; by how many seconds it wakes too late. The first thing that is done on waking."""
        if self._lateness is None:
            self._lateness = Lateness()
            self._health.forgive(self._lateness.since)
        due = trio.current_time() + seconds
        await trio.sleep_until(due)
        late = self._lateness.look(due)
        now = trio.current_time()
        if late > STALL_S:
            self._suspended_at = now
            log.warning("process.suspended", seconds=round(late, 2))
            self._health.report(SUSPENDED, Level.DEGRADED, f"did not run for {late:.0f} s; nobody is late for those")
            self._metrics.suspended(late)
        elif self._suspended_at is not None and now - self._suspended_at > SHOWN_FOR_S:
            self._suspended_at = None
            self._health.report(SUSPENDED, Level.OK)
        return late

    def _tell_of_readers(self) -> None:
        for reader in self._watched.readers:
            words = reader.error + (f" ({reader.errors} in all)" if reader.error else "")
            self._health.report(f"reader:{reader.name}", Level.DEGRADED if reader.error else Level.OK, words)
            self._metrics.reader(reader.name, errors=reader.errors, dropped=reader.dropped)
        for stream in self._watched.streams():
            words = f"{stream.trouble}; {stream.dropped} lines lost" if stream.trouble else ""
            self._health.report(stream.name, Level.DEGRADED if stream.trouble else Level.OK, words)
            self._metrics.lines(stream.name, dropped=stream.dropped)
