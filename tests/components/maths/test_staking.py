"""Liquid staking: leverage, units, rewards, carry."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.maths.staking import carry_per_year, leverage_of, lst_units, reward_units


def test_ninety_percent_of_debt_is_tenfold_leverage() -> None:
    assert leverage_of(0.9) == pytest.approx(10.0)
    assert leverage_of(0.0) == 1.0


def test_units_are_eth_over_the_ratio() -> None:
    assert lst_units(11.7, 1.17) == pytest.approx(10.0)


def test_rewards_follow_the_time_held() -> None:
    week = 7 * 86_400.0
    assert reward_units(0.002, 100.0 * week, week) == pytest.approx(0.2)
    assert reward_units(0.002, 100.0 * week / 2, week) == pytest.approx(0.1)


def test_carry_is_leverage_on_the_spread() -> None:
    # 10 × (3 % + 0.1 %) − 9 × 2.5 %
    assert carry_per_year(0.03, 0.001, 0.025, 10.0) == pytest.approx(0.085)
    assert carry_per_year(0.03, 0.0, 0.5, 1.0) == 0.03


@given(st.floats(min_value=0.0, max_value=0.95), st.floats(min_value=0.01, max_value=1e6))
def test_collateral_less_debt_is_the_equity(ltv: float, equity: float) -> None:
    leverage = leverage_of(ltv)
    assert equity * leverage - equity * (leverage - 1.0) == pytest.approx(equity)
    assert equity * (leverage - 1.0) / (equity * leverage) == pytest.approx(ltv, abs=1e-12)
