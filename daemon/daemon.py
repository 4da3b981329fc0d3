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
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import structlog
import trio

from components.model.errors import CFG_STATE, BasisError, InvalidInput, Stop
from daemon.authority import Limits
from daemon.backups import Backups
from daemon.beside import beside, short
from daemon.breaker import BreakerLimits
from daemon.cell import Cell
from daemon.closing import Closing
from daemon.control.protocol import SOCKET
from daemon.control.server import ControlServer
from daemon.daemon_config import DaemonLimits, DaemonSlice, StrategyEntry
from daemon.daemon_restart import misfit
from daemon.dispatch import Patience
from daemon.epochs import NOTE as EPOCH_NOTE
from daemon.epochs import Epochs, check_daemon_journal
from daemon.health import Health, Level
from daemon.http_metrics import MetricsServer, read_token
from daemon.journal.committer import Committer
from daemon.journal.errors import unavailable
from daemon.journal.journal import Journal
from daemon.journal.records import Command, Note, Record
from daemon.journal_log import JournalLog
from daemon.latch import ALL, Latch, mark, requested
from daemon.latch_keeper import LatchKeeper
from daemon.mending import Mending
from daemon.metrics import Metrics
from daemon.narrator import Narrator
from daemon.notify import Notifier
from daemon.offline import Seen
from daemon.operator import Operator, accepted, paused_strategies
from daemon.paper import PaperWorld
from daemon.parts import Parts
from daemon.queries import INDEX_FILE, Queries
from daemon.readers import Reader
from daemon.readings import ToldMetrics, ToldReports, count, show
from daemon.recovery import Recovered, recover_journal
from daemon.reload import Reloader
from daemon.replica import CellState, Replica
from daemon.supervisor import Ended, Reports, Supervisor
from daemon.surroundings import Surroundings
from daemon.watch import Watch

log = structlog.get_logger()
T = TypeVar("T")
AUDIT = "daemon"
INDEX_EVERY_S = 2.0
CLOSE_SHARE = 0.7  # of the time of a stop, for strategies that are closed then
START_GRACE_S = 30.0  # asked for again and again while journals are read


