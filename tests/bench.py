"""`make bench`: speed as ratios to a bare Python loop measured in the same run, because machines are noisy.

The bare loop does only the arithmetic of a BTC basis position and keeps equity, funding, margin and drift per row, as
the comparison of NOTES-peers §4 asks of every system; it rebalances when a band is left. The core does the same rows
with attribution, risk and event log on.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from components.model.events import Event, EventType
from components.model.market import Market
from components.model.requirements import HOUR_NS, Grid, requirements
from components.model.slices import RunSlice
from daemon.backtest.replay import Replay, ReplayRequest
from daemon.config.settings import load_run
from tests import bench_daemon
from tests.decisions import figures
from venues import history
from venues.embedded import generate, write_tree

START = int(np.datetime64("2024-01-01", "ns").astype(np.int64))
MINUTE_NS = HOUR_NS // 60
# The band that gives about 64 rebalances, each a quarter of the way to the target; the bare loop goes all the way.
BASIS = ("hedge_allocation={binance: 1.0}", "margin_ratio_band={low: 0.8, high: 1.25}", "costs=default")


def basis_market(rows: int, step: int) -> tuple[RunSlice, Market]:
    run = load_run("btc_basis", overrides=BASIS, environ={})
    return run, generate(Grid(START, START + (rows - 1) * step, step), seed=7, names=requirements(run.mode))


def bare_loop(market: Market, low: float, high: float) -> tuple[float, int]:
    """Equity at the end and rebalances, by a loop over floats."""
    spot = market.columns["binance.spot.BTC"].tolist()
    perp = market.columns["binance.perp.BTC"].tolist()
    series = market.funding["binance.funding.BTC"]
    paid = dict(zip(series.row.tolist(), (series.rate * series.mark_usdt).tolist(), strict=True))
    cash, coin, quote, funded, rebalances = 1_000_000.0, 0.0, 0.0, 0.0, 0
    rows = len(spot)
    equity, margins, deltas, funding = [0.0] * rows, [0.0] * rows, [0.0] * rows, [0.0] * rows
    for i in range(rows):
        s, p = spot[i], perp[i]
        if i in paid:
            payment = coin * paid[i]
            cash += payment
            funded += payment
        margin = cash + quote - coin * p
        worth = margin + coin * s
        ratio = margin / (coin * p) if coin else 0.0
        drift = coin * (s - p) / worth
        if ratio < low or ratio > high or drift > 0.02 or drift < -0.02:
            target = worth / 2.0 / s
            change = target - coin
            cash -= change * s + abs(change) * s * 0.0015
            quote += change * p
            coin = target
            rebalances += 1
            worth = cash + quote - coin * p + coin * s
        equity[i] = worth
        margins[i] = ratio
        deltas[i] = drift
        funding[i] = funded
    return equity[-1], rebalances


def timed(job: Callable[[], object], repeats: int) -> float:
    """Median seconds."""
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        job()
        seconds.append(time.perf_counter() - began)
    return median(seconds)


def replayed(run: RunSlice, market: Market) -> Replay:
    capital = 100.0 if run.mode.share_class == "ETH" else 1_000_000.0
    job = Replay(run, market, ReplayRequest(run_id="bench", capital=capital))
    job.run()
    return job


def decisions(job: Replay) -> int:
    return sum(isinstance(e, Event) and e.event_type is EventType.DECISION for e in job.sink.events)


def line(name: str, value: str, wanted: str) -> None:
    print(f"{name:<58}{value:>26}   {wanted}", flush=True)


def hourly() -> None:
    run, market = basis_market(17_520, HOUR_NS)
    band = run.mode.margin_ratio_band
    bare = timed(lambda: bare_loop(market, band.low, band.high), 15)
    ours = timed(lambda: replayed(run, market), 15)
    job = replayed(run, market)
    line("BTC basis, 17,520 rows: rebalances", f"{decisions(job)}", "about 64")
    line("BTC basis, 17,520 rows: rows/s", f"{17_520 / ours:,.0f}", "at least 500,000, aim 1,500,000")
    line("BTC basis, 17,520 rows: times the bare loop", f"{ours / bare:.1f}", "at most 8")
    line("largest unexplained ÷ equity", f"{job.core.pnl.residual_max:.1e}", "at most 1e-9")


def minutes() -> None:
    run, market = basis_market(1_051_200, MINUTE_NS)
    began = time.perf_counter()
    job = replayed(run, market)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    band = run.mode.margin_ratio_band
    bare = timed(lambda: bare_loop(market, band.low, band.high), 1)
    line("BTC basis, 1,051,200 rows: seconds", f"{seconds:.2f}", f"at most 2.5; {decisions(job)} decisions")
    line("BTC basis, 1,051,200 rows: times the bare loop", f"{seconds / bare:.1f}", "")
    line("BTC basis, 1,051,200 rows: peak MB, market included", f"{peak:.0f}", "at most 300")


def others() -> None:
    for mode in ("eth_leveraged", "usdt_market_neutral"):
        run = load_run(mode, environ={})
        market = generate(Grid(START, START + 17_519 * HOUR_NS, HOUR_NS), seed=7, names=requirements(run.mode))
        seconds = timed(lambda run=run, market=market: replayed(run, market), 7)  # type: ignore[misc]
        made = decisions(replayed(run, market))
        line(f"{mode}, 17,520 rows: rows/s", f"{17_520 / seconds:,.0f}", f"at least 200,000; {made} decisions")


def files() -> None:
    """Two hourly years of the largest mode from gzipped files: read for the first time, then from the column cache."""
    run = load_run("usdt_market_neutral", environ={})
    grid = Grid(START, START + 17_519 * HOUR_NS, HOUR_NS)
    with tempfile.TemporaryDirectory() as folder:
        data, cache = Path(folder, "data"), Path(folder, "cache")
        write_tree(generate(grid, seed=7), data)
        cold = timed(lambda: history.load(data, run.mode, grid), 3)
        history.load(data, run.mode, grid, cache=cache)
        warm = timed(lambda: history.load(data, run.mode, grid, cache=cache), 15)
    line("usdt_market_neutral from files, 17,520 rows: seconds", f"{cold:.2f}", "at most 4")
    line("usdt_market_neutral from the column cache: ms", f"{warm * 1e3:.0f}", "at most 60")


def processes() -> None:
    imported = timed(lambda: subprocess.run([sys.executable, "-c", "import components.core"], check=True), 5)
    nothing = timed(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True), 5)
    line("import components.core: seconds", f"{imported - nothing:.3f}", "at most 0.15")
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-c", "from daemon.cli.main import main; main()", "backtest", "run", "btc_basis", "--start",
            "2024-01-01", "--end", "2025-12-31", "--capital", "1000000", "--no-charts", "--out", folder, "-o", "json",
        ]  # fmt: skip
        whole = timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL), 5)
    line("basis backtest run, two years hourly, no charts: seconds", f"{whole:.2f}", "at most 1")
    line("basis run: seconds to its first line", f"{timed(first_line, 5) - nothing:.3f}", "at most 0.5")


def first_line() -> None:
    """The daemon is started and ended as soon as it says something."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "daemon.cli.main", "run", "--state", folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as daemon:
            assert daemon.stdout is not None and daemon.stdout.readline()
            daemon.kill()


def choices() -> None:
    """What decisions cost, per mode, capital and year."""
    for text in figures.table():
        print(text, flush=True)


PARTS = {
    "hourly": hourly,
    "minutes": minutes,
    "others": others,
    "files": files,
    "processes": processes,
    "choices": choices,
    **bench_daemon.PARTS,
}


def main() -> None:
    """Each part in a process of its own, so that memory is measured alone."""
    if len(sys.argv) > 1:
        PARTS[sys.argv[1]]()
        return
    for part in PARTS:
        subprocess.run([sys.executable, "-m", "tests.bench", part], check=True, env=os.environ)


if __name__ == "__main__":
    main()
