"""The smallest capital: just above it a mode works and is hedged, just below it is refused."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.model.events import EventType
from components.model.market import Market, Row
from components.model.slices import RunSlice
from components.smallest_capital import least_worth_holding, smallest_capital, too_small
from daemon.config.settings import load_run
from tests.scenarios import sketch
from tests.scenarios.play import Played, deposit, play, withdrawal

MODES = (
    "pure_lending", "btc_basis", "eth_basis", "eth_staking_only", "eth_leveraged", "usdt_market_neutral_no_leverage",
    "usdt_market_neutral",
)  # fmt: skip
HOURS = 12


@cache
def market(mode: str, price: float = 1.0, gwei: float = 10.0) -> Market:
    drawn = sketch.btc(HOURS, 60_000.0 * price) if mode == "btc_basis" else sketch.staked(HOURS, 3_000.0 * price)
    if mode == "eth_basis":
        drawn = sketch.eth(HOURS, 3_000.0 * price)
    return drawn.line("ethereum.gas_price.gwei", gwei).market()


def run_of(mode: str, *overrides: str) -> RunSlice:
    return load_run(mode, overrides=overrides, environ={})


def works(played: Played) -> None:
    """Every leg is there, and what is long is hedged within the drift allowed."""
    mode = played.run.mode
    assert not played.told(EventType.ORDER_REJECTED, EventType.ORDER_WITHHELD)
    held = played.job.core.positions.snapshot()
    for venue in mode.hedge_allocation:
        assert f"{venue}:Perp:{mode.asset}USDT" in held
    if mode.hedge_allocation:
        assert np.nanmax(np.abs(played["net_delta"][4:])) <= mode.max_delta_drift
    else:
        assert any("aave_v3" in key or "wstETH" in key for key in held)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("location", ["target", "wallet"])
def test_just_above_it_a_mode_works_and_just_below_it_is_refused(mode: str, location: str) -> None:
    where = f"initial_location={location}"
    run, row = run_of(mode, where), Row(market(mode), 0)
    least = smallest_capital(run, row).capital
    assert too_small(run, row, 1.001 * least, "--capital") is None
    works(play(mode, market(mode), where, capital=1.001 * least, cuts=()))
    fault = too_small(run, row, 0.99 * least, "--capital")
    assert fault is not None
    assert (fault.where, run.mode.share_class in fault.found) == ("--capital", True)
    assert fault.expected.startswith("at least ")
    assert all(venue in fault.expected for venue in run.mode.hedge_allocation)


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(["eth_basis", "btc_basis", "usdt_market_neutral_no_leverage"]),
    st.floats(0.3, 3.0),
    st.floats(2.0, 60.0),
    st.sampled_from(["{binance: 1.0}", "{bybit: 0.9, okx: 0.1}", "{binance: 0.6, bybit: 0.4}"]),
)
def test_that_holds_at_any_price_gas_and_split(mode: str, price: float, gwei: float, split: str) -> None:
    weights = f"hedge_allocation={split}"
    made = market(mode, round(price, 2), round(gwei, 1))
    least = smallest_capital(run_of(mode, weights), Row(made, 0)).capital
    works(play(mode, made, weights, capital=1.001 * least, cuts=()))


def test_the_reason_names_what_binds() -> None:
    run = run_of("btc_basis", "hedge_allocation={binance: 0.999, bybit: 0.001}")
    fault = too_small(run, Row(market("btc_basis"), 0), 100_000.0, "--capital")
    assert fault is not None
    assert fault.expected == (
        "at least 127,664 USDT for btc_basis at binance, bybit: 0.1% of it are a pair of 0.001 BTC at bybit"
    )


def test_without_costs_there_is_no_minimum() -> None:
    assert too_small(run_of("btc_basis", "costs=none"), Row(market("btc_basis"), 0), 1.0, "x") is None


def test_what_falls_below_it_while_running_sells_everything_and_says_so() -> None:
    least = smallest_capital(run_of("btc_basis"), Row(market("btc_basis"), 0)).capital
    drawn = sketch.btc(72)
    played = play("btc_basis", drawn, capital=10 * least, flows=[withdrawal(20.0, 9.5 * least)])
    told = [detail for row, _, detail in played.decisions() if "too_small" in detail]
    assert len(told) == 1 and f"less is left than the {least:.6g} USDT that work" in told[0]
    assert {key.split(":")[1] for key in played.job.core.positions.snapshot()} == {"BaseToken"}
    assert played.told(EventType.FLAT)
    assert not played.told(EventType.ORDER_REJECTED)


@pytest.mark.parametrize("mode", MODES)
def test_what_is_held_is_not_judged_by_the_gas_of_an_hour(mode: str) -> None:
    for where in ("initial_location=target", "initial_location=wallet"):
        run = run_of(mode, where)
        cheap, dear = (least_worth_holding(run, Row(market(mode, 1.0, gwei), 0)).capital for gwei in (1.0, 300.0))
        assert dear == cheap <= smallest_capital(run, Row(market(mode, 1.0, 1.0), 0)).capital


def test_a_fund_is_not_sold_because_gas_is_dear() -> None:
    """The payment at hour 20 is a plan, after which the least that may be held is worked out anew."""
    drawn = sketch.staked(72).line("ethereum.gas_price.gwei", {0: 10.0, 18: 10.0, 20: 300.0, 24: 10.0})
    mode = "usdt_market_neutral_no_leverage"
    least = smallest_capital(run_of(mode, "initial_location=wallet"), Row(market(mode), 0)).capital
    played = play(
        mode, drawn, "initial_location=wallet", capital=2 * least, flows=[withdrawal(20.0, 0.02 * least)], cuts=()
    )
    assert not [detail for _, _, detail in played.decisions() if "too_small" in detail]
    assert played.balance("binance:Perp:ETHUSDT") < 0.0


def test_it_enters_again_when_enough_is_paid_in() -> None:
    least = smallest_capital(run_of("btc_basis"), Row(market("btc_basis"), 0)).capital
    flows = [withdrawal(20.0, 9.5 * least, "a"), deposit(40.0, 0.1 * least, "b"), deposit(50.0, 5 * least, "c")]
    played = play("btc_basis", sketch.btc(72), capital=10 * least, flows=flows)
    assert played["balance.binance:Perp:BTCUSDT"][45] == 0.0
    assert played.balance("binance:Perp:BTCUSDT") < 0.0
    assert np.nanmax(np.abs(played["net_delta"][60:])) < 0.03
