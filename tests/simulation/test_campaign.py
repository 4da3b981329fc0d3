"""Faults by the hundred, and every oracle holds; what the venues hold is what the daemon expects once they heal."""

from __future__ import annotations

import pytest

from tests.simulation.campaign import Report, host_plan, plan_of, read, run_campaign, written
from tests.simulation.harness import FIVE, simulate
from tests.simulation.host_faults import KINDS as HOST_KINDS
from tests.simulation.oracles import judged
from venues.paper.door.faults import KINDS

RARE = frozenset({"open_orders_truncated"})  # nothing rests at a venue for longer than a late fill takes
BRIEF = frozenset({"balance_lag", "rpc_behind", "mute_stream", "dropped_frame"})  # a poll later it may be over


def assert_counts(report: Report, *, kinds: int, orders: int) -> None:
    """DESIGN-daemon 31."""
    score = report.score
    assert report.found == ()
    assert score.decided >= 0.8
    assert score.orders >= orders
    assert score.hit_in_flight >= 1
    assert len(score.kinds) >= kinds, sorted(set(KINDS) - set(score.kinds))
    assert set(score.unnoticed) <= BRIEF
    assert score.unnoticed_host == ()


def test_a_day_of_faults_breaks_nothing() -> None:
    _, report = run_campaign(7, 24.0, faults=300, host=28)
    assert_counts(report, kinds=20, orders=100)
    assert set(report.score.struck) == set(HOST_KINDS)


def test_a_list_of_faults_is_data_and_repeats_the_run() -> None:
    run, report = run_campaign(2, 1.5, faults=60, host=6, every_s=(60.0, 180.0))
    plan = read(written(plan_of(run, host_plan(2, 1.5, 6))))
    _, again = run_campaign(2, 1.5, faults=0, host=0, every_s=(60.0, 180.0), plan=plan)
    assert again.heads == report.heads


def test_an_hour_of_five_strategies_without_faults_is_clean() -> None:
    assert judged(simulate(3, 1.0, ids=FIVE)) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", [21, 22, 23])
def test_a_week_with_a_thousand_faults(seed: int) -> None:
    _, report = run_campaign(seed, 7 * 24.0, faults=4000, host=100)
    assert_counts(report, kinds=len(KINDS) - len(RARE), orders=1000)
    assert set(report.score.struck) == set(HOST_KINDS)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [31, 32])
def test_a_month(seed: int) -> None:
    _, report = run_campaign(seed, 30 * 24.0, faults=6000, host=300, every_s=(600.0, 3600.0))
    assert_counts(report, kinds=len(KINDS) - len(RARE) - 2, orders=1000)
