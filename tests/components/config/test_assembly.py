"""From validated files to the slices of a run."""

from __future__ import annotations

from components.config.assembly import config_hash
from tests.builders import build


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


def test_only_the_exchanges_that_are_used_belong_to_a_run() -> None:
    assert set(build("btc_basis", {"hedge_allocation": {"okx": 1.0}}).exchanges) == {"okx"}
    assert set(build("usdt_market_neutral", {"hedge_allocation": {"okx": 1.0}}).exchanges) == {"okx", "binance"}
    assert build("pure_lending").exchanges == {}


def test_a_venue_that_is_not_used_does_not_change_the_hash() -> None:
    one = {"hedge_allocation": {"okx": 1.0}}
    assert (
        build("btc_basis", one).config_hash == build("btc_basis", one | {"venues.bybit.max_trade_usdt": 1}).config_hash
    )
    assert build("btc_basis", one).config_hash != build("btc_basis", one | {"venues.okx.max_trade_usdt": 1}).config_hash


def test_subscriptions_are_spelt_out_once_each() -> None:
    watched = build("btc_basis", {"hedge_allocation": {"okx": 0.5, "binance": 0.5}}).mode.position_subscriptions
    assert watched[:4] == (
        "wallet:BaseToken:USDT", "reserve:BaseToken:USDT", "binance:BaseToken:BTC", "okx:BaseToken:BTC",
    )  # fmt: skip
    assert len(set(watched)) == len(watched)


def test_the_chain_knows_gas_of_all_its_protocols() -> None:
    gas = build("usdt_market_neutral").chain.gas_units
    assert (gas["swap"], gas["supply_first"], gas["pay_out"], gas["stake"]) == (180_000, 219_000, 65_000, 110_000)
    assert "unwrap" not in gas  # wstETH pays no rewards
    assert build("usdt_market_neutral", {"lst_type": "weETH"}).chain.gas_units["unwrap"] == 150_000
