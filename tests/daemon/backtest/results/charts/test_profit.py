"""Charts of what was earned show the figures of the run: no flow is profit, no part is lost, no cost is hidden."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from components.model.events import EventType
from daemon.backtest.results.charts.profit import MAX_MARKS, money_axis, parts_of, profit, profit_charts
from daemon.backtest.results.charts.traces import Chart
from daemon.backtest.results.summary import FinishedRun
from tests.daemon.handmade import START, columns_of, event, finished

HOUR_NS = 3_600_000_000_000


def chart(run: FinishedRun, name: str) -> Chart:
    return next(each for each in profit_charts(run) if each.name == name)


def drawn(chart: Chart, name: str) -> np.ndarray:
    (trace,) = (each for each in chart.traces if each.get("name") == name)
    return np.array(trace["y"], dtype=float)


def test_deposits_are_no_profit() -> None:
    flow = np.zeros(97)
    flow[10], flow[50] = 500.0, -200.0
    known = columns_of(97)
    run = finished(97, external_flow=flow, equity=known["equity"] + np.cumsum(flow))
    assert np.allclose(profit(run), known["equity"] - 1_000.0)
    assert drawn(chart(run, "cumulative-pnl"), "Strategy")[-1] == pytest.approx(known["equity"][-1] - 1_000.0, abs=1e-6)


def test_parts_are_those_that_ever_were_and_add_up_to_the_profit() -> None:
    run = finished()
    parts = parts_of(run)
    assert set(parts) == {"funding", "transaction_costs"}
    assert sum(values.sum() for values in parts.values()) == pytest.approx(profit(run)[-1])
    (waterfall,) = chart(run, "pnl-waterfall").traces
    steps, kinds = np.array(waterfall["y"], dtype=float), waterfall["measure"]
    relative = sum(step for step, kind in zip(steps, kinds, strict=True) if kind == "relative")
    assert relative == pytest.approx(profit(run)[-1], abs=1e-6)


def test_a_residual_is_shown_where_there_was_one() -> None:
    residual = np.zeros(97)
    residual[3] = 1e-3
    assert "residual" in parts_of(finished(97, residual=residual))


def test_returns_of_the_months_make_the_return_of_the_run() -> None:
    run = finished(60 * 24)
    (heat,) = chart(run, "monthly-returns").traces
    cells = [cell for row in heat["z"] for cell in row if cell is not None]
    growth = np.prod([1.0 + cell / 100.0 for cell in cells])
    units = run.result.columns["unit_value"]
    assert growth == pytest.approx(units[-1] / units[0] if len(cells) == 1 else units[-1], rel=1e-3)


def test_what_it_cost_is_there_only_when_it_cost_something() -> None:
    assert "costs" in {each.name for each in profit_charts(finished())}
    free = finished(97, transaction_costs=np.zeros(97))
    assert "costs" not in {each.name for each in profit_charts(free)}


def test_a_run_that_is_too_short_has_no_rolling_sharpe() -> None:
    assert "rolling-sharpe" not in {each.name for each in profit_charts(finished())}
    assert "rolling-sharpe" in {each.name for each in profit_charts(finished(60 * 24))}


def test_an_emergency_is_marked_however_much_else_happened() -> None:
    """Decisions are thinned out before a page becomes too heavy; what was grave is not."""
    run = finished()
    stop = event(5_000, EventType.EMERGENCY_STOP, timestamp=START + 7 * HOUR_NS, detail="margin")
    many = [event(i, EventType.DECISION, timestamp=START + (i % 90) * HOUR_NS) for i in range(MAX_MARKS + 500)]
    run = msgspec.structs.replace(run, result=msgspec.structs.replace(run.result, events=(*many, stop)))
    marks = {trace["name"]: trace for trace in chart(run, "equity-drawdown").traces if trace.get("mode") == "markers"}
    assert len(marks["Emergency stops"]["y"]) == 1
    assert marks["Emergency stops"]["y"][0] == pytest.approx(run.result.columns["equity"][7])


def test_ether_has_more_decimals() -> None:
    run = finished()
    eth = msgspec.structs.replace(run, summary=msgspec.structs.replace(run.summary, share_class="ETH"))
    assert money_axis(run, "Profit")["title"]["text"] == "Profit (USDT)"
    assert money_axis(eth, "Profit")["hoverformat"] == ",.5~f"
