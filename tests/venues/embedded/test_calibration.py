"""The embedded market against the measured figures (NOTES-data §3), over six years of three seeds."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from components.model.market import Column, Market
from components.model.requirements import HOUR_NS, Grid
from venues.embedded import SCENARIOS, generate

START = 1_704_067_200_000_000_000
SEEDS = (1, 7, 42)
YEARS = 6


@cache
def market(seed: int) -> Market:
    return generate(Grid(START, START + YEARS * 365 * 24 * HOUR_NS, HOUR_NS), seed=seed)


def lagged(values: Column, lag: int) -> float:
    return float(np.corrcoef(values[:-lag], values[lag:])[0, 1])


@pytest.mark.parametrize("seed", SEEDS)
def test_returns(seed: int) -> None:
    btc, eth = (np.diff(np.log(market(seed).column(f"binance.spot.{coin}"))) for coin in ("BTC", "ETH"))
    assert btc.std() == pytest.approx(0.00529, rel=0.1)
    assert eth.std() == pytest.approx(0.00729, rel=0.1)
    assert np.corrcoef(btc, eth)[0, 1] == pytest.approx(0.785, abs=0.05)
    for values in (btc, eth):
        assert ((values - values.mean()) ** 4).mean() / values.var() ** 2 - 3.0 > 5.0
        assert 0.08 < lagged(np.abs(values), 1) < 0.35
        assert 0.05 < lagged(np.abs(values), 24) < 0.25
        assert abs(lagged(values, 1)) < 0.03


@pytest.mark.parametrize("seed", SEEDS)
def test_premium_and_funding(seed: int) -> None:
    made = market(seed)
    premium = (made.column("binance.perp.BTC") / made.column("binance.spot.BTC") - 1.0) * 1e4
    assert -3.5 < premium.mean() < -0.5
    assert 3.0 < premium.std() < 6.0
    assert lagged(premium, 24) > 0.8
    for venue, mean, negative in (("binance", 0.83, 0.10), ("bybit", 0.85, 0.14), ("okx", 0.86, 0.16)):
        rate = made.funding[f"{venue}.funding.BTC"].rate * 1e4
        assert rate.mean() == pytest.approx(mean, abs=0.45)
        assert (rate < 0.0).mean() == pytest.approx(negative, abs=0.12)
        assert lagged(rate, 1) > 0.5
    assert 0.3 < (np.abs(made.funding["binance.funding.BTC"].rate - 1e-4) < 1e-12).mean() < 0.6
    for venue, spread in (("bybit", 2.0), ("okx", 3.5)):
        ratio = made.column(f"{venue}.perp.BTC") / made.column("binance.perp.BTC")
        assert (ratio - 1.0).std() * 1e4 == pytest.approx(spread, rel=0.2)


@pytest.mark.parametrize("seed", SEEDS)
def test_protocols(seed: int) -> None:
    made = market(seed)

    def yearly(name: str) -> float:
        column = made.column(name)
        return float((column[-1] / column[0]) ** (1.0 / YEARS) - 1.0)

    assert yearly("etherfi.ratio.weETH") == pytest.approx(0.0275, abs=0.0015)
    assert yearly("lido.ratio.wstETH") == pytest.approx(0.0300, abs=0.0015)
    assert yearly("aave_v3.borrow_index.WETH") == pytest.approx(0.027, abs=0.006)
    assert yearly("aave_v3.supply_index.USDT") == pytest.approx(0.054, abs=0.012)
    for name in made.columns:
        if "index" in name or (".ratio." in name and not name.startswith("dex")):
            assert (np.diff(made.column(name)) >= 0.0).all(), name
    gas = made.column("ethereum.gas_price.gwei")
    assert np.median(gas) == pytest.approx(5.3, rel=0.4)
    assert lagged(np.log(gas), 1) > 0.85
    discount = (made.column("dex.ratio.weETH") / made.column("etherfi.ratio.weETH") - 1.0) * 1e4
    assert discount.mean() == pytest.approx(-7.0, abs=1.5)
    weekly = [period.per_eeth for period in made.rewards if period.token == "EIGEN"]
    assert min(weekly) >= 0.14
    assert max(weekly) <= 0.20


def test_a_longer_span_has_the_same_beginning() -> None:
    short = generate(Grid(START, START + 1000 * HOUR_NS, HOUR_NS), seed=3)
    longer = generate(Grid(START, START + 2000 * HOUR_NS, HOUR_NS), seed=3)
    for name, column in short.columns.items():
        np.testing.assert_array_equal(column, longer.columns[name][: len(column)], err_msg=name)


def test_a_series_does_not_depend_on_which_others_are_asked_for() -> None:
    grid = Grid(START, START + 500 * HOUR_NS, HOUR_NS)
    whole = generate(grid, seed=3)
    for name in ("okx.perp.ETH", "aave_v3.borrow_index.WETH", "dex.ratio.wstETH"):
        np.testing.assert_array_equal(generate(grid, seed=3, names=[name]).column(name), whole.column(name))


@pytest.mark.parametrize("scenario", [name for name in SCENARIOS if name != "calm"])
def test_each_scenario_leaves_the_time_before_it_alone_and_changes_the_rest(scenario: str) -> None:
    grid = Grid(START, START + 4000 * HOUR_NS, HOUR_NS)
    calm, stressed = generate(grid, seed=3), generate(grid, seed=3, scenario=scenario)
    assert any(not np.array_equal(calm.columns[name], stressed.columns[name]) for name in calm.columns)
    for name in calm.columns:
        np.testing.assert_array_equal(calm.columns[name][:1500], stressed.columns[name][:1500], err_msg=name)


@pytest.mark.slow
def test_two_years_of_minutes() -> None:
    minute = HOUR_NS // 60
    made = generate(
        Grid(START, START + 1_051_199 * minute, minute), seed=7, names=["binance.spot.BTC", "binance.perp.BTC"]
    )
    assert len(made) == 1_051_200
    assert not np.isnan(made.column("binance.perp.BTC")).any()
