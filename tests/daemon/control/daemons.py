"""A daemon that answers by a script: a real control server over a real socket, in a thread of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import trio

from daemon.control.commands import Request, Response, answer
from daemon.control.protocol import SOCKET
from daemon.control.server import DEFAULT_LIMITS, ControlServer, Limits
from daemon.state.lock import Holder, held, state_lock

Script = Mapping[str, Response | Callable[[Request], Response]]


class Daemon:
    """What was asked, in order, and by whom."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[Request] = []
        self.uids: list[int] = []

    async def handle(self, request: Request, uid: int) -> Response:
        self.asked.append(request)
        self.uids.append(uid)
        response = self.script.get(request.kind, answer(message=f"{request.kind} done"))
        return response if isinstance(response, Response) else response(request)


@contextmanager
def running(state: Path, script: Script | None = None, limits: Limits = DEFAULT_LIMITS) -> Iterator[Daemon]:
    """A daemon on a state directory for the length of the block: lock held, socket open."""
    daemon = Daemon(script or {})
    is_up, stop = threading.Event(), trio.Event()
    tokens: list[trio.lowlevel.TrioToken] = []

    async def main() -> None:
        tokens.append(trio.lowlevel.current_trio_token())
        async with trio.open_nursery() as nursery:
            await nursery.start(ControlServer(state / SOCKET, daemon.handle, limits).run)
            is_up.set()
            await stop.wait()
            nursery.cancel_scope.cancel()

    thread = threading.Thread(target=trio.run, args=(main,))
    with held(state_lock(state), Holder(pid=os.getpid(), started="2024-05-01T00:00:00+00:00"), "state"):
        thread.start()
        try:
            assert is_up.wait(5.0)
            yield daemon
        finally:
            tokens[0].run_sync_soon(stop.set)
            thread.join(5.0)
    assert not thread.is_alive()
