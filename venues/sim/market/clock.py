"""The time axis a market is generated on.

Slow processes run by the hour and are held until the next one; only prices and small noise know finer steps. Whatever
is known on a whole hour since the start is the same at every step, so a seed is one market that may be looked at by the
minute, the hour or the day.
"""

from __future__ import annotations

from math import gcd

import numpy as np

from components.model.errors import CFG_REQUEST, Fault, InvalidInput
from components.model.market import Column, Stamps
from components.model.requirements import DAY_NS, HOUR_NS, Grid
from venues.sim.market.streams import normals

MINUTE_NS = 60_000_000_000
DAY_HOURS = 24
YEAR_HOURS = 365 * DAY_HOURS


class Clock:
    """The rows of a grid, the fine steps they are a subset of, and the hours and days since the grid's start.

    A fine step is the grid's step, or the part of it that divides an hour. `steps` counts fine steps, `hours` the hourly
    points needed to cover them (the end of the last hour included), `days` the UTC days touched; `day` is each row's.
    Errors: InvalidInput (CFG-003) for a step that is not whole minutes, or an end before the start.
    """

    def __init__(self, grid: Grid) -> None:
        if grid.step <= 0 or grid.step % MINUTE_NS:
            fault = Fault(where="step", found=f"{grid.step} ns", expected="whole minutes")
            raise InvalidInput(CFG_REQUEST, [fault])
        if grid.end < grid.start:
            raise InvalidInput(CFG_REQUEST, [Fault(where="end", found="before the start", expected="at or after it")])
        self.start = grid.start
        self.step = grid.step
        self.rows = len(grid)
        self.last = grid.start + (self.rows - 1) * grid.step
        self.fine = gcd(grid.step, HOUR_NS)
        self.per_hour = HOUR_NS // self.fine
        self.stride = grid.step // self.fine
        self.steps = (self.rows - 1) * self.stride + 1
        self.hours = -(-(self.steps - 1) // self.per_hour) + 1
        self.timestamps: Stamps = grid.start + grid.step * np.arange(self.rows, dtype=np.int64)
        first_day = grid.start // DAY_NS
        self.days = int(self.last // DAY_NS - first_day) + 1
        self.first_midnight_hour = (first_day * DAY_NS - grid.start) / HOUR_NS  # of the first day; 0 or before the start

    @property
    def day(self) -> Stamps:
        """Number of the UTC day each row lies in, from 0."""
        return self.timestamps // DAY_NS - self.start // DAY_NS

    def at_rows(self, fine: Column) -> Column:
        """A fine series at the grid's rows."""
        return fine if self.stride == 1 else fine[:: self.stride].copy()

    def held(self, hourly: Column) -> Column:
        """An hourly series on the fine steps, held until the next hour."""
        return hourly[: self.steps] if self.per_hour == 1 else np.repeat(hourly, self.per_hour)[: self.steps]

    def rows_of(self, hourly: Column) -> Column:
        """An hourly series at the grid's rows, held until the next hour."""
        return self.at_rows(self.held(hourly))

    def hour_numbers(self) -> Column:
        """0, 1, 2, … hours since the start."""
        return np.arange(self.hours, dtype=np.float64)

    def fine_hours(self) -> Column:
        """Hours from the start to each fine step."""
        return np.arange(self.steps) / self.per_hour

    def midnights(self) -> Column:
        """Hours from the start to the midnight each day begins at."""
        return self.first_midnight_hour + DAY_HOURS * np.arange(self.days)

    def noise(self, seed: int, name: str) -> Column:
        """Standard normal noise on the fine steps, the same on whole hours at every step."""
        hourly = normals(seed, name, self.hours)
        if self.per_hour == 1:
            return hourly[: self.steps]
        out = normals(seed, f"{name} within {self.per_hour}", self.steps)
        out[:: self.per_hour] = hourly[: len(out[:: self.per_hour])]
        return out
