"""What the outside world is reached through: the two protocols that the daemon implements.

Core code calls `Effects.call`; nothing else crosses from the core's thread to the event loop. `Clock` is market time:
it may run faster than the wall in a simulation, and is the only time a venue client knows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Clock(Protocol):
    """Market time."""

    def now(self) -> int:
        """UTC nanoseconds."""
        ...

    async def sleep_until(self, at: int) -> None:
        """Returns at or after `at`, UTC nanoseconds of market time."""
        ...


class Effects(Protocol):
    """The way from a core thread to the event loop."""

    def call(self, effect: Callable[..., Awaitable[T]], *arguments: object, critical: bool = False) -> T:
        """Runs one effect and returns its answer.

        Never starts once the step is cancelled. `critical` effects change the world: they are shielded from
        cancellation and end by a deadline of their own; the others end at once.
        """
        ...
