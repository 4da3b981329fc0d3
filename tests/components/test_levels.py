"""Levels of one measure: when it rises, fires again, and has recovered."""

from __future__ import annotations

import numpy as np
import pytest

from components.levels import CRITICAL, OK, WARNING, Fired, MeasureColumn, crossing_of, has_recovered
from components.model.requirements import HOUR_NS
from components.model.slices import Limit

HOURS = np.arange(2, dtype=np.int64) * HOUR_NS
MARGIN = Limit(0.30, 0.15)


def test_a_limit_is_crossed_when_it_is_reached_from_below_and_passed_from_above() -> None:
    rising = MeasureColumn.rising("x", np.array([0.029, 0.03]), Limit(0.03, 0.06))
    falling = MeasureColumn.falling("x", np.array([0.30, 0.2999]), Limit(0.30, 0.15))
    for measure in (rising, falling):
        found = crossing_of(measure, OK, None, HOURS)
        assert found is not None and (found.row, found.level) == (1, WARNING)
    assert (rising.recovered, falling.recovered) == (pytest.approx(0.027), pytest.approx(0.33))


def margin(*ratios: float, worst: float | None = None) -> MeasureColumn:
    return MeasureColumn.falling("cex_margin:okx", np.array(ratios), MARGIN, 0.0, worst)


def test_a_level_that_stands_fires_again_only_below_what_it_was_by_a_quarter() -> None:
    stands = Fired(0, 0.28, settled=True)
    assert crossing_of(margin(0.25, 0.22), WARNING, stands, HOURS) is None
    found = crossing_of(margin(0.25, 0.2), WARNING, stands, HOURS)
    assert found is not None and (found.row, found.level, found.value) == (1, WARNING, 0.2)


def test_a_critical_level_fires_again_after_an_hour_and_with_new_means_at_once() -> None:
    stands = Fired(0, 0.14, settled=True)
    found = crossing_of(margin(0.14, 0.14), CRITICAL, stands, HOURS)
    assert found is not None and (found.row, found.level) == (1, CRITICAL)
    anew = crossing_of(margin(0.14, 0.14), CRITICAL, Fired(0, 0.14, settled=True, anew=True), HOURS)
    assert anew is not None and anew.row == 0


def test_what_has_no_end_is_told_once() -> None:
    loss = MeasureColumn.rising("daily_loss", np.array([0.04, 0.05]), Limit(0.03, 0.06))
    assert crossing_of(loss, WARNING, Fired(0, 0.03, anew=True), HOURS) is None


def test_a_worst_value_in_no_danger_is_not_looked_for() -> None:
    assert crossing_of(margin(0.1, 0.1, worst=0.5), OK, None, HOURS) is None


def test_it_has_recovered_past_the_limit_by_a_tenth() -> None:
    assert has_recovered(margin(0.31, 0.34), np.array([0.31, 0.34])).tolist() == [False, True]


def test_a_measure_far_from_danger_has_no_rows_to_look_at() -> None:
    calm = MeasureColumn.rising("drawdown", None, Limit(0.1, 0.2), worst=0.01)
    assert crossing_of(calm, OK, None, HOURS) is None
    with pytest.raises(ValueError, match="far from one"):
        _ = calm.rows
