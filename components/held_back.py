"""Held back: measures that a finished plan left outside their band, and what makes them fire again.

The same plan at once would do the same again, so the measure waits; but it is never blind. It fires again when it has
worsened by a step of its own, when new means arrived, or, where nothing at all could be done, after a day. Well inside
its band it is forgotten. What a measure was left at is read on the first row after its plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from math import inf, isfinite

import msgspec

from components.maths.columns import extent, first_of
from components.model.market import Column, Stamps

HYSTERESIS = 0.1  # of a limit: so far inside its band a measure is forgotten, or it would come and go at the limit
NEVER = 2**63 - 1


class Why(StrEnum):
    """Why a measure stays where it is."""

    TOO_DEAR = "what would mend it costs more than its bound"
    TOO_SMALL = "nothing above the minimum trade would mend it"
    DONE = "all was done that could be"


class Band(msgspec.Struct, frozen=True):
    """One measure over a window and where it may be: outside `low`..`high` it fires. `step` is how much it must worsen
    to fire again; `share` is that as a share of the value it was left at. `extent` is the lowest and the highest value,
    where they are known."""

    name: str
    column: Column | float
    low: float
    high: float
    step: float = 0.0
    share: float = 0.0
    extent: tuple[float, float] | None = None

    def first_outside(self, start: int, rows: int) -> int:
        """The first row at or after `start` outside the band; `rows` when there is none."""
        return self._first_beyond(self.low, self.high, start, rows)

    def first_worse(self, value: float, rows: int) -> int:
        """The first row that is worse than `value` by a step, on its side of the band; `rows` when there is none."""
        step = self.step + self.share * abs(value)
        return self._first_beyond(*((value - step, inf) if value < self.low else (-inf, value + step)), 0, rows)

    def first_recovered(self, held: Held, rows: int) -> int:
        """The first of the first rows that ends what is held back: inside on the row after the plan, or well inside
        later; `rows` when there is none."""
        if held.value is None and not self.is_outside(self.at(0)):
            return 0
        low = self.low + HYSTERESIS * abs(self.low) if isfinite(self.low) else self.low
        high = self.high - HYSTERESIS * abs(self.high) if isfinite(self.high) else self.high
        if isinstance(self.column, float):
            return rows if self.column < low or self.column > high else 0
        lowest, highest = extent(self.column) if self.extent is None else self.extent
        if highest < low or lowest > high:
            return rows
        column = self.column[:rows]
        return first_of(~((column < low) | (column > high)))

    def _first_beyond(self, low: float, high: float, start: int, rows: int) -> int:
        if isinstance(self.column, float):
            return start if self.column < low or self.column > high else rows
        lowest, highest = extent(self.column) if self.extent is None else self.extent
        if lowest >= low and highest <= high:
            return rows
        column = self.column[start:rows]
        return start + first_of((column < low) | (column > high))

    def at(self, row: int) -> float:
        return self.column if isinstance(self.column, float) else float(self.column[row])

    def is_outside(self, value: float) -> bool:
        return value < self.low or value > self.high


class Held(msgspec.Struct, frozen=True):
    """`value`: what the measure was left at, None until the row after; `again_at`: UTC ns at which it is asked again
    though nothing has changed; `told`: whether that it is held back for this reason was told."""

    value: float | None
    again_at: int
    why: Why
    told: bool = False


def first_row(band: Band, held: Held | None, timestamps: Stamps) -> int:
    """The first row on which the measure fires; the length of the window when it does not."""
    rows = len(timestamps)
    if held is None:
        return band.first_outside(0, rows)
    cleared = band.first_recovered(held, rows)
    worse = band.first_worse(band.at(0) if held.value is None else held.value, rows)
    fires = min(worse, int(timestamps.searchsorted(held.again_at)))
    return fires if fires < cleared else band.first_outside(cleared, rows) if cleared < rows else rows


def after(band: Band, held: Held, rows: int) -> Held | None:
    """What is held once the first `rows` rows of a window have happened: None when the measure was inside its band."""
    if band.first_recovered(held, rows) < rows:
        return None
    return held if held.value is not None else msgspec.structs.replace(held, value=band.at(0), told=True)


def asked_at_once(held: Mapping[str, Held]) -> dict[str, Held]:
    """New means arrived: everything is worth another try, and told anew only for another reason."""
    return {name: msgspec.structs.replace(each, again_at=0) for name, each in held.items()}
