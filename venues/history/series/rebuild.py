"""Sources that were published as interpolations, rebuilt so that no future enters.

Hourly Aave indices and LST oracle ratios are straight lines between daily snapshots: each hour knows the next midnight.
Only 00:00 UTC is exact. From there a value grows until the next midnight by what the last *completed* days allow:
`v(D + h) = v(D) × (1 + g × h / 24)`, `g = ¾ × min over the last seven days of v(d) / v(d−1) − 1`; the first day is flat
(DESIGN-replay, Prices and gaps). The rest of a day is known, and shown, at its midnight. With the rate of the last day
alone half of all midnights lay below what had been shown, and an index that falls is interest that nobody paid; so
cautious it is one in a hundred, and there what was shown is held until the source has caught up (at most 5 bp).
"""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np

from components.model.errors import DAT_NOT_COVERED, DAT_UNREADABLE, Fault, InvalidInput
from components.model.market import Column, Flags, Stamps
from components.model.requirements import DAY_NS
from venues.history.files.stamps import MINUTE_NS, iso
from venues.history.series.align import Samples

MIN_APR, MAX_APR = -0.05, 0.25
SNAPSHOT_WITHIN_NS = 10 * MINUTE_NS  # a block so near to midnight is that midnight's snapshot, known at its stamp
SLASHED_MIN, SLASHED_MAX, SLASHED_DAYS, SLASHED_OFTEN = 1e-3, 0.25, 30, 3
CAUTION, RECENT_DAYS = 0.75, 7
HELD = 5e-4
TOLERATED_FALL = 1e-5  # 0.1 bp: weETH falls by less than 0.01 bp in 24 published hours


def completed_days(samples: Samples) -> Samples:
    """The values of the midnights of `samples` with the growth per day known at each; DAT-002 when there is none.

    A snapshot of a block some seconds after midnight is known at its own stamp, not before.
    """
    exact = _midnights(samples.at)
    if not exact.any():
        fault = Fault(
            where=samples.where,
            found="no row at 00:00 UTC",
            expected="exact daily values, or interpolated: as_published",
        )
        raise InvalidInput(DAT_NOT_COVERED, [fault])
    at, value = samples.at[exact], samples.value[exact]
    growth = daily_growth(at, value)
    # A fall beyond any yield has happened at once (a slashing): it does not go on for another day.
    growth = np.where(growth < MIN_APR / 365.0, 0.0, growth)
    growth = CAUTION * _lowest_of_days(growth)
    return msgspec.structs.replace(
        samples, at=at, value=value, growth=growth, floor=reached(at, value, growth), step=DAY_NS
    )


def _lowest_of_days(growth: Column) -> Column:
    """The lowest growth of the last seven completed days at each midnight; the first has none."""
    out = growth.copy()
    for back in range(1, RECENT_DAYS):
        out[back + 1 :] = np.minimum(out[back + 1 :], growth[1:-back])
    return out


def reached(at: Stamps, value: Column, growth: Column) -> Column:
    """What a source had been extrapolated to by each of its values; 0 for the first, and after a fall.

    A day that earned less than the days before ends below its extrapolation: what was shown is held until the source
    has caught up, since taking it back would be interest that nobody paid. What is more than `HELD` above the source
    (the end of a spike of days) is taken back: holding it would be wrong for weeks.
    """
    floor = np.zeros(len(value))
    for i in range(1, len(value)):
        if value[i] >= value[i - 1]:
            days = min(int(at[i] - at[i - 1]), DAY_NS) / DAY_NS
            shown = max(floor[i - 1], value[i - 1] * (1.0 + growth[i - 1] * days))
            floor[i] = shown if shown <= value[i] * (1.0 + HELD) else 0.0
    return floor


def daily_growth(at: Stamps, value: Column) -> Column:
    """Growth per day up to each value, 0 for the first."""
    growth = np.zeros(len(value))
    growth[1:] = (value[1:] / value[:-1] - 1.0) * (DAY_NS / np.diff(at))
    return growth


