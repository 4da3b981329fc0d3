"""Levels 2 and 3: rules between the keys of a mode, and what a mode must and must not be."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.builders import build, faults


@pytest.mark.parametrize(
    ("mode", "path", "value", "expected"),
    [
        ("btc_basis", "hedge_allocation", {"binance": 0.4, "bybit": 0.5}, "sum to 0.9 (binance 0.4, bybit 0.5)"),
        ("btc_basis", "hedge_allocation", {"binance": 0.5, "bybit": 0.50000001}, "expected weights that sum to 1"),
        ("btc_basis", "risk.delta.warning", 0.06, "expected warning below critical: the measure rises"),
        ("btc_basis", "risk.margin.critical", 0.3, "expected warning above critical: the measure falls"),
        ("btc_basis", "risk.margin.warning", 1.0, "less than margin_ratio_target (1)"),
        ("eth_leveraged", "risk.liquidation.warning", 0.005, "expected warning above critical"),
        ("btc_basis", "margin_ratio_band.low", 1.0, "low < margin_ratio_target (1) < high"),
        ("btc_basis", "price_caps.emergency", [100, 100], "steps that widen"),
        ("btc_basis", "funding_gap", "ignore", "expected refuse, skip or venue:<name>"),
        ("btc_basis", "plausible.accepted", ["okx"], "expected a series like okx.perp.ETH"),
        ("btc_basis", "plausible.accepted", ["okx.perp.ETH@yesterday"], "okx.perp.ETH@2024-10-28T21:00Z"),
        ("btc_basis", "plausible.accepted", ["okx.perp.ETH@2024-99-28T21:00Z"], "okx.perp.ETH@2024-10-28T21:00Z"),
        ("btc_basis", "plausible.funding_median", {"binance": 0.002}, "nothing for bybit, okx"),
        ("btc_basis", "price_fallback", {"okx.spot": "binance"}, "expected venue.kind: venue.kind"),
        ("btc_basis", "price_fallback", {"okx.perp": "binance.spot"}, "expected the same kind of price"),
        ("btc_basis", "risk.enabled", ["delta", "delta"], "'delta' 2 times"),
    ],
)  # fmt: skip
def test_business_rule(mode: str, path: str, value: object, expected: str) -> None:
    assert any(expected in line for line in faults(mode, {path: value}))


@pytest.mark.parametrize(
    ("mode", "changes", "expected"),
    [
        ("btc_basis", {"hedge_allocation": {}}, "BTC in a USDT share class is always hedged"),
        ("usdt_market_neutral", {"hedge_allocation": {}}, "ETH in a USDT share class is always hedged"),
        ("eth_leveraged", {"hedge_allocation": {"binance": 1.0}}, "a mode of the ETH share class is never hedged"),
        ("btc_basis", {"share_class": "ETH"}, "a mode of the ETH share class is never hedged"),
        ("pure_lending", {"hedge_allocation": {"binance": 1.0}}, "USDT needs no hedge in its own currency"),
        ("eth_staking_only", {"rewards_mode": "base_eigen"}, "base_only: wstETH receives no EIGEN or ETHFI"),
        ("btc_basis", {"rewards_mode": "base_eigen"}, "a mode without staking receives no EIGEN"),
        ("eth_staking_only", {"lst_type": None}, "expected one of weETH, wstETH: this mode stakes"),
        ("btc_basis", {"lst_type": "weETH"}, "expected null: this mode stakes nothing"),
        ("eth_leveraged", {"max_ltv": None}, "a number: this mode borrows"),
        ("usdt_market_neutral", {"max_stake_spread_move": None}, "a number: this mode borrows"),
        ("eth_staking_only", {"max_ltv": 0.9}, "null: this mode does not borrow"),
        ("btc_basis", {"stake_allocation": 0.5}, "0: this mode stakes nothing"),
        ("usdt_market_neutral", {"stake_allocation": 1.0}, "the rest is margin"),
        ("eth_leveraged", {"stake_allocation": 0.5}, "without a hedge there is no margin"),
        ("usdt_market_neutral", {"spot_venue": None}, "this mode buys coin and takes it on-chain"),
        ("btc_basis", {"spot_venue": "binance"}, "null: a basis leg buys where its perp is"),
        ("usdt_market_neutral", {"collateral": "unified"}, "usdt: no coin of this mode stays at the exchange"),
        ("pure_lending", {"risk.enabled": ["ltv"]}, "not ltv: this mode borrows nothing"),
        ("eth_leveraged", {"risk.enabled": ["delta"]}, "not delta: this mode has no perp"),
        ("pure_lending", {"pnl.parts": ["supply_yield", "transaction_costs"]}, "carries a gas debt"),
        ("eth_leveraged", {"pnl.parts": ["transaction_costs"]}, "borrow_costs among them: it borrows"),
        ("btc_basis", {"collateral": "unified", "pnl.parts":
                       ["funding", "basis", "delta", "liquidation", "transaction_costs"]}, "interest on negative USDT"),
        ("btc_basis", {"asset": "SOL"}, "one of USDT, BTC, ETH (share class usdt_stable)"),
        ("btc_basis", {"pnl.reporting_currency": "ETH"}, "USDT, the currency of share class usdt_stable"),
    ],
)  # fmt: skip
def test_mode_rule(mode: str, changes: Mapping[str, object], expected: str) -> None:
    assert any(expected in line for line in faults(mode, changes))


def test_weeth_with_rewards_and_unified_collateral_are_allowed() -> None:
    build("eth_staking_only", {"lst_type": "weETH", "rewards_mode": "base_eigen_seasonal"})
    build("btc_basis", {"collateral": "unified"})
    build("usdt_market_neutral", {"spot_venue": "uniswap"})


@pytest.mark.parametrize("key", ["pnl.parts", "data_requirements", "position_subscriptions"])
def test_a_name_that_comes_twice_is_a_fault(key: str) -> None:
    section, _, last = key.rpartition(".")
    mode = build("btc_basis").mode
    names = list(mode.pnl.parts if section else getattr(mode, last))
    assert any("2 times, expected each name once" in line for line in faults("btc_basis", {key: [*names, names[0]]}))


def test_a_rule_waits_until_the_keys_it_needs_are_read() -> None:
    found = faults("btc_basis", {"hedge_allocation": "binance", "margin_ratio_target": 9.0})
    assert any("hedge_allocation: found 'binance'" in line for line in found)
    assert any("margin_ratio_band: found low 0.5, high 2" in line for line in found)
    assert not any("sum to" in line or "is always hedged" in line for line in found)


def test_modes_without_a_hedge_may_keep_any_margin_warning() -> None:
    build("pure_lending", {"risk.margin.warning": 1.5})