class Daemon:
    def __init__(
        self,
        config: DaemonSlice,
        world: PaperWorld,
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
        self._narrator = narrator
        self._state = config.state_dir
        self.clock = world.clock
        world.threads = parts.threads
        self.metrics = Metrics(now=parts.wall_s, speed=config.speed)
        self._to_metrics, self._to_health, self._to_narrator, self._to_reports = self.readers = (
            Reader("metrics"),
            Reader("health"),
            Reader("narrator"),
            Reader("reports"),
        )
        self.health = Health(
            trio.current_time,
            speed=config.speed,
            step_budget_s=config.limits.step_budget_s,
            heartbeat_timeout_s=config.guard.heartbeat_timeout_seconds or inf,
        )
        self.committer = Committer(
            threads=parts.threads, observe=lambda _, seconds, __: self._to_metrics.tell(self.metrics.commit, seconds)
        )
        self.latches = LatchKeeper(self._state, threads=parts.threads)
        self._journals: dict[str, JournalLog] = {}
        check_daemon_journal(parts.disk, self._state)
        self._audit = self._open(AUDIT, self._state / "journal" / "daemon", world.at)
        self.supervisor = Supervisor(
            config,
            self._make_cell,
            self._make_closing,
            self.latches,
            ToldReports(reports, self._to_reports),
            self.clock.now,
        )
        self._reloader = Reloader(self.supervisor, self._audit, self.clock.now, reload, self._take_configuration)
        audited = [record for _, record in self._audit.journal.records() if isinstance(record, (Command, Note))]
        commands = [record for record in audited if isinstance(record, Command)]
        self._epochs = Epochs(parts.disk, self._state, self._state / INDEX_FILE, audited)
        self._queries = Queries(parts.disk, self._state)
        self._reader = trio.CapacityLimiter(1)
        self._stop_asked = trio.Event()
        self._cut_asked = False
        self._closed_on_stop: list[str] = []
        self._mending = Mending(
            self._audit,
            self.committer,
            self.health,
            lambda folder: self._asking(partial(self._opened, AUDIT, folder, self.clock.now())),
            self._free_bytes,
            self.clock.now,
        )
        self._backups = Backups(self._state, self._made, threads=parts.threads)
        self.operator = Operator(
            self.supervisor,
            self.latches,
            self._audit,
            self.clock.now,
            events=lambda strategy, limit: self._asking(partial(self._queries.events, strategy, limit)),
            orders=lambda strategy: self._asking(partial(self._queries.orders, strategy)),
            trouble=self._queries.trouble,
            stop=self.stop,
            dump=self.dump,
            backup=self._backups.ask,
            answered={command.key: command for command in accepted(commands) if command.key},
            unwell=lambda: [f"{c.name}: {c.reason}" for c in self.health.around() if c.level is not Level.OK],
        )
        self.supervisor.paused = paused_strategies(commands)
        self._watch = Watch(
            self.health,
            self.metrics,
            self.committer,
            self.supervisor,
            self.operator,
            self.latches,
            notifier,
            free_bytes=self._free_bytes,
            status=self._status,
            readers=self.readers,
            streams=parts.streams,
        )
        self.metrics_address: tuple[str, int] | None = None
        release = parts.provenance.get("version", "")
        self.metrics.build(release, parts.provenance.get("commit") or f"release {release}")
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
                await self._start_servers(around)
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
                    await self._stop_asked.wait()
                    self._notifier.stopping()
                    driver.cancel()
                    await self._end()
                ended = finished[0]
                self.world.close()
                around.cancel_scope.cancel()
            for reader in self.readers:
                reader.drain()
            with suppress(BasisError):
                self._audit.append(Note(at=self.clock.now(), kind="daemon.stopped", detail=_in_words(ended)))
                await self._audit.commit()
            outer.cancel_scope.cancel()
        return ended

    def stop(self) -> None:
        """Asks for a clean stop; a second time cuts the steps under way."""
        if self._stop_asked.is_set():
            self._cut_asked = True
            self.supervisor.cut()
        self._stop_asked.set()

    async def _ask_for_time(self) -> None:
        """A long journal takes long to read: systemd is told that this is no hang, for as long as the loop lives."""
        while True:
            cells = self.supervisor.replicas.values()
            up = sum(replica.state not in (CellState.STARTING, CellState.RECOVERING) for replica in cells)
            of = len(self.config.strategies)
            self._notifier.extend(START_GRACE_S)
            self._notifier.status(f"starting: {up} of {of} strategies have read their journals")
            await trio.sleep(START_GRACE_S / 6.0)

    async def _end(self) -> None:
        """Clean, then at the next effect, then whatever is left is cancelled; all within the time of a stop."""
        budget = self.config.limits.stop_within_s
        await self._close_on_stop(CLOSE_SHARE * budget)
        budget -= CLOSE_SHARE * budget if self._closed_on_stop else 0.0
        self.supervisor.stop()
        with trio.move_on_after(budget * 0.4):
            while self.supervisor.cells and not self._cut_asked:
                await trio.sleep(0.05)
        if self.supervisor.cells:
            self.supervisor.cut()
            with trio.move_on_after(budget * 0.5):
                while self.supervisor.cells:
                    await trio.sleep(0.05)
        self.supervisor.cancel()
        standing = [self.latches.of(strategy) for strategy in self._ids()]
        unfinished = any(latch is not None and not latch.is_closed for latch in standing)
        mark(self._state, unfinished and not self.config.guard.read_only)

    async def _close_on_stop(self, within_s: float) -> None:
        """Strategies that are to be closed at a stop are latched, and what fits is sent; the rest is awaited, and the
        next start or the timer of the safety program goes on with it."""
        until = trio.current_time() + within_s
        for entry in self.supervisor.config.strategies:
            latch = self.latches.of(entry.id)
            if entry.run.mode.on_stop != "close" or (latch is not None and latch.is_closed):
                continue
            self._closed_on_stop.append(entry.id)
            if (closing := self.supervisor.closing_of(entry.id)) is not None:
                closing.until = until
            if latch is None:
                self.latches.set(requested(entry.id, "on_stop: close", at=self.clock.now(), uid=-1))
            self.supervisor.emergency_stop(entry.id, "on_stop: close")
        if not self._closed_on_stop:
            return
        log.warning("stop.closes", strategies=self._closed_on_stop, within_s=within_s)
        while trio.current_time() < until and not self._cut_asked:
            if all(self._has_closed(strategy) for strategy in self._closed_on_stop):
                break
            await trio.sleep(0.05)
        await self.latches.settle()

    def _has_closed(self, strategy: str) -> bool:
        closing = self.supervisor.closing_of(strategy)
        return closing is None or closing.phase == "flat" or closing.progress.waits

    # Parts

    async def _make_cell(self, entry: StrategyEntry) -> Cell:
        config, place = self.supervisor.config, self.world.place(entry.id)
        entry = next(each for each in config.strategies if each.id == entry.id)
        known = self._journals.get(entry.id)
        if known is not None and known.journal.poisoned:
            await self.committer.close(known.journal)  # it is opened anew, and its files are let go
        journal, recovered = await self._asking(partial(self._recovered, entry, self.clock.now()))
        with suppress(BasisError):  # the file of the strategy says it as well
            self._audit.append(Note(at=self.clock.now(), kind=EPOCH_NOTE, detail=f"{entry.id} {recovered.epoch + 1}"))
            await self._audit.commit()
        cell = Cell(
            entry,
            place.clients,
            place.control,
            journal,
            recovered,
            self._surroundings(config),
        )
        cell.paused = self.supervisor.paused.get(entry.id)
        return cell

    def _make_closing(self, entry: StrategyEntry, publish: Callable[[], None]) -> Closing:
        """For a strategy whose cell cannot live; its journal, if it is open and takes anything, is still written."""
        journal = self._journals.get(entry.id)
        usable = journal if journal is not None and not journal.journal.poisoned else None
        began = self.clock.now()  # no epoch is known: the time makes the ids of its orders its own
        return Closing(
            entry.id,
            lambda: entry.run,
            self.world.place(entry.id).clients,
            lambda: self._surroundings(self.supervisor.config),
            usable,
            lambda: f"at{began}",
            publish=publish,
        )

    def _surroundings(self, config: DaemonSlice) -> Surroundings:
        """What every cell is given under a configuration."""
        limits, guard = config.limits, config.guard
        breaker = BreakerLimits(failures_in_a_row=limits.order_failures, orders_per_minute=limits.orders_per_minute)
        return Surroundings(
            clock=self.clock,
            patience=patience_of(limits),
            limits=Limits(clock_offset_ms=limits.clock_offset_ms, max_adjustment_per_day=limits.max_adjustment_per_day),
            latches=self.latches,
            telemetry=ToldMetrics(self.metrics, self._to_metrics),
            publish=self._publish,
            shout=self._parts.shout,
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
                self.supervisor.cells[entry.id].surround(around)
        try:
            await self._asking(partial(self._parts.keep_config, config))
        except OSError as error:
            log.error("config.not_kept", error=str(error))  # the next start reads the file itself

    def _recovered(self, entry: StrategyEntry, at: int) -> tuple[JournalLog, Recovered]:
        """A strategy's journal, opened or opened again, and what it says; reads all of it."""
        journal = self._journals.get(entry.id)
        before = 0
        if journal is None or journal.journal.poisoned:
            before = self._epochs.before(entry.id)
            journal = self._open(entry.id, self._state / "strategies" / entry.id / "journal", at)
        code = self._parts.provenance.get("code_hash", "")
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
        journal = self._opened(name, folder, at)
        opened = self._journals[name] = JournalLog(journal, self.committer, partial(self._hear, name))
        return opened

    def _opened(self, name: str, folder: Path, at: int) -> Journal:
        return Journal.open(folder, self._parts.disk, name=name, now=lambda: at)

    def _hear(self, strategy: str, record: Record) -> None:
        """A record was journaled; who wants to know is told, and reads it in a task of its own."""
        self._to_metrics.tell(count, self.metrics, record)
        if self._narrator is not None and strategy != AUDIT:
            self._to_narrator.tell(self._narrator.heard, strategy, record)

    def _keep(self, nursery: trio.Nursery, name: str, task: Callable[[], Awaitable[object]]) -> None:
        """A task that looks after the daemon and must not end with an error of its own."""

        def failed(name: str, error: Exception) -> None:
            self.health.report(name, Level.FAILED, f"{type(error).__name__}: {error}".partition("\n")[0])

        nursery.start_soon(partial(beside, name, task, failed, pause_s=1.0))

    async def _start_servers(self, nursery: trio.Nursery) -> None:
        if not self._parts.sockets:
            return
        await nursery.start(ControlServer(self._parts.socket or self._state / SOCKET, self.operator.handle).run)
        metrics = self.config.metrics
        token = read_token(Path(metrics.token_file)) if metrics.token_file else None
        server = MetricsServer(self.metrics, self.health, token=token)

        listening = trio.Event()

        async def serve() -> None:
            async with trio.open_nursery() as serving:
                self.metrics_address = await serving.start(partial(server.serve, metrics.host, metrics.port))
                self.health.report("metrics", Level.OK)
                listening.set()

        def failed(name: str, error: Exception) -> None:
            self.health.report(name, Level.FAILED, short(error))
            listening.set()

        nursery.start_soon(beside, "metrics", serve, failed)
        nursery.start_soon(beside, "index", self._keep_index, failed)
        await listening.wait()

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
            what = f"{type(error).__name__}: {error}"
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

    async def _keep_index(self) -> None:
        """The index follows the journals; it is derived, so what goes wrong with it stops nothing."""
        said: dict[str, str] = {}
        while True:
            await trio.sleep(INDEX_EVERY_S)
            await self._asking(self._queries.catch_up)
            if self._queries.failed == said:
                continue
            said = dict(self._queries.failed)
            why = self._queries.trouble(None)
            self.health.report("index", Level.DEGRADED if said else Level.OK, why)
            if said:
                log.error("index.incomplete", journals=sorted(said), reason=why)

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
        replica = self.supervisor.replicas[replica.strategy]
        self._to_metrics.tell(show, self.metrics, replica)
        self._to_health.tell(self.health.publish, replica)
        if self._narrator is not None:
            self._to_narrator.tell(self._narrator.publish, replica)

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
        states = [replica.state for replica in self.supervisor.replicas.values()]
        running = sum(state is CellState.RUNNING for state in states)
        other = [
            f"{r.strategy} {r.state.value}"
            for r in self.supervisor.replicas.values()
            if r.state is not CellState.RUNNING
        ]
        return f"{running} of {len(self.config.strategies)} strategies running" + (
            f"; {', '.join(other)}" if other else ""
        )


def patience_of(limits: DaemonLimits) -> Patience:
    """How long dispatch waits for what, as configured."""
    return Patience(
        order_grace_s=limits.order_grace_s,
        unknown_budget_s=limits.unknown_budget_s,
        legs_s=limits.leg_deadline_s,
        legs_cost_bps=limits.leg_cost_bps,
    )


def tasks_of(task: trio.lowlevel.Task) -> list[str]:
    """The task tree, one line a task."""
    lines = [task.name]
    for nursery in task.child_nurseries:
        for child in sorted(nursery.child_tasks, key=lambda each: each.name):
            lines += [f"  {line}" for line in tasks_of(child)]
    return lines


def _in_words(ended: Ended) -> str:
    open_orders = {name: ids for name, ids in ended.uncertain.items() if ids}
    if not open_orders:
        return "clean; no order is open"
    return "; ".join(f"{name}: order {', '.join(ids)} uncertain" for name, ids in open_orders.items())
