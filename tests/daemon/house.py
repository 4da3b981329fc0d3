"""The whole daemon in virtual time, lived in for a while and started again: same disk, same accounts, same market.

Venues are the paper venues with a fault plan per strategy, the core runs in its thread behind the baton, the journal
lies on a `CrashDisk` unless another disk is given.
"""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import structlog
import trio
from trio.testing import MockClock

from components.model.keys import PositionKey
from components.model.market import Market
from daemon.cells.cell import Cell
from daemon.cells.supervisor import Ended
from daemon.config.daemon_file import DaemonSlice, StrategyEntry, load_daemon
from daemon.config.settings import PACKAGED
from daemon.control.commands import Request, Response
from daemon.journal.journal import record_of
from daemon.journal.reader import journal_folder
from daemon.journal.records import Record
from daemon.journal.walk import Walk
from daemon.monitoring.narrator import Narrator
from daemon.process.daemon import Daemon
from daemon.process.notify import Notifier
from daemon.process.seams import Parts
from daemon.replica import CellState, Replica
from daemon.state.disk import Disk
from daemon.state.latch import Latches
from daemon.world.paper import PaperWorld
from daemon.world.paper_places import open_world, places
from tests.disks import CrashDisk
from tests.simulation.baton import VirtualBaton, run_seeded
from venues.paper.account import PaperAccount
from venues.paper.door.faults import Fault, FaultPlan
from venues.paper.door.passage import Profile

WIRE = Profile(latency_s=0.05, spread=0.0, requests_per_minute=1_000_000)
LENDING, BTC = "lending", "btc-basis"
Play = Callable[[Daemon], Awaitable[None]]


