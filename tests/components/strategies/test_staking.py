"""Staking in the ETH share class: one token, with or without debt, never hedged."""

from __future__ import annotations

import pytest

from components.strategies.staking import Staking
from components.strategies.strategy import View
from tests.builders import mode_of

VIEW = View(spot={}, mark={}, reference=2_000.0, ratio=1.25)


def test_all_eth_becomes_the_staked_token() -> None:
    staking = Staking(mode_of("eth_staking_only", lst_type="weETH"))
    assert staking.target(10.0, VIEW).holdings == {"wallet:BaseToken:weETH": 8.0}


def test_the_price_of_eth_does_not_matter() -> None:
    staking = Staking(mode_of("eth_leveraged"))
    other = View(spot={}, mark={}, reference=9_999.0, ratio=1.25)
    assert staking.target(10.0, VIEW) == staking.target(10.0, other)


def test_collateral_less_debt_is_the_equity() -> None:
    holdings = Staking(mode_of("eth_leveraged")).target(10.0, VIEW).holdings
    collateral, debt = holdings.values()
    assert collateral * 1.25 - debt == pytest.approx(10.0)
    assert debt / (collateral * 1.25) == pytest.approx(mode_of("eth_leveraged").target_ltv)


def test_the_eth_is_needed_in_the_wallet() -> None:
    assert Staking(mode_of("eth_leveraged")).places(10.0) == {"wallet:BaseToken:ETH": 10.0}
