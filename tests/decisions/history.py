"""Real history read once per mode and cut to the rows of each run, so that hundreds of starts take half a minute.

A cut is the market that loading the same rows gives (`test_playing.py` says so), except for notes and counts.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from components.model.market import FundingSeries, Market
from components.model.requirements import DAY_NS, HOUR_NS, Grid
from components.model.slices import RunSlice
from tests.acceptance.runs import DATA
from venues.history.loader import coverage, load


class History:
    """All rows that the data allow one mode, hourly."""

    def __init__(self, run: RunSlice) -> None:
        report = coverage(DATA, run.mode, None)
        assert report.earliest_start is not None and report.latest_end is not None, report.faults
        first = -(-report.earliest_start // HOUR_NS) * HOUR_NS
        last = report.latest_end // HOUR_NS * HOUR_NS
        self.market = load(DATA, run.mode, Grid(first, last, HOUR_NS))

    def day_starts(self, days: int) -> list[int]:
        """Midnights from which `days` days are known."""
        stamps = self.market.timestamps
        midnights = stamps[stamps % DAY_NS == 0]
        return [int(at) for at in midnights if at + days * DAY_NS <= stamps[-1]]

    def cut(self, grid: Grid) -> Market | None:
        """The rows of `grid`; None when it is not hourly or not wholly inside."""
        whole = self.market
        first, last = (int(np.searchsorted(whole.timestamps, at)) for at in (grid.start, grid.end))
        if grid.step != HOUR_NS or last >= len(whole) or whole.timestamps[first] != grid.start:
            return None
        rows = slice(first, last + 1)
        times = whole.timestamps[rows]
        funding = {}
        for name, series in whole.funding.items():
            kept = (series.at > grid.start) & (series.at <= grid.end)
            at = series.at[kept]
            row = np.searchsorted(times, at, side="left").astype(np.int64)
            funding[name] = FundingSeries(at, row, series.rate[kept], series.mark_usdt[kept])
        return Market(
            times,
            {name: column[rows] for name, column in whole.columns.items()},
            stale={name: flags[rows] for name, flags in whole.stale.items() if flags[rows].any()},
            funding=funding,
            rewards=whole.rewards,
            provenance=whole.provenance,
        )


@lru_cache(maxsize=16)
def _history(key: tuple[str, tuple[str, ...]]) -> History:
    from daemon.config.settings import load_run

    return History(load_run(key[0], overrides=key[1], environ={}))


def history_of(mode: str, overrides: tuple[str, ...]) -> History:
    """The history of a mode; overrides that name no series share it."""
    named = tuple(text for text in overrides if text.split("=")[0] in NAMING)
    return _history((mode, named))


NAMING = ("hedge_allocation", "lst_type", "rewards_mode", "rewards_estimates", "spot_venue", "costs", "interpolated",
          "funding_gap", "max_age_steps", "price_fallback")  # fmt: skip
