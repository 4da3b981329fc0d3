"""Funding settlements: which ones there are, which are missing, and what the mode wants done about it.

A missing settlement is unknown, never zero. Perpetuals settle every 8 hours unless the series itself shows a shorter
regular interval around the place; a stamp between two such neighbours that is not there is a hole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from components.model.errors import DAT_NOT_COVERED, Fault, InvalidInput
from components.model.market import Column, Stamps
from components.model.requirements import HOUR_NS
from venues.history.align import Gap, Samples
from venues.history.stamps import MINUTE_NS, iso, usual_step

FUNDING_INTERVAL_NS = 8 * HOUR_NS
_SHOWN = 20


class Hole(msgspec.Struct, frozen=True):
    """Settlements expected strictly between `after` and `before` and not published; `inside` has them on both sides."""

    after: int
    before: int
    stamps: tuple[int, ...]
    inside: bool

    def gap(self) -> Gap:
        return Gap(self.stamps[0], self.stamps[-1], len(self.stamps))


class Settled(msgspec.Struct, frozen=True):
    """Settlements to be paid in a window: `at` UTC ns, `rate` a fraction of notional per interval; what was noted."""

    at: Stamps
    rate: Column
    notes: tuple[str, ...] = ()


def interval_of(samples: Samples) -> int:
    """The usual distance between settlements, at most 8 hours."""
    return min(usual_step(samples.at) or FUNDING_INTERVAL_NS, FUNDING_INTERVAL_NS)


def valid_start(samples: Samples) -> int:
    """The earliest start from which no settlement is missing."""
    return int(samples.at[0]) - interval_of(samples)


def valid_end(samples: Samples) -> int:
    """The last minute before a settlement that the series no longer holds."""
    return int(samples.at[-1]) + interval_of(samples) - MINUTE_NS


def inner_holes(at: Stamps) -> list[Hole]:
    """Holes between published settlements."""
    distances = np.diff(at)
    expected = _expected_intervals(distances)
    holes = []
    for i in np.flatnonzero(distances > expected + MINUTE_NS):
        after, before, interval = int(at[i]), int(at[i + 1]), int(expected[i])
        if stamps := tuple(range(after + interval, before - MINUTE_NS, interval)):
            holes.append(Hole(after, before, stamps, True))
    return holes


def holes_within(samples: Samples, start: int, last: int) -> list[Hole]:
    """Holes with a settlement in (start, last], those before the first and after the last published one included."""
    at, interval = samples.at, interval_of(samples)
    first, final = int(at[0]), int(at[-1])
    lead = tuple(reversed(range(first - interval, start, -interval)))
    trail = tuple(range(final + interval, last + 1, interval))
    holes = [Hole(start, first, lead, False)] if lead else []
    holes += [hole for hole in inner_holes(at) if any(start < stamp <= last for stamp in hole.stamps)]
    return [*holes, Hole(final, last + 1, trail, False)] if trail else holes


def settle(samples: Samples, start: int, last: int, policy: str, other: Samples | None) -> Settled:
    """The settlements in (start, last], holes treated by `policy`: `refuse`, `skip`, or `venue:<name>` with `other` as
    that venue's series. InvalidInput (DAT-002) names file, column, dates and count of what is missing."""
    holes = holes_within(samples, start, last)
    inside = (samples.at > start) & (samples.at <= last)
    at, rate = samples.at[inside], samples.value[inside]
    if not holes:
        return Settled(at, rate)
    if policy.startswith("venue:"):
        return _filled(samples, at, rate, holes, (start, last), policy.removeprefix("venue:"), other)
    edges = [hole for hole in holes if not hole.inside]
    if policy != "skip" or edges:
        raise InvalidInput(DAT_NOT_COVERED, [_fault(samples, holes if policy != "skip" else edges)])
    count = sum(len(_within(hole, start, last)) for hole in holes)
    worst = float(np.abs(rate).max()) if len(rate) else 0.0
    note = (
        f"funding_gap: skip: {samples.name} lacks {count} settlements ({listed(hole.gap() for hole in holes)}); "
        f"unknown, not zero: at most {count} × {worst:.6f} = {count * worst:.4f} of notional at the highest rate seen"
    )
    return Settled(at, rate, (note,))


def listed(gaps: Iterable[Gap]) -> str:
    """`2024-08-01T00:00Z…2024-08-31T16:00Z (93), …`, at most twenty."""
    every = list(gaps)
    shown = [f"{iso(gap.start)}…{iso(gap.end)} ({gap.missing})" for gap in every[:_SHOWN]]
    return ", ".join([*shown, f"{len(every) - _SHOWN} more"] if len(every) > _SHOWN else shown)


def _expected_intervals(distances: Stamps) -> Stamps:
    expected = np.full(len(distances), FUNDING_INTERVAL_NS, np.int64)
    if len(distances) >= 3:
        around = np.pad(distances, 2, mode="reflect")
        near = around[1:-3]
        regular = (around[:-4] == near) & (around[3:-1] == near) & (around[4:] == near) & (near < FUNDING_INTERVAL_NS)
        expected[regular] = near[regular]
    return expected


def _filled(
    samples: Samples,
    at: Stamps,
    rate: Column,
    holes: Sequence[Hole],
    window: tuple[int, int],
    venue: str,
    other: Samples | None,
) -> Settled:
    start, last = window
    wanted = [stamp for hole in holes for stamp in _within(hole, start, last)]
    if other is None or other.name == samples.name:
        reason = "the same series" if other is not None else f"nothing to take them from: no settlements of {venue}"
        fault = _fault(samples, holes)
        raise InvalidInput(DAT_NOT_COVERED, [msgspec.structs.replace(fault, found=f"{fault.found}; {reason}")])
    there = set(other.at.tolist())
    if still := [stamp for stamp in wanted if stamp not in there]:
        fault = Fault(
            where=f"{', '.join(other.files)} column {other.column}",
            found=f"{len(still)} of the settlements missing in {samples.name} missing too, first {iso(still[0])}",
            expected=f"settlements of {venue} to fill in, as funding_gap: venue:{venue} says",
        )
        raise InvalidInput(DAT_NOT_COVERED, [fault])
    taken = np.zeros(len(other.at), np.bool_)
    for hole in holes:
        taken |= (other.at > max(hole.after, start)) & (other.at < hole.before) & (other.at <= last)
    order = np.argsort(merged := np.concatenate([at, other.at[taken]]), kind="stable")
    dates = listed(hole.gap() for hole in holes)
    note = f"funding_gap: venue:{venue}: {samples.name} ← {other.name}, {int(taken.sum())} settlements ({dates})"
    return Settled(merged[order], np.concatenate([rate, other.value[taken]])[order], (note,))


def _within(hole: Hole, start: int, last: int) -> list[int]:
    return [stamp for stamp in hole.stamps if start < stamp <= last]


def _fault(samples: Samples, holes: Sequence[Hole]) -> Fault:
    count = sum(len(hole.stamps) for hole in holes)
    where = f"{', '.join(samples.files)} column {samples.column}"
    found = f"{count} settlements missing: {listed(hole.gap() for hole in holes)}"
    if any(not hole.inside for hole in holes):
        first, final = iso(valid_start(samples)), iso(valid_end(samples))
        expected = f"a run between the earliest valid start {first} and the latest valid end {final}"
    else:
        expected = "every settlement of the run; or write funding_gap: skip or venue:<name>"
    return Fault(where=where, found=found, expected=expected)
