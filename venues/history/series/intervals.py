"""How often a perpetual settled: 8, 4, 2 or 1 hours, and since when, from what the file and the venue say.

A file that has a column of intervals is believed: each settlement names the interval that it ends. Elsewhere the venue
(`configs/venues`, `funding_interval_hours`) says the longest interval there is, and the settlements themselves where it
was shorter: of all ways to read them the one with the fewest missing settlements and changes of interval is taken,
where a change back to a longer interval counts as much as many holes (venues shorten intervals at once and lengthen
them rarely, while files lose every second row).
"""

from __future__ import annotations

import msgspec
import numpy as np

from components.model.errors import DAT_CONFLICT, Fault, InvalidInput
from components.model.market import Column, Stamps
from components.model.requirements import DAY_NS, HOUR_NS
from venues.history.files.stamps import MINUTE_NS, iso, length

DEFAULT_INTERVAL_NS = 8 * HOUR_NS
_USUAL = tuple(hours * HOUR_NS for hours in (1, 2, 4, 8))
_COST_OF_SHORTENING = 3.0
_COST_OF_LENGTHENING = 21.0  # as many holes as there are settlements in a week


class Change(msgspec.Struct, frozen=True):
    """The interval is `after` from the settlement at `at` on, and was `before` up to it (ns)."""

    at: int
    before: int
    after: int


def expected_intervals(at: Stamps, stated: Column | None, longest: int) -> Stamps:
    """The interval that ends at each settlement but the first, ns; `stated` in hours where the file says it (NaN where
    it does not), `longest` what the venue's configuration says."""
    distances = np.diff(at)
    rounded: Stamps = np.maximum((distances + HOUR_NS // 2) // HOUR_NS * HOUR_NS, HOUR_NS)
    if (
        len(rounded)
        and (rounded == rounded[0]).all()
        and (rounded[0] in _USUAL or rounded[0] == longest)
        and rounded[0] <= longest
    ):
        inferred = rounded
    else:
        inferred = _fewest_holes(rounded, longest)
    if stated is None or np.isnan(stated).all():
        return inferred
    said = stated[1:]
    known = np.nan_to_num(said, nan=0.0).astype(np.int64) * HOUR_NS
    intervals: Stamps = np.where(np.isnan(said), inferred, known)
    return intervals


def changes(at: Stamps, intervals: Stamps) -> list[Change]:
    """Where the interval changes."""
    places = np.flatnonzero(np.diff(intervals))
    return [Change(int(at[i + 1]), int(intervals[i]), int(intervals[i + 1])) for i in places]


def refuse_off_grid(where: str, at: Stamps, intervals: Stamps) -> None:
    """InvalidInput (DAT-003) when settlements lie beside the hours at which the venue settles: multiples of the
    interval from 00:00 UTC on."""
    if not len(intervals):
        grid = np.full(len(at), HOUR_NS)
    else:
        grid = np.minimum(np.concatenate([intervals[:1], intervals]), np.concatenate([intervals, intervals[-1:]]))
    beside = (at + MINUTE_NS // 2) % DAY_NS % grid >= MINUTE_NS
    rows = np.flatnonzero(beside)
    if not len(rows):
        return
    first = rows[0]
    hours = ", ".join(f"{hour:02}:00" for hour in range(0, 24, int(grid[first] // HOUR_NS)))
    found = f"{len(rows)} of {len(at)} settlements beside the grid, first {iso(int(at[first]))}"
    expected = f"settlements every {length(int(grid[first]))} at {hours} UTC (stamps of another zone?)"
    raise InvalidInput(DAT_CONFLICT, [Fault(where=where, found=found, expected=expected)])


def _fewest_holes(distances: Stamps, longest: int) -> Stamps:
    """The cheapest interval for each distance: dynamic programming over stretches of equal distances."""
    if not len(distances):
        return distances
    allowed = sorted({*(interval for interval in _USUAL if interval <= longest), longest})
    edges = np.concatenate([[0], np.flatnonzero(np.diff(distances)) + 1, [len(distances)]])
    runs = [(int(distances[a]), int(b - a)) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    costs = [_holes(runs[0], interval) for interval in allowed]
    back: list[list[int]] = []
    for run in runs[1:]:
        came, best = [], []
        for j, interval in enumerate(allowed):
            ways = [cost + _change(allowed[i], interval) for i, cost in enumerate(costs)]
            i = min(range(len(ways)), key=lambda k: (ways[k], abs(k - j)))
            came.append(i)
            best.append(ways[i] + _holes(run, interval))
        costs = best
        back.append(came)
    # Of equally cheap readings the longer interval is taken: it claims less.
    state = min(range(len(allowed)), key=lambda k: (costs[k], -k))
    path = [state]
    for came in reversed(back):
        path.append(came[path[-1]])
    chosen = [allowed[state] for state in reversed(path)]
    return np.repeat(np.array(chosen, np.int64), [count for _, count in runs])


def _holes(run: tuple[int, int], interval: int) -> float:
    distance, count = run
    if distance < interval:
        return float("inf") if distance >= HOUR_NS else 0.0
    return count * (-(-distance // interval) - 1.0)


def _change(before: int, after: int) -> float:
    if before == after:
        return 0.0
    return _COST_OF_SHORTENING if after < before else _COST_OF_LENGTHENING
