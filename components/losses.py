"""Losses: how far the value of a unit has fallen from its highest, and since its UTC day began, over one window.

Columns are worked out when somebody asks for them: on most windows the worst that can have been lost is far from every
limit, and that takes two numbers.
"""

from __future__ import annotations

import numpy as np

from components.maths.columns import extent, highest
from components.model.market import Column, Window
from components.model.once import once
from components.model.requirements import DAY_NS


class Losses:
    """`unit_value` per row; `peak` is the highest before the window, `day_start` the first of the UTC day `day`."""

    def __init__(self, window: Window, unit_value: Column, *, peak: float, day: int, day_start: float) -> None:
        self._window = window
        self._unit_value = unit_value
        self._peak = peak
        self._day = day
        self._day_start = day_start

    @once
    def drawdown(self) -> Column:
        """Per row, as a fraction."""
        peak = np.maximum.accumulate(self._unit_value)
        np.maximum(peak, self._peak, out=peak)
        return 1.0 - self._unit_value / peak

    @once
    def daily_loss(self) -> Column:
        """Per row, as a fraction."""
        return 1.0 - self._unit_value / self._day_starts()

    def worst(self) -> tuple[float, float] | None:
        """A drawdown and a daily loss that no row exceeds; None when that cannot be said without looking at each."""
        low, high = extent(self._unit_value)
        if not low > 0.0:
            return None
        return 1.0 - low / max(high, self._peak), 1.0 - low / max(high, self._day_start)

    def peak_after(self, rows: int) -> float:
        """The highest value after the first `rows` rows."""
        high = highest(self._unit_value[:rows])
        return self._peak if high <= self._peak else high

    def day_start_after(self, rows: int) -> float:
        """The value with which the day of the last of the first `rows` rows began."""
        window, last = self._window, self._window.start + rows - 1
        if int(window.market.timestamps[last]) // DAY_NS == self._day:
            return self._day_start
        return float(self._unit_value[max(int(window.market.day_begins[last]) - window.start, 0)])

    def _day_starts(self) -> Column:
        """Per row the value on the first row of its UTC day."""
        window, unit_value = self._window, self._unit_value
        timestamps = window.timestamps
        if int(timestamps[-1]) // DAY_NS == self._day:
            return np.full(len(window), self._day_start)
        first = window.market.day_begins[window.start : window.stop] - window.start
        out: Column = unit_value.take(first, mode="clip")
        if int(timestamps[0]) // DAY_NS == self._day:
            out[: first.searchsorted(1)] = self._day_start
        return out
