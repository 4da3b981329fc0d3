"""The whole daemon in one process under a virtual clock: same seed, same event log.

Everything but time, disk and venues is what runs in production. What happens to it comes as data: faults between us and
the venues, faults of the host, a script for the operator.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import msgspec
import structlog
import trio
from trio.testing import MockClock

from daemon.config.daemon_file import DaemonSlice, StrategyEntry, load_daemon
from daemon.config.secrets import Secrets
from daemon.config.settings import PACKAGED, load_run
from daemon.journal.codec import encode
from daemon.journal.records import Record
from daemon.monitoring.log import Logs
from daemon.process.daemon import Daemon
from daemon.process.notify import Notifier
from daemon.process.seams import Parts
from daemon.replica import CellState, Replica
from daemon.state.latch import Latch
from daemon.world.paper import PaperWorld
from daemon.world.paper_places import places
from tests.disks import CrashDisk
from tests.simulation.baton import VirtualBaton, run_seeded
from tests.simulation.hands import Strikes, with_other_limits
from tests.simulation.host_faults import HostDisk, HostFault
from tests.simulation.operator import operator as operator
from tests.simulation.plans import IndexedPlan
from tests.simulation.samples import Sample, sample_of
from venues.paper.account import PaperAccount
from venues.paper.door.faults import Fault, campaign
from venues.paper.door.passage import Profile

HOUR_NS = 3_600_000_000_000
DOORS = ("binance", "bybit", "okx", "chain")
THREE = ("btc-basis", "eth-leveraged", "market-neutral")
FIVE = (*THREE, "lending", "no-leverage")
WIRE = Profile(latency_s=0.05, spread=0.3, requests_per_minute=1_000_000)
STEP_S = 300.0  # the longest that the last step is waited for
CALM_S = 1800.0  # at the end, without faults and without new requests
CANARY = "canary-5f1d8c3a9b7e4d26"  # planted where secrets come from


class Crashes:
    """Keeps what the supervisor reports."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def crashed(self, strategy: str, error: BaseException) -> None:
        self.seen.append(f"{strategy}: {''.join(traceback.format_exception(error))}")


class Run(msgspec.Struct):
    """What a simulation leaves behind."""

    accounts: dict[str, PaperAccount]
    plans: dict[str, IndexedPlan]
    disk: CrashDisk
    heads: dict[str, str] = {}
    records: dict[str, list[Record]] = {}
    replicas: dict[str, Replica] = {}
    samples: dict[str, list[Sample]] = {}
    crashes: list[str] = []
    refused: list[str] = []
    config: DaemonSlice | None = None
    daemon: Daemon | None = None
    latched: dict[str, Latch] = {}  # at the end
    asked_s: dict[str, float] = {}  # process time of the last emergency stop of a strategy
    ended_s: float = 0.0
    stopped_for: list[tuple[str, str]] = []  # strategy, and why, of every emergency stop
    stops: list[tuple[str, int]] = []  # strategy, and the last record of its journal when its gate was closed
    struck: list[HostFault] = []
    offset_ms: float = 0.0
    healed_s: float = 0.0  # process time at which the last thing that lasts was over
    lagged_ns: int = 0
    logged: str = ""
    metrics: str = ""
    poisoned: tuple[str, ...] = ()  # journals that take nothing at the end
    in_force: dict[str, bytes] = {}  # the configuration that a living strategy goes by, as the journal writes it
    step_budget_s: float = 0.0
    shown: str = ""  # what `basis dump` says at the end


Script = Callable[[Daemon, Run, float], Awaitable[None]]


def configuration(ids: tuple[str, ...], state: str, poll_s: float) -> DaemonSlice:
    """Some strategies of the packaged file, and one more; only latches are written to `state`."""
    config = load_daemon(PACKAGED / "paper.yaml", environ={"BASIS_STATE_DIR": "/simulation"})  # it is in the hash
    first = config.strategies[0]
    mode = "usdt_market_neutral_no_leverage"
    extra = msgspec.structs.replace(
        first, id="no-leverage", account="no-leverage", mode=mode, run=load_run(mode, environ={})
    )
    kept = tuple(entry for entry in (*config.strategies, extra) if entry.id in ids)
    limits = msgspec.structs.replace(config.limits, poll_interval_s=poll_s)
    return msgspec.structs.replace(config, strategies=kept, speed=1.0, limits=limits, state=state)


