"""Faults by the hundred, and every oracle holds; what the venues hold is what the daemon expects once they heal."""

from __future__ import annotations

import pytest

from daemon.journal.records import Outcome, StepBegin
from tests.simulation.harness import Run, operator, simulate
from tests.simulation.oracles import judged
from venues.paper.faults import KINDS


def counts(run: Run, hours: float) -> dict[str, float]:
    """What decides whether a seed counts (DESIGN-daemon 31)."""
    ticks = sum(isinstance(record, StepBegin) for records in run.records.values() for record in records)
    return {
        "decided": ticks / (len(run.accounts) * hours * 60.0),
        "orders": sum(len(account.truth().orders) for account in run.accounts.values()),
        "fired": len({kind for plan in run.plans.values() for kind in plan.fired}),
        "in_flight": sum(plan.hit_in_flight for plan in run.plans.values()),
        "outcomes": sum(isinstance(r, Outcome) and r.state != "filled" for rs in run.records.values() for r in rs),
    }


@pytest.mark.parametrize("seed", [1, 2])
def test_half_a_day_of_faults_breaks_nothing(seed: int) -> None:
    run = simulate(seed, 8.0, faults=200, script=operator(seed, least_s=60.0, most_s=240.0))
    assert judged(run) == []
    found = counts(run, 8.0)
    assert found["decided"] >= 0.8
    assert found["orders"] >= 100
    assert found["fired"] >= 20
    assert found["in_flight"] >= 1
    assert found["outcomes"] >= 10


@pytest.mark.slow
@pytest.mark.parametrize("seed", [21, 22, 23])
def test_a_week_with_a_thousand_faults(seed: int) -> None:
    hours = 7 * 24.0
    run = simulate(seed, hours, faults=1000, script=operator(seed, least_s=120.0, most_s=600.0))
    assert judged(run) == []
    found = counts(run, hours)
    assert found["decided"] >= 0.8
    assert found["in_flight"] >= 1
    fired = {kind for plan in run.plans.values() for kind in plan.fired}
    assert len(fired) >= 0.8 * len(KINDS), sorted(set(KINDS) - fired)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [31, 32])
def test_a_month(seed: int) -> None:
    hours = 30 * 24.0
    run = simulate(seed, hours, faults=2000, script=operator(seed, least_s=1800.0, most_s=7200.0))
    assert judged(run) == []
