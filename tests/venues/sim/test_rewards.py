"""The reward meter against a sum made by brute force, half hour by half hour."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from components.model.keys import PositionKey
from components.model.market import Market
from tests.scenarios.sketch import Sketch, at
from tests.venues.sim.desk import keyed, near
from venues.sim.rewards import RewardMeter

WALLET = "wallet:BaseToken:weETH"
SUPPLIED = "aave_v3:aToken:aweETH"
ROWS = 49


def sketch() -> Sketch:
    """Ratio and index grow in steps that are far from straight."""
    rows = np.arange(ROWS)
    drawn = Sketch(ROWS).line("etherfi.ratio.weETH", 1.04 + 0.001 * (rows % 5) + 0.0001 * rows)
    return drawn.line("aave_v3.supply_index.weETH", 1.0 + 0.002 * (rows % 3) + 0.001 * rows)


def brute_force(market: Market, story: Mapping[int, Mapping[str, float]], start: float, end: float) -> float:
    """∫ eETH dt ÷ period over [start, end) hours; `story` says what is held from a row on."""
    total, half_hours = 0.0, round(2 * (end - start))
    for i in range(half_hours):
        hour = int(start + i / 2)
        row = min(max(hour, 0), ROWS - 1)
        holding = story[max(h for h in story if h <= hour)] if hour >= min(story) else {}
        ratio, index = market.column("etherfi.ratio.weETH")[row], market.column("aave_v3.supply_index.weETH")[row]
        total += holding.get(WALLET, 0.0) * ratio + holding.get(SUPPLIED, 0.0) * ratio * index
    return total / half_hours


def metered(market: Market, story: Mapping[int, Mapping[str, float]]) -> RewardMeter:
    meter = RewardMeter(market, ("EIGEN", "ETHFI"))
    for row, holding in story.items():
        meter.holds(keyed(holding), int(market.timestamps[row]))
    return meter


STORIES: dict[str, Mapping[int, Mapping[str, float]]] = {
    "held all the time": {0: {WALLET: 10.0}},
    "bought in the middle": {13: {WALLET: 10.0}},
    "grows, shrinks, moves to Aave, leaves": {
        3: {WALLET: 10.0},
        9: {WALLET: 25.0},
        14: {WALLET: 5.0, SUPPLIED: 8.0},
        20: {SUPPLIED: 30.0},
        26: {},
    },
    "changes on the edges of the period": {6: {WALLET: 1.0}, 30: {WALLET: 100.0}},
    "changes at every hour": {h: {WALLET: float(h % 7), SUPPLIED: float(h % 4)} for h in range(40)},
}


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize(("start", "end"), [(6.0, 30.0), (6.5, 29.5), (0.0, 40.0)])
def test_a_payment_is_the_integral_of_what_was_held(story: str, start: float, end: float) -> None:
    market = sketch().reward("EIGEN", start=start, end=end, paid=44, per_eeth=0.25).market()

    _, units = metered(market, STORIES[story]).preview()

    assert units == pytest.approx(0.25 * brute_force(market, STORIES[story], start, end), rel=1e-9)


def test_a_period_that_began_before_the_run_pays_its_part() -> None:
    """24 of 48 hours: half of 0.25 a piece at a flat ratio."""
    market = (
        Sketch(ROWS)
        .line("etherfi.ratio.weETH", 1.0)
        .reward("EIGEN", start=-24, end=24, paid=30, per_eeth=0.25)
        .market()
    )

    _, units = metered(market, {0: {WALLET: 8.0}}).preview()

    assert units == near(1.0)


def test_what_is_held_after_the_end_of_a_period_earns_nothing_of_it() -> None:
    market = (
        Sketch(ROWS).line("etherfi.ratio.weETH", 1.0).reward("EIGEN", start=0, end=10, paid=30, per_eeth=1.0).market()
    )

    meter = metered(market, {0: {WALLET: 1.0}, 10: {WALLET: 1000.0}})

    assert meter.preview()[1] == near(1.0)


def test_overlapping_periods_of_two_tokens_are_metered_apart_and_paid_in_order() -> None:
    market = (
        sketch()
        .reward("ETHFI", start=0, end=40, paid=42, per_eeth=2.0)
        .reward("EIGEN", start=5, end=15, paid=20, per_eeth=1.0)
        .market()
    )
    meter = metered(market, STORIES["grows, shrinks, moves to Aave, leaves"])

    period, units = meter.preview()
    assert (period.token, meter.due()) == ("EIGEN", at(20))
    story = STORIES["grows, shrinks, moves to Aave, leaves"]
    assert units == pytest.approx(brute_force(market, story, 5.0, 15.0), rel=1e-9)
    meter.paid()
    period, units = meter.preview()
    assert (period.token, meter.due()) == ("ETHFI", at(42))
    assert units == pytest.approx(2.0 * brute_force(market, story, 0.0, 40.0), rel=1e-9)
    meter.paid()
    assert meter.due() is None


def test_a_preview_changes_nothing() -> None:
    market = sketch().reward("EIGEN", start=6, end=30, paid=44, per_eeth=0.25).market()
    meter = metered(market, STORIES["bought in the middle"])

    assert meter.preview() == meter.preview()
    assert meter.due() == at(44)


def test_payments_before_the_first_row_and_tokens_that_the_mode_does_not_take_are_left_out() -> None:
    drawn = sketch().reward("EIGEN", start=-20, end=-10, paid=0, per_eeth=1.0)
    drawn.reward("ETHFI", start=0, end=10, paid=20, per_eeth=1.0).reward(
        "EIGEN", start=0, end=10, paid=21, per_eeth=1.0
    )

    meter = RewardMeter(drawn.market(), ("EIGEN",))

    assert [period.paid_at for period in meter.periods] == [at(21)]


def test_without_periods_the_meter_needs_no_market_columns() -> None:
    meter = RewardMeter(Sketch(3).market(), ("EIGEN",))

    meter.holds({PositionKey(WALLET): 5.0}, at(1))

    assert meter.due() is None
