"""Counters that survive a cell, ages that know when nobody looks."""

from __future__ import annotations

import pytest

from daemon.monitoring.strategies import Strategies, series_labels
from daemon.replica import CellState
from tests.daemon.one_cell import HandClock, running


@pytest.fixture
def clock() -> HandClock:
    return HandClock(5000.0)


@pytest.fixture
def strategies(clock: HandClock) -> Strategies:
    return Strategies(clock, 1.0)


def values(strategies: Strategies, name: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(sample.labels.values()): sample.value
        for metric in strategies.collect()
        for sample in metric.samples
        if sample.name == name
    }


def test_counts_go_on_when_a_cell_begins_anew(strategies: Strategies) -> None:
    for missed, restarts in ((2, 0), (5, 1), (1, 1), (1, 2)):
        strategies.publish(running(missed=missed, restarts=restarts))
    assert values(strategies, "basis_ticks_missed_total") == {("btc",): 6.0}
    assert values(strategies, "basis_nursery_restarts_total") == {("btc",): 2.0}


def test_the_last_full_loop_is_when_the_tick_moved(strategies: Strategies, clock: HandClock) -> None:
    strategies.publish(running(tick=None, ticks=0))
    assert values(strategies, "basis_last_full_loop_timestamp_seconds") == {}
    strategies.publish(running(tick=7, ticks=0))
    assert values(strategies, "basis_last_full_loop_timestamp_seconds") == {}, "a recovered tick was not looped now"
    strategies.publish(running(tick=8, ticks=1))
    clock.advance(30)
    strategies.publish(running(tick=8, ticks=1, heartbeat=2000.0))
    assert values(strategies, "basis_last_full_loop_timestamp_seconds") == {("btc",): 5000.0}


def test_the_age_of_a_source_is_the_worst_any_strategy_saw(strategies: Strategies) -> None:
    strategies.publish(running("a", prices={}, ages_s={"okx.perp.BTC": 9.0}))
    strategies.publish(running("b", prices={}, ages_s={"okx.perp.BTC": 2.0}))
    assert values(strategies, "basis_market_data_age_seconds") == {("okx", "perp.BTC"): 9.0}


def test_ages_grow_when_the_next_row_is_overdue(strategies: Strategies, clock: HandClock) -> None:
    strategies.publish(running(prices={"okx.perp.BTC": 4e4, "okx.spot.BTC": 4e4}, ages_s={"okx.perp.BTC": 2.0}))
    clock.advance(60)
    ages = {("okx", "perp.BTC"): 2.0, ("okx", "spot.BTC"): 0.0}
    assert values(strategies, "basis_market_data_age_seconds") == ages
    clock.advance(45)
    ages = {("okx", "perp.BTC"): 47.0, ("okx", "spot.BTC"): 45.0}
    assert values(strategies, "basis_market_data_age_seconds") == ages
    strategies.publish(running(tick=41, ticks=41, prices={"okx.spot.BTC": 4e4}, ages_s={}))
    assert values(strategies, "basis_market_data_age_seconds") == {("okx", "spot.BTC"): 0.0}


def test_a_faster_market_is_overdue_sooner(clock: HandClock) -> None:
    strategies = Strategies(clock, 60.0)
    strategies.publish(running(prices={"okx.spot.BTC": 4e4}, ages_s={}))
    clock.advance(1.0)
    assert values(strategies, "basis_market_data_age_seconds") == {("okx", "spot.BTC"): 0.0}
    clock.advance(1.0)
    assert values(strategies, "basis_market_data_age_seconds") == {("okx", "spot.BTC"): 60.0}


@pytest.mark.parametrize("state", [CellState.LATCHED, CellState.FAILED, CellState.BACKING_OFF])
def test_a_cell_that_looks_at_nothing_knows_no_age(strategies: Strategies, state: CellState) -> None:
    strategies.publish(running(state=state))
    assert values(strategies, "basis_market_data_age_seconds") == {}


def test_a_source_that_was_heard_is_believed_over_replicas(clock: HandClock) -> None:
    strategies = Strategies(clock, 10.0)
    strategies.publish(running(prices={}, ages_s={"okx.perp.BTC": 500.0}))
    strategies.heard("okx.perp.BTC", 120.0)
    clock.advance(4)
    assert values(strategies, "basis_market_data_age_seconds") == {("okx", "perp.BTC"): 40.0}
    assert values(strategies, "basis_market_data_age_limit_seconds") == {("okx", "perp.BTC"): 120.0}


def test_unhedged_time_is_counted_up_to_now(strategies: Strategies, clock: HandClock) -> None:
    strategies.unhedged("btc", 1000.0)
    clock.advance(3)
    strategies.unhedged("btc", 500.0)
    clock.advance(2)
    assert values(strategies, "basis_leg_imbalance_usd_seconds_total") == {("btc",): 4000.0}
    strategies.unhedged("btc", 0.0)
    clock.advance(100)
    assert values(strategies, "basis_leg_imbalance_usd_seconds_total") == {("btc",): 4000.0}
    assert values(strategies, "basis_leg_imbalance_usd") == {("btc",): 0.0}


def test_a_forgotten_strategy_leaves_nothing(strategies: Strategies) -> None:
    strategies.publish(running())
    strategies.unhedged("btc", 5.0)
    strategies.forget("btc")
    assert not [sample for metric in strategies.collect() for sample in metric.samples]


def test_a_series_is_a_venue_and_an_instrument() -> None:
    assert series_labels("aave_v3.supply_index.weETH") == ("aave_v3", "supply_index.weETH")
