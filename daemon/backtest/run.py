"""Runs a backtest: settings → market → replay → results folder.

Everything that can be refused is refused before the replay begins. The same request over the same data gives the same
run id, and running it again replaces its folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from time import perf_counter

import msgspec
import numpy as np

from components.model.errors import CFG_TOO_SMALL, InvalidInput
from components.model.events import Event, EventType
from components.model.keys import GAS, KING, RESERVE, TRANSIT, WALLET, PositionKey, PositionType
from components.model.market import Column, Market, Row
from components.model.requirements import requirements
from components.model.slices import RunSlice
from components.smallest_capital import too_small
from components.utility_manager import UtilityManager
from daemon.backtest.replay import Progress, ReplayRequest, ReplayResult, replay
from daemon.backtest.request import BacktestRequest, EmbeddedMarket, HistoryFolder
from daemon.backtest.results.happened import flow_texts
from daemon.backtest.results.store import ResultsStore
from daemon.backtest.results.summary import SUSDE_APY, FinishedRun, Summary, benchmark_columns, summarise
from daemon.backtest.results.tables import BALANCE, iso_stamp
from daemon.config.settings import load_run
from venues.embedded import generate
from venues.history.loader import load

LEFT_OUT = (
    EventType.ENTRY_SKIPPED,
    EventType.HELD_BACK,
    EventType.ORDER_WITHHELD,
    EventType.WITHDRAWAL_REFUSED,
)
MAX_REASONS = 50  # in the summary; the event log has them all
PLACES = {WALLET: "Wallet", RESERVE: "Reserve", GAS: "Gas", TRANSIT: "In transit", KING: "Rewards"}


class RunOutcome(msgspec.Struct, frozen=True):
    """What a run came to, and where it is."""

    summary: Summary
    folder: Path


def run_backtest(
    request: BacktestRequest,
    store: ResultsStore,
    *,
    charts: bool = True,
    progress: Progress | None = None,
    environ: Mapping[str, str] = os.environ,
) -> RunOutcome:
    """Replays and writes; InvalidInput with every fault of configuration or data, and then nothing was written."""
    run = load_run(request.mode, root=request.configs, overrides=request.overrides, environ=environ)
    store.check_writable()
    market = load_market(request, run, environ)
    if fault := too_small(run, Row(market, 0), request.capital, "--capital"):
        raise InvalidInput(CFG_TOO_SMALL, [fault])
    run_id = run_id_of(request, run, market)
    asked = ReplayRequest(
        run_id=run_id,
        capital=request.capital,
        flows=request.flows,
        close_at_end=request.close_at_end,
        window_rows=request.window_rows,
    )
    began = perf_counter()
    result = replay(run, market, asked, progress)
    seconds = perf_counter() - began
    summary = summarise(run_id, result, run, market, request.capital, seconds, store.folder(run_id), request.flows)
    finished = FinishedRun(
        summary=msgspec.structs.replace(summary, skipped=_skipped(result), overrides=tuple(request.overrides)),
        result=result,
        run=run,
        benchmarks=benchmark_columns(market, result, run, request.capital),
        holdings=holdings(result, run, market) if charts else {},
        asked=asked_for(request),
    )
    return RunOutcome(store.write(finished, charts=charts), store.folder(run_id))


def load_market(request: BacktestRequest, run: RunSlice, environ: Mapping[str, str] = os.environ) -> Market:
    match request.source:
        case HistoryFolder(path, timezone):
            return load(
                path,
                run.mode,
                request.grid,
                cache=cache_folder(environ),
                zone=timezone,
                funding_hours=funding_hours(run),
            )
        case EmbeddedMarket(seed, scenario):
            names = (*requirements(run.mode), *((SUSDE_APY,) if "susde" in run.share_class.benchmarks else ()))
            return generate(request.grid, seed=seed, names=names, scenario=scenario)


def funding_hours(run: RunSlice) -> dict[str, float]:
    """The longest interval between settlements by funding series, as the venues of the run are configured."""
    return {
        f"{venue}.funding.{instrument.coin}": instrument.funding_interval_hours
        for venue, exchange in run.exchanges.items()
        for instrument in exchange.instruments.values()
        if instrument.product == "perp"
    }


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Where parsed data files are kept between runs; None when the user has no home."""
    home = environ.get("XDG_CACHE_HOME") or (f"{environ['HOME']}/.cache" if environ.get("HOME") else None)
    return Path(home) / "basisd" / "columns" if home else None


def run_id_of(request: BacktestRequest, run: RunSlice, market: Market) -> str:
    """The name of a run, from everything that decides its result except the code."""
    grid = request.grid
    identity = msgspec.json.encode(
        [
            run.config_hash,
            market.provenance.data_hash,
            [grid.start, grid.end, grid.step],
            request.capital,
            request.flows,
            request.close_at_end,
        ]
    )
    first, last = (iso_stamp(at)[:10].replace("-", "") for at in (grid.start, grid.end))
    return f"{request.mode}-{first}-{last}-{sha256(identity).hexdigest()[:8]}"


def asked_for(request: BacktestRequest) -> dict[str, object]:
    """A request in plain words, as `config.yaml` keeps it beside the configuration."""
    source: dict[str, object]
    match request.source:
        case HistoryFolder(path):
            source = {"data": str(path)}
        case EmbeddedMarket(seed, scenario):
            source = {"market": "embedded", "seed": seed, "scenario": scenario}
    return {
        "mode": request.mode,
        "start": iso_stamp(request.grid.start),
        "end": iso_stamp(request.grid.end),
        "step_seconds": request.grid.step / 1e9,
        "capital": request.capital,
        **source,
        "flows": list(flow_texts(request.flows)),
        "overrides": list(request.overrides),
        "close_at_end": request.close_at_end,
    }


def holdings(result: ReplayResult, run: RunSlice, market: Market) -> dict[str, Column]:
    """The balance sheet by place, share-class currency: exchanges by equity, the chain by holding, debt negative."""
    prices = UtilityManager.of(run.mode)
    found: dict[str, Column] = {}
    for name in result.columns:
        kind, _, rest = name.partition(".")
        if kind == "venue_equity":
            found[rest] = result.columns[name]
        elif kind + "." == BALANCE:
            key = PositionKey(rest)
            place = _place(key, run)
            if place is not None:
                value = result.columns[name] * prices.unit(market, key).value
                found[place] = found[place] + value if place in found else value
    return {place: value for place, value in found.items() if np.any(value)}


def _place(key: PositionKey, run: RunSlice) -> str | None:
    """Where a chart shows a position; None when it is part of an exchange's equity."""
    if key.venue in run.exchanges:
        return None
    match key.position_type:
        case PositionType.A_TOKEN:
            return f"Supplied {key.symbol.removeprefix('a')}"
        case PositionType.DEBT_TOKEN:
            return f"Debt {key.symbol.removeprefix('variableDebt')}"
        case _:
            place = PLACES.get(key.venue, key.venue)
            return f"{place} {key.symbol}"


def _skipped(result: ReplayResult) -> tuple[str, ...]:
    """Why orders were left out or withheld, and withdrawals refused: each reason once, with the first time."""
    reasons: dict[str, str] = {}
    for event in result.events:
        if isinstance(event, Event) and event.event_type in LEFT_OUT and event.detail not in reasons:
            reasons[event.detail] = iso_stamp(event.timestamp)
    return tuple(f"{at} {reason}" for reason, at in list(reasons.items())[:MAX_REASONS])
