"""Under stress a fund ends hedged, smaller or flat: never halted and naked, never naked for long."""

from __future__ import annotations

import pytest

from tests.stress.runs import MODES, SCENARIOS, STRESS, Stress, watch

SAMPLE = tuple(
    next(one for one in STRESS if (one.mode, one.scenario, one.stake, one.path) == (mode, scenario, stake, path))
    for mode, scenario, stake, path in (
        (MODES[0], "squeeze", 0.6, "queue"),
        (MODES[0], "squeeze", 0.8, "market"),
        (MODES[0], "rally", 0.8, "queue"),
        (MODES[1], "depeg", 0.8, "queue"),
        (MODES[1], "crash", 0.7, "market"),
    )
) + (Stress(MODES[1], "funding_negative", 7, 0.8, "queue"),)  # weeks of funding paid out of cash alone
# As it was found: shorts liquidated, the stop a week later, 17 ETH unsold in the wallet and 2,530 refused orders.
FOUND = Stress(MODES[0], "squeeze", 2, 0.6, "market")


@pytest.mark.parametrize("stress", [*SAMPLE, FOUND], ids=str)
def test_a_run_under_stress_is_never_naked_for_long_and_ends_flat_if_it_ends(stress: Stress) -> None:
    assert watch(stress).faults == ()


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_all_runs_under_stress(mode: str, scenario: str) -> None:
    chosen = [one for one in STRESS if (one.mode, one.scenario) == (mode, scenario)]
    assert len(chosen) == 50
    assert [fault for one in chosen for fault in watch(one).faults] == []
