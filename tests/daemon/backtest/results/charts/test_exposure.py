"""Charts of what was held show what the columns say, one exchange beside the other, and nothing that was not there."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from daemon.backtest.results.charts.exposure import by_venue, exposure_charts
from daemon.backtest.results.charts.traces import Chart
from daemon.backtest.results.summary import FinishedRun
from tests.daemon.handmade import columns_of, finished


def charts(run: FinishedRun) -> dict[str, Chart]:
    return {each.name: each for each in exposure_charts(run)}


def ys(chart: Chart) -> dict[str, np.ndarray]:
    return {
        trace["name"]: np.array([np.nan if y is None else y for y in trace["y"]], dtype=float)
        for trace in chart.traces
        if trace.get("name") and "y" in trace
    }


def test_columns_of_a_kind_are_told_by_their_exchange() -> None:
    run = finished(97, **{"funding.okx": np.ones(97), "funding_of_none": np.ones(97)})
    assert set(by_venue(run, "funding")) == {"binance", "okx"}
    assert by_venue(run, "nothing") == {}


def test_the_delta_is_in_percent_and_its_limits_are_drawn() -> None:
    run = finished()
    delta = charts(run)["delta-neutrality"]
    (values,) = ys(delta).values()
    assert np.nanmax(values) == pytest.approx(1.1), "the worst hour is there"
    assert delta.layout["shapes"], "and what it may be"
    levels = {note["text"].split()[-1] for note in delta.layout["annotations"]}
    assert f"{100 * run.run.mode.risk.delta.warning:.4g}" in levels


def test_a_ratio_that_is_not_known_is_a_gap_and_no_zero() -> None:
    margin = ys(charts(finished())["margin-ratios"])
    (values,) = (line for name, line in margin.items() if name.lower() == "binance")
    assert np.isnan(values[0])
    assert not (values == 0.0).any()


def test_funding_of_the_exchanges_adds_up() -> None:
    more = np.where(np.arange(97) % 8 == 4, -0.25, 0.0)
    run = finished(97, **{"funding.okx": more})
    lines = ys(charts(run)["funding-by-venue"])
    ends = {name.lower(): line[-1] for name, line in lines.items()}
    assert ends["binance"] == pytest.approx(columns_of(97)["funding"].sum())
    assert ends["okx"] == pytest.approx(more.sum())


def test_what_a_run_does_not_have_is_not_drawn() -> None:
    run = finished()
    kept = {name: column for name, column in columns_of(97).items() if not name.startswith(("net_delta", "margin"))}
    bare = msgspec.structs.replace(run, result=msgspec.structs.replace(run.result, columns=kept))
    assert {"delta-neutrality", "margin-ratios"}.isdisjoint(charts(bare))
    nothing = msgspec.structs.replace(
        run,
        result=msgspec.structs.replace(run.result, columns={**columns_of(97), "net_delta": np.full(97, np.nan)}),
    )
    assert "delta-neutrality" not in charts(nothing)


def test_leverage_is_drawn_with_what_it_may_be() -> None:
    run = finished(97, ltv=np.full(97, 0.9), health_factor=np.full(97, 1.05))
    assert "ltv-health-factor" in charts(run)
    assert "ltv-health-factor" not in charts(finished())
