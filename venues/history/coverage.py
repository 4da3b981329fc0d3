"""What the data of a folder cover: per series, and for one mode over one grid.

Shapes and the rules of one series; `survey.py` applies them to everything a mode needs. Coverage compares known
times: the first bar of a file is known one step after its stamp.
"""

from __future__ import annotations

import msgspec

from components.model.errors import Fault
from components.model.requirements import Grid
from venues.history.files.catalogue import Ignored
from venues.history.files.stamps import iso, usual_step
from venues.history.series.align import Gap, Samples, gaps_of
from venues.history.series.funding import Schedule
from venues.history.series.rewards import Rewards


class SeriesCoverage(msgspec.Struct, frozen=True, kw_only=True):
    """One needed series. Stamps, `step` and `distance` in UTC ns: `distance` is the usual one between two rows, `step`
    what they are worth, which may be more (gas is sampled every two hours and written every hour). `flat` counts bars
    without trades (LST: repeated prices).

    `source` is another series where a price_fallback is used. `valid_start` and `valid_end` bound the runs that this
    series allows; None where it has no file or (rewards, benchmarks) sets no bound.
    """

    name: str
    source: str
    files: tuple[str, ...] = ()
    column: str = ""
    step: int | None = None
    distance: int | None = None
    first_known: int | None = None
    last_known: int | None = None
    valid_start: int | None = None
    valid_end: int | None = None
    rows: int = 0
    duplicates: int = 0
    flat: int = 0
    gaps: tuple[Gap, ...] = ()
    faults: tuple[Fault, ...] = ()
    optional: bool = False


class CoverageReport(msgspec.Struct, frozen=True, kw_only=True):
    """Every needed series, every fault, the window that all series allow (UTC ns; None when they share none or one of
    them is missing, then `without` has that of the others), and the files that are not read."""

    source: str
    grid: Grid | None
    series: tuple[SeriesCoverage, ...]
    faults: tuple[Fault, ...]
    earliest_start: int | None
    latest_end: int | None
    code: str | None = None  # of the gravest fault
    missing: tuple[str, ...] = ()
    without: tuple[int, int] | None = None
    ignored: tuple[Ignored, ...] = ()

    @property
    def covered(self) -> bool:
        return not self.faults


def covered_by(name: str, samples: Samples, max_age_steps: float) -> SeriesCoverage:
    """The coverage of a price, index, ratio or gas series."""
    first = int(samples.at[0])
    entry = _entry(name, samples)
    return msgspec.structs.replace(
        entry, valid_start=first, valid_end=_valid_end(samples, max_age_steps), gaps=gaps_of(samples)
    )


def covered_by_funding(name: str, schedule: Schedule) -> SeriesCoverage:
    """The coverage of settlements; a gap is a hole between two of them."""
    entry = msgspec.structs.replace(_entry(name, schedule.samples), step=schedule.last, distance=schedule.last)
    gaps = tuple(hole.gap() for hole in schedule.inner_holes())
    return msgspec.structs.replace(entry, valid_start=schedule.valid_start, valid_end=schedule.valid_end, gaps=gaps)


def uncovered(name: str, faults: tuple[Fault, ...]) -> SeriesCoverage:
    """A needed series that could not be read at all."""
    return SeriesCoverage(name=name, source=name, faults=faults)


def covered_by_rewards(name: str, rewards: Rewards) -> SeriesCoverage:
    """The coverage of reward periods: it bounds no run, later rewards are reported as missing."""
    return SeriesCoverage(
        name=name,
        source=name,
        files=rewards.files,
        column="per_eeth",
        first_known=rewards.periods[0].paid_at,
        last_known=rewards.periods[-1].paid_at,
        rows=len(rewards.periods),
    )


class Need(msgspec.Struct, frozen=True):
    """From when to when a series must be known (UTC ns); `fresh` also asks for a young value at `start`."""

    start: int
    last: int
    fresh: bool = True
    reason: str = "at the start"


def window_faults(samples: Samples, need: Need, max_age_steps: float) -> tuple[Fault, ...]:
    """Why `samples` do not cover `need`: nothing known or nothing fresh at its start, or nothing near its last row.
    Gaps in between are tolerated and marked stale."""
    where = samples.where
    age = samples.max_age(max_age_steps)
    first_known, last_known = int(samples.at[0]), int(samples.at[-1])
    held = int(samples.at.searchsorted(need.start, side="right")) - 1
    faults = []
    if held < 0:
        expected = f"known {need.reason} {iso(need.start)}; earliest valid start {iso(first_known)}"
        found = f"first known {iso(first_known)}{_stamped(samples, first_known)}"
        faults.append(Fault(where=where, found=found, expected=expected))
    elif need.fresh and need.start - int(samples.at[held]) > age and held + 1 < len(samples.at):
        before, after = iso(int(samples.at[held])), iso(int(samples.at[held + 1]))
        expected = f"a fresh value {need.reason} {iso(need.start)}; next valid start {after}"
        faults.append(Fault(where=where, found=f"nothing known between {before} and {after}", expected=expected))
    if last_known + age < need.last:
        expected = f"known until the end {iso(need.last)}; latest valid end {iso(_valid_end(samples, max_age_steps))}"
        found = f"last known {iso(last_known)}{_stamped(samples, last_known)}"
        faults.append(Fault(where=where, found=found, expected=expected))
    return tuple(faults)


def _valid_end(samples: Samples, max_age_steps: float) -> int:
    """The last time on the series' own grid at which its last value may still be used."""
    last = int(samples.at[-1])
    age = samples.max_age(max_age_steps)
    return last + (age // samples.step * samples.step if samples.is_bar else age)


def _stamped(samples: Samples, known: int) -> str:
    """The stamp in the file of what became known then, where that is another."""
    return f" (the row stamped {iso(samples.stamp(known))})" if samples.lag else ""


def report_of(
    source: str, grid: Grid | None, series: tuple[SeriesCoverage, ...], faults: tuple[Fault, ...]
) -> CoverageReport:
    """The report over all series, with the window they share: none while one of them cannot be read at all."""
    starts = [entry.valid_start for entry in series if entry.valid_start is not None and not entry.optional]
    ends = [entry.valid_end for entry in series if entry.valid_end is not None and not entry.optional]
    missing = tuple(entry.name for entry in series if entry.first_known is None and entry.faults and not entry.optional)
    earliest, latest = max(starts, default=None), min(ends, default=None)
    window = None if earliest is None or latest is None or earliest > latest else (earliest, latest)
    first, last = (None, None) if window is None or missing else window
    return CoverageReport(
        source=source,
        grid=grid,
        series=series,
        faults=faults,
        earliest_start=first,
        latest_end=last,
        missing=missing,
        without=window if missing else None,
    )


def _entry(name: str, samples: Samples) -> SeriesCoverage:
    return SeriesCoverage(
        name=name,
        source=samples.name,
        files=samples.files,
        column=samples.column,
        step=samples.step,
        distance=usual_step(samples.at) or samples.step,
        first_known=int(samples.at[0]),
        last_known=int(samples.at[-1]),
        rows=len(samples.at),
        duplicates=samples.duplicates,
        flat=samples.flat,
    )
