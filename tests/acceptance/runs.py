"""Runs for acceptance tests: a mode on real data or on the embedded market, and its result as bytes."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from components.model.market import Market
from components.model.requirements import HOUR_NS, Grid, requirements
from components.model.slices import RunSlice
from components.ports import Flow
from daemon.backtest.replay import Replay, ReplayRequest, ReplayResult
from daemon.backtest.results.events import write_events
from daemon.backtest.results.tables import pnl_table
from daemon.config.settings import load_run
from venues.embedded import generate
from venues.history import load

DATA = Path(os.environ.get("BASIS_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"real market data is not at {DATA.name}")
MODES = (
    "pure_lending", "btc_basis", "eth_basis", "eth_staking_only", "eth_leveraged", "usdt_market_neutral_no_leverage",
    "usdt_market_neutral",
)  # fmt: skip
TWO = "hedge_allocation={binance: 0.5, bybit: 0.5}"
BARE = ("costs=none", "rebalance=never", "reserve_ratio=0")


def stamp(text: str) -> int:
    return int(np.datetime64(text, "ns").astype(np.int64))


def grid(start: str, end: str, step: int = HOUR_NS) -> Grid:
    return Grid(stamp(start), stamp(end), step)


def slice_of(mode: str, *overrides: str) -> RunSlice:
    return load_run(mode, overrides=overrides, environ={})


def hedged(mode: str) -> bool:
    return "basis" in mode or "neutral" in mode


def capital_of(run: RunSlice) -> float:
    return 100.0 if run.mode.share_class == "ETH" else 1_000_000.0


def real(run: RunSlice, start: str, end: str) -> Market:
    return load(DATA, run.mode, grid(start, end))


def embedded(run: RunSlice, start: str, end: str, *, seed: int = 7, scenario: str = "calm") -> Market:
    return generate(grid(start, end), seed=seed, names=requirements(run.mode), scenario=scenario)


def play(
    run: RunSlice,
    market: Market,
    *,
    flows: tuple[Flow, ...] = (),
    window_rows: int | None = None,
    close_at_end: bool = False,
) -> ReplayResult:
    request = ReplayRequest(
        run_id="test", capital=capital_of(run), flows=flows, window_rows=window_rows, close_at_end=close_at_end
    )
    job = Replay(run, market, request)
    job.run()
    return job.result()


def as_bytes(result: ReplayResult) -> tuple[bytes, bytes]:
    """`pnl.csv` and `event_log.csv`."""
    with TemporaryDirectory() as folder:
        pnl, events = Path(folder) / "pnl.csv", Path(folder) / "event_log.csv"
        pnl_table(result, {}, "x").write(pnl)
        write_events(events, result.events)
        return pnl.read_bytes(), events.read_bytes()
