"""Two clocks. Market time is what rows, data ages and funding are measured in; in paper it may outrun the wall clock.
Process time (`trio.current_time`) is for deadlines, backoff and the watchdog.
"""

from __future__ import annotations

import trio

from daemon.world.awake import lost_s

SECOND_NS = 1_000_000_000


class MarketClock:
    """Market time that runs `speed` times as fast as process time from `start` (UTC ns) on.

    It never passes `ceiling`, the next tick that is not handled yet: a slow machine lags, it does not miss. Live has no
    ceiling, speed 1 and a `start` from the wall clock.
    """

    def __init__(self, start: int, *, speed: float = 1.0) -> None:
        self.speed = speed
        self._start = start
        self._began: float | None = None
        self._ceiling: int | None = None

    def now(self) -> int:
        """UTC nanoseconds of market time; the clock starts when it is first read."""
        free = self._free()
        return free if self._ceiling is None else min(free, self._ceiling)

    async def sleep_until(self, at: int) -> None:
        """Returns at or after `at`."""
        while (left := at - self.now()) > 0:
            await trio.sleep(left / SECOND_NS / self.speed)

    def raise_ceiling(self, at: int) -> int:
        """The next tick that must be handled before time may pass it; returns by how many ns the market lagged."""
        ahead = 0 if self._ceiling is None else max(0, self._free() - self._ceiling)
        self._start -= ahead
        self._ceiling = at
        return ahead

    def _free(self) -> int:
        if self._began is None:
            self._began = trio.current_time() + lost_s()
        passed = trio.current_time() + lost_s() - self._began  # the market goes on while this process is suspended
        return self._start + int(passed * self.speed * SECOND_NS)
