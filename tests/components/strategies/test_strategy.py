"""What a mode may see and say: targets, where a run begins, and the legs that modes share."""

from __future__ import annotations

import pytest

from components.strategies.basis import Basis
from components.strategies.staking import Staking
from components.strategies.strategy import NOTHING, Target, hedge_leg, staked_leg
from tests.builders import key, keyed, mode_of


def test_what_a_target_does_not_name_is_wanted_at_zero() -> None:
    target = Target(keyed({"okx:BaseToken:BTC": 2.0}))
    assert target.of(key("okx:BaseToken:BTC")) == 2.0
    assert target.of(key("okx:Perp:BTCUSDT")) == 0.0
    assert NOTHING.of(key("okx:BaseToken:BTC")) == 0.0


def test_a_target_scales_leg_by_leg() -> None:
    target = Target(keyed({"okx:BaseToken:BTC": 2.0, "okx:Perp:BTCUSDT": -2.0})).scaled(0.25)
    assert target.holdings == {"okx:BaseToken:BTC": 0.5, "okx:Perp:BTCUSDT": -0.5}


def test_a_usdt_run_begins_with_its_reserve_and_the_rest_where_it_is_needed() -> None:
    mode = mode_of("btc_basis", reserve_ratio=0.1, hedge_allocation={"binance": 0.6, "okx": 0.4})
    assert Basis(mode).initial(1_000.0, gas_reserve=0.0) == {
        "reserve:BaseToken:USDT": 100.0, "binance:BaseToken:USDT": 540.0, "okx:BaseToken:USDT": 360.0,
    }  # fmt: skip


def test_a_run_from_the_wallet_begins_there() -> None:
    mode = mode_of("btc_basis", reserve_ratio=0.1, initial_location="wallet")
    assert Basis(mode).initial(1_000.0, 0.0) == {"reserve:BaseToken:USDT": 100.0, "wallet:BaseToken:USDT": 900.0}


def test_an_eth_run_keeps_gas_first_and_the_reserve_from_what_is_left() -> None:
    mode = mode_of("eth_staking_only", reserve_ratio=0.05)
    balances = Staking(mode).initial(100.0, gas_reserve=0.05)
    assert balances["gas:BaseToken:ETH"] == 0.05  # type: ignore[index]
    assert balances["reserve:BaseToken:ETH"] == pytest.approx(99.95 * 0.05)  # type: ignore[index]
    assert sum(balances.values()) == pytest.approx(100.0)


def test_a_usdt_run_holds_no_eth_for_gas_and_without_a_reserve_ratio_no_reserve() -> None:
    assert Basis(mode_of(reserve_ratio=0.0, hedge_allocation={"okx": 1.0})).initial(1_000.0, gas_reserve=0.05) == {
        "okx:BaseToken:USDT": 1_000.0
    }


def test_a_staked_leg_without_leverage_is_the_token_in_the_wallet() -> None:
    assert staked_leg(mode_of("eth_staking_only"), 11.7, 1.17) == {"wallet:BaseToken:wstETH": pytest.approx(10.0)}


def test_a_leveraged_leg_is_collateral_against_debt() -> None:
    mode = mode_of("eth_leveraged", max_ltv=0.9, max_stake_spread_move=0.0)
    leg = staked_leg(mode, 10.0, 1.25)
    assert leg == {
        "aave_v3:aToken:awstETH": pytest.approx(80.0),
        "aave_v3:debtToken:variableDebtWETH": pytest.approx(90.0),
    }


def test_a_hedge_is_split_by_weight() -> None:
    mode = mode_of("usdt_market_neutral", hedge_allocation={"binance": 0.75, "okx": 0.25})
    assert hedge_leg(mode, 8.0) == {"binance:Perp:ETHUSDT": -6.0, "okx:Perp:ETHUSDT": -2.0}
