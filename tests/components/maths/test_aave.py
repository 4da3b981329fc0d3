"""Aave arithmetic: the contracts' integer rounding, its float form, health, liquidation calls, rate curves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.maths import aave
from components.maths.aave import RAY, SECONDS_PER_YEAR, WAD

RATES = st.integers(min_value=0, max_value=2 * RAY)
SECONDS = st.integers(min_value=0, max_value=SECONDS_PER_YEAR)
AMOUNTS = st.integers(min_value=1, max_value=10**9 * WAD)
INDICES = st.integers(min_value=RAY, max_value=5 * RAY)


def test_a_ray_product_rounds_half_up() -> None:
    assert aave.ray_mul(3, RAY // 2) == 2  # 1.5
    assert aave.ray_mul(1, RAY // 2 - 1) == 0
    assert aave.ray_mul(2 * RAY, 3 * RAY) == 6 * RAY


def test_a_ray_quotient_rounds_half_up() -> None:
    assert aave.ray_div(1, 2 * RAY) == 1  # 0.5
    assert aave.ray_div(1, 3 * RAY) == 0
    assert aave.ray_div(6 * RAY, 3 * RAY) == 2 * RAY


def test_floor_and_ceiling_differ_by_one_unless_exact() -> None:
    assert (aave.ray_mul_floor(7, RAY // 2), aave.ray_mul_ceil(7, RAY // 2)) == (3, 4)
    assert (aave.ray_div_floor(7, 2 * RAY), aave.ray_div_ceil(7, 2 * RAY)) == (3, 4)
    assert aave.ray_mul_floor(8, RAY // 2) == aave.ray_mul_ceil(8, RAY // 2) == 4
    assert aave.ray_div_floor(8, 2 * RAY) == aave.ray_div_ceil(8, 2 * RAY) == 4


def test_linear_interest_of_five_percent_over_half_a_year_is_two_and_a_half_percent() -> None:
    assert aave.linear_interest_ray(RAY // 20, SECONDS_PER_YEAR // 2) == RAY + RAY // 40
    assert aave.linear_interest(0.05, SECONDS_PER_YEAR / 2) == 1.025


def test_compound_interest_has_three_terms_of_the_exponential() -> None:
    tenth = aave.compound_interest(0.1, SECONDS_PER_YEAR)
    assert tenth == pytest.approx(1.0 + 0.1 + 0.1**2 / 2 + 0.1**3 / 6, rel=1e-15)
    assert aave.compound_interest_ray(RAY // 10, SECONDS_PER_YEAR) == 1_105_166_666_666_666_666_666_666_667
    assert aave.compound_interest_ray(RAY // 10, 0) == RAY


@given(RATES, SECONDS)
def test_the_float_form_agrees_with_the_contracts(rate: int, seconds: int) -> None:
    exact = aave.compound_interest_ray(rate, seconds) / RAY
    assert aave.compound_interest(rate / RAY, seconds) == pytest.approx(exact, rel=1e-14)
    exact = aave.linear_interest_ray(rate, seconds) / RAY
    assert aave.linear_interest(rate / RAY, seconds) == pytest.approx(exact, rel=1e-14)


@given(RATES, SECONDS)
def test_debt_never_grows_slower_than_supply_at_one_rate(rate: int, seconds: int) -> None:
    assert aave.compound_interest_ray(rate, seconds) >= aave.linear_interest_ray(rate, seconds) - 1


@given(AMOUNTS, INDICES)
def test_the_pool_rounds_in_its_own_favour(scaled: int, index: int) -> None:
    supplied, owed = aave.supplied_wei(scaled, index), aave.owed_wei(scaled, index)
    assert 0 <= owed - supplied <= 1
    assert supplied * RAY <= scaled * index <= owed * RAY
    assert scaled * (index / RAY) == pytest.approx(supplied, rel=1e-12, abs=1.0)


def test_health_is_collateral_times_threshold_over_debt() -> None:
    assert aave.health_factor(100.0, 0.95, 90.0) == pytest.approx(1.0555555555555556)
    hf = aave.health_factor(np.array([100.0, 100.0]), 0.95, np.array([95.0, 0.0]))
    assert hf.tolist() == [1.0, np.inf]


def call(collateral: float, debt: float, hf: float = 0.97, unit_usd: float = 3_000.0) -> aave.Liquidation:
    return aave.liquidation_call(
        collateral, debt, hf, bonus=0.01, close_factor_hf=0.95, unit_usd=unit_usd, full_close_below_usd=2_000.0
    )


def test_a_liquidation_repays_half_of_the_debt_and_seizes_the_bonus_on_top() -> None:
    done = call(100.0, 96.0)
    assert (done.repaid, done.deficit) == (48.0, 0.0)
    assert done.seized == pytest.approx(48.48)


def test_below_the_close_factor_all_of_the_debt_is_repaid() -> None:
    assert call(100.0, 96.0, hf=0.94).repaid == 96.0


def test_a_small_position_is_closed_whole() -> None:
    assert call(0.66, 0.6, unit_usd=3_000.0).repaid == 0.6  # the collateral is worth 1,980
    assert call(0.9, 0.67, unit_usd=3_000.0).repaid == 0.335  # 2,700 and 2,010
    assert call(0.9, 0.66, unit_usd=3_000.0).repaid == 0.66  # the debt is 1,980


def test_what_is_seized_is_capped_and_the_rest_of_the_debt_is_a_deficit() -> None:
    done = call(90.0, 100.0, hf=0.8)
    assert done.seized == 90.0
    assert done.repaid == pytest.approx(90.0 / 1.01)
    assert done.deficit == pytest.approx(100.0 - 90.0 / 1.01)


def test_the_borrow_rate_bends_at_the_optimal_utilisation() -> None:
    rates = aave.borrow_rate(np.array([0.0, 0.45, 0.9, 0.95, 1.0]), base=0.01, slope1=0.03, slope2=0.8, optimal=0.9)
    assert rates == pytest.approx([0.01, 0.025, 0.04, 0.44, 0.84])


def test_suppliers_earn_what_borrowers_pay_less_the_reserve_factor() -> None:
    assert aave.supply_rate(0.04, 0.9, 0.1) == pytest.approx(0.0324)
