"""A data folder as a market: every series of a mode on the rows of a grid, or a refusal that names every fault.

A value stands in a row only if it was known by then. What is too old is valued by the rules of `prices.py`, marked in
`Market.stale`, counted and listed. Nothing is returned before everything needed was found and judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec
import numpy as np

from components.model.errors import DAT_NOT_COVERED, Fault, InvalidInput
from components.model.market import Column, Flags, FundingSeries, Market, Provenance, Stamps
from components.model.requirements import Grid, SeriesName
from components.model.slices import ModeSlice
from venues.history.coverage import CoverageReport
from venues.history.files.cache import combined_hash
from venues.history.files.stamps import MINUTE_NS, iso
from venues.history.library import Library
from venues.history.series.align import Gap, Samples, align, extreme_between
from venues.history.series.funding import listed
from venues.history.series.prices import PRICE_KINDS, Prices
from venues.history.survey import Survey, Surveyor


class UnusableData(InvalidInput):
    """The data of a folder do not allow the run; `report` shows what they would allow."""

    def __init__(self, code: str, report: CoverageReport) -> None:
        super().__init__(code, report.faults)
        self.report = report
        if report.earliest_start is not None and report.latest_end is not None:
            self.hint += f". All series are known from {iso(report.earliest_start)} to {iso(report.latest_end)}"
        elif report.without is not None:
            first, last = map(iso, report.without)
            self.hint += f". Not to be had: {', '.join(report.missing)}; the others are known from {first} to {last}"


def load(
    folder: Path,
    mode: ModeSlice,
    grid: Grid,
    *,
    cache: Path | None = None,
    zone: str | None = None,
    funding_hours: Mapping[str, float] | None = None,
) -> Market:
    """The market of `mode` over `grid` from the files of `folder`.

    Columns are float64 of `len(grid)` rows, without NaN except in benchmarks; units as in `components.model.market`.
    `cache` is where parsed files are kept; it may be missing or read-only. `zone` is that of stamps that name none,
    `funding_hours` the longest interval between settlements by series (8 where not said). Raises UnusableData (DAT-002,
    DAT-003, DAT-005 or DAT-006) with every fault at once: file, column, dates and the window that is valid.
    """
    _refuse_empty(grid)
    library = Library(folder, cache, mode.interpolated, plausible=mode.plausible, zone=zone)
    surveyor = Surveyor(library, mode, grid, funding_hours)
    found = surveyor.survey()
    if found.code is not None:
        raise UnusableData(found.code, found.report)
    return _Rows(mode, grid, found, surveyor.second_source).market()


def coverage(
    folder: Path,
    mode: ModeSlice,
    grid: Grid | None,
    *,
    cache: Path | None = None,
    zone: str | None = None,
    funding_hours: Mapping[str, float] | None = None,
) -> CoverageReport:
    """What `folder` holds of the series of `mode`, every fault it has for `grid` (None: for any run at all), and the
    files that are not read. Keywords as for `load`.

    Raises InvalidInput only when there is no such folder or the grid is empty.
    """
    if grid is not None:
        _refuse_empty(grid)
    library = Library(folder, cache, mode.interpolated, plausible=mode.plausible, zone=zone)
    report = Surveyor(library, mode, grid, funding_hours).survey().report
    return msgspec.structs.replace(report, ignored=tuple(library.ignored()))


class _Rows:
    """Fills the rows of one grid from a survey without faults."""

    def __init__(
        self, mode: ModeSlice, grid: Grid, found: Survey, second_source: Callable[[str], Samples | None]
    ) -> None:
        self._mode = mode
        self._grid = grid
        self._found = found
        self._times: Stamps = grid.start + grid.step * np.arange(len(grid), dtype=np.int64)
        steps = {
            name: samples.step for name, samples in found.columns.items() if SeriesName.parse(name).kind in PRICE_KINDS
        }
        finest = min(steps.values(), default=None)
        self._prices = Prices(second_source, mode.max_age_steps, finest)
        self._columns: dict[str, Column] = {}
        self._stale: dict[str, Flags] = {}
        self._filled: dict[str, int] = {}
        self._notes = [*found.notes, *_coarse(steps, finest)]

    def market(self) -> Market:
        for name, samples in self._found.columns.items():
            if SeriesName.parse(name).kind not in ("perp_high", "perp_low"):
                self._fill(name, samples)
        for name, samples in self._found.columns.items():
            if SeriesName.parse(name).kind in ("perp_high", "perp_low"):
                self._fill_extreme(name, samples)
        for name, samples in self._found.benchmarks.items():
            aligned = align(samples, self._times, self._mode.max_age_steps)
            self._columns[name] = np.where(aligned.stale, np.nan, aligned.values)
        funding = {name: self._settlements(name) for name in self._found.funding}
        hashes = {*self._found.hashes, *(digest for used in self._prices.used.values() for digest in used.hashes)}
        return Market(
            self._times,
            self._columns,
            stale=self._stale,
            funding=funding,
            rewards=self._found.rewards,
            provenance=Provenance(
                source=self._found.report.source,
                data_hash=combined_hash(hashes),
                notes=tuple(self._notes),
                filled_rows=self._filled,
                rewards_known_until=self._found.rewards_known_until,
            ),
        )

    def _fill(self, name: str, samples: Samples) -> None:
        kind = SeriesName.parse(name).kind
        if kind in PRICE_KINDS:
            aligned = self._prices.at(samples, self._times)
        else:
            aligned = align(samples, self._times, self._mode.max_age_steps)
        unknown = np.isnan(aligned.values)
        if unknown.any():
            # Only a reward token that nobody can hold yet gets here; 0 × NaN would poison every sum.
            first = iso(int(samples.at[0]))
            self._notes.append(f"{name}: no price before {first}; 0 and stale there, nothing can be held yet")
        self._columns[name] = np.where(unknown, 0.0, aligned.values)
        if aligned.stale.any():
            self._stale[name] = aligned.stale
        filled = aligned.stale & ~unknown
        if filled.any():
            self._filled[name] = int(filled.sum())
            self._notes.append(f"filled: {name} {self._filled[name]} rows: {listed(self._runs(filled))}")

    def _fill_extreme(self, name: str, samples: Samples) -> None:
        series = SeriesName.parse(name)
        perp = f"{series.venue}.perp.{series.symbol}"
        close, highest = self._columns[perp], series.kind == "perp_high"
        self._columns[name] = extreme_between(samples, self._times, self._grid.step, close, highest=highest)
        if perp in self._stale:
            self._stale[name] = self._stale[perp]

    def _settlements(self, name: str) -> FundingSeries:
        """The settlements with the mark as of their own stamps, exact also on a coarser grid."""
        series = SeriesName.parse(name)
        settled = self._found.funding[name]
        mark = self._prices.at(self._found.columns[f"{series.venue}.perp.{series.symbol}"], settled.at)
        row = np.searchsorted(self._times, settled.at, side="left").astype(np.int64)
        return FundingSeries(settled.at, row, settled.rate, mark.values)

    def _runs(self, flags: Flags) -> list[Gap]:
        edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
        return [
            Gap(int(self._times[start]), int(self._times[stop - 1]), int(stop - start))
            for start, stop in zip(edges[::2], edges[1::2], strict=True)
        ]


def _coarse(steps: Mapping[str, int], finest: int | None) -> Iterator[str]:
    """A note on each price whose bars are longer than the shortest in use."""
    for name, step in steps.items():
        if finest is not None and step > finest:
            yield (
                f"coarse: {name} has bars of {step / MINUTE_NS:g} minutes beside others of {finest / MINUTE_NS:g}: it "
                "is traded only in rows in which its own bar is as new as theirs"
            )


def _refuse_empty(grid: Grid) -> None:
    if grid.step <= 0 or grid.end < grid.start:
        found = f"{iso(grid.start)} to {iso(grid.end)} in steps of {grid.step} ns"
        fault = Fault(where="grid", found=found, expected="an end not before the start, and a step above 0")
        raise InvalidInput(DAT_NOT_COVERED, [fault])
