"""Market time runs faster than process time, and never past a tick that is not handled."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from daemon.world.clocks import SECOND_NS, MarketClock


async def test_it_runs_at_its_speed_from_its_start(autojump_clock: MockClock) -> None:
    clock = MarketClock(1_000 * SECOND_NS, speed=60.0)
    assert clock.now() == 1_000 * SECOND_NS
    await trio.sleep(2.0)
    assert clock.now() == 1_120 * SECOND_NS


async def test_it_waits_at_the_ceiling_and_goes_on_from_there(autojump_clock: MockClock) -> None:
    clock = MarketClock(0, speed=1.0)
    assert clock.now() == 0  # it starts when it is first read
    clock.raise_ceiling(60 * SECOND_NS)
    await trio.sleep(100.0)
    assert clock.now() == 60 * SECOND_NS
    assert clock.raise_ceiling(120 * SECOND_NS) == 40 * SECOND_NS
    assert clock.now() == 60 * SECOND_NS
    await clock.sleep_until(120 * SECOND_NS)
    assert trio.current_time() >= 160.0
