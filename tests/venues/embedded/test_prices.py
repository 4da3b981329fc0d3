"""Prices, premiums and funding of the embedded exchanges: what holds between them, row by row."""

from __future__ import annotations

import numpy as np
import pytest

from components.model.requirements import HOUR_NS, Grid
from tests.builders import START
from venues.embedded.prices import FUNDING_CAP, FUNDING_HOURS, Exchanges
from venues.embedded.streams import Clock, Memory

MINUTE_NS = HOUR_NS // 60


def exchanges(rows: int = 2_000, step: int = HOUR_NS, scenario: str = "calm", seed: int = 7) -> tuple[Exchanges, Clock]:
    clock = Clock(Grid(START, START + (rows - 1) * step, step))
    return Exchanges(clock, Memory(seed), scenario), clock


@pytest.mark.parametrize("step", [5 * MINUTE_NS, HOUR_NS, 4 * HOUR_NS])
@pytest.mark.parametrize("coin", ["BTC", "ETH"])
def test_a_bar_holds_its_close_and_the_one_before(step: int, coin: str) -> None:
    made, clock = exchanges(600, step)
    mark = clock.at_rows(made.perp("okx", coin))
    high, low = made.extremes("okx", coin)
    assert len(high) == len(low) == len(mark) == 600
    before = np.concatenate((mark[:1], mark[:-1]))
    assert (high >= np.maximum(mark, before) * (1.0 - 1e-12)).all()
    assert (low <= np.minimum(mark, before) * (1.0 + 1e-12)).all()
    assert high[0] == low[0] == mark[0], "nothing leads up to the first"


def test_every_price_is_asked_for_once_and_stays() -> None:
    made, _ = exchanges(100)
    assert made.reference("BTC") is made.reference("BTC")
    assert made.perp("bybit", "BTC") is made.perp("bybit", "BTC")
    assert made.spot("binance", "ETH") is made.reference("ETH"), "Binance spot is the reference"
    first = made.spot("okx", "ETH").copy()
    made.funding("okx", "ETH")
    assert np.array_equal(exchanges(100)[0].spot("okx", "ETH"), first), "whatever else was asked for"


def test_funding_is_what_the_premium_of_the_hours_before_says() -> None:
    """In a market whose perps trade far below spot shorts pay, at no more than the cap."""
    made, clock = exchanges(30 * 24, scenario="funding_negative")
    series = made.funding("binance", "BTC")
    began = np.floor(0.4 * clock.scenario_hours)
    active = (series.at - START) / HOUR_NS > began + FUNDING_HOURS
    inside = active & ((series.at - START) / HOUR_NS < began + 21 * 24)
    assert inside.sum() > 20
    assert (series.rate[inside] < -0.0005).all()
    assert (np.abs(series.rate) <= FUNDING_CAP["BTC"]).all()
    assert (clock.timestamps[series.row] >= series.at).all(), "known on its row or before"
    assert np.array_equal(series.mark_usdt, made.perp("binance", "BTC")[(series.at - START) // HOUR_NS])


def test_venues_differ_by_basis_points() -> None:
    made, _ = exchanges(4_000)
    for venue in ("bybit", "okx"):
        spot = made.spot(venue, "BTC") / made.reference("BTC") - 1.0
        assert 0.5e-4 < spot.std() < 3e-4
        assert abs(spot.mean()) < 1e-4
    assert (made.reference("BTC") > 0.0).all()
