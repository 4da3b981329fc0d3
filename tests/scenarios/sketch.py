"""Markets drawn by hand: flat lines over hourly rows, bent where a test bends them.

A line is a number (flat), a mapping of row → value (straight between the rows named, flat beyond) or a whole column.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from components.model.market import Column, FundingSeries, Market, Provenance, RewardPeriod
from components.model.requirements import DAY_NS, HOUR_NS

START = 1_714_521_600_000_000_000  # 2024-05-01T00:00Z
VENUES = ("binance", "bybit", "okx")
PREMIUM = {"binance": 1.0005, "bybit": 1.0002, "okx": 0.9998}  # perp ÷ reference
OWN_SPOT = {"binance": 1.0, "bybit": 1.0001, "okx": 0.9999}  # spot ÷ reference

Line: TypeAlias = float | Mapping[int, float] | Sequence[float] | Column


def at(hours: float) -> int:
    """UTC nanoseconds `hours` after the first row of a sketch."""
    return START + round(hours * HOUR_NS)


class Sketch:
    def __init__(self, rows: int, *, step_hours: int = 1) -> None:
        self.rows = rows
        self.timestamps = START + np.arange(rows, dtype=np.int64) * (step_hours * HOUR_NS)
        self.columns: dict[str, Column] = {}
        self.stale: dict[str, np.ndarray] = {}
        self.series: dict[str, FundingSeries] = {}
        self.rewards: list[RewardPeriod] = []

    def line(self, name: str, line: Line) -> Sketch:
        self.columns[name] = self._drawn(line)
        return self

    def prices(self, coin: str, line: Line) -> Sketch:
        """Spots and perps of all venues follow one line, each at its own small distance."""
        reference = self._drawn(line)
        for venue in VENUES:
            self.columns[f"{venue}.spot.{coin}"] = reference * OWN_SPOT[venue]
            self.columns[f"{venue}.perp.{coin}"] = reference * PREMIUM[venue]
        return self

    def extremes(
        self, venue: str, coin: str, *, high: Mapping[int, float] | None = None, low: Mapping[int, float] | None = None
    ) -> Sketch:
        """Bars with wicks on the rows named; elsewhere the extremes are the close."""
        close = self.columns[f"{venue}.perp.{coin}"]
        for kind, wicks in (("perp_high", high), ("perp_low", low)):
            column = close.copy()
            for row, price in (wicks or {}).items():
                column[row] = price
            self.columns[f"{venue}.{kind}.{coin}"] = column
        return self

    def funding(self, coin: str, rate: float, *, every_hours: int = 8, venues: Iterable[str] = VENUES) -> Sketch:
        """A settlement every so many hours from the first row on, at the mark of the last row at or before it."""
        stamps = np.arange(self.timestamps[0], self.timestamps[-1] + 1, every_hours * HOUR_NS, dtype=np.int64)
        for venue in venues:
            mark = self.columns[f"{venue}.perp.{coin}"]
            known = np.searchsorted(self.timestamps, stamps, side="right") - 1
            self.settlements(f"{venue}.funding.{coin}", stamps, np.full(len(stamps), rate), mark[known])
        return self

    def settlements(self, name: str, stamps: Column, rate: Column, mark: Column) -> Sketch:
        row = np.searchsorted(self.timestamps, stamps, side="left").astype(np.int64)
        self.series[name] = FundingSeries(at=np.asarray(stamps), row=row, rate=rate, mark_usdt=mark)
        return self

    def reward(self, token: str, *, start: float, end: float, paid: float, per_eeth: float) -> Sketch:
        """`per_eeth` tokens over [start, end), credited at `paid` (hours)."""
        self.rewards.append(
            RewardPeriod(token=token, start=at(start), end=at(end), paid_at=at(paid), per_eeth=per_eeth)
        )
        return self

    def grows_stale(self, name: str, first: int, last: int) -> Sketch:
        """Rows first … last of a series are too old to trade on."""
        flags = self.stale.setdefault(name, np.zeros(self.rows, dtype=bool))
        flags[first : last + 1] = True
        return self

    def market(self) -> Market:
        return Market(
            self.timestamps,
            self.columns,
            stale=self.stale,
            funding=self.series,
            rewards=tuple(self.rewards),
            provenance=Provenance(source="drawn by hand", data_hash="0" * 64),
        )

    def _drawn(self, line: Line) -> Column:
        if isinstance(line, Mapping):
            rows = sorted(line)
            return np.interp(np.arange(self.rows), rows, [line[row] for row in rows])
        return np.full(self.rows, float(line)) if isinstance(line, int | float) else np.asarray(line, dtype=np.float64)


def btc(rows: int, price: Line = 60_000.0, *, step_hours: int = 1, funding: float = 1e-4) -> Sketch:
    """What a BTC basis trade needs."""
    sketch = Sketch(rows, step_hours=step_hours).prices("BTC", price).line("binance.spot.ETH", 3_000.0)
    return sketch.line("ethereum.gas_price.gwei", 10.0).funding("BTC", funding)


def eth(rows: int, price: Line = 3_000.0, *, step_hours: int = 1, funding: float = 1e-4) -> Sketch:
    """What an ETH basis trade needs."""
    sketch = Sketch(rows, step_hours=step_hours).prices("ETH", price)
    return sketch.line("ethereum.gas_price.gwei", 10.0).funding("ETH", funding)


def staked(rows: int, price: Line = 3_000.0, *, step_hours: int = 1, lst: str = "wstETH") -> Sketch:
    """What every mode that stakes or lends needs: prices, ratios, indices, gas."""
    protocol, ratio = {"wstETH": ("lido", 1.17), "weETH": ("etherfi", 1.04)}[lst]
    sketch = eth(rows, price, step_hours=step_hours)
    years = rows * step_hours / 8760
    last = max(rows - 1, 1)
    grown = ratio * (1.0 + 0.03 * years)
    sketch.line(f"{protocol}.ratio.{lst}", {0: ratio, last: grown})
    sketch.line(f"dex.ratio.{lst}", {0: ratio * 0.999, last: grown * 0.999})
    sketch.line(f"aave_v3.supply_index.{lst}", {0: 1.001, last: 1.001 * (1.0 + 0.001 * years)})
    sketch.line("aave_v3.borrow_index.WETH", {0: 1.05, last: 1.05 * (1.0 + 0.025 * years)})
    sketch.line("aave_v3.supply_index.USDT", {0: 1.1, last: 1.1 * (1.0 + 0.05 * years)})
    sketch.line("uniswap.eth_price.EIGEN", 0.001)
    return sketch.line("uniswap.eth_price.ETHFI", 0.0008)


DAY_HOURS = DAY_NS // HOUR_NS
