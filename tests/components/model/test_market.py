"""The market: columns, windows onto them, rows, and what is derived once."""

from __future__ import annotations

import numpy as np
import pytest

from components.model.errors import MissingData
from components.model.market import Market, shifted, step_of
from tests.builders import HOUR_NS, START, market

PRICE = "binance.spot.BTC"


@pytest.fixture
def four() -> Market:
    return market({PRICE: [10.0, 11.0, 9.0, 12.0], "okx.perp.BTC": 10.5}, stale={PRICE: [2]})


def test_a_column_that_is_not_there_is_named_with_the_nearest_one(four: Market) -> None:
    with pytest.raises(MissingData, match="no column 'binance.spto.BTC'.*nearest=binance.spot.BTC"):
        four.column("binance.spto.BTC")


def test_a_window_is_a_view_on_its_rows(four: Market) -> None:
    window = four.window(1, 3)
    assert len(window) == 2
    assert window.column(PRICE).tolist() == [11.0, 9.0]
    assert np.shares_memory(window.column(PRICE), four.column(PRICE))
    assert window.timestamps.tolist() == [START + HOUR_NS, START + 2 * HOUR_NS]
    assert window.cut(np.arange(4.0)).tolist() == [1.0, 2.0]


def test_a_window_ends_with_the_market(four: Market) -> None:
    assert len(four.window(2, 100)) == 2


def test_the_head_of_a_window_starts_where_it_starts(four: Market) -> None:
    head = four.window(1, 4).head(2)
    assert (head.start, head.stop) == (1, 3)


def test_a_row_knows_its_value_its_time_and_whether_it_is_stale(four: Market) -> None:
    row = four.window(1, 4).row(1)
    assert row.timestamp == START + 2 * HOUR_NS
    assert row.value(PRICE) == 9.0
    assert row.of(np.array([5.0, 6.0, 7.0, 8.0])) == 7.0
    assert row.is_stale(PRICE)
    assert not four.window(0, 1).row(0).is_stale(PRICE)
    assert not row.is_stale("okx.perp.BTC")


def test_a_step_is_the_change_since_the_row_before_and_zero_at_first() -> None:
    assert step_of(np.array([10.0, 11.0, 9.0])).tolist() == [0.0, 1.0, -2.0]
    assert shifted(np.array([10.0, 11.0, 9.0])).tolist() == [10.0, 10.0, 11.0]


def test_steps_of_a_window_do_not_begin_anew(four: Market) -> None:
    assert four.window(2, 4).cut(four.step(PRICE)).tolist() == [-2.0, 3.0]
    assert four.before(PRICE).tolist() == [10.0, 10.0, 11.0, 9.0]


def test_a_derived_column_is_computed_once(four: Market) -> None:
    first = four.derived("double", lambda: four.column(PRICE) * 2)
    assert four.derived("double", lambda: np.zeros(4)) is first
    assert four.step(PRICE) is four.step(PRICE)


def test_columns_that_come_with_the_market_are_not_computed() -> None:
    given = market({PRICE: [1.0, 2.0]})
    known = Market(
        given.timestamps, given.columns, derived={"double": np.array([2.0, 4.0])}, provenance=given.provenance
    )
    assert known.derived("double", lambda: np.zeros(2)).tolist() == [2.0, 4.0]


def test_a_market_and_a_window_say_what_they_are(four: Market) -> None:
    assert repr(four) == "<Market 4 rows, 2 columns, by hand>"
    assert repr(four.window(1, 3)) == "<Window [1, 3) of 4>"
