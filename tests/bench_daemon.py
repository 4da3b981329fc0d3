"""The daemon's part of `make bench`: ticks of a cell, tick to durable intent, durable events, twenty cells at once.

Figures are set against what the machine does at best in the same run: a bare write and fdatasync, a bare core step.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from statistics import median, quantiles

import msgspec
import numpy as np
import structlog
import trio

from components.model.errors import Refuse
from components.model.keys import PositionKey, base_token, perp
from components.model.market import Market
from daemon.config.daemon_file import DaemonSlice, StrategyEntry, load_daemon
from daemon.config.settings import PACKAGED
from daemon.control.commands import Request
from daemon.journal.committer import Committer
from daemon.journal.journal import Journal
from daemon.journal.records import Intent, Note
from daemon.process.daemon import Daemon
from daemon.process.notify import Notifier
from daemon.process.seams import Parts
from daemon.state.disk import RealDisk
from daemon.world.paper import PaperWorld
from daemon.world.paper_places import QUICK, places
from venues.paper.account import PaperAccount
from venues.paper.door.faults import FaultPlan
from venues.paper.store import open_account

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))  # figures, not what is going on
INSTANT = msgspec.structs.replace(QUICK, latency_s=0.0, spread=0.0)
MODES = ("lending", "btc-basis", "eth-leveraged", "market-neutral")


class Silent:
    def crashed(self, strategy: str, error: BaseException) -> None:
        raise error


def configuration(state: Path, ids: tuple[str, ...], *, copies: int = 1, speed: float = 1e9) -> DaemonSlice:
    """Some strategies of the paper file, each `copies` times."""
    config = load_daemon(PACKAGED / "paper.yaml", environ={"BASIS_STATE_DIR": str(state)})
    entries: list[StrategyEntry] = []
    for entry in config.strategies:
        if entry.id in ids:
            entries += [
                msgspec.structs.replace(entry, id=f"{entry.id}-{i}", account=f"{entry.id}-{i}") for i in range(copies)
            ]
    return msgspec.structs.replace(config, strategies=tuple(entries), speed=speed)


def assembled(config: DaemonSlice, disk: RealDisk) -> Daemon:
    world = PaperWorld(config.strategies, config.market, config.speed, 0)

    def account(entry: StrategyEntry, market: object, balances: object) -> PaperAccount:
        return PaperAccount(entry.run, market, balances)  # type: ignore[arg-type]

    world.open(places(world, account, lambda _: FaultPlan(), seed=7, profile=INSTANT))
    parts = Parts(disk=disk, sockets=False, wall_s=time.time)
    return Daemon(config, world, parts, notifier=Notifier({}), reports=Silent())


async def run_for(daemon: Daemon, seconds: float, beside: Callable[[Daemon], Awaitable[None]] | None = None) -> None:
    async with trio.open_nursery() as nursery:

        async def serve(task_status: trio.TaskStatus[object]) -> None:
            await daemon.run(task_status=task_status)

        await nursery.start(serve)
        with trio.move_on_after(seconds):
            if beside is None:
                await trio.sleep_forever()
            else:
                await beside(daemon)
        daemon.stop()


def bare_sync(folder: Path, size: int = 2000, count: int = 300) -> float:
    """Median seconds of one append and fdatasync."""
    seconds = []
    with open(folder / "bare", "wb", buffering=0) as file:
        for _ in range(count):
            began = time.perf_counter()
            file.write(bytes(size))
            os.fdatasync(file.fileno())
            seconds.append(time.perf_counter() - began)
    return median(seconds)


def line(name: str, value: str, wanted: str = "") -> None:
    print(f"{name:<58}{value:>26}   {wanted}", flush=True)


def ticks() -> None:
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        sync = bare_sync(state)
        for strategy in ("btc-basis", "market-neutral"):
            daemon = assembled(configuration(state / strategy, (strategy,)), RealDisk())
            began = time.perf_counter()
            trio.run(run_for, daemon, 6.0)
            took = time.perf_counter() - began
            handled = sum(replica.ticks for replica in daemon.supervisor.replicas.values())
            line(
                f"one {strategy} cell: ticks/s, each durable",
                f"{handled / took:,.0f}",
                "at least 20 per second of need",
            )
            line("  one tick in bare fdatasyncs", f"{took / handled / sync:.1f}")


def latency() -> None:
    """A deposit on every tick, so that every tick sends orders."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        sync = bare_sync(state)
        daemon = assembled(configuration(state, ("btc-basis",), speed=600.0), RealDisk())
        told: dict[str, float] = {}
        found: list[float] = []
        (entry,) = daemon.config.strategies

        async def money(daemon: Daemon) -> None:
            cell = daemon.supervisor.cells[entry.id]
            tell, journal = cell.tell, daemon._journals.of[entry.id]
            append, commit = journal.append, journal.commit

            def timed_tell(row: object) -> object:
                told["at"] = time.perf_counter()
                return tell(row)  # type: ignore[arg-type]

            def timed_append(record: object) -> int:
                told["intent"] = float(isinstance(record, Intent)) or told.get("intent", 0.0)
                return append(record)  # type: ignore[arg-type]

            async def timed_commit() -> None:
                await commit()
                if told.get("intent") and "at" in told:
                    found.append(time.perf_counter() - told.pop("at"))
                told["intent"] = 0.0

            cell.tell = timed_tell  # type: ignore[method-assign,assignment]
            journal.append, journal.commit = timed_append, timed_commit  # type: ignore[method-assign,assignment]
            i = 0
            while True:
                i += 1
                request = Request(kind="deposit", strategy=entry.id, arguments={"amount": "20000"}, key=f"k{i}")
                with suppress(Refuse):
                    await daemon.operator.handle(request, 0)
                await trio.sleep(0.1)

        trio.run(run_for, daemon, 20.0, money)
        cuts = quantiles(found, n=100) if len(found) > 2 else [0.0] * 99
        line("tick to first order intent on disk: p50 ms", f"{1000 * cuts[49]:.2f}", f"{len(found)} ticks with orders")
        line("tick to first order intent on disk: p99 ms", f"{1000 * cuts[98]:.2f}", "of it two round trips to venues")
        line("  p50 in bare fdatasyncs", f"{cuts[49] / sync:.1f}")


