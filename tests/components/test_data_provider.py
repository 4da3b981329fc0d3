"""Data Provider: windows of what is known, and nothing beyond."""

from __future__ import annotations

import pytest

from components.data_provider import DataProvider
from components.model.errors import DAT_LOOK_AHEAD, Refuse
from tests.builders import HOUR_NS, START, market

PRICE = "binance.spot.BTC"


@pytest.fixture
def provider() -> DataProvider:
    return DataProvider(market({PRICE: [10.0, 11.0, 12.0]}))


def test_a_window_has_the_rows_asked_for(provider: DataProvider) -> None:
    window = provider.window(1, 2)
    assert window.column(PRICE).tolist() == [11.0, 12.0]


def test_a_window_ends_where_knowledge_ends(provider: DataProvider) -> None:
    assert len(provider.window(1, 50)) == 2
    assert len(provider) == 3


def test_a_row_of_the_future_is_refused(provider: DataProvider) -> None:
    with pytest.raises(Refuse, match="row 3 is not known yet") as caught:
        provider.window(3, 1)
    assert caught.value.code == DAT_LOOK_AHEAD
    assert caught.value.facts == {"rows_known": 3}


def test_one_row_is_a_window_of_one(provider: DataProvider) -> None:
    row = provider.get_data(2)
    assert row.timestamp == START + 2 * HOUR_NS
    assert row.value(PRICE) == 12.0
