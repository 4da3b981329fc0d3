"""Process time that passes only while the process can act.

A process is stopped by a signal, frozen with its container, or kept from running by a busy machine. When it goes on, a
clock of the wall would find every deadline passed, every step stuck and every answer late, although nobody had a chance
to be in time. This clock leaves such a stretch out and says how long it was: deadlines, patience, backoff and the
judgement who is stuck all go on where they were. Market time is not of this kind: it has passed (see `clocks`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf

import trio

STALL_S = 1.0  # a loop that is alive looks at its clock far more often than that


class AwakeClock(trio.abc.Clock):
    """For `trio.run(clock=…)`. `lost_s` is the sum of what was left out, `stalls` how often that happened."""

    def __init__(self, monotonic: Callable[[], float] = time.perf_counter) -> None:
        self._monotonic = monotonic
        self._due = inf
        self.lost_s = 0.0
        self.stalls = 0

    def start_clock(self) -> None:
        self._due = self._monotonic()

    def current_time(self) -> float:
        now = self._monotonic()
        late = now - self._due
        if late > STALL_S:
            self.lost_s += late
            self.stalls += 1
        self._due = now
        return now - self.lost_s

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Seconds to sleep for; whoever looks next is late only if it looks later than that."""
        sleep = max(0.0, deadline - self.current_time())
        self._due += sleep
        return sleep


def lost_s() -> float:
    """Seconds in which the running loop did not run; 0 under any other clock."""
    clock = trio.lowlevel.current_clock()
    return clock.lost_s if isinstance(clock, AwakeClock) else 0.0


class Lateness:
    """How late those are who look, and how much of that lies behind somebody's last progress.

    Several tasks may look, each when it is due: what one of them found late is not late again for the next.
    """

    def __init__(self, keep_s: float = 3600.0) -> None:
        self._keep_s = keep_s
        self._accounted = trio.current_time()
        self._lost = lost_s()
        self._late: list[tuple[float, float]] = []

    def look(self, due: float) -> float:
        """Seconds by which a look that was due then (process time) comes too late, suspends included."""
        now, lost = trio.current_time(), lost_s()
        behind = max(0.0, now - max(due, self._accounted))
        suspended = lost - self._lost
        if behind > STALL_S:
            self._late = [each for each in self._late if each[0] > now - self._keep_s] + [(now, behind)]
        self._accounted, self._lost = now, lost
        return behind + suspended

    def since(self, at: float) -> float:
        """Seconds of process time after `at` in which nobody had a chance to act."""
        return sum(late for when, late in self._late if when > at)
