"""Once the last fault has healed, every strategy is hedged and reconciled within two looks at the venues and 30 s.

A look is a row: positions are compared on every one. What a fault leaves behind for a while (a late fill, a
transaction in the mempool) counts as the fault. Latched cells are left out: they wait for an operator.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from daemon.replica import CellState
from tests.simulation.harness import DOORS, Run, operator, simulate
from tests.simulation.oracles import judged
from venues.paper.door.faults import SECOND_NS, Fault, campaign

HOURS = 0.5
HEALED_S = 900.0
LOOK_S = 60.0
WITHIN_S = 2.0 * LOOK_S + 30.0
TAILS = ("after_s", "mempool_s", "delay_s", "retry_after_s")


def planned(seed: int) -> object:
    """Faults per account that are all over with their tails before `HEALED_S`."""

    def plan(strategy: str, start: int) -> tuple[Fault, ...]:
        faults = campaign(
            seed * 7 + len(strategy), start, start + int(HEALED_S * SECOND_NS), DOORS, 60, longest_s=200.0
        )
        return tuple(
            fault
            for fault in faults
            if fault.ends + sum(fault.number(name) for name in TAILS) * SECOND_NS <= start + HEALED_S * SECOND_NS
        )

    return plan


def late(run: Run) -> Iterator[str]:
    """What is still not calm too late."""
    assert run.config is not None
    assert run.config.market.start is not None
    due = run.config.market.start + int((HEALED_S + WITHIN_S) * SECOND_NS)
    for strategy, samples in run.samples.items():
        entry = next(each for each in run.config.strategies if each.id == strategy)
        limit = entry.run.mode.risk.delta.critical if entry.run.mode.hedge_allocation else None
        for sample in samples:
            if sample.timestamp is None or sample.timestamp < due or sample.state is CellState.LATCHED:
                continue
            if sample.uncertain or sample.withheld or sample.mismatches or sample.untrue:
                yield f"{strategy} at {(sample.timestamp - due) / 1e9:+.0f} s: {sample}"
            elif limit is not None and sample.net_delta > limit:
                yield f"{strategy} at {(sample.timestamp - due) / 1e9:+.0f} s: net delta {sample.net_delta:.2%}"


def assert_lives(seed: int) -> int:
    """Number of faults that fired."""
    run = simulate(
        seed,
        HOURS,
        planned=planned(seed),  # type: ignore[arg-type]
        script=operator(seed, least_s=30.0, most_s=120.0),
        calm_s=HOURS * 3600.0 - HEALED_S,
    )
    assert list(late(run)) == [], seed
    assert judged(run) == [], seed
    return sum(sum(plan.fired.values()) for plan in run.plans.values())


def test_ten_storms_are_over_in_time() -> None:
    assert sum(assert_lives(seed) for seed in range(600, 610)) >= 300


@pytest.mark.slow
@pytest.mark.parametrize("hundred", range(3))
def test_every_storm_is_over_in_time(hundred: int) -> None:
    first = 1000 + 100 * hundred
    assert sum(assert_lives(seed) for seed in range(first, first + 100)) >= 3000
