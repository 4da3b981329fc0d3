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


def autoregress(shocks: Column, persistence: float, start: float = 0.0) -> Column:
    """`x[t] = persistence × x[t−1] + shocks[t]`, from x[−1] = `start`; blocks of cumulative sums, no loop over rows."""
    out = np.empty_like(shocks)
    block = max(1, min(len(shocks), int(np.log(1e6) / -np.log(persistence))))
    powers = persistence ** np.arange(1, block + 1)
    last = start
    for begin in range(0, len(shocks), block):
        part = shocks[begin : begin + block]
        scale = powers[: len(part)]
        out[begin : begin + block] = scale * (np.cumsum(part / scale) + last)
        last = float(out[min(begin + block, len(shocks)) - 1])
    return out


class Clock:
    """The steps a market is generated on: hours, or the grid's own step where that is finer.

    `rows` are the grid's rows as positions on the fine steps; `hour` is the whole hour each fine step lies in.
    """

    def __init__(self, grid: Grid, scenario_hours: float | None = None) -> None:
        if grid.step < HOUR_NS and HOUR_NS % grid.step or grid.step > HOUR_NS and grid.step % HOUR_NS:
            raise ValueError(f"a step of {grid.step} ns neither divides an hour nor is a multiple of one")
        self.grid = grid
        self.fine = min(grid.step, HOUR_NS)
        self.per_hour = HOUR_NS // self.fine
        self.stride = grid.step // self.fine
        self.steps = (len(grid) - 1) * self.stride + 1
        self.hours = (self.steps - 1) // self.per_hour + 1
        self.scenario_hours = self.hours - 1 if scenario_hours is None else scenario_hours
        self.timestamps: Stamps = grid.start + grid.step * np.arange(len(grid), dtype=np.int64)

    def at_rows(self, fine: Column) -> Column:
        """A fine series at the grid's rows."""
        return fine if self.stride == 1 else fine[:: self.stride].copy()

    def held(self, hourly: Column) -> Column:
        """An hourly series on the fine steps, held until the next hour."""
        return hourly if self.per_hour == 1 else np.repeat(hourly, self.per_hour)[: self.steps]

    def hours_since_start(self) -> Column:
        """Hours from the first row to each fine step."""
        return np.arange(self.steps) / self.per_hour
