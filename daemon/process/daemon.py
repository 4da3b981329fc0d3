"""The daemon, put together: configuration, disk, journals, paper world, cells, control socket, metrics, watchdog.

Everything that differs between the real process and a simulation comes in through `Parts`: disk, threads, baton,
sockets. Nothing below this file knows which it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from math import inf
from typing import Any, TypeVar

import msgspec
import structlog
import trio

from components.model.errors import BasisError, Stop
from daemon.cells.authority import Limits
from daemon.cells.supervisor import Ended, Supervisor
from daemon.cells.surroundings import Surroundings
from daemon.config.daemon_file import DaemonSlice
from daemon.control.accepted import accepted, paused_strategies
from daemon.control.operator import Operator
from daemon.control.protocol import SOCKET
from daemon.control.questions import Whole
from daemon.control.reload import Reloader
from daemon.errors import short
from daemon.journal.committer import Committer
from daemon.journal.queries import Queries
from daemon.journal.records import Command, Note
from daemon.monitoring.beside import beside
from daemon.monitoring.health import Health, Level
from daemon.monitoring.metrics import Metrics
from daemon.monitoring.narrator import Narrator
from daemon.monitoring.told import Reports
from daemon.orders.breaker import BreakerLimits
from daemon.orders.patience import patience_of
from daemon.process.audience import Audience
from daemon.process.journals import AUDIT, Journals
from daemon.process.making import Making
from daemon.process.mending import Mending
from daemon.process.notify import Notifier
from daemon.process.seams import Parts
from daemon.process.serving import Serving
from daemon.process.stopping import Stopping
from daemon.process.watchdog import Watch, Watched
from daemon.replica import CellState, Replica
from daemon.state.backups import Backups
from daemon.state.latch import ALL, Latch
from daemon.state.latch_keeper import LatchKeeper
from daemon.world.world import World

log = structlog.get_logger()
T = TypeVar("T")
START_GRACE_S = 30.0  # asked for again and again while journals are read


class Daemon:
    def __init__(
        self,
        config: DaemonSlice,
        world: World,
        parts: Parts,
        *,
        notifier: Notifier,
        reports: Reports,
        reload: Callable[[], DaemonSlice] | None = None,
        narrator: Narrator | None = None,
    ) -> None:
        self.config = config
        self.world = world
        self._parts = parts
        self._notifier = notifier
        self._state = config.state_dir
        self.clock = world.clock
        self.metrics = Metrics(now=parts.wall_s, speed=config.speed)
        self.health = Health(
            trio.current_time,
            speed=config.speed,
            step_budget_s=config.limits.step_budget_s,
            heartbeat_timeout_s=config.guard.heartbeat_timeout_seconds or inf,
        )
        self._audience = Audience(self.metrics, self.health, narrator, reports)
        self.readers = self._audience.readers
        self.committer = Committer(threads=parts.threads, observe=self._audience.committed)
        self.latches = LatchKeeper(self._state, threads=parts.threads)
        code = parts.provenance.get("code_hash", "")
        self._reader = trio.CapacityLimiter(1)
        self._journals = Journals(
            parts.disk, self._state, self.committer, self._audience.hear, self._asking, code_hash=code, at=world.at
        )
        self._audit = self._journals.audit
        making = Making(
            world,
            self._journals,
            around=lambda: self._surroundings(self.supervisor.config),
            now=lambda entry: next(each for each in self.supervisor.config.strategies if each.id == entry.id),
            paused=lambda strategy: self.supervisor.paused.get(strategy),
        )
        self.supervisor = Supervisor(
            config,
            making.cell,
            making.closing,
            self.latches,
            self._audience.reports.crashed,
            self.clock.now,
        )
        self._reloader = Reloader(self.supervisor, self._audit, self.clock.now, reload, self._take_configuration)
        commands = [record for record in self._journals.audited if isinstance(record, Command)]
        self._queries = Queries(parts.disk, self._state)
        self._stopping = Stopping(self.supervisor, self.latches, self.clock.now)
        self._mending = Mending(
            self._audit,
            self.committer,
            self.health,
            lambda folder: self._asking(partial(self._journals.opened, AUDIT, folder, self.clock.now())),
            self._free_bytes,
            self.clock.now,
            strategies=lambda: self.supervisor.closings,
            mend=lambda strategy: self._journals.mend(strategy, self.clock.now()),
        )
        self._backups = Backups(self._state, self._made, threads=parts.threads)
        self.operator = Operator(
            self.supervisor,
            self.latches,
            self._audit,
            self.clock.now,
            Whole(
                events=lambda strategy, limit: self._asking(partial(self._queries.events, strategy, limit)),
                orders=lambda strategy: self._asking(partial(self._queries.orders, strategy)),
                trouble=self._queries.trouble,
                stop=self.stop,
                dump=self.dump,
                backup=self._backups.ask,
                unwell=lambda: [f"{c.name}: {c.reason}" for c in self.health.around() if c.level is not Level.OK],
            ),
            {command.key: command for command in accepted(commands) if command.key},
        )
        self.supervisor.paused = paused_strategies(commands)
        self._watch = Watch(
            Watched(
                health=self.health,
                metrics=self.metrics,
                committer=self.committer,
                supervisor=self.supervisor,
                operator=self.operator,
                latches=self.latches,
                readers=self.readers,
                streams=parts.streams,
                free_bytes=self._free_bytes,
            ),
            notifier,
            self._status,
        )
        self._serving = Serving(self.metrics, self.health, self._queries, self.operator.handle, self._asking)
        release = parts.provenance.get("version", "")
        self.metrics.build(release, parts.provenance.get("commit") or f"release {release}")
        self.metrics.instance(str(config.state_dir.resolve()))
        self.metrics.config(config.config_hash, config.environment, config.execution_mode)
        for entry in config.strategies:
            self.health.enlist(entry.id)

    # Life

    async def run(self, task_status: trio.TaskStatus[Mapping[str, bool]] = trio.TASK_STATUS_IGNORED) -> Ended:
        """Runs until a stop was asked for and done; started when every strategy is up or has failed its start."""
        ended = Ended({})
        async with trio.open_nursery() as outer:
            await outer.start(self.committer.run)
            outer.start_soon(self.latches.run)
            async with trio.open_nursery() as around:
                if self._parts.sockets:
                    socket = self._parts.socket or self._state / SOCKET
                    await self._serving.start(around, socket, self.config.metrics)
                for reader in self.readers:
                    around.start_soon(reader.run)
                self._keep(around, "lag", partial(self._watch.lag, self._parts.lag_every_s))
                self._keep(around, "guard", partial(self._watch.guard, self.config.guard))
                self._keep(around, "journal.mend", self._mending.run)
                look = partial(self.latches.watch, self._ids, self._parts.latch_every_s, self._found)
                self._keep(around, "latches", look)
                self._keep(around, "backup", self._backups.run)
                async with trio.open_nursery() as cells:
                    up: Mapping[str, bool] = {}
                    finished: list[Ended] = []

                    async def supervise(task_status: trio.TaskStatus[Mapping[str, bool]]) -> None:
                        finished.append(await self.supervisor.run(task_status=task_status))

                    driver = trio.CancelScope()
                    async with trio.open_nursery() as waiting:
                        waiting.start_soon(self._ask_for_time)
                        up = await cells.start(supervise)
                        waiting.cancel_scope.cancel()
                    cells.start_soon(self._drive, driver)
                    with suppress(Stop):  # it is mended beside what runs, and says so meanwhile
                        self._audit.append(Note(at=self.clock.now(), kind="daemon.ready", detail=", ".join(sorted(up))))
                        await self._audit.commit()
                    self._notifier.ready(self._status())
                    task_status.started(up)
                    await self._stopping.asked.wait()
                    self._notifier.stopping()
                    driver.cancel()
                    await self._stopping.end(self.config.limits, read_only=self.config.guard.read_only)
                ended = finished[0]
                self.world.close()
                around.cancel_scope.cancel()
            for reader in self.readers:
                reader.drain()
            with suppress(BasisError):
                self._audit.append(Note(at=self.clock.now(), kind="daemon.stopped", detail=ended.in_words()))
                await self._audit.commit()
            outer.cancel_scope.cancel()
        return ended

    def stop(self) -> None:
        """Asks for a clean stop; a second time cuts the steps under way."""
        self._stopping.ask()

    @property
    def metrics_address(self) -> tuple[str, int] | None:
        """Where metrics are served, once they are."""
        return self._serving.metrics_address

    async def _ask_for_time(self) -> None:
        """A long journal takes long to read: systemd is told that this is no hang, for as long as the loop lives."""
        while True:
            cells = self.supervisor.replicas.values()
            up = sum(replica.state not in (CellState.STARTING, CellState.RECOVERING) for replica in cells)
            of = len(self.config.strategies)
            self._notifier.extend(START_GRACE_S)
            self._notifier.status(f"starting: {up} of {of} strategies have read their journals")
            await trio.sleep(START_GRACE_S / 6.0)

    # Parts

    def _surroundings(self, config: DaemonSlice) -> Surroundings:
        """What every cell is given under a configuration."""
        limits, guard = config.limits, config.guard
        breaker = BreakerLimits(failures_in_a_row=limits.order_failures, orders_per_minute=limits.orders_per_minute)
        return Surroundings(
            clock=self.clock,
            patience=patience_of(limits),
            limits=Limits(clock_offset_ms=limits.clock_offset_ms, max_adjustment_per_day=limits.max_adjustment_per_day),
            latches=self.latches,
            telemetry=self._audience.telemetry,
            publish=self._publish,
            shout=self._parts.shout,
            owe=self._journals.owe,
            free_bytes=self._free_bytes,
            clock_offset_ms=self._parts.clock_offset_ms,
            breaker=breaker if guard.circuit_breaker_enabled else None,
            max_trade_usdt=guard.max_trade_size_usd,
            read_only=guard.read_only,
            poll_steps=self._parts.poll_steps,
            poll_interval_s=limits.poll_interval_s,
            step_budget_s=limits.step_budget_s,
            baton=self._parts.baton,
            provenance=self._parts.provenance,
        )

    async def _take_configuration(self, config: DaemonSlice) -> None:
        """A configuration that is written down already comes into force; modes do so before the next step of each."""
        self.config = config
        self.health.step_budget_s = config.limits.step_budget_s
        self._parts.set_log_level(config.log.level)
        self.metrics.config(config.config_hash, config.environment, config.execution_mode)
        around = self._surroundings(config)
        for entry in config.strategies:
            self.world.rerun(entry)
            if entry.id in self.supervisor.cells:
                self.supervisor.cells[entry.id].desk.surround(around)
            if entry.id in self.supervisor.closings:
                self.supervisor.closings[entry.id].account.surround(around)
        try:
            await self._asking(partial(self._parts.keep_config, config))
        except OSError as error:
            log.error("config.not_kept", error=str(error))  # the next start reads the file itself

    def _keep(self, nursery: trio.Nursery, name: str, task: Callable[[], Awaitable[object]]) -> None:
        """A task that looks after the daemon and must not end with an error of its own."""

        def failed(name: str, error: Exception) -> None:
            self.health.report(name, Level.FAILED, short(error))

        nursery.start_soon(partial(beside, name, task, failed, pause_s=1.0))

    async def _drive(self, scope: trio.CancelScope) -> None:
        with scope:
            await self.world.drive(self.supervisor.cells, step_budget_s=lambda: self.config.limits.step_budget_s)

    # Signals

    async def emergency(self, reason: str) -> None:
        """SIGUSR1: all strategies."""
        await self.operator.emergency(None, reason, -1)

    async def reload(self) -> str:
        """SIGHUP: what changed, or why the old configuration stays."""
        self._notifier.reloading()
        try:
            message = await self._reloader.reload()
        except BasisError as error:
            message = f"configuration not reloaded, the old one stays: {error.message.rstrip()}"
            log.error("config.refused", code=error.code, error=error.message.rstrip())
        except Exception as error:  # the edge around a reload: whatever is wrong with the files ends here
            what = short(error)
            message = f"configuration not reloaded, the old one stays: {what}"
            log.error("config.refused", error=what, exc_info=error)
        self._notifier.ready(message.partition("\n")[0])
        return message

    def dump(self) -> dict[str, Any]:
        """SIGUSR2 and `basis dump`: how every strategy stands, and every task."""
        return {
            "replicas": [msgspec.to_builtins(replica) for replica in self.supervisor.replicas.values()],
            "tasks": [] if (root := trio.lowlevel.current_root_task()) is None else tasks_of(root),
            "components": [msgspec.to_builtins(component) for component in self.health.components()],
        }

    async def _asking(self, question: Callable[[], T]) -> T:
        """Something that reads for long, in the one thread there is for it."""
        if not self._parts.threads:
            return question()
        return await trio.to_thread.run_sync(question, limiter=self._reader)

    def _made(self) -> str:
        """When a copy is made, in market time."""
        return datetime.fromtimestamp(self.clock.now() / 1e9, UTC).isoformat(timespec="seconds")

    # Small things

    def _publish(self, replica: Replica) -> None:
        self.supervisor.publish(replica)
        self._audience.publish(self.supervisor.replicas[replica.strategy])

    def _ids(self) -> tuple[str, ...]:
        return tuple(entry.id for entry in self.supervisor.config.strategies)

    def _found(self, latch: Latch) -> None:
        """A latch that somebody has put on the disk is as good as one that was asked for."""
        for name in self._ids() if latch.scope == ALL else (latch.scope,):
            if self.latches.of(name) is not None:
                self.supervisor.emergency_stop(name, latch.reason)

    def _free_bytes(self) -> int | None:
        try:
            return self._parts.disk.free_bytes(self._state)
        except OSError:
            return None

    def _status(self) -> str:
        replicas = self.supervisor.replicas.values()
        other = [f"{each.strategy} {each.state.value}" for each in replicas if each.state is not CellState.RUNNING]
        running = f"{len(replicas) - len(other)} of {len(self.config.strategies)} strategies running"
        return "; ".join([running, *([", ".join(other)] if other else [])])


def tasks_of(task: trio.lowlevel.Task) -> list[str]:
    """The task tree, one line a task."""
    lines = [task.name]
    for nursery in task.child_nurseries:
        for child in sorted(nursery.child_tasks, key=lambda each: each.name):
            lines += [f"  {line}" for line in tasks_of(child)]
    return lines
