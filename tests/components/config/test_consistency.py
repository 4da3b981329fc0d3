"""Level 5: files against each other."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from components.config.consistency import Venues
from tests.builders import build, faults


@pytest.mark.parametrize(
    ("mode", "changes", "expected"),
    [
        ("btc_basis", {"hedge_allocation": {"binance": 0.5, "bibyt": 0.5}}, "did you mean 'bybit'?"),
        (
            "btc_basis",
            {"hedge_allocation": {"binance": 0.5, "aave_v3": 0.5}},
            "hedge_allocation.aave_v3: found no such",
        ),
        ("btc_basis", {"venues.okx.instruments.perp.BTC-": None}, "no perp of BTC at okx"),
        ("btc_basis", {"venues.okx.transfers.USDT-": None}, "no transfers.USDT at okx"),
        ("btc_basis", {"venues.okx-": None}, "hedge_allocation.okx: found no such exchange"),
        (
            "btc_basis",
            {"venues.okx.venue": "okex"},
            "okx.yaml: venue: found 'okex', expected 'okx', the name of the file",
        ),
        ("btc_basis", {"venues.okx.kind": "exchagne"}, "did you mean 'exchange'?"),
        ("btc_basis", {"mode": "eth_basis"}, "mode: found 'eth_basis', expected 'btc_basis', the name of the file"),
        ("btc_basis", {"funding_gap": "venue:binnance"}, "did you mean 'binance'?"),
        ("btc_basis", {"price_fallback": {"okx.spot": "binanse.spot"}}, "did you mean 'binance'?"),
        ("usdt_market_neutral", {"spot_venue": "uniswop"}, "did you mean 'uniswap'?"),
        ("eth_leveraged", {"max_ltv": 0.94}, "at most 0.93, e_mode.ltv of aave_v3"),
        ("eth_leveraged", {"venues.aave_v3.e_mode.ltv": 0.9}, "at most 0.9, e_mode.ltv of aave_v3"),
        ("eth_leveraged", {"risk.ltv.critical": 0.96}, "less than 0.95, e_mode.liquidation_threshold"),
        ("eth_leveraged", {"risk.ltv.warning": 0.90}, "more than the target LTV 0.9094"),
        ("eth_leveraged", {"risk.liquidation.warning": 0.05}, "less than 0.0446"),
        ("eth_leveraged", {"venues.lido.lst": "weETH"}, "a venue file lido with kind: staking, lst: wstETH"),
        ("eth_leveraged", {"venues.uniswap.pairs.wstETH/ETH-": None}, "a pair wstETH/ETH in the file of uniswap"),
        ("pure_lending", {"data_requirements.0": "aave_v3.supply_index.USTD"}, "did you mean 'USDT'?"),
        ("eth_leveraged", {"venues.alchemy.flash_venue": "morfo"}, "did you mean 'morpho'?"),
        ("eth_leveraged", {"venues.aave_v3-": None}, "one venue file with kind: lending"),
        ("btc_basis", {"position_subscriptions.0": "wallet:Token:USDT"}, "venue:type:symbol with a type of BaseToken"),
        ("btc_basis", {"position_subscriptions.0": "binanec:BaseToken:USDT"}, "did you mean 'binance'?"),
        ("btc_basis", {"share_classes.usdt_stable-": None}, "the currency of a file in configs/share_classes"),
        ("btc_basis", {"share_classes.eth_directional.currency": "USDT"}, "one share class per currency"),
    ],
)
def test_files_fit_together(mode: str, changes: Mapping[str, object], expected: str) -> None:
    assert any(expected in line for line in faults(mode, changes))


def test_limits_at_the_target_matter_only_when_the_mode_acts_on_them() -> None:
    build("eth_leveraged", {"risk.ltv.warning": 0.90, "rebalance": "never"})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"max_stake_spread_move": 0.0, "max_ltv": 0.93, "venues.aave_v3.e_mode.ltv": 0.92}, "max_ltv: found 0.93"),
        ({"risk.ltv.critical": 0.95}, "risk.ltv.critical: found 0.95, expected less than 0.95"),
        ({"venues.lido.kind": "exchange"}, "venue file lido with kind: staking"),
        ({"venues.uniswap-": None}, "one venue file with kind: dex"),
        ({"venues.alchemy-": None}, "one venue file with kind: chain"),
    ],
)
def test_a_leveraged_mode_needs_venues_that_carry_it(changes: Mapping[str, object], expected: str) -> None:
    assert any(expected in line for line in faults("eth_leveraged", changes))


def test_coin_that_goes_on_chain_needs_a_way_out_of_the_spot_venue() -> None:
    found = faults("usdt_market_neutral", {"venues.binance.transfers.ETH-": None})
    assert any("found no transfers.ETH at binance" in line for line in found)


def test_a_basis_needs_the_spot_of_its_perp_a_hedge_of_staked_coin_does_not() -> None:
    gone = {"venues.okx.instruments.spot.ETH-": None}
    assert any("no spot of ETH at okx" in line for line in faults("eth_basis", gone))
    assert not any("no spot of ETH at okx" in line for line in faults("usdt_market_neutral", gone))


def test_no_venues_at_all_have_no_faults_between_them() -> None:
    nothing = Venues({}, {})
    assert (nothing.lending, nothing.chain, nothing.dex, nothing.exchanges, nothing.kinds) == (None, None, None, {}, {})
