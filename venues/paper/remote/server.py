"""Simulated venues as a process of their own: `python -m venues.paper.remote.server --socket PATH --config FILE`.

It serves the accounts of a configuration over a unix socket, keeps every request that reached it, and survives the
death of any client: a request that was received is worked on whoever still listens. Market time is what callers say it
is; it never goes back.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import trio

from components.model.errors import BasisError
from components.model.keys import PositionKey
from components.model.requirements import Grid, requirements
from components.model.slices import RunSlice
from components.ports import Flow
from venues.embedded import generate
from venues.interfaces import VenueClient
from venues.paper.account import PaperAccount
from venues.paper.codec import decode, encode
from venues.paper.door.doors import doors
from venues.paper.door.faults import Fault, FaultPlan
from venues.paper.door.passage import Profile
from venues.paper.remote.wire import OF_A_DOOR, Answer, Call, call_of, failure_of, not_understood, receive, send
from venues.paper.store import open_account


class AccountConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One account and the embedded market it lives in; with `folder` it is kept on disk."""

    id: str
    run: RunSlice
    balances: Mapping[PositionKey, float]
    grid: Grid
    flows: tuple[Flow, ...] = ()
    seed: int = 7  # of the market
    scenario: str = "calm"
    faults: tuple[Fault, ...] = ()
    fault_seed: int = 0  # of latencies
    profiles: Mapping[str, Profile] = {}
    speed: float = 1.0  # of the callers' market time
    folder: str | None = None


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True):
    accounts: tuple[AccountConfig, ...]


class ToldClock:
    """Market time as the callers tell it."""

    def __init__(self, now: int) -> None:
        self._now = now
        self._moved = trio.Event()

    def now(self) -> int:
        return self._now

    def tell(self, now: int) -> None:
        if now > self._now:
            self._now = now
            self._moved.set()
            self._moved = trio.Event()

    async def sleep_until(self, at: int) -> None:
        while self._now < at:
            await self._moved.wait()


class Served:
    """One account with its doors, clock and faults."""

    def __init__(self, config: AccountConfig) -> None:
        run = config.run
        market = generate(config.grid, seed=config.seed, names=requirements(run.mode), scenario=config.scenario)
        if config.folder is None:
            self.account = PaperAccount(run, market, config.balances, config.flows)
        else:
            self.account = open_account(Path(config.folder), run, market, config.balances, config.flows)
        self._timestamps = market.timestamps
        self.clock = ToldClock(self.account.timestamp)
        self.plan = FaultPlan(config.faults)
        self.doors: Mapping[str, VenueClient] = dict(
            doors(
                self.account,
                self.clock,
                self.plan,
                seed=config.fault_seed,
                profiles=config.profiles,
                speed=config.speed,
            )
        )

    async def do(self, call: Call, arguments: tuple[Any, ...]) -> Any:
        self.clock.tell(call.now)
        if call.method in OF_A_DOOR:
            return await getattr(self.doors[call.door], call.method)(*arguments)
        match call.method:
            case "doors":
                return self.account.doors
            case "add_fault":
                return self.plan.add(*arguments)
            case "heal":
                return self.plan.heal()
            case "fault_report":
                return self.plan.report()
            case "advance_to":
                row = self.account.advance_to(*arguments)
                self.clock.tell(self.account.timestamp)
                return row
            case _:
                return getattr(self.account, call.method)(*arguments)


class Server:
    def __init__(self, config: ServerConfig) -> None:
        self.served = {each.id: Served(each) for each in config.accounts}

    async def serve(self, path: Path, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serves until cancelled; a socket left over at `path` is replaced."""
        path.unlink(missing_ok=True)
        listener = trio.SocketListener(await _listening(path))
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(trio.serve_listeners, self._answer, [listener]))
            task_status.started()

    async def _answer(self, stream: trio.SocketStream) -> None:
        """One connection: one call, one answer, if anybody is left to hear it."""
        async with stream:
            try:
                frame = await receive(stream)
                if frame is not None:
                    await send(stream, await self._do(frame))
            except trio.BrokenResourceError:
                return

    async def _do(self, frame: bytes) -> Answer:
        try:
            call, arguments = call_of(frame)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            return not_understood(str(error))
        served = self.served.get(call.account)
        if served is None or (call.method in OF_A_DOOR and call.door not in served.doors):
            return not_understood(f"no {call.account!r} with a door {call.door!r}")
        try:
            return Answer(value=encode(await served.do(call, arguments)))
        except BasisError as error:
            return Answer(failure=failure_of(error))


def write_config(path: Path, config: ServerConfig) -> None:
    """The file that `--config` names."""
    path.write_bytes(encode(config))


async def _listening(path: Path) -> trio.socket.SocketType:
    socket = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
    await socket.bind(os.fspath(path))
    path.chmod(0o660)
    socket.listen(64)
    return socket


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="venues.paper.remote.server", description="Simulated venues as a process of their own"
    )
    parser.add_argument("--socket", type=Path, required=True, help="where to listen")
    parser.add_argument("--config", type=Path, required=True, help="a file made by write_config")
    arguments = parser.parse_args()
    server = Server(decode(arguments.config.read_bytes(), ServerConfig))
    trio.run(server.serve, arguments.socket)


if __name__ == "__main__":
    main()
