"""Random numbers by name, and the recursions the market is made of.

Every process draws from its own stream, so a series does not depend on which others are asked for. All recursions run
forward from the first row: a longer span has the same values on the rows it shares.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np

from components.model.market import Column, Stamps
from components.model.requirements import Grid

HOUR_NS = 3_600_000_000_000
DAY_HOURS = 24
YEAR_HOURS = 365 * 24


def stream(seed: int, name: str) -> np.random.Generator:
    """The generator of one named process."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, crc32(name.encode())])))


class Recursion:
    """`x[t] = persistence × x[t−1] + shocks[t]`, from x[−1] = `start`; it goes on where the shocks before ended.

    Blocks of cumulative sums, no loop over rows. However the shocks are cut into parts, the values are the same bytes.
    """

    def __init__(self, persistence: float, start: float = 0.0) -> None:
        self._persistence = persistence
        self._block = max(1, int(np.log(1e6) / -np.log(persistence)))
        self._begin = start  # the value before this block
        self._sum = 0.0  # of the scaled shocks in this block
        self._at = 0  # steps of this block that are done

    def of(self, shocks: Column) -> Column:
        out = np.empty_like(shocks)
        done = 0
        while done < len(shocks):
            part = shocks[done : done + self._block - self._at]
            scale = self._persistence ** np.arange(self._at + 1, self._at + 1 + len(part))
            sums = part / scale
            sums[0] += self._sum
            np.cumsum(sums, out=sums)
            out[done : done + len(part)] = scale * (sums + self._begin)
            done, self._at, self._sum = done + len(part), self._at + len(part), float(sums[-1])
            if self._at == self._block:
                self._begin, self._sum, self._at = float(out[done - 1]), 0.0, 0
        return out


def autoregress(shocks: Column, persistence: float, start: float = 0.0) -> Column:
    """The whole of a recursion at once."""
    return Recursion(persistence, start).of(shocks)


class Memory:
    """What the processes of one seed carry from one part of a span to the next, each under its name."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._streams: dict[str, np.random.Generator] = {}
        self._recursions: dict[str, Recursion] = {}
        self._last: dict[str, Column] = {}

    def stream(self, name: str) -> np.random.Generator:
        """The generator of one process, where it stands."""
        if name not in self._streams:
            self._streams[name] = stream(self._seed, name)
        return self._streams[name]

    def autoregress(self, name: str, shocks: Column, persistence: float, start: float = 0.0) -> Column:
        """The next values of one recursion."""
        if name not in self._recursions:
            self._recursions[name] = Recursion(persistence, start)
        return self._recursions[name].of(shocks)

    def last(self, name: str, first: Column) -> Column:
        """What was kept under this name for the part after; `first` before there was any."""
        return self._last.get(name, first)

    def keep(self, name: str, values: Column) -> None:
        self._last[name] = values.copy()


class Clock:
    """The steps a market is generated on: hours, or the grid's own step where that is finer.

    With `first` the rows before that one have been made, and `memory` is what the processes kept of them; it begins a
    day of the span. Steps, hours and days are counted from the first row of the grid; `steps`, `hours` and `days` say
    how many of each this part adds, `first_step`, `first_hour` and `first_day` which the first of them is.
    """

    def __init__(self, grid: Grid, scenario_hours: float | None = None, *, first: int = 0) -> None:
        if grid.step < HOUR_NS and HOUR_NS % grid.step or grid.step > HOUR_NS and grid.step % HOUR_NS:
            raise ValueError(f"a step of {grid.step} ns neither divides an hour nor is a multiple of one")
        if first * grid.step % (DAY_HOURS * HOUR_NS):
            raise ValueError(f"row {first} does not begin a day of the span")
        self.grid = grid
        self.first = first
        self.fine = min(grid.step, HOUR_NS)
        self.per_hour = HOUR_NS // self.fine
        self.stride = grid.step // self.fine
        self.first_step = self._step_after(first - 1)
        self.first_hour = self._hour_after(self.first_step)
        self.first_day = self._day_after(first)
        self.steps = self._step_after(len(grid) - 1) - self.first_step
        self.hours = self._hour_after(self.first_step + self.steps) - self.first_hour
        self.days = self._day_after(len(grid)) - self.first_day
        all_hours = self.first_hour + self.hours
        self.scenario_hours = all_hours - 1 if scenario_hours is None else scenario_hours
        self.timestamps: Stamps = grid.start + grid.step * np.arange(first, len(grid), dtype=np.int64)

    def at_rows(self, fine: Column) -> Column:
        """A fine series at the rows of this part."""
        return fine if self.stride == 1 else fine[self.first * self.stride - self.first_step :: self.stride].copy()

    def held(self, hourly: Column) -> Column:
        """An hourly series on the fine steps, held until the next hour."""
        return hourly if self.per_hour == 1 else np.repeat(hourly, self.per_hour)[: self.steps]

    def hours_since_start(self) -> Column:
        """Hours from the first row of the grid to each fine step."""
        return np.arange(self.first_step, self.first_step + self.steps) / self.per_hour

    def row_hours(self) -> Column:
        """Hours from the first row of the grid to each row of this part."""
        return self.grid.step / 3.6e12 * np.arange(self.first, len(self.grid), dtype=np.float64)

    def _step_after(self, row: int) -> int:
        """How many fine steps there are up to a row."""
        return row * self.stride + 1 if row >= 0 else 0

    def _hour_after(self, steps: int) -> int:
        return (steps - 1) // self.per_hour + 1 if steps else 0

    def _day_after(self, rows: int) -> int:
        return int(self.grid.step / 3.6e12 * (rows - 1) // DAY_HOURS) + 1 if rows else 0