def simulate(
    seed: int,
    hours: float,
    *,
    faults: int = 0,
    ids: tuple[str, ...] = THREE,
    script: Script | None = None,
    planned: Callable[[str, int], tuple[Fault, ...]] | None = None,
    host: tuple[HostFault, ...] = (),
    disk: CrashDisk | None = None,
    changed: Callable[[DaemonSlice], DaemonSlice] = lambda config: config,
    calm_s: float = CALM_S,
    schedule: int | None = None,
    poll_s: float = 30.0,
    longest_s: float = 120.0,
) -> Run:
    """Runs `hours` of virtual time; `schedule` seeds the order of tasks alone. Venues are asked on every row, and every
    `poll_s` in between; a fault of the campaign lasts up to `longest_s`.

    `planned(strategy, start)` replaces the campaign of `faults` per account. For the last `calm_s` no fault is active
    and nobody asks for anything.
    """
    with TemporaryDirectory(prefix="simulation") as folder, patch.dict(os.environ, {"BASIS_DEV__API_SECRET": CANARY}):
        token = Path(folder) / "token"
        token.write_text(CANARY)
        config = configuration(ids, folder, poll_s)
        config = changed(
            msgspec.structs.replace(config, metrics=msgspec.structs.replace(config.metrics, token_file=str(token)))
        )
        run = Run(accounts={}, plans={}, disk=disk or HostDisk(), config=config)
        stage = _Stage(run, config, seed, hours, faults, planned, host, script, calm_s, longest_s)
        with _logging() as written:
            run_seeded(seed if schedule is None else schedule, stage.play)
        run.logged = written.getvalue()
        return run


