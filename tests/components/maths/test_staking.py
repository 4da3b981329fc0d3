"""Liquid staking: units and rewards."""

from __future__ import annotations

import pytest

from components.maths.staking import lst_units, reward_units


def test_units_are_eth_over_the_ratio() -> None:
    assert lst_units(11.7, 1.17) == pytest.approx(10.0)


def test_rewards_follow_the_time_held() -> None:
    week = 7 * 86_400.0
    assert reward_units(0.002, 100.0 * week, week) == pytest.approx(0.2)
    assert reward_units(0.002, 100.0 * week / 2, week) == pytest.approx(0.1)
