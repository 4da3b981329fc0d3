"""A core in its thread, effects on the loop, and what a cancelled step still does."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import pytest
import trio
from trio.testing import MockClock

from daemon.cells.bridge import Bridge
from tests.simulation.baton import VirtualBaton, run_seeded

T = TypeVar("T")


class World:
    """What effects did, in order."""

    def __init__(self) -> None:
        self.script: list[str] = []
        self.began = trio.Event()

    async def send(self, what: str, seconds: float = 0.0) -> str:
        self.script.append(f"send {what}")
        self.began.set()
        await trio.sleep(seconds)
        self.script.append(f"done {what}")
        return f"{what}!"

    async def read(self, seconds: float = 0.0) -> str:
        self.script.append("ask")
        self.began.set()
        await trio.sleep(seconds)
        self.script.append("told")
        return "told"

    async def fail(self) -> None:
        await trio.lowlevel.checkpoint()
        raise ValueError("the venue is odd")


def play(act: Callable[[World, Bridge, MockClock], Awaitable[T]]) -> T:
    """In virtual time, which stands while the core computes."""

    async def main(clock: MockClock) -> T:
        return await act(World(), Bridge("hand", baton=VirtualBaton(clock)), clock)

    return run_seeded(1, main)  # type: ignore[return-value]


def test_effects_run_on_the_loop_in_order_and_their_answers_go_to_the_core() -> None:
    async def act(world: World, bridge: Bridge, clock: MockClock) -> None:
        loop = threading.get_ident()

        async def where() -> bool:
            await trio.lowlevel.checkpoint()
            return threading.get_ident() == loop

        def core() -> tuple[str, str, bool, bool]:
            return (
                bridge.call(world.send, "a"),
                bridge.call(world.read),
                bridge.call(where),
                threading.get_ident() == loop,
            )

        assert await bridge.step(core) == ("a!", "told", True, False)
        assert world.script == ["send a", "done a", "ask", "told"]
        assert bridge.effects == 3

    play(act)


def test_an_error_of_an_effect_is_an_error_of_the_core() -> None:
    async def act(world: World, bridge: Bridge, clock: MockClock) -> None:
        def core() -> str:
            try:
                bridge.call(world.fail)
            except ValueError as error:
                return str(error)
            return "nothing"

        assert await bridge.step(core) == "the venue is odd"

    play(act)


def test_an_error_of_the_core_ends_the_step_with_it() -> None:
    async def act(world: World, bridge: Bridge, clock: MockClock) -> None:
        def core() -> None:
            raise RuntimeError("a bug")

        with pytest.raises(RuntimeError, match="a bug"):
            await bridge.step(core)
        assert await bridge.step(lambda: 3) == 3, "and the next one runs"

    play(act)


@pytest.mark.parametrize("critical", [True, False])
def test_cancelled_before_an_effect_nothing_starts(critical: bool) -> None:
    async def act(world: World, bridge: Bridge, clock: MockClock) -> None:
        def core() -> None:
            bridge.call(world.send, "first", critical=True)
            bridge.call(world.send, "second", critical=critical)

        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(bridge.step, core)
                await world.began.wait()
                scope.cancel()
        assert scope.cancelled_caught
        assert world.script == ["send first", "done first"]
        assert bridge.effects == 1

    play(act)


def test_a_critical_effect_is_seen_through_when_its_step_is_cancelled() -> None:
    async def act(world: World, bridge: Bridge, clock: MockClock) -> None:
        with trio.move_on_after(1.0) as scope:
            await bridge.step(lambda: bridge.call(world.send, "order", 30.0, critical=True))
        assert world.script == ["send order", "done order"]
        assert trio.current_time() == pytest.approx(30.0)
        assert not scope.cancelled_caught, "a core that asks for nothing more comes to its end"

    play(act)


def test_a_read_ends_at_once_when_its_step_is_cancelled() -> None:
    async def act(world: World, bridge: Bridge, clock: MockClock) -> None:
        with trio.move_on_after(1.0) as scope:
            await bridge.step(lambda: bridge.call(world.read, 30.0))
        assert scope.cancelled_caught
        assert world.script == ["ask"]
        assert trio.current_time() == pytest.approx(1.0)

    play(act)


async def test_a_cancelled_core_that_computes_is_waited_for() -> None:
    """An abandoned thread keeps trading."""
    script: list[str] = []
    world, bridge, go = World(), Bridge("hand"), threading.Event()

    def core() -> None:
        bridge.call(world.send, "order", critical=True)
        go.wait(5.0)
        script.append("computed")

    async def cancel(scope: trio.CancelScope) -> None:
        await world.began.wait()
        scope.cancel()
        script.append("cancelled")
        go.set()

    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bridge.step, core)
            nursery.start_soon(cancel, scope)
    script.append("ended")
    assert script == ["cancelled", "computed", "ended"]


def test_a_core_cannot_swallow_its_cancellation_and_go_on() -> None:
    async def act(world: World, bridge: Bridge, clock: MockClock) -> None:
        def stubborn() -> None:
            for attempt in range(3):
                try:
                    bridge.call(world.send, f"{attempt}", 0.0 if attempt else 5.0)
                except trio.Cancelled:
                    continue

        with trio.move_on_after(1.0):
            await bridge.step(stubborn)
        assert world.script == ["send 0"]

    play(act)


async def test_steps_of_one_bridge_never_overlap() -> None:
    world, bridge = World(), Bridge("hand")
    async with trio.open_nursery() as nursery:
        for name in ("a", "b"):
            nursery.start_soon(bridge.step, partial(bridge.call, world.send, name, 0.01))
    first, second = world.script[0][-1], world.script[2][-1]
    assert world.script == [f"send {first}", f"done {first}", f"send {second}", f"done {second}"]


async def test_progress_is_told_before_and_after_every_effect() -> None:
    told: list[int] = []
    bridge = Bridge("hand", progress=lambda: told.append(len(told)))
    world = World()
    await bridge.step(lambda: [bridge.call(world.read) for _ in range(2)])
    assert len(told) == 4


def test_virtual_time_stands_while_a_core_computes_and_moves_inside_effects() -> None:
    async def act(world: World, bridge: Bridge, clock: MockClock) -> None:
        def core() -> list[float]:
            times = []
            for _ in range(3):
                sum(range(200_000))
                times.append(bridge.call(_now))
                bridge.call(trio.sleep, 2.0)
            return times

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 100.0)
            assert await bridge.step(core) == [0.0, 2.0, 4.0]
            nursery.cancel_scope.cancel()

    play(act)


async def _now() -> float:
    await trio.lowlevel.checkpoint()
    return trio.current_time()
