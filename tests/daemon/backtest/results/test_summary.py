"""The figures of a run, each against a case one can do in the head."""

from __future__ import annotations

import math

import numpy as np
import pytest

from components.model.requirements import DAY_NS, HOUR_NS
from daemon.backtest.results.lows import lowest
from daemon.backtest.results.summary import annualised, daily_returns, drawdown, sharpe
from daemon.provenance import code_hash
from tests.daemon.handmade import START, finished, stamps


def test_a_return_compounds_over_365_days() -> None:
    assert annualised(0.21, 730 * DAY_NS) == pytest.approx(0.1)
    assert annualised(-0.5, 365 * DAY_NS) == pytest.approx(-0.5)


@pytest.mark.parametrize(("total", "span"), [(0.1, 0), (-1.0, DAY_NS), (-1.5, DAY_NS), (1e9, HOUR_NS)])
def test_a_return_that_cannot_be_annualised_is_none(total: float, span: int) -> None:
    assert annualised(total, span) is None


def test_a_day_ends_with_its_midnight_row_and_the_first_begins_at_one() -> None:
    units = np.ones(49)
    units[:25] = 1.01  # the costs of the entry, seen at midnight already, belong to the first day
    units[25:] = 1.0201

    np.testing.assert_allclose(daily_returns(stamps(49), units), [0.01, 0.01])


def test_a_run_that_begins_at_noon_has_a_short_first_day() -> None:
    noon = START + 12 * HOUR_NS + HOUR_NS * np.arange(37)
    units = np.where(np.arange(37) <= 12, 1.1, 1.21)

    np.testing.assert_allclose(daily_returns(noon, units), [0.1, 0.1])


def test_sharpe_is_mean_over_spread_times_root_365() -> None:
    assert sharpe(np.array([0.01, 0.03])) == pytest.approx(0.02 / (0.02 / math.sqrt(2)) * math.sqrt(365))


@pytest.mark.parametrize("returns", [[], [0.01], [0.01, 0.01, 0.01]])
def test_sharpe_without_variation_is_none(returns: list[float]) -> None:
    assert sharpe(np.array(returns)) is None


def test_drawdown_counts_from_the_start_value() -> None:
    np.testing.assert_allclose(drawdown(np.array([0.9, 1.2, 0.6, np.nan])), [0.1, 0.0, 0.5, np.nan])


def test_the_lowest_ratio_is_over_all_venues_and_absent_is_none() -> None:
    columns = {
        "margin_ratio.a": np.array([np.nan, 0.7]),
        "margin_ratio.b": np.array([0.4, 0.9]),
        "ltv": np.array([0.1]),
    }

    assert lowest(columns, "margin_ratio.") == 0.4
    assert lowest(columns, "health_factor") is None
    assert lowest({"health_factor": np.full(3, np.nan)}, "health_factor") is None


def test_the_summary_of_the_handmade_run() -> None:
    summary = finished().summary

    assert (summary.start, summary.end, summary.rows) == ("2024-06-01T00:00:00Z", "2024-06-05T00:00:00Z", 97)
    assert summary.total_return == pytest.approx((12 * 0.5 - 2.0) / 1_000.0)
    assert summary.pnl == pytest.approx(sum(summary.parts.values()))
    assert summary.min_margin_ratio == pytest.approx(0.9, abs=1e-3)
    assert summary.min_health_factor is None
    assert summary.benchmarks["eth_hold"] == pytest.approx(1_100.0)
    assert summary.benchmarks["usdt_hold"] == 1_000.0
    assert summary.hashes.code == code_hash()


def test_a_benchmark_gets_the_deposits_too() -> None:
    flow = np.zeros(97)
    flow[-1] = 500.0

    assert finished(external_flow=flow).benchmarks["eth_hold"][-1] == pytest.approx(1_600.0)


def test_a_run_of_hours_has_no_yearly_rate_and_says_that_it_is_too_short() -> None:
    short, week = finished(rows=25).summary, finished(rows=7 * 24 + 1).summary

    assert short.annualised_return is None and short.too_short
    assert week.annualised_return is not None and not week.too_short
