"""The figures of a run: returns, risk, benchmarks. Pure; everything is time-weighted by the unit value."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

import msgspec
import numpy as np

from components.model.market import Column, Stamps
from components.model.requirements import DAY_NS
from components.model.slices import RunSlice
from daemon.replay import ReplayResult

YEAR_NS = 365 * DAY_NS


class Figures(msgspec.Struct, frozen=True):
    """Fractions; None where undefined (too short a run, no position)."""

    total_return: float
    annualised_return: float | None
    max_drawdown: float
    sharpe: float | None
    min_health_factor: float | None
    min_margin_ratio: float | None


def figures(run: RunSlice, result: ReplayResult) -> Figures:
    """Figures of a finished replay; flows are taken out by the unit value."""
    unit = result.columns["unit_value"]
    total = float(unit[-1]) - 1.0
    elapsed = int(result.timestamps[-1] - result.timestamps[0])
    annualised = (1.0 + total) ** (YEAR_NS / elapsed) - 1.0 if elapsed >= DAY_NS and total > -1.0 else None
    peak = np.maximum.accumulate(np.concatenate(((1.0,), unit)))[1:]
    ratios = [
        result.columns[f"margin_ratio.{venue}"]
        for venue in run.mode.hedge_allocation
        if f"margin_ratio.{venue}" in result.columns
    ]
    health = result.columns.get("health_factor")
    return Figures(
        total_return=total,
        annualised_return=annualised,
        max_drawdown=float((1.0 - unit / peak).max()),
        sharpe=sharpe(result.timestamps, unit),
        min_health_factor=None if health is None else lowest([health]),
        min_margin_ratio=lowest(ratios),
    )


def sharpe(timestamps: Stamps, unit_value: Column) -> float | None:
    """Mean ÷ standard deviation of daily unit returns × √365; None with fewer than two days or no variation."""
    daily = daily_values(timestamps, unit_value)
    if len(daily) < 3:
        return None
    returns = daily[1:] / daily[:-1] - 1.0
    spread = float(returns.std(ddof=1))
    return float(returns.mean()) / spread * sqrt(365.0) if spread > 0.0 else None


def daily_values(timestamps: Stamps, values: Column) -> Column:
    """The last value of each UTC day; 00:00 closes the day before."""
    days = (timestamps - 1) // DAY_NS
    last = np.flatnonzero(np.concatenate((days[1:] != days[:-1], (True,))))
    return values[last]


def lowest(columns: list[Column]) -> float | None:
    """The smallest number in the columns, absent values left out."""
    found = [float(np.nanmin(column)) for column in columns if not np.isnan(column).all()]
    return min(found) if found else None


def benchmarks(run: RunSlice, timestamps: Stamps, prices: Mapping[str, Column]) -> dict[str, float | None]:
    """Total returns of doing something simple instead, in share-class currency; None where the data lack it."""
    eth = prices.get("binance.spot.ETH")
    in_eth = run.mode.share_class == "ETH"
    eth_hold = None if eth is None else float(eth[-1] / eth[0]) - 1.0
    usdt_hold: float | None = 0.0
    if in_eth:
        usdt_hold = None if eth is None else float(eth[0] / eth[-1]) - 1.0
        eth_hold = 0.0
    apy = prices.get("ethena.apy.sUSDe")
    susde = None
    if apy is not None and not np.isnan(apy[:-1]).any() and not in_eth:
        years = np.diff(timestamps) / YEAR_NS
        susde = float(np.prod((1.0 + apy[:-1]) ** years)) - 1.0
    return {"usdt_hold": usdt_hold, "eth_hold": eth_hold, "susde": susde}
