"""A finished run made by hand: four days of a hedge on two exchanges, and the events that explain it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from components.model.events import Event, EventType, PaymentBatch
from components.model.keys import base_token, perp
from components.model.market import Column, Market, Provenance, Stamps
from components.model.requirements import HOUR_NS
from daemon.backtest.replay import ReplayResult
from daemon.backtest.results.summary import FinishedRun, benchmark_columns, summarise
from daemon.config.settings import load_run

START = 1_717_200_000_000_000_000  # 2024-06-01T00:00Z
CASH, SHORT = base_token("binance", "USDT"), perp("binance", "BTC")


def event(order: int, event_type: EventType = EventType.TRADE, **fields: object) -> Event:
    plain = Event(
        timestamp=START,
        sequence=order,
        event_type=event_type,
        venue="binance",
        token="BTC",
        amount=-1.0,
        status="filled",
        strategy="btc_basis",
        correlation_id="run/1",
        detail="",
        balances={CASH: 100.0},
    )
    return msgspec.structs.replace(plain, **fields)


def batch(first_sequence: int) -> PaymentBatch:
    """Two payments to one balance on one row, then one on the next."""
    return PaymentBatch(
        first_sequence=first_sequence,
        strategy="btc_basis",
        correlation_id="run/1",
        event_types=(EventType.FUNDING,),
        tokens=("USDT",),
        keys=(CASH,),
        details=("binance BTCUSDT",),
        which=np.array([0, 0, 0]),
        row=np.array([1, 1, 2]),
        at=START + HOUR_NS * np.array([1, 1, 2]),
        amount=np.array([1.5, 0.25, -0.5]),
        balances={CASH: 100.0, SHORT: -1.0},
    )


def stamps(rows: int) -> Stamps:
    return START + HOUR_NS * np.arange(rows)


def columns_of(rows: int) -> dict[str, Column]:
    hour = np.arange(rows)
    funding = np.where((hour % 8 == 0) & (hour > 0), 0.5, 0.0)
    costs = np.zeros(rows)
    costs[0] = -2.0
    equity = 1_000.0 + np.cumsum(funding + costs)
    margin = 1.0 + 0.1 * np.sin(hour / 5.0)
    margin[0] = np.nan
    return {
        "equity": equity,
        "external_flow": np.zeros(rows),
        "funding": funding,
        "transaction_costs": costs,
        "residual": np.zeros(rows),
        "unexplained": np.zeros(rows),
        "unit_value": equity / 1_000.0,
        "drawdown": np.zeros(rows),
        "net_delta": np.where(hour == 7, 0.011, 0.0),
        "venue_equity.binance": equity,
        "venue_pnl.binance": funding + costs,
        "funding.binance": funding,
        "margin_ratio.binance": margin,
        f"balance.{CASH}": 1_000.0 + np.cumsum(funding),
        f"balance.{SHORT}": np.full(rows, -1.0),
    }


def finished(rows: int = 97, **columns: Column) -> FinishedRun:
    run = load_run("btc_basis", environ={})
    known = columns_of(rows) | columns
    result = ReplayResult(
        timestamps=stamps(rows),
        columns=known,
        events=(event(0), batch(1), event(4, EventType.DECISION, detail="deviation: margin, low")),
        initial_equity=1_000.0,
        final_equity=float(known["equity"][-1]),
        liquidation_value=990.0,
        parts={"funding": float(known["funding"].sum()), "transaction_costs": -2.0},
        external_flows=0.0,
        residual=0.0,
        residual_max=1e-15,
        trades=3,
        liquidations=0,
        notes=("filled: </script> 3 rows",),
    )
    market = Market(
        stamps(rows),
        {"binance.spot.ETH": np.linspace(3_000.0, 3_300.0, rows), "binance.spot.BTC": np.full(rows, 50_000.0)},
        provenance=Provenance(source="by hand", data_hash="d" * 64),
    )  # fmt: skip
    return FinishedRun(
        summary=summarise("btc_basis-by-hand", result, run, market, 1_000.0, 0.01, Path("results/btc_basis-by-hand")),
        result=result,
        run=run,
        benchmarks=benchmark_columns(market, result, run, 1_000.0),
        holdings={"binance": known["equity"]},
    )
