"""What simulated venues charge, in numbers worked out by hand."""

from __future__ import annotations

import pytest

from components.model.market import Row
from components.model.orders import Cost, CostKind
from components.model.slices import TransferTerms
from tests.scenarios.sketch import Sketch, btc, staked
from tests.venues.sim.desk import near, run_of
from venues.sim.costs import CostModel


def model(mode: str, *overrides: str) -> CostModel:
    return CostModel(run_of(mode, *overrides))


def row(sketch: Sketch, i: int = 0) -> Row:
    return Row(sketch.market(), i)


def test_impact_grows_with_the_root_of_the_notional() -> None:
    costs = model("btc_basis")

    assert costs.spot_impact("binance", 0.0) == near(0.0001)
    assert costs.spot_impact("binance", 250_000.0) == near(0.0001 + 0.00025 * 0.5)
    assert costs.spot_impact("binance", 4_000_000.0) == near(0.0001 + 0.00025 * 2.0)
    assert costs.perp_impact("okx", 1_000_000.0) == near(0.00005 + 0.00025)


def test_impact_stops_at_its_ceiling() -> None:
    assert model("btc_basis").spot_impact("binance", 1e12) == 0.005


def test_each_venue_has_its_own_taker_fees() -> None:
    costs = model("btc_basis")

    assert [costs.spot_fee(venue) for venue in ("binance", "bybit", "okx")] == [0.001, 0.001, 0.001]
    assert [costs.perp_fee(venue) for venue in ("binance", "bybit", "okx")] == [0.0005, 0.00055, 0.0005]


def test_gas_is_units_times_the_price_of_the_row() -> None:
    drawn = staked(2).line("ethereum.gas_price.gwei", [10.0, 40.0])

    assert model("pure_lending").gas(row(drawn), "supply_first") == (Cost(CostKind.GAS, "ETH", near(0.00219)),)
    assert model("pure_lending").gas(row(drawn, 1), "supply") == (Cost(CostKind.GAS, "ETH", near(0.00504)),)


def test_the_gas_price_buffer_makes_gas_dearer() -> None:
    costs = model("pure_lending", "venues.alchemy.gas_price_buffer=1.5")

    assert costs.gas(row(staked(1)), "supply") == (Cost(CostKind.GAS, "ETH", near(0.00126 * 1.5)),)


def test_a_swap_pays_the_pool_fee_and_the_impact_one_after_the_other() -> None:
    keeps = model("eth_staking_only").swap_keeps("wstETH/ETH", 1_000_000.0)

    assert keeps == near(0.9999 * (1.0 - 0.0004))


def test_transfer_terms_belong_to_the_sender() -> None:
    costs = model("btc_basis")

    assert costs.transfer("bybit", "USDT") == TransferTerms(fee=2.0, delay_minutes=30.0)
    assert costs.transfer("wallet", "USDT") == TransferTerms(fee=0.0, delay_minutes=15.0)


def test_an_exchange_without_terms_for_a_token_sends_none() -> None:
    with pytest.raises(KeyError, match="DOGE"):
        model("btc_basis").transfer("bybit", "DOGE")


def test_a_closing_run_waits_for_nothing_but_still_pays_the_fee() -> None:
    costs = model("usdt_market_neutral_no_leverage", "exit_path=queue")
    assert costs.queue_days() == 7.0

    costs.waive_delays = True

    assert costs.transfer("wallet", "ETH") == TransferTerms(fee=0.0, delay_minutes=0.0)
    assert costs.transfer("binance", "USDT") == TransferTerms(fee=1.0, delay_minutes=0.0)
    assert costs.queue_days() == 0.0


def test_only_instadapp_takes_a_flash_premium() -> None:
    costs = model("eth_leveraged")

    assert (costs.flash_premium("morpho"), costs.flash_premium("instadapp")) == (0.0, 0.0005)


def test_the_market_rate_of_an_lst_is_the_pool_unless_costs_are_none() -> None:
    drawn = row(staked(1))

    assert model("eth_leveraged").lst_market_rate(drawn, "wstETH", 1.17) == near(1.17 * 0.999)
    assert model("eth_leveraged", "costs=none").lst_market_rate(drawn, "wstETH", 1.17) == 1.17


def test_costs_none_means_none_everywhere_but_at_a_liquidation() -> None:
    costs = model("usdt_market_neutral", "costs=none")
    drawn = row(staked(1))

    assert costs.spot_impact("binance", 1e9) == costs.perp_impact("binance", 1e9) == 0.0
    assert costs.spot_fee("binance") == costs.perp_fee("binance") == 0.0
    assert costs.swap_keeps("wstETH/ETH", 1e9) == 1.0
    assert costs.flash_premium("instadapp") == 0.0
    assert costs.gas(drawn, "supply") == ()
    assert costs.transfer("binance", "USDT") == TransferTerms(fee=0.0, delay_minutes=0.0)
    assert costs.queue_days() == 0.0
    assert costs.liquidation_fee("binance") == 0.0125


def test_eth_has_its_reference_price_where_the_market_knows_one() -> None:
    assert model("btc_basis").eth_usdt(row(btc(1))) == 3_000.0
    assert model("btc_basis").eth_usdt(row(Sketch(1).line("x.apy.y", 0.0))) == 1.0
