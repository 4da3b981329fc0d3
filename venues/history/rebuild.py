"""Sources that were published as interpolations, rebuilt so that no future enters.

Hourly Aave indices and LST oracle ratios are straight lines between daily snapshots: each hour knows the next midnight.
Only 00:00 UTC is exact. From there a value grows by the rate of the last *completed* day until the next midnight:
`v(D + h) = v(D) × (1 + g × h / 24)`, `g = v(D) / v(D−1) − 1`; the first day is flat (DESIGN-replay, Prices and gaps).
"""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np

from components.model.errors import DAT_NOT_COVERED, DAT_UNREADABLE, Fault, InvalidInput
from components.model.market import Column, Stamps
from components.model.requirements import DAY_NS
from venues.history.align import Samples
from venues.history.stamps import iso

MIN_APR, MAX_APR = -0.05, 0.25
TOLERATED_FALL = 1e-5  # 0.1 bp: weETH falls by less than 0.01 bp in 24 published hours


def completed_days(samples: Samples) -> Samples:
    """The exact midnight values of `samples` with the growth per day known at each; DAT-002 when there is none."""
    exact = samples.at % DAY_NS == 0
    if not exact.any():
        fault = Fault(
            where=f"{', '.join(samples.files)} column {samples.column}",
            found="no row at 00:00 UTC",
            expected="exact daily values, or interpolated: as_published",
        )
        raise InvalidInput(DAT_NOT_COVERED, [fault])
    at, value = samples.at[exact], samples.value[exact]
    return msgspec.structs.replace(samples, at=at, value=value, growth=daily_growth(at, value), step=DAY_NS)


def daily_growth(at: Stamps, value: Column) -> Column:
    """Growth per day up to each value, 0 for the first."""
    growth = np.zeros(len(value))
    growth[1:] = (value[1:] / value[:-1] - 1.0) * (DAY_NS / np.diff(at))
    return growth


def refuse_implausible(samples: Samples, kind: Literal["index", "ratio"]) -> None:
    """InvalidInput (DAT-005) with the first offending stamps unless the values behave as their kind must.

    An index never falls. A protocol ratio falls by less than 0.1 bp, and from midnight to midnight it moves within
    −5..25 % per year (hourly moves, annualised, are noise).
    """
    allowed = TOLERATED_FALL if kind == "ratio" else 0.0
    faults = []
    where = f"{', '.join(samples.files)} column {samples.column}"
    falls = np.flatnonzero(samples.value[1:] < samples.value[:-1] * (1.0 - allowed)) + 1
    if len(falls):
        expected = "falls below 0.1 bp only" if kind == "ratio" else "an index that never falls"
        found = f"{len(falls)} falls, first at {iso(int(samples.at[falls[0]]))}"
        faults.append(Fault(where=where, found=found, expected=expected))
    if kind == "ratio":
        exact = samples.at % DAY_NS == 0
        at = samples.at[exact]
        per_year = daily_growth(at, samples.value[exact]) * 365.0
        odd = np.flatnonzero((per_year < MIN_APR) | (per_year > MAX_APR))
        if len(odd):
            found = f"{len(odd)} days outside, first {per_year[odd[0]]:.1%} per year up to {iso(int(at[odd[0]]))}"
            expected = f"a staking yield of {MIN_APR:.0%} to {MAX_APR:.0%} per year"
            faults.append(Fault(where=where, found=found, expected=expected))
    if faults:
        raise InvalidInput(DAT_UNREADABLE, faults)