def durable() -> None:
    for producers in (1, 10, 100):
        with tempfile.TemporaryDirectory() as folder:
            sync = bare_sync(Path(folder))
            count = trio.run(_produce, Path(folder), producers, 3.0)
            line(f"durable events/s, {producers} producers", f"{count / 3.0:,.0f}", "each waits until it is on disk")
            line("  times what one bare fdatasync after another does", f"{count / 3.0 * sync:.1f}")


async def _produce(folder: Path, producers: int, seconds: float) -> int:
    committer = Committer()
    journal = Journal.open(folder / "journal", RealDisk(), name="bench", now=lambda: 0)
    done = 0

    async def producer() -> None:
        nonlocal done
        while True:
            journal.append(Note(at=0, kind="bench", detail="x" * 160))
            await committer.commit(journal)
            done += 1

    async with trio.open_nursery() as nursery:
        await nursery.start(committer.run)
        with trio.move_on_after(seconds):
            async with trio.open_nursery() as many:
                for _ in range(producers):
                    many.start_soon(producer)
        nursery.cancel_scope.cancel()
    return done


def twenty() -> None:
    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
        daemon = assembled(configuration(Path(folder), MODES, copies=5, speed=60.0), RealDisk())
        lags: list[float] = []

        async def watch(daemon: Daemon) -> None:
            await trio.sleep(3.0)  # entries first
            while True:
                began = time.perf_counter()
                await trio.sleep(0.01)
                lags.append(time.perf_counter() - began - 0.01)

        trio.run(run_for, daemon, 25.0, watch)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
        ticked = [replica.ticks for replica in daemon.supervisor.replicas.values()]
        line("20 cells, a tick each per second: peak MB", f"{peak:.0f}", f"at most 400; {before:.0f} before they start")
        line(
            "20 cells: loop lag p50 / p99 ms",
            f"{1e3 * np.quantile(lags, 0.5):.1f} / {1e3 * np.quantile(lags, 0.99):.1f}",
            "p99 below 50",
        )
        line("20 cells: ticks of the slowest / fastest", f"{min(ticked)} / {max(ticked)}")


