"""The whole daemon in one process under a virtual clock: same seed, same event log.

Everything but time, disk and venues is what runs in production. A scripted operator keeps capital flowing, resumes what
was latched and adopts what a foreign hand did.
"""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable
from random import Random
from tempfile import TemporaryDirectory

import msgspec
import structlog
import trio
from trio.testing import MockClock

from components.model.errors import BasisError
from daemon.control.protocol import Request
from daemon.daemon import Daemon
from daemon.daemon_config import DaemonSlice, StrategyEntry, load_daemon
from daemon.journal.records import Record
from daemon.latch import Latch
from daemon.notify import Notifier
from daemon.paper import PaperWorld
from daemon.paper_places import places
from daemon.parts import Parts
from daemon.replica import Replica
from daemon.settings import PACKAGED
from tests.disks import CrashDisk
from tests.simulation.baton import VirtualBaton, run_seeded
from venues.paper.account import PaperAccount
from venues.paper.faults import Fault, FaultPlan, campaign
from venues.paper.passage import Profile

HOUR_NS = 3_600_000_000_000
DOORS = ("binance", "bybit", "okx", "chain")
THREE = ("btc-basis", "eth-leveraged", "market-neutral")
WIRE = Profile(latency_s=0.05, spread=0.3, requests_per_minute=1_000_000)
CALM_S = 1800.0  # at the end, without faults and without new requests


