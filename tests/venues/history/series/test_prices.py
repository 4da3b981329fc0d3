from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from components.model.market import Stamps
from tests.venues.history.trees import HOUR_NS, at
from venues.history.series.align import Samples
from venues.history.series.prices import Prices

START = at("2024-06-01T00")


def series(name: str, values: list[float | None]) -> Samples:
    """Hourly values from the start on; None is one that never came."""
    known = [i for i, value in enumerate(values) if value is not None]
    return Samples(
        name=name,
        files=(f"{name}.csv",),
        hashes=(name,),
        column="close",
        step=HOUR_NS,
        at=START + HOUR_NS * np.array(known, np.int64),
        value=np.array([value for value in values if value is not None], np.float64),
    )


def holding(*held: Samples) -> Callable[[str], Samples | None]:
    return {samples.name: samples for samples in held}.get


def rows(count: int) -> Stamps:
    return START + HOUR_NS * np.arange(count, dtype=np.int64)


GAP: list[float | None] = [None] * 4
REFERENCE = series("binance.spot.BTC", [100.0, 101.0, 102.0, 103.0, 104.0, 105.0, 110.0])


def test_a_fresh_price_is_its_own() -> None:
    own = series("okx.perp.BTC", [100.5, 101.5])
    prices = Prices(holding(REFERENCE), 2.0)

    assert prices.at(own, rows(2)).values.tolist() == [100.5, 101.5]
    assert prices.used == {}


def test_a_stale_price_moves_with_the_reference_at_the_ratio_of_its_last_fresh_stamp() -> None:
    own = series("okx.perp.BTC", [100.5, 102.0, *GAP, 110.7])
    aligned = Prices(holding(REFERENCE), 2.0).at(own, rows(7))

    assert aligned.stale.tolist() == [False, False, True, True, True, True, False]
    moved = [REFERENCE.value[row] * 102.0 / 101.0 for row in range(2, 6)]
    assert aligned.values[2:6].tolist() == pytest.approx(moved, rel=1e-15)
    assert aligned.values[6] == 110.7


def test_a_stale_reference_is_valued_by_the_next_venue_in_catalogue_order() -> None:
    own = series("binance.spot.BTC", [100.0, 101.0, *GAP, 110.0])
    bybit = series("bybit.spot.BTC", [100.1, 101.1, 102.1, 103.1, 104.1, 105.1, 110.1])
    okx = series("okx.spot.BTC", [99.0] * 7)
    aligned = Prices(holding(okx, bybit), 2.0).at(own, rows(7))

    assert aligned.stale.tolist() == [False, False, True, True, True, True, False]
    assert aligned.values[4] == pytest.approx(104.1 * 101.0 / 101.1, rel=1e-15)


def test_a_venue_without_spot_lends_its_perp() -> None:
    own = series("binance.spot.BTC", [100.0, 101.0, *GAP])
    perp = series("bybit.perp.BTC", [100.1, 101.2, 102.1, 103.1, 104.1, 105.1])
    prices = Prices(holding(perp), 2.0)

    assert prices.at(own, rows(6)).values[5] == pytest.approx(105.1 * 101.0 / 101.2, rel=1e-15)
    assert list(prices.used) == ["bybit.perp.BTC"]


def test_a_perp_and_its_reference_silent_together_both_follow_the_second_source() -> None:
    own = series("binance.perp.BTC", [99.9, 100.8, *GAP])
    reference = series("binance.spot.BTC", [100.0, 101.0, *GAP])
    bybit = series("bybit.spot.BTC", [100.1, 101.1, 102.1, 103.1, 104.1, 105.1])
    aligned = Prices(holding(reference, bybit), 2.0).at(own, rows(6))

    assert aligned.values[5] == pytest.approx(100.8 / 101.0 * 101.0 / 101.1 * 105.1, rel=1e-14)


def test_the_ratio_is_taken_where_both_were_last_fresh() -> None:
    own = series("binance.spot.BTC", [100.0, 101.0, 102.0, 103.0, *GAP, None])
    bybit = series("bybit.spot.BTC", [200.0, None, None, None, None, None, 212.0, 214.0, 216.0])
    aligned = Prices(holding(bybit), 1.0).at(own, rows(9))

    # Bybit was last fresh beside an own value at 00:00: at 01:00 its next bar is missing.
    assert aligned.values[8] == pytest.approx(216.0 * 100.0 / 200.0, rel=1e-15)


def test_without_any_other_source_the_last_price_is_carried_and_marked() -> None:
    aligned = Prices(holding(), 2.0).at(series("binance.spot.BTC", [100.0, *GAP]), rows(5))

    assert aligned.values.tolist() == [100.0] * 5
    assert aligned.stale.tolist() == [False, True, True, True, True]


def test_a_price_not_known_yet_stays_unknown() -> None:
    aligned = Prices(holding(REFERENCE), 2.0).at(series("okx.perp.BTC", [None, 101.0]), rows(2))

    assert np.isnan(aligned.values).tolist() == [True, False]
