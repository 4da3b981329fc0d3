"""How far a venue's clock is from ours, measured from the stamps in its answers.

A venue stamps an answer somewhere between the question and its arrival, so one exchange of messages tells the offset
to half of its round trip. The sample with the shortest round trip of the last few is believed; a longer one only where
it must be, since a clock that has stepped contradicts everything that was measured before it.
"""

from __future__ import annotations

from collections import deque

import msgspec

SAMPLES = 9


class Sample(msgspec.Struct, frozen=True):
    """Offset (venue less us) and what it may be wrong by, both milliseconds."""

    offset_ms: float
    error_ms: float

    def contradicts(self, other: Sample) -> bool:
        """Whether both cannot be true of one offset."""
        return abs(self.offset_ms - other.offset_ms) > self.error_ms + other.error_ms


class VenueClock:
    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=SAMPLES)

    def heard(self, asked_at: int, venue_time: int, answered_at: int) -> None:
        """One answer; times in UTC ns, ours and the venue's."""
        half = (answered_at - asked_at) / 2.0
        fresh = Sample((venue_time - (asked_at + half)) / 1e6, half / 1e6)
        kept = [each for each in self._samples if not each.contradicts(fresh)]
        self._samples = deque([*kept, fresh], maxlen=SAMPLES)

    @property
    def best(self) -> Sample | None:
        """The narrowest of the last samples; None before the first."""
        return min(self._samples, key=lambda each: each.error_ms, default=None)

    def surely_off_ms(self) -> float | None:
        """The least that the venue's clock is off by, signed; 0 while no offset is certain, None before any answer."""
        best = self.best
        if best is None:
            return None
        sure = max(abs(best.offset_ms) - best.error_ms, 0.0)
        return sure if best.offset_ms >= 0.0 else -sure
