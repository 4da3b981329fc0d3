"""Everything a mode needs from a folder, found, chosen and judged before a single row is handed out.

The one place that decides whether a run may start: `load` refuses on the faults found here, `coverage` shows them.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from components.model.errors import DAT_CONFLICT, DAT_IMPLAUSIBLE, DAT_NOT_COVERED, DAT_UNREADABLE, Fault, InvalidInput
from components.model.market import RewardPeriod
from components.model.requirements import HOUR_NS, Grid, SeriesName, requirements
from components.model.slices import ModeSlice, filler_of
from venues.history.choose import Chooser
from venues.history.coverage import (
    CoverageReport,
    Need,
    SeriesCoverage,
    covered_by,
    covered_by_funding,
    covered_by_rewards,
    report_of,
    uncovered,
    window_faults,
)
from venues.history.files.stamps import iso
from venues.history.library import Choice, Library
from venues.history.series.align import Samples
from venues.history.series.funding import Schedule, Settled, settle
from venues.history.series.intervals import DEFAULT_INTERVAL_NS
from venues.history.series.plausible import judge_pairs
from venues.history.series.rewards import Rewards, eigen_rewards, ethfi_rewards

BENCHMARK = "ethena.apy.sUSDe"
_GRAVEST_FIRST = (DAT_CONFLICT, DAT_UNREADABLE, DAT_IMPLAUSIBLE, DAT_NOT_COVERED)


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """What a run may use: series by the name of the column they fill, settlements, rewards, and what to report.

    `code` is the error code of the gravest fault, None when there is none.
    """

    columns: Mapping[str, Samples]
    benchmarks: Mapping[str, Samples]
    funding: Mapping[str, Settled]
    rewards: tuple[RewardPeriod, ...]
    rewards_known_until: int | None
    hashes: frozenset[str]
    notes: tuple[str, ...]
    report: CoverageReport
    code: str | None


class Surveyor:
    """Looks up every series of one mode over one grid (None: no window, only what there is)."""

    def __init__(
        self, library: Library, mode: ModeSlice, grid: Grid | None, funding_hours: Mapping[str, float] | None = None
    ) -> None:
        """`funding_hours`: the longest interval between settlements by series, as configured for the venue."""
        self._funding_hours = funding_hours or {}
        self._library = library
        self._mode = mode
        self._grid = grid
        self._window = None if grid is None else (grid.start, grid.start + (len(grid) - 1) * grid.step)
        self._chooser = Chooser(library, None if grid is None else grid.step, mode.price_fallback, self._window_faults)
        self._columns: dict[str, Samples] = {}
        self._benchmarks: dict[str, Samples] = {}
        self._funding: dict[str, Settled] = {}
        self._rewards: dict[str, Rewards] = {}
        self._hashes: set[str] = set()
        self._notes: list[str] = []
        self._entries: list[SeriesCoverage] = []
        self._codes: set[str] = set()

    def survey(self) -> Survey:
        # Rewards come first: they say from which date the price of their token is needed.
        for name in sorted(needed_series(self._mode), key=lambda name: SeriesName.parse(name).kind != "reward"):
            match SeriesName.parse(name).kind:
                case "reward":
                    self._look_up_reward(name)
                case "funding":
                    self._look_up_funding(name)
                case _:
                    self._look_up_column(name)
        self._look_up_benchmark()
        self._compare()
        faults = tuple(dict.fromkeys(fault for entry in self._entries for fault in entry.faults))
        code = next((code for code in _GRAVEST_FIRST if code in self._codes), None)
        report = report_of(self._library.folder.name, self._grid, tuple(self._entries), faults)
        periods = [period for rewards in self._rewards.values() for period in self._credited(rewards)]
        return Survey(
            columns=self._columns,
            benchmarks=self._benchmarks,
            funding=self._funding,
            rewards=tuple(sorted(periods, key=lambda period: (period.paid_at, period.token))),
            rewards_known_until=self._known_until(),
            hashes=frozenset(self._hashes),
            notes=(*self._notes, *(note for name in sorted(self._library.notes) for note in self._library.notes[name])),
            report=msgspec.structs.replace(report, code=code),
            code=code,
        )

    def second_source(self, name: str) -> Samples | None:
        """The best series under `name` to value another by, if the folder has one; it need not cover the whole run."""
        return self._chooser.own(name).samples

    def _look_up_column(self, name: str) -> None:
        chosen = self._chooser.choose(name)
        if chosen.code is not None:
            self._codes.add(chosen.code)
        if chosen.samples is None:
            self._entries.append(uncovered(name, chosen.faults))
            return
        self._entries.append(self._covered(name, chosen.samples, chosen.faults))
        self._columns[name] = chosen.samples
        self._hashes.update(chosen.samples.hashes)
        if chosen.samples.name != name:
            self._notes.append(f"price_fallback: {name} ← {chosen.samples.name}")
        if self._library.is_interpolated(chosen.samples):
            self._notes.append(f"lookahead: interpolated ≤ 24 h: {name}")
        if SeriesName.parse(name).kind == "perp":
            self._look_up_extremes(SeriesName.parse(name), SeriesName.parse(chosen.samples.name), chosen.choice)

    def _look_up_extremes(self, perp: SeriesName, source: SeriesName, choice: Choice) -> None:
        """High and low come from the very bars the close comes from; a fallback without bars has none."""
        for kind in ("perp_high", "perp_low"):
            name = f"{source.venue}.{kind}.{source.symbol}"
            if name not in self._library.shelves:
                continue
            column = f"{perp.venue}.{kind}.{perp.symbol}"
            try:
                self._columns[column] = self._library.samples(name, choice)
            except InvalidInput as refused:
                self._refuse(uncovered(column, ()), refused)

    def _look_up_funding(self, name: str) -> None:
        schedule = self._schedule(name)
        if isinstance(schedule, InvalidInput):
            self._refuse(uncovered(name, ()), schedule)
            return
        entry = covered_by_funding(name, schedule)
        self._hashes.update(schedule.samples.hashes)
        filling = self._filling(name)
        unusable = filling.faults if isinstance(filling, InvalidInput) else ()
        filling = None if isinstance(filling, InvalidInput) else filling
        filler = None if filling is None else filling.samples
        if filling is not None:
            entry = msgspec.structs.replace(
                entry,
                valid_start=min(schedule.valid_start, filling.valid_start),
                valid_end=max(schedule.valid_end, filling.valid_end),
            )
        if self._window is not None:
            try:
                settled = settle(schedule, *self._window, self._mode.funding_gap, filler)
            except InvalidInput as refused:
                self._refuse(entry, InvalidInput(refused.code, (*refused.faults, *unusable)))
                return
            self._funding[name] = settled
            self._notes += settled.notes
            if filler is not None and settled.notes:
                self._hashes.update(filler.hashes)
        self._entries.append(entry)

    def _filling(self, name: str) -> Schedule | InvalidInput | None:
        """The series that fills holes by `funding_gap: venue:<name>`, or why it cannot be used; None for none."""
        venue = filler_of(self._mode.funding_gap)
        if venue is None:
            return None
        return self._schedule(f"{venue}.funding.{SeriesName.parse(name).symbol}")

    def _schedule(self, name: str) -> Schedule | InvalidInput:
        hours = self._funding_hours.get(name)
        longest = DEFAULT_INTERVAL_NS if hours is None else round(hours * HOUR_NS)
        try:
            return Schedule.of(self._library.samples(name, self._library.choices(name, None)[0]), longest)
        except InvalidInput as refused:
            return refused

    def _compare(self) -> None:
        """Prices against each other; a fault joins those of its series."""
        for name, verdict in judge_pairs(self._columns, self._mode.plausible).items():
            self._notes += verdict.notes
            if not verdict.faults:
                continue
            self._codes.add(DAT_IMPLAUSIBLE)
            at = next(i for i, entry in enumerate(self._entries) if entry.name == name)
            faults = (*self._entries[at].faults, *verdict.faults)
            self._entries[at] = msgspec.structs.replace(self._entries[at], faults=faults)

    def _look_up_reward(self, name: str) -> None:
        token = SeriesName.parse(name).symbol
        try:
            folder = self._library.folder
            rewards = eigen_rewards(folder) if token == "EIGEN" else ethfi_rewards(folder, self._mode.rewards_estimates)
        except InvalidInput as refused:
            self._refuse(uncovered(name, ()), refused)
            return
        self._rewards[token] = rewards
        self._hashes.update(rewards.hashes)
        self._entries.append(covered_by_rewards(name, rewards))
        if self._window is not None and rewards.known_until < self._window[1]:
            until = iso(rewards.known_until)
            self._notes.append(f"rewards: {token} known until {until}; later ones are missing, not zero")

    def _look_up_benchmark(self) -> None:
        """The benchmark may be absent or faulty: that is reported and never an error."""
        if BENCHMARK not in self._library.shelves:
            return
        try:
            samples = self._library.samples(BENCHMARK, None)
        except InvalidInput as refused:
            self._notes.append(f"benchmark: {BENCHMARK} left out: {refused.faults[0]}")
            return
        self._benchmarks[BENCHMARK] = samples
        self._hashes.update(samples.hashes)
        entry = covered_by(BENCHMARK, samples, self._mode.max_age_steps)
        self._entries.append(msgspec.structs.replace(entry, optional=True))

    def _window_faults(self, samples: Samples) -> tuple[Fault, ...]:
        if self._window is None:
            return ()
        start, last = self._window
        need = Need(start, last)
        series = SeriesName.parse(samples.name)
        if series.kind == "eth_price":
            # A reward token is held from its first payment on, and only then needs a price.
            paid = self._first_paid(series.symbol)
            if paid is None:
                return ()
            need = Need(paid, last, fresh=False, reason=f"when the first {series.symbol} reward is paid")
        return window_faults(samples, need, self._mode.max_age_steps)

    def _covered(self, name: str, samples: Samples, faults: tuple[Fault, ...]) -> SeriesCoverage:
        entry = msgspec.structs.replace(covered_by(name, samples, self._mode.max_age_steps), faults=faults)
        series = SeriesName.parse(name)
        if series.kind == "eth_price":
            end = None if self._first_paid(series.symbol) is None else entry.valid_end
            return msgspec.structs.replace(entry, valid_start=None, valid_end=end)
        return entry

    def _refuse(self, entry: SeriesCoverage, refused: InvalidInput) -> None:
        self._codes.add(refused.code)
        self._entries.append(msgspec.structs.replace(entry, faults=refused.faults))

    def _credited(self, rewards: Rewards) -> tuple[RewardPeriod, ...]:
        return rewards.periods if self._window is None else rewards.within(*self._window)

    def _first_paid(self, token: str) -> int | None:
        rewards = self._rewards.get(token)
        return min((period.paid_at for period in self._credited(rewards)), default=None) if rewards else None

    def _known_until(self) -> int | None:
        """Where the first of the needed rewards ends, if that is before the end of the run."""
        until = min((rewards.known_until for rewards in self._rewards.values()), default=None)
        return until if until is not None and self._window is not None and until < self._window[1] else None


def needed_series(mode: ModeSlice) -> tuple[str, ...]:
    """`requirements(mode)` without the benchmark; funding also needs the perp it is paid on, extremes come with it."""
    names: dict[str, None] = {}
    for name in requirements(mode):
        series = SeriesName.parse(name)
        if series.kind in ("perp_high", "perp_low", "funding"):
            names[f"{series.venue}.perp.{series.symbol}"] = None
        if series.kind not in ("perp_high", "perp_low") and name != BENCHMARK:
            names[name] = None
    return tuple(names)