class _Stage:
    """One simulation while it runs."""

    def __init__(
        self,
        run: Run,
        config: DaemonSlice,
        seed: int,
        hours: float,
        faults: int,
        planned: Callable[[str, int], tuple[Fault, ...]] | None,
        host: tuple[HostFault, ...],
        script: Script | None,
        calm_s: float,
        longest_s: float,
    ) -> None:
        self._run = run
        self._config = config
        self._seed = seed
        self._seconds = hours * 3600.0
        self._faults = faults
        self._planned = planned
        self._host = host
        self._script = script
        self._calm_s = calm_s
        self._longest_s = longest_s

    async def play(self, clock: MockClock) -> None:
        run = self._run
        world = PaperWorld(self._config.strategies, self._config.market, 1.0, 0)
        self._begin = world.clock.now()
        world.open(places(world, self._account, self._plan, seed=self._seed, profile=WIRE))
        baton = VirtualBaton(clock)
        parts = Parts(
            disk=run.disk,
            wall_s=lambda: 0.0,
            threads=False,
            sockets=False,
            baton=baton,
            lag_every_s=57.0,
            latch_every_s=31.0,
            clock_offset_ms=lambda: run.offset_ms,
        )
        crashes = Crashes()
        daemon = run.daemon = Daemon(
            self._config,
            world,
            parts,
            notifier=Notifier({}),
            reports=crashes,
            reload=lambda: with_other_limits(daemon.supervisor.config),
        )
        self._listen(daemon)
        async with trio.open_nursery() as nursery:

            async def serve(task_status: trio.TaskStatus[object]) -> None:
                await daemon.run(task_status=task_status)

            await nursery.start(serve)
            until = trio.current_time() + self._seconds
            with trio.move_on_after(self._seconds - self._calm_s):
                async with trio.open_nursery() as outside:
                    outside.start_soon(Strikes(daemon, run, clock, baton).carry_out, self._host)
                    if self._script is not None:
                        outside.start_soon(self._script, daemon, run, until)
                    outside.start_soon(trio.sleep_forever)
            self._heal(daemon)
            await trio.sleep(until - trio.current_time())
            with trio.move_on_after(STEP_S):  # a step that waits for its block shows the row before
                while any(cell.desk.is_stepping for cell in daemon.supervisor.cells.values()):
                    await trio.sleep(0.5)
            run.ended_s = trio.current_time()
            run.metrics = daemon.metrics.render().decode()
            run.poisoned = tuple(name for name, log in daemon._journals.of.items() if log.journal.poisoned)
            run.in_force = {name: encode(cell.desk.run) for name, cell in daemon.supervisor.cells.items()}
            run.step_budget_s = daemon.health.step_budget_s
            run.shown = msgspec.json.encode(daemon.dump(), enc_hook=str).decode()
            daemon.stop()
        self._leave(daemon, crashes)

    def _account(self, entry: StrategyEntry, market: object, balances: object) -> PaperAccount:
        made = self._run.accounts[entry.id] = PaperAccount(entry.run, market, balances)  # type: ignore[arg-type]
        return made

    def _plan(self, strategy: str) -> IndexedPlan:
        chosen: tuple[Fault, ...] = ()
        if self._planned is not None:
            chosen = self._planned(strategy, self._begin)
        elif self._faults:
            number = [entry.id for entry in self._config.strategies].index(strategy)
            first, last = HOUR_NS // 6, int((self._seconds - self._calm_s) * 1e9)
            chosen = campaign(
                100 * self._seed + number,
                self._begin + first,
                self._begin + last,
                DOORS,
                self._faults,
                longest_s=self._longest_s,
            )
        made = self._run.plans[strategy] = IndexedPlan(chosen)
        return made

    def _listen(self, daemon: Daemon) -> None:
        """Hears every picture and every emergency stop, as readers of the daemon would."""
        run, publish, stop = self._run, daemon.supervisor.publish, daemon.supervisor.emergency_stop

        def published(replica: Replica) -> None:
            publish(replica)
            cell = daemon.supervisor.cells.get(replica.strategy)
            if cell is not None and cell.desk.is_stepping and replica.state is CellState.RUNNING:
                return  # it waits for its block: the picture is that of the row before, the account stands on this one
            samples = run.samples.setdefault(replica.strategy, [])
            samples.append(sample_of(replica, run.accounts[replica.strategy], samples[-1] if samples else None))

        def stopped(strategy: str, reason: str) -> None:
            if strategy in daemon._journals.of:
                run.stops.append((strategy, daemon._journals.of[strategy].head.sequence))
            run.asked_s[strategy] = trio.current_time()
            run.stopped_for.append((strategy, reason))
            stop(strategy, reason)

        daemon.supervisor.publish = published  # type: ignore[method-assign]
        daemon.supervisor.emergency_stop = stopped  # type: ignore[method-assign]

    def _heal(self, daemon: Daemon) -> None:
        run = self._run
        for plan in run.plans.values():
            plan.heal()
        run.disk.repair()
        run.offset_ms = 0.0
        daemon.world.muted.clear()

    def _leave(self, daemon: Daemon, crashes: Crashes) -> None:
        run = self._run
        run.replicas = dict(daemon.supervisor.replicas)
        run.crashes = crashes.seen
        run.lagged_ns = daemon.world.lagged_ns
        run.latched = {name: latch for name in run.accounts if (latch := daemon.latches.of(name)) is not None}
        for name, log in daemon._journals.of.items():
            run.heads[name] = log.journal.head.hash
            run.records[name] = [record for _, record in log.journal.records()]


@contextmanager
def _logging() -> Iterator[io.StringIO]:
    """Logs as in production, from warnings on, into memory."""
    root, written = logging.getLogger(), io.StringIO()
    before = (root.handlers, root.level, sys.excepthook, threading.excepthook)
    Logs(written, Secrets([CANARY]), now=lambda: 0, level="warning", style="json").install()
    try:
        yield written
    finally:
        root.handlers, level, sys.excepthook, threading.excepthook = before
        root.setLevel(level)
        structlog.reset_defaults()


def fired(run: Run) -> Mapping[str, int]:
    """How often each kind of venue fault had an effect, over all accounts."""
    found: dict[str, int] = {}
    for plan in run.plans.values():
        for kind, count in plan.fired.items():
            found[kind] = found.get(kind, 0) + count
    return dict(sorted(found.items()))
