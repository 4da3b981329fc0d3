"""The oracles over a sample of the campaigns at every run of the tests, and over all of them in the slow part."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import pytest

from tests.acceptance.runs import needs_data
from tests.decisions.campaigns import CAMPAIGNS, day_starts
from tests.decisions.cases import Case
from tests.decisions.oracles import ORACLES, judged
from tests.decisions.playing import Refused, play, shown

EMBEDDED = ("seeds", "minutes", "stress", "scenarios", "sizes", "flows")
SAMPLE = 30


def offenders(cases: Iterable[Case], names: tuple[str, ...] = ()) -> list[str]:
    """One line per oracle (of `names`, or all) and run that it objects to."""
    found = []
    for case in cases:
        played = play(case)
        if isinstance(played, Refused):
            continue
        for oracle, findings in judged(played, names).items():
            found.append(f"{oracle}: {shown(played, findings[0].row)} {findings[0].text}\n    {case.command()}")
    return found


@pytest.mark.parametrize("campaign", EMBEDDED)
def test_a_sample_of_embedded_runs_decides_sanely(campaign):
    cases = list(CAMPAIGNS[campaign]())

    assert not offenders(cases[:: max(1, len(cases) // SAMPLE)])


@needs_data
def test_a_sample_of_real_starts_decides_sanely():
    assert not offenders(islice(day_starts(), 0, None, 150))


@needs_data
def test_runs_that_once_went_wrong_decide_sanely():
    assert not offenders(CAMPAIGNS["known"]())


@pytest.mark.slow
@needs_data
@pytest.mark.parametrize("campaign", CAMPAIGNS)
def test_whole_campaigns_decide_sanely(campaign):
    assert not offenders(CAMPAIGNS[campaign]())


def test_every_oracle_is_known_by_its_name():
    assert all(name == oracle.__name__ and oracle.__doc__ for name, oracle in ORACLES.items())
