"""Market time: the only time a venue client knows. It may run faster than the wall where the market is made up."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Market time."""

    def now(self) -> int:
        """UTC nanoseconds."""
        ...

    async def sleep_until(self, at: int) -> None:
        """Returns at or after `at`, UTC nanoseconds of market time."""
        ...
