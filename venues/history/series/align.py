"""One series at any set of times: the last value known at or before each, and whether it is too old to trade on.

This file knows nothing of files, grids or other series; `prices.py` values what is stale by other prices.
"""

from __future__ import annotations

import msgspec
import numpy as np

from components.model.market import Column, Flags, Stamps
from components.model.requirements import DAY_NS
from venues.history.files.stamps import MINUTE_NS, iso


class Part(msgspec.Struct, frozen=True):
    """One file of a series: known-times in the order of its rows, to find the row of a value again."""

    file: str
    at: Stamps


class Samples(msgspec.Struct, frozen=True, kw_only=True):
    """Values of one series at the times they became known.

    `at` (UTC ns, strictly rising) and `value` have one length. `growth`, where present, is the fraction per day
    by which a value grows after its stamp, for at most one day (rebuilt sources), `floor` what it had grown to before.
    `column`, `files` and `parts` say where they stand, `lag` how much later than its stamp in the file a value is
    known. `interval` is what the file says of the hours between settlements, NaN where it does not.
    """

    name: str
    files: tuple[str, ...]
    hashes: tuple[str, ...]
    column: str
    step: int
    at: Stamps
    value: Column
    growth: Column | None = None
    floor: Column | None = None
    duplicates: int = 0
    flat: int = 0
    lag: int = 0
    parts: tuple[Part, ...] = ()
    interval: Column | None = None

    @property
    def where(self) -> str:
        """Files and column, for messages."""
        return f"{', '.join(self.files)} column {self.column}"

    def stamp(self, at: int) -> int:
        """The stamp that the row known at `at` has in its file."""
        return at - self.lag

    def place(self, index: int) -> str:
        """File, column, row and stamp of one value, for messages."""
        at = int(self.at[index])
        for part in self.parts:
            if len(rows := np.flatnonzero(part.at == at)):
                return f"{part.file} column {self.column} row {rows[0] + 1} (stamped {iso(self.stamp(at))})"
        return f"{self.where} (stamped {iso(self.stamp(at))})"

    @property
    def is_bar(self) -> bool:
        """Whether a value is the close of a bar of trades: the price of an exchange or a pool."""
        venue, kind, _ = self.name.split(".")
        return kind in ("spot", "perp") or venue in ("dex", "uniswap")

    def max_age(self, steps: float, finest: int | None = None) -> int:
        """The age in ns beyond which a value is stale.

        A bar is one step old when it becomes known, two when the next is due, so that with `steps` = 2 it is
        stale in the very row in which the next one should stand. Bars longer than the `finest` step of the prices of
        a run are stale as soon as one of those: a close of midnight is no price beside one of noon.
        """
        if not self.is_bar:
            return int(steps * self.step)
        return int(max(steps - 1.0, 1.0) * min(self.step, finest or self.step)) - 1

    def last_at(self, times: Stamps) -> Stamps:
        """Index of the last value known at or before each time; −1 where there is none."""
        return np.searchsorted(self.at, times, side="right").astype(np.int64) - 1


class Aligned(msgspec.Struct, frozen=True):
    """A series at given times: `values` (NaN only before the first known value) and `stale`, both of their length."""

    values: Column
    stale: Flags


class Gap(msgspec.Struct, frozen=True):
    """`missing` values that should have become known from `start` to `end`, both included (UTC ns)."""

    start: int
    end: int
    missing: int


def align(samples: Samples, times: Stamps, max_age_steps: float, finest: int | None = None) -> Aligned:
    """`samples` at `times`; what is older than `Samples.max_age` is carried and marked stale."""
    last = samples.last_at(times)
    held = np.maximum(last, 0)
    age = times - samples.at[held]
    values = samples.value[held]
    if samples.growth is not None:
        values = values * (1.0 + samples.growth[held] * np.minimum(age, DAY_NS) / DAY_NS)
    if samples.floor is not None:
        values = np.maximum(values, samples.floor[held])
    stale = (last < 0) | (age > samples.max_age(max_age_steps, finest))
    return Aligned(np.where(last < 0, np.nan, values), stale)


def extreme_between(samples: Samples, times: Stamps, step: int, close: Column, *, highest: bool) -> Column:
    """Highest or lowest of the bars that closed after the time before and up to each time; `close` where none did.

    A bar's extremes concern only what was held while it ran, so they are never carried to a later row.
    """
    pick = np.maximum if highest else np.minimum
    first = np.searchsorted(samples.at, np.concatenate([[times[0] - step], times[:-1]]), side="right")
    stop = np.searchsorted(samples.at, times, side="right")
    some = stop > first
    out = close.copy()
    if some.any():
        # Bars before the first row and after the last are cut off, so that each run ends where the next begins.
        reached = samples.value[: stop[-1]]
        out[some] = pick(pick.reduceat(reached, first[some]), close[some])
    return out


def gaps_of(samples: Samples) -> tuple[Gap, ...]:
    """Where more than one native step lies between two values."""
    distances = np.diff(samples.at)
    return tuple(
        Gap(
            int(samples.at[i]) + samples.step,
            int(samples.at[i + 1]) - samples.step,
            max(1, round(int(distances[i]) / samples.step) - 1),
        )
        for i in np.flatnonzero(distances > samples.step + MINUTE_NS)
    )
