"""Virtual time and core threads together: the baton of DESIGN-daemon 30.

trio's MockClock jumps ahead when every task is blocked, and does not see that a core computes in its thread. So virtual
time stands still while a core holds the baton and moves only while it is put down inside an effect; everybody else
settles before each hand-over, which makes the order of events independent of how long a thread really takes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf

import trio
from trio.testing import MockClock, wait_all_tasks_blocked


class VirtualBaton:
    def __init__(self, clock: MockClock) -> None:
        self._clock = clock
        self._one = trio.Semaphore(1)

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        await self._one.acquire()
        try:
            await self._stop_time()
            yield
        finally:
            with trio.CancelScope(shield=True):
                await wait_all_tasks_blocked()
            self._clock.autojump_threshold = 0
            self._one.release()

    @asynccontextmanager
    async def put_down(self) -> AsyncIterator[None]:
        with trio.CancelScope(shield=True):
            await wait_all_tasks_blocked()
        self._clock.autojump_threshold = 0
        self._one.release()
        try:
            yield
        finally:
            with trio.CancelScope(shield=True):
                await self._one.acquire()
                await self._stop_time()

    async def _stop_time(self) -> None:
        await wait_all_tasks_blocked()
        self._clock.autojump_threshold = inf


def run_seeded(seed: int, main: object, *arguments: object) -> object:
    """`trio.run` under a virtual clock with a scheduler that depends on `seed` only. `main(clock, *arguments)`."""
    import trio._core._run as core

    clock = MockClock(autojump_threshold=0)
    core._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[attr-defined]
    core._r.seed(seed)
    try:
        return trio.run(main, clock, *arguments, clock=clock)  # type: ignore[arg-type]
    finally:
        core._ALLOW_DETERMINISTIC_SCHEDULING = False  # type: ignore[attr-defined]
