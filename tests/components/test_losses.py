"""Losses: what is said without looking at each row is what each row says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.losses import Losses
from components.model.requirements import DAY_NS
from tests.builders import market

ROWS, BEFORE = 12, 1
MADE = market({"binance.spot.BTC": 1.0}, rows=ROWS, step_hours=9)
DAYS = (MADE.timestamps // DAY_NS).tolist()


def losses_of(values: list[float], peak: float = 1.0, day_start: float = 1.0) -> Losses:
    """Over the rows from the second on; the row before them belongs to the day that is known."""
    window = MADE.window(BEFORE, BEFORE + len(values))
    return Losses(window, np.array(values), peak=peak, day=DAYS[BEFORE - 1], day_start=day_start)


@given(
    st.lists(st.floats(0.2, 3.0), min_size=1, max_size=ROWS - BEFORE),
    st.floats(0.5, 3.0),
    st.floats(0.5, 3.0),
    st.data(),
)
def test_no_row_lost_more_than_the_worst_and_the_ends_are_those_of_the_rows(
    values: list[float], peak: float, day_start: float, data: st.DataObject
) -> None:
    losses, rows = losses_of(values, peak, day_start), data.draw(st.integers(1, len(values)))
    worst = losses.worst()
    assert worst is not None
    assert losses.drawdown.max() <= worst[0] and losses.daily_loss.max() <= worst[1]
    assert losses.peak_after(rows) == max(peak, *values[:rows])
    day = DAYS[BEFORE + rows - 1]
    firsts = [value for value, its in zip(values, DAYS[BEFORE:], strict=False) if its == day]
    assert losses.day_start_after(rows) == (day_start if day == DAYS[BEFORE - 1] else firsts[0])


def test_drawdown_counts_from_the_peak_and_a_daily_loss_from_the_first_row_of_its_day() -> None:
    losses = losses_of([1.0, 1.25, 1.0, 0.5], peak=2.0, day_start=1.6)  # the third begins a day
    assert losses.drawdown == pytest.approx([0.5, 0.375, 0.5, 0.75])
    assert losses.daily_loss == pytest.approx([0.375, 0.21875, 0.0, 0.5])


@pytest.mark.parametrize("value", [0.0, -0.5, np.nan])
def test_of_a_value_that_is_gone_or_unknown_each_row_must_be_looked_at(value: float) -> None:
    assert losses_of([1.0, value]).worst() is None
