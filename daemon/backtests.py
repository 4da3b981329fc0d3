"""Backtests: a request becomes configuration, a market, a replay and a folder of results."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from components.model.errors import DAT_NOT_COVERED, Fault, InvalidInput
from components.model.events import Event, EventType
from components.model.market import Market
from components.model.requirements import Grid, requirements
from components.model.slices import RunSlice
from components.ports import Flow
from daemon.replay import Progress, Replay, ReplayRequest, ReplayResult
from daemon.results_store import ResultsStore, iso
from daemon.settings import load_run, merged_yaml
from daemon.summary import benchmarks, figures

PACKAGES = ("components", "venues", "daemon")


class BacktestRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A validated request; `data` None means the embedded market. Stamps are UTC nanoseconds."""

    mode: str
    start: int
    end: int
    step: int
    capital: float
    flows: tuple[Flow, ...] = ()
    overrides: tuple[str, ...] = ()
    data: Path | None = None
    seed: int = 7
    scenario: str = "calm"
    close_at_end: bool = False
    window_rows: int | None = None
    out: Path = Path("results")
    charts: bool = True


class RunOutcome(msgspec.Struct, frozen=True):
    summary: dict[str, Any]
    folder: Path


def run_backtest(
    request: BacktestRequest, environ: Mapping[str, str], cache: Path | None = None, progress: Progress | None = None
) -> RunOutcome:
    """Runs one request and stores it; nothing is written when it cannot be run (InvalidInput, MissingData)."""
    run = load_run(request.mode, overrides=request.overrides, environ=environ)
    grid = Grid(request.start, request.end, request.step)
    market = load_market(request, run, grid, cache)
    run_id = make_run_id(request, run, market)
    job = Replay(
        run,
        market,
        ReplayRequest(
            run_id=run_id,
            capital=request.capital,
            flows=request.flows,
            close_at_end=request.close_at_end,
            window_rows=request.window_rows,
        ),
    )
    began = time.perf_counter()
    job.run(progress)
    seconds = time.perf_counter() - began
    result = job.result()
    summary = summarise(request, run, market, result, run_id, len(market) / seconds)
    store = ResultsStore(request.out)
    suffix = run.share_class.column_suffix

    def plots(folder: Path) -> None:
        from daemon.charts import write_pages

        write_pages(folder, run, result, summary)

    folder = store.save(run_id, summary, result, merged_yaml(run), suffix, plots if request.charts else None)
    return RunOutcome(summary, folder)


def load_market(request: BacktestRequest, run: RunSlice, grid: Grid, cache: Path | None) -> Market:
    """History from a folder, or the embedded market."""
    if request.data is not None:
        if not request.data.is_dir():
            fault = Fault(where="--data", found=str(request.data), expected="a folder with market data")
            raise InvalidInput(DAT_NOT_COVERED, (fault,))
        from venues.history import load

        return load(request.data, run.mode, grid, cache=cache)
    from venues.sim.market import generate

    names = [*requirements(run.mode), "ethena.apy.sUSDe"]
    return generate(grid, seed=request.seed, names=names, scenario=request.scenario)


def make_run_id(request: BacktestRequest, run: RunSlice, market: Market) -> str:
    """Mode, dates and a hash of everything the result depends on; the output folder is not part of it."""
    identity = msgspec.json.encode(
        [
            run.config_hash,
            market.provenance.data_hash,
            request.start,
            request.end,
            request.step,
            request.capital,
            [[flow.at, flow.amount] for flow in request.flows],
            request.close_at_end,
        ]
    )
    start, end = (stamp[:10].replace("-", "") for stamp in iso([request.start, request.end]))
    return f"{request.mode}-{start}-{end}-{sha256(identity).hexdigest()[:8]}"


def summarise(
    request: BacktestRequest, run: RunSlice, market: Market, result: ReplayResult, run_id: str, speed: float
) -> dict[str, Any]:
    """The object of `summary.json` and of `-o json`."""
    numbers = figures(run, result)
    start, end = iso([request.start, request.end])
    skipped = [
        event.detail
        for event in result.events
        if isinstance(event, Event) and event.event_type is EventType.ENTRY_SKIPPED
    ]
    return {
        "run_id": run_id,
        "mode": run.mode.mode,
        "share_class": run.mode.share_class,
        "start": start,
        "end": end,
        "initial_capital": result.initial_equity,
        "final_equity": result.final_equity,
        "total_return": numbers.total_return,
        "annualised_return": numbers.annualised_return,
        "parts": dict(result.parts),
        "external_flows": result.external_flows,
        "residual_max": result.residual_max,
        "max_drawdown": numbers.max_drawdown,
        "sharpe": numbers.sharpe,
        "trades": result.trades,
        "liquidations": result.liquidations,
        "min_health_factor": numbers.min_health_factor,
        "min_margin_ratio": numbers.min_margin_ratio,
        "rows": len(market),
        "rows_per_second": round(speed),
        "hashes": {"config": run.config_hash, "data": market.provenance.data_hash, "code": code_hash()},
        "out": str(request.out / run_id),
        "liquidation_value": result.liquidation_value,
        "residual": result.residual,
        "data_source": market.provenance.source,
        "benchmarks": benchmarks(run, market.timestamps, market.columns),
        "filled_rows": dict(market.provenance.filled_rows),
        "skipped": skipped,
        "notes": list(result.notes),
    }


def code_hash() -> str:
    """Hash over the product's own source files."""
    root = Path(__file__).resolve().parent.parent
    digest = sha256()
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            digest.update(file.relative_to(root).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def validate_flows(flows: Sequence[Flow], start: int, end: int, capital: float) -> list[Fault]:
    """Flows must fall after the start and not after the end, and not take out more than was ever put in."""
    faults = []
    balance = capital
    for flow in sorted(flows, key=lambda flow: flow.at):
        if not start < flow.at <= end:
            faults.append(Fault(where=f"--flow {flow.id}", found=iso([flow.at])[0], expected="after start, up to end"))
        balance += flow.amount
        if flow.amount < 0.0 and balance <= 0.0:
            faults.append(
                Fault(
                    where=f"--flow {flow.id}", found=f"{flow.amount:g}", expected=f"less than the capital, {capital:g}"
                )
            )
    return faults