def slashings(samples: Samples) -> tuple[str, ...]:
    """A note for each fall of a ratio that is plausible only as a slashing: at once, seldom, and not taken back."""
    return tuple(
        f"plausible: {samples.name} falls by {1.0 - samples.value[row] / samples.value[row - 1]:.2%} at "
        f"{iso(int(samples.at[row]))} and stays there: taken as a slashing"
        for row in _slashed(samples).tolist()
    )


def _slashed(samples: Samples) -> Stamps:
    value, at = samples.value, samples.at
    fall = 1.0 - value[1:] / value[:-1]
    rows = np.flatnonzero((fall >= SLASHED_MIN) & (fall <= SLASHED_MAX)) + 1
    if len(rows) > SLASHED_OFTEN:
        return rows[:0]
    stays = [value[row : np.searchsorted(at, at[row] + SLASHED_DAYS * DAY_NS)].max() < value[row - 1] for row in rows]
    return rows[np.array(stays, np.bool_)]


def _midnights(at: Stamps) -> Flags:
    """The row of each midnight: at it or the first within minutes after it, else the last within minutes before it."""
    after = at % DAY_NS < SNAPSHOT_WITHIN_NS
    if len(exact := np.flatnonzero(after)) == len(at):
        days = at // DAY_NS
        return np.concatenate([[True], days[1:] != days[:-1]])
    before = np.flatnonzero(at % DAY_NS > DAY_NS - SNAPSHOT_WITHIN_NS)
    _, first = np.unique(at[exact] // DAY_NS, return_index=True)
    _, last = np.unique(at[before][::-1] // DAY_NS + 1, return_index=True)
    rows, spare = exact[first], before[::-1][last]
    spare = spare[~np.isin(at[spare] // DAY_NS + 1, at[rows] // DAY_NS)]
    chosen = np.zeros(len(at), np.bool_)
    chosen[rows] = chosen[spare] = True
    return chosen


def refuse_implausible(samples: Samples, kind: Literal["index", "ratio"]) -> None:
    """InvalidInput (DAT-005) with the first offending stamps unless the values behave as their kind must.

    An index never falls. A protocol ratio falls by less than 0.1 bp, and from midnight to midnight it moves within
    −5..25 % per year (hourly moves, annualised, are noise).
    """
    allowed = TOLERATED_FALL if kind == "ratio" else 0.0
    faults = []
    where = samples.where
    falls = np.flatnonzero(samples.value[1:] < samples.value[:-1] * (1.0 - allowed)) + 1
    slashed = _slashed(samples) if kind == "ratio" and len(falls) else falls[:0]
    falls = np.setdiff1d(falls, slashed)
    if len(falls):
        expected = "falls below 0.1 bp only" if kind == "ratio" else "an index that never falls"
        found = f"{len(falls)} falls, first at {iso(int(samples.at[falls[0]]))}"
        where = samples.place(int(falls[0]))
        faults.append(Fault(where=where, found=found, expected=expected))
    if kind == "ratio":
        exact = _midnights(samples.at)
        at = samples.at[exact]
        per_year = daily_growth(at, samples.value[exact]) * 365.0
        outside = (per_year < MIN_APR) | (per_year > MAX_APR)
        if len(slashed):
            outside[np.minimum(np.searchsorted(at, samples.at[slashed]), len(at) - 1)] = False
        odd = np.flatnonzero(outside)
        if len(odd):
            found = f"{len(odd)} days outside, first {per_year[odd[0]]:.1%} per year up to {iso(int(at[odd[0]]))}"
            expected = f"a staking yield of {MIN_APR:.0%} to {MAX_APR:.0%} per year"
            faults.append(Fault(where=where, found=found, expected=expected))
    if faults:
        raise InvalidInput(DAT_UNREADABLE, faults)
