"""A row and the one before it make the window of a live step."""

from __future__ import annotations

import numpy as np

from components.model.requirements import Grid
from daemon.world.rows import EmbeddedMarket, MarketRow, window_of
from venues.embedded import generate

MINUTE_NS = 60_000_000_000


def test_the_window_is_the_last_row_of_two() -> None:
    before = MarketRow(tick=1, timestamp=60, values={"binance.spot.BTC": 100.0})
    now = MarketRow(
        tick=2, timestamp=120, values={"binance.spot.BTC": 101.0, "okx.spot.BTC": 99.0}, stale=("okx.spot.BTC",)
    )
    window = window_of(now, before)
    assert len(window) == 1
    assert window.column("binance.spot.BTC").tolist() == [101.0]
    assert window.market.step("binance.spot.BTC").tolist() == [0.0, 1.0]
    assert window.market.step("okx.spot.BTC").tolist() == [0.0, 0.0], "what was not there has not moved"
    assert window.row(0).is_stale("okx.spot.BTC")
    assert len(window_of(before, None).market) == 1


def test_rows_of_an_embedded_market_are_those_of_its_columns() -> None:
    names = ("binance.spot.BTC", "binance.perp.BTC")
    market = generate(Grid(0, 9 * MINUTE_NS, MINUTE_NS), seed=3, names=names)
    told = EmbeddedMarket(market, {"carry": np.arange(10.0)}).row(4, 77)
    assert (told.tick, told.timestamp) == (77, int(market.timestamps[4]))
    assert told.values == {name: float(market.columns[name][4]) for name in market.columns}
    assert told.derived == {"carry": 4.0}
