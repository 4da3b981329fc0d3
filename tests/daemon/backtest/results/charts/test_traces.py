"""What is drawn: every extreme, few points, short numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from components.model.requirements import HOUR_NS
from daemon.backtest.results.charts.traces import MAX_POINTS, Periods, faded, heat_map, rounded, thin
from tests.daemon.handmade import START, stamps


@given(arrays(np.float64, st.integers(1, 900), elements=st.floats(-1e6, 1e6)), st.integers(6, 100))
def test_thinning_keeps_extremes_and_ends_within_the_limit(values: np.ndarray, limit: int) -> None:
    rows = thin([values], limit)

    assert len(rows) <= max(limit, 6)
    assert rows[0] == 0
    assert rows[-1] == len(values) - 1
    assert (np.diff(rows) > 0).all()
    assert values[rows].max() == values.max()
    assert values[rows].min() == values.min()


def test_a_spike_of_one_minute_in_two_years_is_still_there() -> None:
    minutes = np.zeros(1_051_200)
    minutes[777_777], minutes[333_333] = 9.0, -9.0

    rows = thin([minutes, np.arange(1_051_200.0)])

    assert len(rows) <= MAX_POINTS
    assert {777_777, 333_333} <= set(rows.tolist())


def test_all_lines_of_a_chart_keep_their_own_extremes() -> None:
    hours = np.arange(20_000)
    lines = [np.where(hours == spike, 1.0, 0.0) for spike in (5, 4_567, 19_000)]

    rows = thin(lines)

    assert {5, 4_567, 19_000} <= set(rows.tolist())


def test_gaps_do_not_hide_the_values_beside_them() -> None:
    values = np.full(10_000, np.nan)
    values[1_234] = 5.0

    rows = thin([values], 100)

    assert 1_234 in rows


def test_numbers_are_short_and_absent_ones_none() -> None:
    values = np.array([1 / 3, 123456.789012, 0.0, np.nan, np.inf, -2e-9 / 3, 1.5e9])

    assert rounded(values) == [0.3333333, 123456.8, 0.0, None, None, -6.666667e-10, 1.5e9]


def test_a_month_holds_its_midnight() -> None:
    hours = stamps(24 * 31 + 1)  # 2024-06-01T00:00 … 2024-07-02T00:00
    months = Periods(hours, "M")
    per_row = np.ones(len(hours))

    assert months.labels == ["2024-06", "2024-07"]
    assert months.sums(per_row).tolist() == [24 * 30 + 1, 24]


def test_periods_compound_to_the_whole() -> None:
    units = 1.0 + np.arange(100) / 1_000
    days = Periods(START + HOUR_NS * np.arange(100), "D")

    assert np.prod(1.0 + days.growth(units)) == pytest.approx(units[-1], rel=1e-14)


def test_a_heat_map_is_blank_where_nothing_is_known() -> None:
    trace = heat_map(["a", "b"], ["x"], {(0, 1): -0.25}, "%")

    assert trace["z"] == [[None, -0.25]]
    assert (trace["zmin"], trace["zmax"]) == (-0.25, 0.25)


def test_a_faded_colour_keeps_its_hue() -> None:
    assert faded("#1f6feb", 0.1) == "rgba(31,111,235,0.1)"
