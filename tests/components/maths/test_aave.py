"""Aave arithmetic: health, liquidation calls, rate curves."""

from __future__ import annotations

import numpy as np
import pytest

from components.maths import aave


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
