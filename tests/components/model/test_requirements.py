"""What a mode needs to know, by name."""

from __future__ import annotations

import msgspec
import pytest

from components.model.requirements import Grid, SeriesName, reference_price, requirements, reward_tokens
from tests.builders import HOUR_NS, START, mode_of, run_of


def test_a_grid_includes_both_ends() -> None:
    assert len(Grid(START, START + 3 * HOUR_NS, HOUR_NS)) == 4
    assert len(Grid(START, START, HOUR_NS)) == 1
    assert len(Grid(START, START + 3 * HOUR_NS - 1, HOUR_NS)) == 3


def test_a_name_is_taken_apart_and_put_together() -> None:
    name = SeriesName.parse("binance.spot.BTC")
    assert (name.venue, name.kind, name.symbol) == ("binance", "spot", "BTC")
    assert str(name) == "binance.spot.BTC"
    with pytest.raises(ValueError, match="unpack"):
        SeriesName.parse("binance.spot")


def test_a_basis_needs_spot_perp_and_funding_of_every_venue_once() -> None:
    assert requirements(mode_of("btc_basis", hedge_allocation={"binance": 0.5, "okx": 0.5})) == (
        "binance.spot.BTC", "okx.spot.BTC", "binance.perp.BTC", "okx.perp.BTC", "binance.funding.BTC",
        "okx.funding.BTC", "binance.spot.ETH", "ethereum.gas_price.gwei",
    )  # fmt: skip


def test_without_costs_nothing_is_needed_that_only_prices_costs() -> None:
    names = requirements(mode_of("btc_basis", costs="none"))
    assert "binance.spot.ETH" not in names
    assert "ethereum.gas_price.gwei" not in names
    staked = requirements(mode_of("usdt_market_neutral", costs="none"))
    assert "dex.ratio.wstETH" not in staked
    assert "binance.spot.ETH" in staked  # there it prices the asset


def test_reward_tokens_are_needed_only_where_they_are_paid() -> None:
    base = requirements(run_of("eth_staking_only").mode)
    assert not [name for name in base if "EIGEN" in name or "ETHFI" in name]
    weekly = requirements(mode_of("eth_staking_only", lst_type="weETH", rewards_mode="base_eigen"))
    assert {"etherfi.ratio.weETH", "uniswap.eth_price.EIGEN", "etherfi.reward.EIGEN"} <= set(weekly)
    assert not [name for name in weekly if "ETHFI" in name]


def test_rewards_follow_the_rewards_mode() -> None:
    assert reward_tokens(mode_of("eth_staking_only")) == ()
    assert reward_tokens(mode_of("eth_staking_only", rewards_mode="base_eigen_seasonal")) == ("EIGEN", "ETHFI")


def test_the_absolute_price_of_a_coin_is_binance_spot() -> None:
    assert reference_price("BTC") == "binance.spot.BTC"


@pytest.mark.parametrize("venue", ["binance", "okx", "uniswap"])
def test_a_price_is_needed_where_coins_are_bought(venue: str) -> None:
    assert f"{venue}.spot.ETH" in requirements(mode_of("usdt_market_neutral", spot_venue=venue))


def test_a_mode_without_a_spot_venue_needs_no_price_of_one() -> None:
    mode = msgspec.structs.replace(mode_of("btc_basis"), data_requirements=("{spot_venue}.spot.{asset}", "x.spot.BTC"))

    assert requirements(mode) == ("x.spot.BTC",)
