"""The figures of a run: returns and risk from the unit value, so that deposits and withdrawals do not count as profit.

Sharpe is mean ÷ standard deviation of daily unit returns × √365; a day is (00:00, 24:00] UTC, because a row shows what
became known by its stamp, and the first day begins at 1. Annualised is compounded over 365 days. What is not defined
(no variation, no position, nothing left) is None, and so is the yearly rate of a run that is too short to say one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np

from components.model.market import Column, Market, Stamps
from components.model.requirements import DAY_NS, reference_price
from components.model.slices import RunSlice
from components.ports import Flow
from daemon.backtest.replay import ReplayResult
from daemon.backtest.results.happened import flow_texts, happened_in
from daemon.backtest.results.lows import lows_of
from daemon.backtest.results.tables import iso_stamp
from daemon.provenance import code_hash

DAYS_PER_YEAR = 365
SHORTEST_YEARLY_DAYS = 7  # a shorter run says nothing about a year
PACKAGES = ("components", "daemon", "venues")
SUSDE_APY = "ethena.apy.sUSDe"


class Hashes(msgspec.Struct, frozen=True):
    """SHA-256 (hex) of what a run was made of."""

    config: str
    data: str
    code: str


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """`summary.json`. Money in share-class currency; `rows_per_second` alone differs between equal runs."""

    run_id: str
    mode: str
    share_class: str
    start: str
    end: str
    initial_capital: float
    final_equity: float
    total_return: float
    annualised_return: float | None
    parts: Mapping[str, float]
    external_flows: float
    residual_max: float
    max_drawdown: float
    sharpe: float | None
    trades: int  # filled, at least in part
    liquidations: int
    min_health_factor: float | None
    min_margin_ratio: float | None
    rows: int
    rows_per_second: float
    hashes: Hashes
    out: str
    pnl: float = 0.0
    residual: float = 0.0
    liquidation_value: float = 0.0
    benchmarks: Mapping[str, float] = {}
    market: str = ""
    step_seconds: float = 0.0
    events: int = 0
    last_event_hash: str = ""
    skipped: tuple[str, ...] = ()
    filled_rows: Mapping[str, int] = {}
    rewards_known_until: str | None = None
    notes: tuple[str, ...] = ()
    rejected: int = 0
    too_short: bool = False  # to be annualised
    target_apy: float | None = None  # what the mode is expected to earn a year
    stopped_at: str | None = None
    stopped_because: str | None = None
    left_open: tuple[str, ...] = ()  # positions that a stopped run still holds at its end
    divergence_max: float | None = None
    divergence_at: str | None = None
    flows: tuple[str, ...] = ()  # as asked for
    paid_in: float = 0.0
    paid_out: float = 0.0
    withdrawals_refused: tuple[str, ...] = ()
    unpaid: float = 0.0  # of what was asked for and not refused
    withdrawal_waits: str | None = None  # when and why what is unpaid was last found too dear to free
    withdrawal_costs: float = 0.0  # of freeing what was paid out: borne by the units that left
    overrides: tuple[str, ...] = ()  # what --set changed, as typed


class FinishedRun(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a results folder is written from."""

    summary: Summary
    result: ReplayResult
    run: RunSlice
    benchmarks: Mapping[str, Column]
    holdings: Mapping[str, Column]  # what each place holds, valued in share-class currency; a debt is negative
    asked: Mapping[str, object] = {}  # the request, as config.yaml shows it


def annualised(total_return: float, span_ns: int) -> float | None:
    """The yearly rate that compounds to `total_return`; None for less than a week, nothing left or no finite answer."""
    if span_ns < SHORTEST_YEARLY_DAYS * DAY_NS or total_return <= -1.0:
        return None
    try:
        return math.pow(1.0 + total_return, DAYS_PER_YEAR * DAY_NS / span_ns) - 1.0
    except OverflowError:
        return None


def daily_returns(timestamps: Stamps, unit_value: Column) -> Column:
    """Unit return of each day that the run touches after its first row."""
    day = (timestamps - 1) // DAY_NS
    ends = np.append(day[1:] != day[:-1], True)
    ends[0] = False
    values = np.concatenate([[1.0], unit_value[ends]])
    values = values[~np.isnan(values)]
    before = values[:-1]
    alive = before > 0.0
    returns: Column = values[1:][alive] / before[alive] - 1.0
    return returns