class Crashes:
    """What the supervisor reported."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def crashed(self, strategy: str, error: BaseException) -> None:
        self.seen.append(f"{strategy}: {''.join(traceback.format_exception(error))}")


class House:
    """One state directory and what outlives a daemon in it."""

    def __init__(
        self,
        folder: Path,
        *ids: str,
        disk: Disk | None = None,
        persistent: bool = False,
        changed: Callable[[DaemonSlice], DaemonSlice] = lambda config: config,
        provenance: Mapping[str, str] | None = None,
        speed: float = 1.0,
    ) -> None:
        config = load_daemon(PACKAGED / "paper.yaml", environ={"BASIS_STATE_DIR": str(folder)})
        kept = tuple(entry for entry in config.strategies if entry.id in (ids or (LENDING,)))
        limits = msgspec.structs.replace(config.limits, poll_interval_s=30.0)
        self.config = changed(msgspec.structs.replace(config, strategies=kept, limits=limits))
        self.state = folder
        self.speed = speed
        self.disk: Disk = disk or CrashDisk()
        self.accounts: dict[str, PaperAccount] = {}
        self.plans = {entry.id: FaultPlan() for entry in self.config.strategies}
        self.crashes = Crashes()
        self.told: list[str] = []
        self.pictures: list[Replica] = []
        self.row = 0
        self.begin = 0
        self.ended: Ended | None = None
        self.offset_ms: float | None = None
        self.levels: list[str] = []  # of the log, as a reload has set them
        self.kept: list[DaemonSlice] = []  # configurations that a reload has kept for the safety program
        self._persistent = persistent  # accounts are kept in the state directory, as `basis run` keeps them
        self._provenance = provenance or {}
        self._cut = False

    @property
    def crash_disk(self) -> CrashDisk:
        assert isinstance(self.disk, CrashDisk)
        return self.disk

    @property
    def latches(self) -> Latches:
        return Latches(self.state)

    def live(self, play: Play, *, reload: Callable[[], DaemonSlice] | None = None) -> Daemon:
        """One life of the daemon: it starts, `play` happens, it stops in order."""
        lived: list[Daemon] = []
        if not structlog.is_configured():  # else every crash is drawn with all its locals, a second each
            drawn = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
            structlog.configure(processors=[*structlog.get_config()["processors"][:-1], drawn])

        async def main(clock: MockClock) -> None:
            world = self._world()
            self.begin = world.clock.now()
            parts = Parts(
                disk=self.disk,
                wall_s=lambda: 0.0,
                threads=False,
                sockets=False,
                baton=VirtualBaton(clock),
                lag_every_s=57.0,
                provenance=self._provenance,
                clock_offset_ms=lambda: self.offset_ms,
                set_log_level=self.levels.append,
                keep_config=self.kept.append,
            )
            narrator = Narrator(self.told.append, every_s=3600.0)
            daemon = Daemon(
                self.config,
                world,
                parts,
                notifier=Notifier({}),
                reports=self.crashes,
                reload=reload,
                narrator=narrator,
            )
            lived.append(daemon)
            self._listen(daemon)
            async with trio.open_nursery() as nursery:

                async def serve(task_status: trio.TaskStatus[object]) -> None:
                    self.ended = await daemon.run(task_status=task_status)

                await nursery.start(serve)
                await play(daemon)
                daemon.stop()
                if self._cut:
                    daemon.stop()
            self._cut = False
            self.row = world.row

        run_seeded(1, main)
        return lived[0]

    def cut_power(self) -> None:
        """From here on nothing reaches the disk of the next life; this one ends as fast as it can, with the play."""
        self.disk = self.crash_disk.crash(Random(4))
        self._cut = True

    def fault(
        self,
        strategy: str,
        kind: str,
        venue: str,
        *,
        after_s: float = 0.0,
        lasts_s: float = 3600.0,
        **words: float | str,
    ) -> None:
        """A fault from `after_s` of market time after the start of this life on."""
        at = self.begin + int(after_s * 1e9)
        self.plans[strategy].add(Fault(kind=kind, venue=venue, at=at, duration_s=lasts_s, parameters=words))

    def records(self, name: str) -> list[Record]:
        """The durable records of a journal, verified."""
        return [record_of(name, frame) for frame in Walk(self.disk, journal_folder(self.state, name), name)]

    def _world(self) -> PaperWorld:
        if self._persistent:
            world = open_world(self.config)
        else:
            world = PaperWorld(self.config.strategies, self.config.market, self.speed, self.row)
            world.open(places(world, self._account, self.plans.__getitem__, seed=1, profile=WIRE))
        return world

    def _account(self, entry: StrategyEntry, market: Market, balances: Mapping[PositionKey, float]) -> PaperAccount:
        if entry.id not in self.accounts:
            self.accounts[entry.id] = PaperAccount(entry.run, market, balances)
        return self.accounts[entry.id]

    def _listen(self, daemon: Daemon) -> None:
        publish = daemon.supervisor.publish

        def published(replica: Replica) -> None:
            publish(replica)
            self.pictures.append(daemon.supervisor.replicas[replica.strategy])

        daemon.supervisor.publish = published  # type: ignore[method-assign]


def cell_of(daemon: Daemon, strategy: str = LENDING) -> Cell:
    return daemon.supervisor.cells[strategy]


def replica_of(daemon: Daemon, strategy: str = LENDING) -> Replica:
    return daemon.supervisor.replicas[strategy]


async def until(what: Callable[[], object], *, within_s: float = 3600.0, every_s: float = 0.25) -> None:
    """Waits in virtual time until it is so."""
    with trio.fail_after(within_s):
        while not what():
            await trio.sleep(every_s)


async def ticked(daemon: Daemon, strategy: str = LENDING, more: int = 1) -> None:
    """Until the cell has decided `more` further steps."""
    wanted = cell_of(daemon, strategy).actor.steps + more
    await until(lambda: cell_of(daemon, strategy).actor.steps >= wanted)


async def in_state(daemon: Daemon, state: CellState, strategy: str = LENDING) -> None:
    def is_so() -> bool:
        replica = daemon.supervisor.replicas.get(strategy)
        return replica is not None and replica.state is state

    await until(is_so)


async def ask(daemon: Daemon, kind: str, strategy: str | None = LENDING, *, key: str = "", **words: str) -> Response:
    """A request of the operator; `as_` stands for `as`."""
    arguments = {name.rstrip("_"): text for name, text in words.items()}
    return await daemon.operator.handle(Request(kind=kind, strategy=strategy, arguments=arguments, key=key), 1000)


async def ask_events(daemon: Daemon, strategy: str = LENDING) -> list[dict[str, Any]]:
    """What `basis events` shows."""
    response = await ask(daemon, "events", strategy, limit="10000")
    found: list[dict[str, Any]] = msgspec.json.decode(response.data)
    return found