def soak(seconds: float = 0.0) -> None:
    """Memory over time after a warm-up; SOAK_S seconds, an operator moving capital all the while."""
    seconds = seconds or float(os.environ.get("SOAK_S", "120"))
    with tempfile.TemporaryDirectory() as folder:
        daemon = assembled(configuration(Path(folder), MODES, speed=600.0), RealDisk())
        seen: list[tuple[float, float]] = []

        async def watch(daemon: Daemon) -> None:
            i = 0
            while True:
                await trio.sleep(1.0)
                i += 1
                seen.append((time.perf_counter(), resident_mb()))
                entry = daemon.config.strategies[i % len(daemon.config.strategies)]
                words = {"amount": "1" if entry.run.mode.share_class == "ETH" else "5000"}
                with suppress(Refuse):
                    kind = ("deposit", "withdraw")[i % 2]
                    request = Request(kind=kind, strategy=entry.id, arguments=words, key=f"soak{i}")
                    await daemon.operator.handle(request, 0)

        trio.run(run_for, daemon, seconds, watch)
        late = seen[len(seen) // 3 :]
        times, sizes = np.array([each[0] for each in late]), np.array([each[1] for each in late])
        slope = float(np.polyfit(times - times[0], sizes, 1)[0]) * 3600.0
        ticked = sum(replica.ticks for replica in daemon.supervisor.replicas.values())
        per_market_hour = slope / daemon.config.speed
        line("soak: MB per market hour (an hour at speed 1)", f"{per_market_hour:.2f}", "below 1, after warm-up")
        line(
            "soak: MB per hour of this run, MB at its end",
            f"{slope:.0f}, {sizes[-1]:.0f}",
            f"{ticked} ticks, 600 x speed",
        )


def years() -> None:
    """Memory of paper over five market years of minutes, its accounts holding hedges that are paid funding."""
    with tempfile.TemporaryDirectory() as folder:
        config = configuration(Path(folder), MODES)
        world = PaperWorld(config.strategies, config.market, config.speed, 0)
        accounts: list[PaperAccount] = []

        def account(entry: StrategyEntry, market: Market, balances: Mapping[PositionKey, float]) -> PaperAccount:
            hedges = {perp(venue, entry.run.mode.asset): -1.0 for venue in entry.run.mode.hedge_allocation}
            cash = {base_token(venue, "USDT"): 1e6 for venue in entry.run.mode.hedge_allocation}
            held = {**balances, **hedges, **cash}
            accounts.append(open_account(Path(folder) / entry.id, entry.run, market, held))
            return accounts[-1]

        world.open(places(world, account, lambda _: FaultPlan(), seed=7, profile=INSTANT))

        async def live() -> None:
            for day in range(1, 5 * 365 + 1):
                world.row = day * 1440
                while world.row + 2880 > len(world.grid()):
                    await world._continue()
                for place in world.places.values():
                    await place.control.advance_to(world.row - 1)
                if day in (365, 730, 1825):
                    listed = sum(a.settled(door, 0).cursor for a in accounts for door in a.doors)
                    line(f"paper after {day // 365} years of minutes: MB", f"{resident_mb():.0f}", f"{listed:,} listed")

        trio.run(live)


def resident_mb() -> float:
    """Memory of this process now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


PARTS = {"years": years, "soak": soak, "ticks": ticks, "latency": latency, "durable": durable, "twenty": twenty}