class Crashes:
    """Keeps what the supervisor reports."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def crashed(self, strategy: str, error: BaseException) -> None:
        self.seen.append(f"{strategy}: {''.join(traceback.format_exception(error))}")


class Run(msgspec.Struct):
    """What a simulation leaves behind."""

    accounts: dict[str, PaperAccount]
    plans: dict[str, FaultPlan]
    disk: CrashDisk
    heads: dict[str, str] = {}
    records: dict[str, list[Record]] = {}
    replicas: dict[str, Replica] = {}
    seen: list[Replica] = []
    crashes: list[str] = []
    refused: list[str] = []
    config: DaemonSlice | None = None
    daemon: Daemon | None = None
    latched: dict[str, Latch] = {}  # at the end
    stops: list[tuple[str, int]] = []  # strategy, and the last record of its journal when its gate was closed


Script = Callable[[Daemon, Run, float], Awaitable[None]]


def configuration(ids: tuple[str, ...], state: str) -> DaemonSlice:
    """Some strategies of the packaged file; only latches are written to `state`, the journals are in memory."""
    config = load_daemon(PACKAGED / "paper.yaml", environ={"BASIS_STATE_DIR": state})
    kept = tuple(entry for entry in config.strategies if entry.id in ids)
    limits = msgspec.structs.replace(config.limits, poll_interval_s=30.0)
    return msgspec.structs.replace(config, strategies=kept, speed=1.0, limits=limits)


def simulate(
    seed: int,
    hours: float,
    *,
    faults: int = 0,
    ids: tuple[str, ...] = THREE,
    script: Script | None = None,
    planned: Callable[[str, int], tuple[Fault, ...]] | None = None,
    disk: CrashDisk | None = None,
    changed: Callable[[DaemonSlice], DaemonSlice] = lambda config: config,
) -> Run:
    """Runs `hours` of virtual time; `planned(strategy, start)` replaces the campaign of `faults` per account."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger("critical"), logger_factory=structlog.ReturnLoggerFactory()
    )
    folder = TemporaryDirectory(prefix="simulation")
    config = changed(configuration(ids, folder.name))
    result = Run(accounts={}, plans={}, disk=disk or CrashDisk(), config=config)

    async def main(clock: MockClock) -> None:
        world = PaperWorld(config.strategies, config.market, 1.0, 0)
        begin, end = world.clock.now(), world.clock.now() + int(hours * HOUR_NS)

        def account(entry: StrategyEntry, market: object, balances: object) -> PaperAccount:
            made = result.accounts[entry.id] = PaperAccount(entry.run, market, balances)  # type: ignore[arg-type]
            return made

        def plan(strategy: str) -> FaultPlan:
            if planned is not None:
                chosen = planned(strategy, begin)
            else:
                number = sorted(ids).index(strategy)
                last = end - int(CALM_S * 1e9)
                chosen = campaign(100 * seed + number, begin + HOUR_NS // 6, last, DOORS, faults) if faults else ()
            made = result.plans[strategy] = FaultPlan(chosen)
            return made

        world.open(places(world, account, plan, seed=seed, profile=WIRE))
        parts = Parts(
            disk=result.disk,
            wall_s=lambda: 0.0,
            threads=False,
            sockets=False,
            baton=VirtualBaton(clock),
            lag_every_s=60.0,
        )
        crashes = Crashes()
        daemon = result.daemon = Daemon(config, world, parts, notifier=Notifier({}), reports=crashes)
        publish = daemon.supervisor.publish

        def watched(replica: Replica) -> None:
            publish(replica)
            result.seen.append(replica)

        daemon.supervisor.publish = watched  # type: ignore[method-assign]
        stop = daemon.supervisor.emergency_stop

        def noted(strategy: str, reason: str) -> None:
            result.stops.append((strategy, daemon._journals[strategy].head.sequence))
            stop(strategy, reason)

        daemon.supervisor.emergency_stop = noted  # type: ignore[method-assign]
        async with trio.open_nursery() as nursery:

            async def serve(task_status: trio.TaskStatus[object]) -> None:
                await daemon.run(task_status=task_status)

            await nursery.start(serve)
            until = trio.current_time() + hours * 3600.0
            with trio.move_on_after(hours * 3600.0 - CALM_S):
                if script is not None:
                    await script(daemon, result, until)
                await trio.sleep_forever()
            for each in result.plans.values():
                each.heal()
            await trio.sleep(until - trio.current_time())
            daemon.stop()
        result.replicas = dict(daemon.supervisor.replicas)
        result.crashes = crashes.seen
        result.latched = {each: latch for each in ids if (latch := daemon.latches.of(each)) is not None}
        for name, log in daemon._journals.items():
            result.heads[name] = log.journal.head.hash
            result.records[name] = [record for _, record in log.journal.records()]

    with folder:
        run_seeded(seed, main)
    return result


def operator(seed: int, *, least_s: float = 300.0, most_s: float = 900.0) -> Script:
    """Moves capital, rebalances, resumes what is latched and closed, adopts what a foreign hand did."""

    async def script(daemon: Daemon, result: Run, until: float) -> None:
        draw, count = Random(seed), 0
        while True:
            await trio.sleep(draw.uniform(least_s, most_s))
            count += 1
            strategy = draw.choice(sorted(result.accounts))
            amount = 3.0 if strategy == "eth-leveraged" else 20_000.0
            kind = draw.choice(["deposit", "withdraw", "rebalance"])
            try:
                await _tidy(daemon, strategy, count)
                words = {} if kind == "rebalance" else {"amount": str(amount)}
                await daemon.operator.handle(
                    Request(kind=kind, strategy=strategy, arguments=words, key=f"{kind}{count}"), 0
                )
            except BasisError as error:
                result.refused.append(f"{strategy}: {error}")

    return script


async def _tidy(daemon: Daemon, strategy: str, count: int) -> None:
    latch = daemon.latches.of(strategy)
    if latch is not None and (latch.is_closed or latch.phase.value == "failed"):
        await daemon.operator.handle(Request(kind="resume", strategy=strategy), 0)
    cell = daemon.supervisor.cells.get(strategy)
    for venue, view in cell.observer.views.items() if cell is not None else ():
        if view.foreign:
            words = {"venue": venue}
            await daemon.operator.handle(
                Request(kind="adopt", strategy=strategy, arguments=words, key=f"adopt{count}{venue}"), 0
            )