def sharpe(returns: Column) -> float | None:
    if len(returns) < 2:
        return None
    spread = float(returns.std(ddof=1))
    return float(returns.mean()) / spread * math.sqrt(DAYS_PER_YEAR) if spread > 1e-15 else None


def drawdown(unit_value: Column) -> Column:
    """Fall of the unit value from its highest so far, the 1 of the start included; a fraction per row."""
    peak = np.fmax.accumulate(np.fmax(unit_value, 1.0))
    return 1.0 - unit_value / peak


def benchmark_columns(market: Market, result: ReplayResult, run: RunSlice, capital: float) -> dict[str, Column]:
    """What the same capital and flows would be worth elsewhere, share-class currency; only what the market knows."""
    flow, name = result.columns["external_flow"], reference_price("ETH")
    in_usdt = run.mode.share_class == "USDT"
    one = np.ones(len(market))
    prices = {"usdt_hold": one} if in_usdt else {"eth_hold": one}
    if name in market.columns:
        eth = market.columns[name]
        prices["eth_hold" if in_usdt else "usdt_hold"] = eth if in_usdt else 1.0 / eth
    apy = market.columns.get(SUSDE_APY)
    if in_usdt and apy is not None and not np.isnan(apy).any():
        years = np.diff(market.timestamps, prepend=market.timestamps[0]) / (DAYS_PER_YEAR * DAY_NS)
        prices["susde"] = np.exp(np.cumsum(np.log1p(apy) * years))
    return {name: price * (capital / price[0] + np.cumsum(flow / price)) for name, price in prices.items()}


def summarise(
    run_id: str,
    result: ReplayResult,
    run: RunSlice,
    market: Market,
    capital: float,
    seconds: float,
    out: Path,
    flows: tuple[Flow, ...] = (),
) -> Summary:
    """The summary without what only writing tells (events)."""
    stamps, columns = result.timestamps, result.columns
    units = columns["unit_value"]
    total_return = float(units[-1]) - 1.0
    benchmarks = benchmark_columns(market, result, run, capital)
    known_until = market.provenance.rewards_known_until
    lows = lows_of(result, run, market)
    span = int(stamps[-1] - stamps[0])
    return Summary(
        run_id=run_id,
        mode=run.mode.mode,
        share_class=run.mode.share_class,
        start=iso_stamp(int(stamps[0])),
        end=iso_stamp(int(stamps[-1])),
        initial_capital=capital,
        final_equity=result.final_equity,
        total_return=total_return,
        annualised_return=annualised(total_return, span),
        parts=dict(result.parts),
        external_flows=result.external_flows,
        residual_max=result.residual_max,
        max_drawdown=float(np.nanmax(drawdown(units))),
        sharpe=sharpe(daily_returns(stamps, units)),
        trades=result.trades,
        liquidations=result.liquidations,
        min_health_factor=lows.health_factor,
        min_margin_ratio=lows.margin_ratio,
        rows=len(stamps),
        rows_per_second=float(round(len(stamps) / seconds)),
        hashes=Hashes(run.config_hash, market.provenance.data_hash, code_hash()),
        out=str(out),
        pnl=result.final_equity - result.initial_equity - result.external_flows,
        residual=result.residual,
        liquidation_value=result.liquidation_value,
        benchmarks={name: float(column[-1]) for name, column in benchmarks.items()},
        market=market.provenance.source,
        step_seconds=float(stamps[1] - stamps[0]) / 1e9 if len(stamps) > 1 else 0.0,
        filled_rows=dict(sorted(market.provenance.filled_rows.items())),
        rewards_known_until=None if known_until is None else iso_stamp(known_until),
        notes=result.notes,
        rejected=result.rejected,
        too_short=span < SHORTEST_YEARLY_DAYS * DAY_NS,
        target_apy=run.mode.target_apy,
        flows=flow_texts(flows),
        **msgspec.structs.asdict(happened_in(result, run, market)),
    )
