"""Prices at any time, also where their own source is silent.

A stale price is valued as `S_now × (p / S at its last fresh stamp)`, S being the reference price of the coin: carrying
it forward would book a fake basis of up to 507 bp (DESIGN-replay, Prices and gaps). Where S itself is silent it is
valued the same way by another venue's price. Such a value is always marked stale: it may be looked at, not traded on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np

from components.model.market import Column, Flags, Stamps
from components.model.requirements import SeriesName, reference_price
from venues.history.files.places import VENUE_ORDER
from venues.history.series.align import Aligned, Samples, align

PRICE_KINDS = frozenset({"spot", "perp"})


class Prices:
    """Spot and perp prices by the staleness rule; remembers in `used` which other series it had to look at.

    `samples_of` answers None for a series that the folder does not hold or that cannot be believed.
    """

    def __init__(
        self, samples_of: Callable[[str], Samples | None], max_age_steps: float, finest: int | None = None
    ) -> None:
        """`finest` is the shortest step of the prices that are traded side by side, ns."""
        self._finest = finest
        self._samples_of = cache(samples_of)
        self._max_age_steps = max_age_steps
        self.used: dict[str, Samples] = {}

    def at(self, own: Samples, times: Stamps) -> Aligned:
        """`own` at `times` (UTC ns, any order); stale values are estimated, NaN only before the first known one."""
        aligned = align(own, times, self._max_age_steps, self._finest)
        rows = np.flatnonzero(aligned.stale & ~np.isnan(aligned.values))
        if not len(rows):
            return aligned
        values = aligned.values.copy()
        values[rows] = self._estimated(own, times[rows])
        return Aligned(values, aligned.stale)

    def _estimated(self, own: Samples, times: Stamps) -> Column:
        reference_name = reference_price(SeriesName.parse(own.name).symbol)
        reference = self._samples_of(reference_name) if own.name != reference_name else None
        if reference is None:
            return self._by_second_source(own, times)
        self.used[reference.name] = reference
        last = own.last_at(times)
        now, then = self.at(reference, times).values, self.at(reference, own.at[last]).values
        estimate = own.value[last] * (now / then)
        unknown = np.isnan(estimate)
        if unknown.any():
            estimate[unknown] = self._by_second_source(own, times[unknown])
        return estimate

    def _by_second_source(self, own: Samples, times: Stamps) -> Column:
        """Another venue's fresh price × the ratio when both were last fresh; the last value where there is none."""
        last = own.last_at(times)
        values = own.value[last]
        open_rows = np.ones(len(times), np.bool_)
        for other in self._second_sources(own.name):
            now = align(other, times, self._max_age_steps, self._finest)
            both, then = self._last_both_fresh(own, other)
            rows = np.flatnonzero(open_rows & ~now.stale & (both[last] >= 0))
            if not len(rows):
                continue
            self.used[other.name] = other
            fresh = both[last[rows]]
            values[rows] = now.values[rows] * (own.value[fresh] / then[fresh])
            open_rows[rows] = False
            if not open_rows.any():
                break
        return values

    def _last_both_fresh(self, own: Samples, other: Samples) -> tuple[Stamps, Column]:
        """For each value of `own` the last one at which `other` was fresh too (index, −1: never), and `other` there."""
        theirs = align(other, own.at, self._max_age_steps, self._finest)
        fresh: Flags = ~theirs.stale
        indices = np.where(fresh, np.arange(len(own.at)), -1)
        return np.maximum.accumulate(indices), theirs.values

    def _second_sources(self, name: str) -> Iterator[Samples]:
        series = SeriesName.parse(name)
        for venue in VENUE_ORDER:
            for kind in ("spot", "perp"):
                if venue == series.venue:
                    continue
                if (other := self._samples_of(f"{venue}.{kind}.{series.symbol}")) is not None:
                    yield other
