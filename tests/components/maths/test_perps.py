"""Linear perps: value, maintenance by tiers, funding, what a reduction realises, what a liquidation leaves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.maths.perps import (
    equity_after_liquidation,
    funding_usdt,
    maintenance_usdt,
    realised_on_reduce,
    tier_of,
    unrealised_usdt,
)
from components.model.keys import Tier

TIERS = (Tier(50_000.0, 0.004, 0.0), Tier(600_000.0, 0.005, 50.0), Tier(3_000_000.0, 0.0065, 950.0))


def test_a_short_gains_when_the_mark_falls() -> None:
    assert unrealised_usdt(-2.0, 120_000.0, 59_000.0) == 2_000.0
    assert unrealised_usdt(-2.0, 120_000.0, np.array([60_000.0, 61_000.0])).tolist() == [0.0, -2_000.0]


def test_a_short_receives_positive_funding_and_a_long_pays_it() -> None:
    assert funding_usdt(-2.0, 60_000.0, 0.0001) == pytest.approx(12.0)
    assert funding_usdt(2.0, 60_000.0, 0.0001) == pytest.approx(-12.0)


def test_a_tier_reaches_up_to_its_notional_and_the_last_has_no_end() -> None:
    assert tier_of(50_000.0, TIERS) is TIERS[0]
    assert tier_of(50_000.01, TIERS) is TIERS[1]
    assert tier_of(1e9, TIERS) is TIERS[2]


def test_maintenance_is_taken_from_the_tier_of_each_row() -> None:
    one = maintenance_usdt(np.array([10_000.0, 40_000.0]), TIERS)
    assert one.tolist() == [40.0, 160.0]
    many = maintenance_usdt(np.array([50_000.0, 100_000.0, 1_000_000.0, 9_000_000.0]), TIERS)
    assert many == pytest.approx([200.0, 450.0, 5_550.0, 57_550.0])


@given(st.floats(min_value=1.0, max_value=5e6))
def test_maintenance_does_not_jump_from_tier_to_tier(notional: float) -> None:
    below, above = maintenance_usdt(np.array([notional, notional * (1 + 1e-9)]), TIERS)
    assert 0.0 <= above - below <= 0.01


@given(st.floats(min_value=1.0, max_value=5e6), st.floats(min_value=1.0, max_value=5e6))
def test_a_row_does_not_depend_on_the_rows_beside_it(one: float, other: float) -> None:
    together = maintenance_usdt(np.array([one, other]), TIERS)
    assert together[0] == maintenance_usdt(np.array([one]), TIERS)[0]


def test_a_reduction_realises_its_share_of_the_entry() -> None:
    # Short 2 at 60,000 (quote 120,000); half is bought back at 59,000.
    assert realised_on_reduce(-2.0, 120_000.0, 1.0, 59_000.0) == 1_000.0
    # Long 2 at 60,000; half is sold at 61,000.
    assert realised_on_reduce(2.0, -120_000.0, -1.0, 61_000.0) == 1_000.0


def test_opening_and_adding_realise_nothing() -> None:
    assert realised_on_reduce(0.0, 0.0, -1.0, 60_000.0) == 0.0
    assert realised_on_reduce(-1.0, 60_000.0, -1.0, 50_000.0) == 0.0


def test_a_change_through_zero_realises_the_whole_old_position_and_no_more() -> None:
    assert realised_on_reduce(-2.0, 120_000.0, 5.0, 59_000.0) == realised_on_reduce(-2.0, 120_000.0, 2.0, 59_000.0)


@given(
    st.floats(min_value=-50.0, max_value=-0.01), st.floats(min_value=0.0, max_value=1.0),
    st.floats(min_value=10_000.0, max_value=90_000.0),
)  # fmt: skip
def test_realising_at_the_mark_is_neutral(size: float, share: float, mark: float) -> None:
    quote = -size * 60_000.0
    change = -size * share
    realised = realised_on_reduce(size, quote, change, mark)
    after = unrealised_usdt(size + change, quote - change * mark - realised, mark)
    assert realised + after == pytest.approx(unrealised_usdt(size, quote, mark), abs=1e-6)


def test_a_liquidation_pays_its_fee_and_leaves_no_debt() -> None:
    # Short 1 at 60,000 with 5,000 of cash: at 64,000, 1,000 is left, less 1 % of the notional.
    assert equity_after_liquidation(5_000.0, -1.0, 60_000.0, 64_000.0, 0.01) == 360.0
    assert equity_after_liquidation(5_000.0, -1.0, 60_000.0, 66_000.0, 0.01) == 0.0
