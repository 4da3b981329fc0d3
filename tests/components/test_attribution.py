"""Attribution: what is held when a row begins earns that row's change, part by part, however rows are cut."""

from __future__ import annotations

import numpy as np
import pytest

from components.attribution import Attribution
from components.position_monitor import BookColumns
from components.utility_manager import UtilityManager
from tests.builders import columns_of, keyed, market

MADE = market({"binance.spot.BTC": [100.0, 110.0, 105.0], "okx.spot.BTC": [101.0, 110.0, 106.0],
               "okx.perp.BTC": [102.0, 113.0, 105.0]})  # fmt: skip
SPOT, PERP, USDT = "okx:BaseToken:BTC", "okx:Perp:BTCUSDT", "okx:BaseToken:USDT"


def parts_of(attribution: Attribution, balances: dict[str, float]) -> dict[str, list[float]]:
    book = columns_of(MADE, balances)
    return {part: np.asarray(column).tolist() for part, column in attribution.of(book, book.window).items()}


def test_own_price_less_reference_is_basis_and_the_reference_is_delta() -> None:
    parts = parts_of(Attribution(UtilityManager("USDT")), {SPOT: 3.0, PERP: -2.0, USDT: 500.0})
    assert parts["delta"] == [0.0, 10.0, -5.0]
    assert parts["basis"] == pytest.approx([0.0, 3.0 * -1.0 + -2.0 * 1.0, 3.0 * 1.0 + -2.0 * -3.0])


def test_other_positions_have_other_columns_and_none_is_left_from_before() -> None:
    attribution = Attribution(UtilityManager("USDT"))
    both, spot = {SPOT: 3.0, PERP: -2.0}, {SPOT: 3.0, PERP: 0.0}
    fresh = [parts_of(Attribution(UtilityManager("USDT")), held) for held in (both, spot)]
    assert [parts_of(attribution, held) for held in (both, spot, both)] == [fresh[0], fresh[1], fresh[0]]
    assert parts_of(attribution, {USDT: 500.0}) == {}


def test_a_balance_that_flows_earns_on_what_it_was_when_the_row_began() -> None:
    held, later = keyed({SPOT: 1.0}), np.array([2.0, 4.0, 8.0])
    flowing = keyed({SPOT: 0.0}).keys()
    book = BookColumns(MADE.window(0, 3), held, held, dict.fromkeys(flowing, later))
    parts = Attribution(UtilityManager("USDT")).of(book, book.window)
    assert np.asarray(parts["delta"]).tolist() == [0.0, 2.0 * 10.0, 4.0 * -5.0]
