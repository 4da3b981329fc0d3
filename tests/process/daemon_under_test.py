"""The daemon as a process, composed like the real one, with venues that live in another process and survive it.

`python -m tests.process.daemon_under_test STATE SOCKET SPEED IDS`. It dies by itself where BASIS_TEST_KILL_AT says, and
mutes the feed of every strategy for as long as the file `mute` lies in its state directory.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
import trio

from components.model.keys import PositionKey
from components.model.market import Market
from components.model.requirements import Grid
from daemon.config.daemon_file import DaemonSlice, StrategyEntry, load_daemon
from daemon.config.secrets import Secrets
from daemon.config.settings import PACKAGED
from daemon.control.protocol import SOCKET
from daemon.monitoring.log import Logs
from daemon.process import signals
from daemon.process.daemon import Daemon
from daemon.process.notify import Notifier
from daemon.process.seams import Parts
from daemon.provenance import provenance
from daemon.state.disk import RealDisk
from daemon.state.lock import Holder, held, state_lock
from daemon.world.awake import AwakeClock
from daemon.world.paper import PaperPlace, PaperWorld, initial_balances
from daemon.world.paper_places import RowFile
from tests.disks import kill_at_point
from venues.paper.door.passage import Profile
from venues.paper.remote.client import RemoteAccount, remote_doors
from venues.paper.remote.server import AccountConfig, ServerConfig, write_config

MOST_ROWS = 28 * 24 * 60
SLOW = Profile(latency_s=float(os.environ.get("STAND_LATENCY_S", "0.002")), spread=0.2, requests_per_minute=10**6)


class Quiet:
    def crashed(self, strategy: str, error: BaseException) -> None:
        """The log has it."""


def configured(state: Path, speed: float, ids: tuple[str, ...], port: int = 0) -> DaemonSlice:
    environ = {"BASIS_STATE_DIR": str(state)}
    if (state / "reload").exists():
        environ["BASIS_RISK__DELTA__WARNING"] = "0.015"
    config = load_daemon(PACKAGED / "paper.yaml", environ=environ)
    kept = tuple(entry for entry in config.strategies if entry.id in ids)
    limits = msgspec.structs.replace(config.limits, order_grace_s=3.0, unknown_budget_s=2.0, leg_deadline_s=3.0)
    metrics = msgspec.structs.replace(config.metrics, port=port)
    return msgspec.structs.replace(config, strategies=kept, speed=speed, limits=limits, metrics=metrics)


def venues_file(path: Path, config: DaemonSlice) -> None:
    """What the venue process serves: the accounts of these strategies."""
    feed = config.market
    assert feed.start is not None and feed.step_s is not None
    step = int(feed.step_s * 1e9)
    start = feed.start - feed.start % step
    accounts = tuple(
        AccountConfig(
            id=entry.id,
            run=entry.run,
            balances=initial_balances(entry.run, entry.capital),
            grid=Grid(start, start + (MOST_ROWS - 1) * step, step),
            seed=config.market.seed or 0,
            profiles={door: SLOW for door in (*entry.run.exchanges, "chain")},
            speed=config.speed,
        )
        for entry in config.strategies
    )
    write_config(path, ServerConfig(accounts=accounts))


async def serve(config: DaemonSlice, socket: str) -> int:
    told = RowFile(config.state_dir / "market.row")
    world = PaperWorld(config.strategies, config.market, config.speed, told.read() + 1)
    world.handled = told.write

    def place(entry: StrategyEntry, market: Market, balances: Mapping[PositionKey, float]) -> PaperPlace:
        doors = (*entry.run.exchanges, "chain")
        control = RemoteAccount(socket, entry.id, world.clock)
        clients = tuple(remote_doors(socket, entry.id, doors, world.clock, speed=config.speed).values())
        return PaperPlace(entry=entry, control=control, clients=clients, extend=lambda market: None)

    world.open(place)
    parts = Parts(disk=RealDisk(kill_at_point()), provenance=provenance(), wall_s=time.time)
    ids = tuple(entry.id for entry in config.strategies)
    daemon = Daemon(
        config,
        world,
        parts,
        notifier=Notifier(),
        reports=Quiet(),
        reload=lambda: configured(config.state_dir, config.speed, ids, config.metrics.port),
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(signals.listen, daemon)
        nursery.start_soon(mute, config.state_dir / "mute", world)

        async def run(task_status: trio.TaskStatus[object]) -> None:
            ended = await daemon.run(task_status=task_status)
            print("stopped", dict(ended.uncertain), flush=True)
            nursery.cancel_scope.cancel()

        await nursery.start(run)
        print("ready", daemon.metrics_address, flush=True)
    return 0


async def mute(file: Path, world: PaperWorld) -> None:
    while True:
        world.muted = set(world.places) if file.exists() else set()
        await trio.sleep(0.2)


def main() -> None:
    state, socket, speed, ids = sys.argv[1:5]
    config = configured(Path(state), float(speed), tuple(ids.split(",")), int(os.environ.get("STAND_PORT", "0")))
    config.state_dir.mkdir(parents=True, exist_ok=True)
    Logs(sys.stderr, Secrets(), now=time.time_ns, level="info", style="json").install()
    sys.setswitchinterval(0.0005)
    holder = Holder(pid=os.getpid(), started="now", socket=str(config.state_dir / SOCKET))
    with held(state_lock(config.state_dir), holder, "the state directory"):
        trio.run(serve, config, socket, clock=AwakeClock())


if __name__ == "__main__":
    main()
