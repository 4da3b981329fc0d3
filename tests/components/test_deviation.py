"""Deviation: the first row on which what is held is too far from what is wanted, and by which measure."""

from __future__ import annotations

from components.deviation import Deviation
from components.exposure_monitor import Exposure, ExposureMonitor
from components.held_back import NEVER, Held, Why
from components.model.measures import Kind, Measure
from components.model.slices import RunSlice
from components.utility_manager import UtilityManager
from tests.builders import Line, columns_of, market
from tests.components.manager_stage import BASIS, BTC, DUSTY, ETH, NEUTRAL, PAIR, REWARDED, STAKED

THIN = Held(0.2, NEVER, Why.DONE, told=True)
OKX = Measure(Kind.MARGIN_RATIO, "okx")


def seen(run: RunSlice, balances: dict[str, float], lines: dict[str, Line] | None = None) -> tuple[Deviation, Exposure]:
    prices = UtilityManager(run.mode.share_class)
    known = {**(BTC if run.mode.asset == "BTC" else ETH), **(lines or {})}
    flat = all(isinstance(line, float) for line in known.values())
    book = columns_of(market(known, rows=4) if flat else market(known), balances)
    return Deviation(run.mode, prices), ExposureMonitor(run.mode, run.exchanges, prices).measure(book)


def test_what_is_where_it_should_be_has_no_row() -> None:
    for run, balances in ((BASIS, PAIR), (NEUTRAL, STAKED)):
        deviation, exposure = seen(run, balances)
        assert deviation.first(exposure, {}) is None


def test_the_first_row_and_the_measure_of_a_venue_are_found() -> None:
    up = [50_000.0, 50_000.0, 80_000.0, 80_000.0]  # what the coin earns is at another leg than the margin
    deviation, exposure = seen(BASIS, PAIR, {"okx.spot.BTC": up, "okx.perp.BTC": up, "binance.spot.BTC": up})
    assert deviation.first(exposure, {}) == (2, OKX)
    parted = seen(BASIS, {**PAIR, "okx:BaseToken:BTC": 1.2})
    assert parted[0].first(parted[1], {}) == (0, Measure(Kind.LEGS, "okx"))
    idle = seen(BASIS, {**PAIR, "wallet:BaseToken:USDT": 90_000.0})
    assert idle[0].first(idle[1], {}) == (0, Measure(Kind.IDLE))


def test_what_is_held_back_is_not_found_and_what_else_is_wrong_is() -> None:
    low = {**PAIR, "okx:BaseToken:USDT": -20_000.0}
    deviation, exposure = seen(BASIS, low)
    assert deviation.first(exposure, {}) == (0, OKX)
    held = {str(OKX): Held(float(exposure.accounts["okx"].margin_ratio[0]), NEVER, Why.DONE, told=True)}  # type: ignore[index]
    assert deviation.first(exposure, held) is None
    assert deviation.advance(exposure, held, 4) == held
    parted = seen(BASIS, {**low, "okx:BaseToken:BTC": 1.2})
    assert parted[0].first(parted[1], held) == (0, Measure(Kind.LEGS, "okx"))


def test_what_is_back_inside_its_band_is_forgotten() -> None:
    deviation, exposure = seen(BASIS, PAIR)
    assert deviation.advance(exposure, {str(OKX): THIN, "a measure that is gone": THIN}, 1) == {}


def test_what_a_plan_left_is_told_once_with_what_it_stands_at() -> None:
    deviation, exposure = seen(BASIS, {**PAIR, "okx:BaseToken:BTC": 1.2})
    fresh = {"legs:okx": Held(None, NEVER, Why.TOO_SMALL)}
    (told,) = deviation.unmended(exposure, fresh)
    assert (told.name, round(told.value, 6), told.held.why) == ("legs:okx", round(0.2 / 1.2, 6), Why.TOO_SMALL)
    assert deviation.unmended(exposure, deviation.advance(exposure, fresh, 1)) == ()


def test_dust_has_a_row_of_its_own_where_there_are_rewards() -> None:
    deviation, exposure = seen(REWARDED, DUSTY, {"uniswap.eth_price.EIGEN": [0.0008, 0.0009, 0.0010, 0.0010]})
    assert deviation.dust(exposure, {}) == 2
    assert seen(BASIS, PAIR)[0].dust(seen(BASIS, PAIR)[1], {}) is None
