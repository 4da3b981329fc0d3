"""What trading costs: impact by size, taker prices, gas, lots."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from components.maths.costs import fill_price, gas_eth, impact_fraction, notional_within, round_to_lot
from components.model.slices import Impact

IMPACT = Impact(base=0.0001, slope=0.0004, ceiling=0.001)


def test_impact_grows_with_the_root_of_the_size() -> None:
    assert impact_fraction(0.0, IMPACT) == 0.0001
    assert impact_fraction(1e6, IMPACT) == pytest.approx(0.0005)
    assert impact_fraction(4e6, IMPACT) == pytest.approx(0.0009)


def test_impact_has_a_ceiling_and_no_side() -> None:
    assert impact_fraction(1e9, IMPACT) == 0.001
    assert impact_fraction(-1e6, IMPACT) == impact_fraction(1e6, IMPACT)


def test_a_taker_buys_above_and_sells_below() -> None:
    assert fill_price(60_000.0, 0.5, 0.001) == pytest.approx(60_060.0)
    assert fill_price(60_000.0, -0.5, 0.001) == pytest.approx(59_940.0)


def test_gas_is_paid_in_eth() -> None:
    assert gas_eth(180_000, 25.0) == 0.0045


@pytest.mark.parametrize(
    ("quantity", "lot", "rounded"),
    [
        (0.12345, 0.001, 0.123),
        (-0.12345, 0.001, -0.123),
        (0.3, 0.1, 0.3),
        (0.0009, 0.001, 0.0),
        (0.12345, 0.0, 0.12345),
    ],
)
def test_a_quantity_is_rounded_towards_zero(quantity: float, lot: float, rounded: float) -> None:
    assert round_to_lot(quantity, lot) == pytest.approx(rounded, abs=1e-15)


@given(st.integers(min_value=-10_000_000, max_value=10_000_000), st.sampled_from([0.001, 0.01, 0.1, 0.00001]))
def test_a_multiple_of_the_lot_keeps_all_its_lots(lots: int, lot: float) -> None:
    assert round_to_lot(lots * lot, lot) == pytest.approx(lots * lot, rel=1e-12, abs=0.0)


@example(fraction=0.0078125, base=0.00390625, slope=2.225073858507e-311, ceiling=0.015625)
@given(st.floats(0.0, 0.02), st.floats(0.0, 0.01), st.floats(0.0, 0.01), st.floats(0.0, 0.02))
def test_what_trades_within_a_fraction_has_no_more_impact(
    fraction: float, base: float, slope: float, ceiling: float
) -> None:
    impact = Impact(base, slope, max(base, ceiling))
    most = notional_within(fraction, impact)
    if most == inf:
        assert impact_fraction(1e15, impact) <= fraction
    else:
        assert most == 0.0 or impact_fraction(most, impact) == pytest.approx(min(fraction, impact.ceiling))
        assert impact_fraction(most + 1.0 + 1e-6 * most, impact) > fraction * (1.0 - 1e-12)
