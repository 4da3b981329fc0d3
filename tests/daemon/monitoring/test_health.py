"""Who is alive, who is ready, and when the watchdog goes hungry."""

from __future__ import annotations

import msgspec
import pytest

from daemon.monitoring.health import UP, Health, Level, freshness, progress_limit_s
from daemon.replica import CellState, Contract
from tests.daemon.one_cell import HandClock, running


@pytest.fixture
def clock() -> HandClock:
    return HandClock(1000.0)


@pytest.fixture
def health(clock: HandClock) -> Health:
    return Health(clock, step_budget_s=30.0, rescue_s=15.0)


def test_a_running_cell_is_fresh_for_two_intervals_and_a_step_budget() -> None:
    replica = running(heartbeat=1000.0)
    assert progress_limit_s(replica, step_budget_s=30.0) == 150.0
    assert freshness(replica, 1150.0, step_budget_s=30.0) == 0.0
    assert freshness(replica, 1151.0, step_budget_s=30.0) == 1.0
    assert freshness(replica, 1151.0, step_budget_s=30.0, heartbeat_timeout_s=600.0) == 1.0
    assert freshness(replica, 1091.0, step_budget_s=30.0, heartbeat_timeout_s=90.0) == 1.0


def test_a_faster_market_shortens_the_interval_and_not_the_budget() -> None:
    replica = running(heartbeat=1000.0)
    assert freshness(replica, 1033.0, speed=60.0, step_budget_s=30.0) == pytest.approx(1.0)


@pytest.mark.parametrize("state", [state for state in CellState if state is not CellState.RUNNING])
def test_a_cell_that_does_not_run_is_never_overdue(health: Health, clock: HandClock, state: CellState) -> None:
    health.publish(running(state=state))
    clock.advance(10_000)
    assert health.starving() and not health.stuck()


def test_an_effect_counts_as_progress_and_a_fresh_start_is_not_overdue(health: Health, clock: HandClock) -> None:
    health.publish(running(heartbeat=0.0, state=CellState.STARTING))
    clock.advance(500)
    health.publish(running(heartbeat=0.0))
    clock.advance(149)
    assert not health.stuck()
    clock.advance(2)
    assert health.stuck() == {"btc": "no progress for 151 s"}
    health.publish(running(heartbeat=clock.at))
    assert not health.stuck()


def test_a_stuck_cell_is_rescued_first_and_only_then_the_watchdog_starves(health: Health, clock: HandClock) -> None:
    health.publish(running("eth", heartbeat=1e9))
    health.publish(running("btc"))
    clock.advance(160)
    assert health.stuck() == {"btc": "no progress for 160 s"} and health.starving()
    clock.advance(10)
    assert health.starving().reasons == ("btc: no progress for 170 s",)
    health.publish(running("btc", state=CellState.LATCHED))
    assert health.starving()


def test_a_slow_loop_or_a_dead_committer_starves_the_watchdog(health: Health, clock: HandClock) -> None:
    health.beat("committer", within_s=5.0)
    health.loop_lag(0.9)
    assert health.liveness() and health.starving()
    health.loop_lag(1.5)
    clock.advance(6)
    reasons = ("event loop lags 1.50 s", "committer silent for 6 s")
    assert health.liveness().reasons == reasons and health.starving().reasons == reasons
    [committer] = health.components()
    assert committer.level is Level.FAILED and committer.since == 1005.0
    health.loop_lag(0.0)
    health.beat("committer", within_s=5.0)
    assert health.liveness()


def test_the_daemon_is_ready_when_every_cell_runs_or_rests_on_purpose(health: Health) -> None:
    health.enlist("btc")
    assert health.readiness().reasons == ("btc: has not reported yet",) and not health.started()
    for state in CellState:
        health.publish(running(state=state, reason="because"))
        assert bool(health.readiness()) is (state in UP)
        if state not in UP:
            assert health.readiness().reasons == (f"btc: {state.value} (because)",)


def test_one_failed_cell_does_not_hold_up_the_start_of_the_others(health: Health) -> None:
    health.publish(running("btc"))
    health.publish(running("eth", state=CellState.FAILED, reason="no data"))
    assert health.started() and health.readiness().reasons == ("eth: failed (no data)",)
    health.publish(running("eth", state=CellState.RECOVERING))
    assert not health.started()


def test_a_component_remembers_since_when(health: Health, clock: HandClock) -> None:
    health.report("index", Level.OK)
    clock.advance(10)
    health.report("index", Level.DEGRADED, "behind")
    clock.advance(10)
    health.report("index", Level.DEGRADED, "far behind")
    [index] = health.components()
    assert (index.level, index.reason, index.since) == (Level.DEGRADED, "far behind", 1010.0)


def test_a_broken_contract_that_blocks_degrades_its_cell(health: Health) -> None:
    told = Contract(name="second source", holds=False, blocks="")
    health.publish(running(heartbeat=1e9, contracts=(told,)))
    assert health.components()[0].level is Level.OK
    blocks = msgspec.structs.replace(told, name="quote age", blocks="risk")
    health.publish(running(heartbeat=1e9, contracts=(told, blocks)))
    [cell] = health.components()
    assert (cell.level, cell.reason) == (Level.DEGRADED, "withheld by quote age")


def test_a_forgotten_cell_is_judged_no_more(health: Health, clock: HandClock) -> None:
    health.publish(running())
    clock.advance(1000)
    health.forget("btc")
    assert health.starving() and health.readiness() and not health.components()
