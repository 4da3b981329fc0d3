"""Validation: what is refused, what it says, and that it says everything at once."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.config.assembly import config_hash
from components.config.documents import Bundle, Document
from components.config.validation import build_run
from components.model.errors import CFG_INVALID, InvalidInput
from components.model.keys import PositionKey
from components.model.requirements import requirements
from components.model.slices import RunSlice

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
MODES = sorted(path.stem for path in (CONFIGS / "modes").glob("*.yaml"))
STAKING_MODES = [name for name in MODES if name not in ("pure_lending", "btc_basis", "eth_basis")]
TREE: Mapping[str, Mapping[str, Any]] = {
    folder: {path.stem: yaml.safe_load(path.read_bytes()) for path in sorted((CONFIGS / folder).glob("*.yaml"))}
    for folder in ("modes", "venues", "share_classes")
}


def build(mode: str, changes: Mapping[str, object] | None = None) -> RunSlice:
    """The packaged configuration with values replaced, added (`key+`) or taken away (`key-`) at dotted paths."""
    tree = copy.deepcopy({**TREE, "modes": {mode: TREE["modes"][mode]}})
    for path, value in (changes or {}).items():
        *sections, key = path.split(".")
        node: Any = tree
        for section in sections if sections[:1] in (["venues"], ["share_classes"]) else ("modes", mode, *sections):
            node = node[int(section) if isinstance(node, list) else section]
        if key.endswith("-"):
            del node[key[:-1]]
        else:
            node[int(key) if isinstance(node, list) else key.removesuffix("+")] = value

    def documents(folder: str) -> dict[str, Document]:
        return {name: Document(name=f"configs/{folder}/{name}.yaml", content=c) for name, c in tree[folder].items()}

    return build_run(Bundle(mode_name=mode, mode=documents("modes")[mode], share_classes=documents("share_classes"),
                            venues=documents("venues")))  # fmt: skip


def faults(mode: str, changes: Mapping[str, object]) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        build(mode, changes)
    assert caught.value.code == CFG_INVALID
    return [str(fault) for fault in caught.value.faults]


def only_fault(mode: str, changes: Mapping[str, object]) -> str:
    found = faults(mode, changes)
    assert len(found) == 1, found
    return found[0]


# What comes out


@pytest.mark.parametrize("mode", MODES)
def test_packaged_mode_is_valid(mode: str) -> None:
    run = build(mode)
    assert run.mode.mode == mode
    assert run.share_class.currency == run.mode.share_class
    assert set(run.exchanges) == set(run.mode.hedge_allocation) | ({"binance"} if run.mode.spot_venue else set())
    assert requirements(run.mode)
    assert all(PositionKey.parse(key) for key in run.mode.position_subscriptions)


@pytest.mark.parametrize("mode", STAKING_MODES)
@pytest.mark.parametrize(("lst", "key"), [("weETH", "weETH"), ("wsteth", "wstETH")])
def test_staked_token_may_be_chosen_in_any_case(mode: str, lst: str, key: str) -> None:
    run = build(mode, {"lst_type": lst})
    assert run.mode.lst_type == key
    assert f"wallet:BaseToken:{key}" in run.mode.position_subscriptions


def test_target_ltv_and_leverage_are_those_of_the_spec() -> None:
    mode = build("eth_leveraged").mode
    assert mode.target_ltv == pytest.approx(0.9094, abs=1e-5)
    assert mode.leverage == pytest.approx(11.04, abs=0.01)


def test_gas_of_the_chain_is_that_of_the_staked_token_and_flash_source() -> None:
    assert build("eth_leveraged").chain.gas_units["atomic_enter"] == 538_000
    assert build("eth_leveraged", {"lst_type": "weETH"}).chain.gas_units["atomic_enter"] == 577_000
    other_source = build("eth_leveraged", {"lst_type": "weETH", "venues.alchemy.flash_venue": "instadapp"})
    assert other_source.chain.gas_units["atomic_enter"] == 635_000
    assert other_source.chain.flash_premium[other_source.chain.flash_venue] == 0.0005
    assert "stake" not in build("pure_lending").chain.gas_units


def test_instruments_carry_their_tiers_and_steps() -> None:
    perp = build("btc_basis").exchanges["okx"].instruments["perp.BTC"]
    assert (perp.venue, perp.product, perp.coin, perp.lot, perp.contract_size) == ("okx", "perp", "BTC", 0.0001, 0.01)
    assert perp.tiers[0].maintenance_rate == 0.004


def test_hash_follows_values_not_spelling() -> None:
    default = build("btc_basis")
    reordered = build(
        "btc_basis", {"hedge_allocation": {"okx": 0.3, "binance": 0.4, "bybit": 0.3}, "max_age_steps": 2.0}
    )
    assert reordered == default
    assert default.config_hash == config_hash(default)
    assert build("btc_basis", {"reserve_ratio": 0.06}).config_hash != default.config_hash
    assert list(reordered.mode.hedge_allocation) == ["binance", "bybit", "okx"]


# Level 1: schema


def test_unknown_key_names_the_nearest() -> None:
    found = faults("btc_basis", {"max_delta_drfit+": 0.02})
    assert found == ["configs/modes/btc_basis.yaml: max_delta_drfit: found an unknown key, expected only keys of the "
                     "reference (did you mean 'max_delta_drift'?)"]  # fmt: skip


def test_absent_key_is_named_with_what_stands_in_its_place() -> None:
    found = faults("btc_basis", {"risk.delta-": None, "risk.dleta+": {"warning": 0.1, "critical": 0.2}})
    assert any("risk.delta: found only 'dleta', expected a map of keys; no key has a default" in line for line in found)
    assert "reserve_ratio: found no such key, expected a number ≥ 0 and < 1" in only_fault(
        "pure_lending", {"reserve_ratio-": None}
    )


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("risk.delta.warning", float("nan"), "found nan, expected a number ≥ 0 (finite)"),
        ("dust_threshold", float("inf"), "found inf, expected a number ≥ 0 (finite)"),
        ("reserve_ratio", 1.0, "found 1.0, expected a number ≥ 0 and < 1"),
        ("reserve_ratio", "0.05", "found '0.05', expected a number ≥ 0 and < 1"),
        ("reserve_ratio", True, "found true, expected a number"),
        ("break_even_days", 1.5, "found 1.5, expected a whole number ≥ 1"),
        ("costs", "nnoe", "expected one of default, none (did you mean 'none'?)"),
        (
            "hedge_allocation",
            {"binance": 0.0, "bybit": 1.0},
            "hedge_allocation.binance: found 0.0, expected a number > 0",
        ),
        ("risk", None, "risk: found null, expected a map of keys"),
        ("pnl.parts", "funding", "found 'funding', expected a list of"),
        ("lst_type", "steth", "lst_type: found 'steth', expected one of weETH, wstETH or null"),
    ],
)
def test_wrong_value_is_quoted_with_what_was_expected(path: str, value: object, expected: str) -> None:
    assert any(expected in line for line in faults("btc_basis", {path: value}))


def test_faults_of_all_levels_and_files_come_in_one_go() -> None:
    found = "\n".join(faults("btc_basis", {
        "reserve_ratio": float("nan"),
        "colateral+": "usdt",
        "hedge_allocation": {"binance": 0.6, "bybit": 0.6},
        "lst_type": "weETH",
        "data_requirements.0": "binance.forecast.BTC",
        "risk.margin.warning": 0.1,
        "venues.okx.spot_fees.taker-": None,
        "venues.aave_v3.e_mode.ltv": 0.96,
        "share_classes.usdt_stable.hedged": "maybe",
    }))  # fmt: skip
    for place in (
        "btc_basis.yaml: reserve_ratio", "btc_basis.yaml: colateral", "btc_basis.yaml: hedge_allocation",
        "btc_basis.yaml: lst_type", "btc_basis.yaml: data_requirements.0", "btc_basis.yaml: risk.margin",
        "okx.yaml: spot_fees.taker", "aave_v3.yaml: e_mode.ltv", "usdt_stable.yaml: hedged",
    ):  # fmt: skip
        assert place in found


def test_a_file_that_is_no_map_is_one_fault() -> None:
    document = Document(name="configs/modes/x.yaml", content=["not", "a", "map"])
    with pytest.raises(InvalidInput) as caught:
        build_run(Bundle(mode_name="x", mode=document, share_classes={}, venues={}))
    assert len(caught.value.faults) == 1


# Level 2: business rules


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
        ("btc_basis", "funding_gap", "ignore", "expected refuse, skip or venue:<name>"),
        ("btc_basis", "price_fallback", {"okx.spot": "binance"}, "expected venue.kind: venue.kind"),
        ("btc_basis", "price_fallback", {"okx.perp": "binance.spot"}, "expected the same kind of price"),
        ("btc_basis", "risk.enabled", ["delta", "delta"], "'delta' 2 times"),
        ("pure_lending", "venues.aave_v3.reserves.USDT.ltv", 0.78, "less than liquidation_threshold (0.78)"),
        ("pure_lending", "venues.aave_v3.e_mode.liquidation_bonus", 0.06, "threshold × (1 + bonus) of at most 1"),
        ("pure_lending", "venues.binance.instruments.perp.BTC.tiers.5.maintenance_rate", 0.05,
         "less than initial_margin_rate (0.05)"),
        ("pure_lending", "venues.binance.instruments.perp.BTC.tiers.2.deduction_usdt", 900, "expected 950, so that"),
        ("pure_lending", "venues.binance.instruments.perp.BTC.tiers.1.notional_usdt", 40000, "notional above"),
        ("pure_lending", "venues.bybit.instruments.spot.ETH.lot", 0.003, "a step that divides the perp's (0.01)"),
    ],
)  # fmt: skip
def test_business_rule(mode: str, path: str, value: object, expected: str) -> None:
    assert any(expected in line for line in faults(mode, {path: value}))


def test_maintenance_margin_above_initial_is_refused() -> None:
    """The defect of the margin tables in the data folder: maintenance 0.10 beside initial 0.05."""
    tiers = [{"notional_usdt": 1e6, "maintenance_rate": 0.10, "deduction_usdt": 0}]
    found = only_fault("btc_basis", {"venues.bybit.instruments.perp.ETH.tiers": tiers})
    assert found == (
        "configs/venues/bybit.yaml: instruments.perp.ETH.tiers.0.maintenance_rate: "
        "found 0.1, expected less than initial_margin_rate (0.05)"
    )


# Level 3: mode rules


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


# Level 4: names of data


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("binance.spot.BTC@+1h", "no look-ahead (DAT-004 A value from the future was asked for)"),
        ("okx.forecast.BTC", "no look-ahead (DAT-004"),
        ("okx.next_funding.BTC", "no look-ahead (DAT-004"),
        ("binance.spot.BTC@-1h", "expected venue.kind.symbol"),
        ("binance.spot", "expected venue.kind.symbol"),
        ("binance.spto.BTC", "did you mean 'spot'?"),
        ("bnance.spot.BTC", "a venue that publishes spot: binance, bybit, okx, uniswap (did you mean 'binance'?)"),
        ("binance.gas_price.gwei", "a venue that publishes gas_price: ethereum"),
        ("{hegde}.spot.BTC", "did you mean 'hedge'?"),
    ],
)
def test_data_requirement_is_well_formed_and_knows_no_future(name: str, expected: str) -> None:
    found = only_fault("btc_basis", {"data_requirements.1": name})
    assert "data_requirements.1" in found
    assert expected in found


def test_data_as_published_is_allowed() -> None:
    assert build("pure_lending", {"interpolated": "as_published"}).mode.interpolated == "as_published"


# Level 5: files against each other


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
