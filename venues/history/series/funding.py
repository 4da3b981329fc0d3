"""Funding settlements: which ones there are, which are missing, and what the mode wants done about it.

A missing settlement is unknown, never zero. Which ones there should be says the interval of the venue at that time
(`intervals.py`), on the hours of its grid; a stamp of the grid between two settlements that is not there is a hole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from components.model.errors import DAT_NOT_COVERED, Fault, InvalidInput
from components.model.market import Column, Stamps
from components.model.slices import filler_of
from venues.history.files.stamps import MINUTE_NS, iso, length
from venues.history.series.align import Gap, Samples
from venues.history.series.intervals import DEFAULT_INTERVAL_NS, changes, expected_intervals, refuse_off_grid

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


class Schedule(msgspec.Struct, frozen=True):
    """The settlements of one series and the intervals (ns) at which they should follow each other: `intervals` has one
    for each but the first, `first` and `last` are those at the ends."""

    samples: Samples
    intervals: Stamps
    first: int
    last: int

    @classmethod
    def of(cls, samples: Samples, longest: int = DEFAULT_INTERVAL_NS) -> Schedule:
        """The schedule of a series at a venue that settles every `longest` ns or more often. InvalidInput (DAT-003)
        when settlements lie beside the venue's grid."""
        intervals = expected_intervals(samples.at, samples.interval, longest)
        stated = samples.interval
        if len(intervals):
            first, last = int(intervals[0]), int(intervals[-1])
        else:
            said = None if stated is None or np.isnan(stated[0]) else int(stated[0] * 3_600_000_000_000)
            first = last = said or longest
        refuse_off_grid(samples.where, samples.at, intervals)
        return cls(samples, intervals, first, last)

    @property
    def valid_start(self) -> int:
        """The earliest start from which no settlement is missing."""
        return int(self.samples.at[0]) - self.first

    @property
    def valid_end(self) -> int:
        """The last minute before a settlement that the series no longer holds."""
        return int(self.samples.at[-1]) + self.last - MINUTE_NS

    def inner_holes(self) -> list[Hole]:
        """Holes between published settlements."""
        at = self.samples.at
        holes = []
        for i in np.flatnonzero(np.diff(at) > self.intervals + MINUTE_NS):
            after, before, interval = int(at[i]), int(at[i + 1]), int(self.intervals[i])
            if stamps := _between(after, before, int(self.intervals[i - 1]) if i else interval, interval):
                holes.append(Hole(after, before, stamps, True))
        return holes

    def holes_within(self, start: int, last: int) -> list[Hole]:
        """Holes with a settlement in (start, last], those before the first and after the last published included."""
        at = self.samples.at
        first, final = int(at[0]), int(at[-1])
        lead = tuple(reversed(range(first - self.first, start, -self.first)))
        trail = tuple(range(final + self.last, last + 1, self.last))
        holes = [Hole(start, first, lead, False)] if lead else []
        holes += [hole for hole in self.inner_holes() if any(start < stamp <= last for stamp in hole.stamps)]
        return [*holes, Hole(final, last + 1, trail, False)] if trail else holes

    def notes(self, start: int, last: int) -> tuple[str, ...]:
        """Changes of the interval in (start, last] that only the settlements themselves show."""
        if self.samples.interval is not None and not np.isnan(self.samples.interval).any():
            return ()
        return tuple(
            f"funding: {self.samples.name} settles every {length(change.after)} from {iso(change.at)} on, every "
            f"{length(change.before)} before; the file states no interval, so one missing just there cannot be seen"
            for change in changes(self.samples.at, self.intervals)
            if start < change.at <= last
        )


def settle(schedule: Schedule, start: int, last: int, policy: str, other: Samples | None) -> Settled:
    """The settlements in (start, last], holes treated by `policy`: `refuse`, `skip`, or `venue:<name>` with `other` as
    that venue's series. InvalidInput (DAT-002) names file, column, dates and count of what is missing."""
    samples = schedule.samples
    holes = schedule.holes_within(start, last)
    inside = (samples.at > start) & (samples.at <= last)
    at, rate = samples.at[inside], samples.value[inside]
    notes = schedule.notes(start, last)
    if not holes:
        return Settled(at, rate, notes)
    venue = filler_of(policy)
    if venue is not None:
        filled = _filled(schedule, at, rate, holes, (start, last), venue, other)
        return msgspec.structs.replace(filled, notes=(*filled.notes, *notes))
    edges = [hole for hole in holes if not hole.inside]
    if policy != "skip" or edges:
        raise InvalidInput(DAT_NOT_COVERED, [_fault(schedule, holes if policy != "skip" else edges)])
    count = sum(len(_within(hole, start, last)) for hole in holes)
    worst = float(np.abs(rate).max()) if len(rate) else 0.0
    note = (
        f"funding_gap: skip: {samples.name} lacks {count} settlements ({listed(hole.gap() for hole in holes)}); "
        f"unknown, not zero: at most {count} × {worst:.6f} = {count * worst:.4f} of notional at the highest rate seen"
    )
    return Settled(at, rate, (note, *notes))


def listed(gaps: Iterable[Gap]) -> str:
    """`2024-08-01T00:00Z…2024-08-31T16:00Z (93), …`, at most twenty."""
    every = list(gaps)
    shown = [f"{iso(gap.start)}…{iso(gap.end)} ({gap.missing})" for gap in every[:_SHOWN]]
    return ", ".join([*shown, f"{len(every) - _SHOWN} more"] if len(every) > _SHOWN else shown)


def _between(after: int, before: int, earlier: int, interval: int) -> tuple[int, ...]:
    """The settlements that should lie between two: as many of the earlier interval as there is room for, then those of
    the interval that ends at `before`."""
    stamps = tuple(range((after // interval + 1) * interval, before - MINUTE_NS, interval))
    for switch in range(before - interval, after - 1, -interval):
        if (switch - after) % earlier < MINUTE_NS:
            return (*range(after + earlier, switch, earlier), *range(max(switch, after + interval), before, interval))
    return stamps


def _filled(
    schedule: Schedule,
    at: Stamps,
    rate: Column,
    holes: Sequence[Hole],
    window: tuple[int, int],
    venue: str,
    other: Samples | None,
) -> Settled:
    samples = schedule.samples
    start, last = window
    wanted = [stamp for hole in holes for stamp in _within(hole, start, last)]
    if other is None or other.name == samples.name:
        reason = "the same series" if other is not None else f"nothing to take them from: no settlements of {venue}"
        fault = _fault(schedule, holes)
        raise InvalidInput(DAT_NOT_COVERED, [msgspec.structs.replace(fault, found=f"{fault.found}; {reason}")])
    there = set(other.at.tolist())
    if still := [stamp for stamp in wanted if stamp not in there]:
        fault = Fault(
            where=other.where,
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


def _fault(schedule: Schedule, holes: Sequence[Hole]) -> Fault:
    count = sum(len(hole.stamps) for hole in holes)
    found = f"{count} settlements missing: {listed(hole.gap() for hole in holes)}"
    if any(not hole.inside for hole in holes):
        first, final = iso(schedule.valid_start), iso(schedule.valid_end)
        expected = f"a run between the earliest valid start {first} and the latest valid end {final}"
    else:
        expected = "every settlement of the run; or write funding_gap: skip or venue:<name>"
    return Fault(where=schedule.samples.where, found=found, expected=expected)
