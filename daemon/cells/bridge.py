"""The bridge: the only place where a core's thread meets the event loop.

Theory of operation. A step of the core runs in a worker thread borrowed for that step (`Bridge.step`). Inside it every
effect is `Bridge.call`: the thread parks, the effect runs on the loop, its answer goes back. An effect never starts
once the step is cancelled. One that changes the world is shielded, and ends by a deadline of its own; a read is not.

In a simulation virtual time must not move while a core thread computes, because the virtual clock does not see threads:
a `Baton` is taken by the running core and put down inside effects. Live and paper use `NO_BATON`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol, TypeVar

import trio

T = TypeVar("T")


class Effects(Protocol):
    """The way from a core thread to the event loop."""

    def call(self, effect: Callable[..., Awaitable[T]], *arguments: object, critical: bool = False) -> T:
        """Runs one effect and returns its answer.

        Never starts once the step is cancelled. `critical` effects change the world: they are shielded from
        cancellation and end by a deadline of their own; the others end at once.
        """
        ...


class Baton(Protocol):
    """Who may compute now: at most one core between two instants of virtual time."""

    def held(self) -> AbstractAsyncContextManager[None]:
        """Around a step of the core."""
        ...

    def put_down(self) -> AbstractAsyncContextManager[None]:
        """Around an effect inside a step."""
        ...


class FreeRunning:
    """No virtual clock: everybody runs."""

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        yield

    @asynccontextmanager
    async def put_down(self) -> AsyncIterator[None]:
        yield


NO_BATON = FreeRunning()


class Bridge:
    """One strategy's bridge, with a thread limiter of its own: one step at a time."""

    def __init__(self, name: str, *, baton: Baton = NO_BATON, progress: Callable[[], None] = lambda: None) -> None:
        self._name = name
        self._baton = baton
        self._progress = progress
        self._limiter = trio.CapacityLimiter(1)
        self.effects = 0

    async def step(self, compute: Callable[[], T]) -> T:
        """Runs one step of the core in a worker thread and waits for it, however long it takes.

        A cancelled step ends at its next effect with trio.Cancelled; the thread is never abandoned, because an
        abandoned thread keeps trading.
        """
        async with self._baton.held():
            return await trio.to_thread.run_sync(compute, limiter=self._limiter, thread_name=f"core {self._name}")

    def call(self, effect: Callable[..., Awaitable[T]], *arguments: object, critical: bool = False) -> T:
        """From the core's thread: one effect on the loop, and its answer."""
        return trio.from_thread.run(self._run, effect, arguments, critical)

    async def _run(self, effect: Callable[..., Awaitable[T]], arguments: tuple[object, ...], critical: bool) -> T:
        await trio.lowlevel.checkpoint_if_cancelled()
        self.effects += 1
        self._progress()
        async with self._baton.put_down():
            if critical:
                with trio.CancelScope(shield=True):  # every critical effect bounds itself: see dispatch
                    answer = await effect(*arguments)
            else:
                answer = await effect(*arguments)
        self._progress()
        return answer
