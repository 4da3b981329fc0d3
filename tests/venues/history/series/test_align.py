from __future__ import annotations

import numpy as np

from components.model.market import Column, Stamps
from tests.venues.history.trees import DAY_NS, HOUR_NS, at
from venues.history.series.align import Gap, Samples, align, extreme_between, gaps_of

INDEX = "x.supply_index.USDT"


def samples(
    hours: list[int],
    values: list[float],
    *,
    step: int = HOUR_NS,
    growth: list[float] | None = None,
    name: str = "x.spot.BTC",
) -> Samples:
    return Samples(
        name=name,
        files=("x.csv",),
        hashes=("h",),
        column="close",
        step=step,
        at=stamps(hours),
        value=np.array(values, np.float64),
        growth=None if growth is None else np.array(growth, np.float64),
    )


def stamps(hours: list[int]) -> Stamps:
    return np.array([at("2024-06-01T00") + hour * HOUR_NS for hour in hours], np.int64)


def test_a_row_holds_the_last_value_known_at_or_before_it() -> None:
    aligned = align(samples([0, 1, 3], [10.0, 11.0, 13.0]), stamps([0, 1, 2, 3]), 2.0)

    assert aligned.values.tolist() == [10.0, 11.0, 11.0, 13.0]
    assert aligned.stale.tolist() == [False, False, True, False]


def test_a_price_is_stale_from_the_bar_on_that_should_have_come() -> None:
    prices = samples([0, 5], [10.0, 15.0])
    minutes = prices.at[0] + np.array([0, 59, 60, 61, 120, 300]) * HOUR_NS // 60

    assert align(prices, minutes, 2.0).stale.tolist() == [False, False, True, True, True, False]
    assert align(prices, minutes, 3.0).stale.tolist() == [False, False, False, False, True, False]
    assert align(prices, minutes, 1.0).stale.tolist() == [False, False, True, True, True, False]


def test_a_daily_close_is_no_price_beside_hourly_ones() -> None:
    daily = samples([0, 24], [10.0, 15.0], step=DAY_NS)

    assert not align(daily, stamps([0, 1, 12, 23, 24]), 2.0).stale.any()
    assert align(daily, stamps([0, 1, 12, 23, 24]), 2.0, HOUR_NS).stale.tolist() == [False, True, True, True, False]


def test_a_value_older_than_its_maximum_age_is_stale() -> None:
    aligned = align(samples([0, 5], [10.0, 15.0], name=INDEX), stamps([0, 1, 2, 3, 4, 5]), 2.0)

    assert aligned.values.tolist() == [10.0, 10.0, 10.0, 10.0, 10.0, 15.0]
    assert aligned.stale.tolist() == [False, False, False, True, True, False]


def test_before_the_first_value_nothing_is_known() -> None:
    aligned = align(samples([2], [10.0]), stamps([1, 2]), 2.0)

    assert np.isnan(aligned.values).tolist() == [True, False]
    assert aligned.stale.tolist() == [True, False]


def test_a_growing_value_grows_for_one_day_and_no_longer() -> None:
    daily = samples([0], [2.0], step=DAY_NS, growth=[0.24], name=INDEX)
    aligned = align(daily, stamps([0, 1, 12, 24, 30, 49]), 2.0)

    assert np.allclose(aligned.values, [2.0, 2.02, 2.24, 2.48, 2.48, 2.48], rtol=1e-15)
    assert aligned.stale.tolist() == [False, False, False, False, False, True]


def test_extremes_are_those_of_the_bars_that_closed_since_the_row_before() -> None:
    highs = samples([0, 1, 2, 5], [10.0, 14.0, 12.0, 20.0])
    close = np.array([9.0, 11.0, 11.5, 11.5, 11.5, 19.0])

    hourly = extreme_between(highs, stamps([0, 1, 2, 3, 4, 5]), HOUR_NS, close, highest=True)
    coarse = extreme_between(highs, stamps([0, 3, 6]), 3 * HOUR_NS, np.array([9.0, 11.5, 19.0]), highest=True)

    assert hourly.tolist() == [10.0, 14.0, 12.0, 11.5, 11.5, 20.0]
    assert coarse.tolist() == [10.0, 14.0, 20.0]


def test_an_extreme_never_lies_inside_the_close() -> None:
    close: Column = np.array([9.0])

    assert extreme_between(samples([0], [10.0]), stamps([0]), HOUR_NS, close, highest=False).tolist() == [9.0]


def test_gaps_name_the_first_and_last_missing_value() -> None:
    gaps = gaps_of(samples([0, 1, 5, 6], [1.0, 1.0, 1.0, 1.0]))
    first, last = stamps([2, 4]).tolist()

    assert gaps == (Gap(first, last, 3),)
