"""The row of an emergency: what the doors say, else the last row, else the nearest thing; and what is stood in for."""

from __future__ import annotations

from components.model.keys import perp, perp_quote
from components.model.requirements import SeriesName, requirements
from daemon.safety.marks import marked_row
from daemon.world.rows import MarketRow
from tests.builders import run_of

RUN = run_of("btc_basis")
LAST = MarketRow(tick=7, timestamp=1, values={"okx.perp.BTC": 100.0, "okx.spot.BTC": 99.0}, stale=("okx.spot.BTC",))


def test_a_mark_goes_before_the_last_row_and_nothing_is_stale() -> None:
    marked = marked_row(RUN, 5, {"okx.perp.BTC": 101.0}, LAST, {})
    assert (marked.row.values["okx.perp.BTC"], marked.row.values["okx.spot.BTC"]) == (101.0, 99.0)
    assert (marked.row.timestamp, marked.row.stale) == (5, ())
    assert "okx.perp.BTC" not in marked.missing and "okx.spot.BTC" in marked.missing, "what is too old goes last"


def test_every_series_of_a_price_is_there_whatever_nobody_says() -> None:
    needed = {n for n in requirements(RUN.mode) if SeriesName.parse(n).kind not in ("funding", "reward")}
    for marks, last in (({}, None), ({"bybit.spot.BTC": 50.0}, None), ({}, LAST)):
        marked = marked_row(RUN, 5, marks, last, {})
        assert needed <= set(marked.row.values)
        assert marked.missing <= needed


def test_the_same_coin_elsewhere_stands_in_and_then_what_a_short_was_opened_at() -> None:
    elsewhere = marked_row(RUN, 5, {"bybit.spot.BTC": 50.0}, None, {}).row.values
    assert elsewhere["okx.perp.BTC"] == elsewhere["binance.spot.BTC"] == 50.0
    held = {perp("okx", "BTC"): -2.0, perp_quote("okx", "BTC"): 80.0}
    assert marked_row(RUN, 5, {}, None, held).row.values["okx.perp.BTC"] == 40.0
