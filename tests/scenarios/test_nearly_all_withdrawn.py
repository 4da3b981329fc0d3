"""A withdrawal of nearly everything: what is left is no position to be watched, and no return."""

from __future__ import annotations

from collections import Counter

import msgspec
import numpy as np
import pytest

from components.model.events import Event, EventType
from tests.decisions.cases import Case
from tests.decisions.playing import Played, play

RISING = (EventType.RISK_LEVEL, EventType.EMERGENCY_STOP)


def emptied(mode: str, left: float) -> Played:
    """A month in which all but the share `left` of the equity is withdrawn on the twelfth."""
    case = Case(mode=mode, start="2024-03-01", end="2024-04-01", capital=100_000.0, seed=5)
    before = play(case)
    assert isinstance(before, Played)
    equity = float(before.result.columns["equity"][11 * 24])
    after = play(msgspec.structs.replace(case, flows=(f"2024-03-12:-{equity * (1.0 - left):.2f}",)))
    assert isinstance(after, Played)
    return after


@pytest.mark.parametrize("mode", ["usdt_market_neutral", "usdt_market_neutral_no_leverage"])
@pytest.mark.parametrize("left", [1e-4, 1e-3])
def test_nothing_is_decided_about_crumbs_row_after_row(mode: str, left: float) -> None:
    played = emptied(mode, left)
    told = Counter(e.event_type for e in played.result.events if isinstance(e, Event))
    assert told[EventType.DECISION] <= 12
    assert sum(told[kind] for kind in RISING) <= 3


def test_crumbs_make_no_return_and_no_fall() -> None:
    played = emptied("usdt_market_neutral", 1e-4)
    units = played.result.columns["unit_value"]
    assert float(np.ptp(units[13 * 24 :])) == 0.0
    assert float(np.nanmax(played.result.columns["drawdown"])) < 0.01
