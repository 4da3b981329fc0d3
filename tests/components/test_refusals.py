"""What venues refused is not asked again and again in the same circumstances."""

from __future__ import annotations

import pytest

from components.model.orders import Order, Trade, Verb
from components.refusals import Leg, Refusals
from components.situation import Situation
from tests.builders import market, order, rejected, run_with, situation, trade

RUN = run_with("usdt_market_neutral_no_leverage", hedge_allocation={"binance": 0.5, "okx": 0.5})
MARKET = market(
    {"binance.spot.ETH": 2_000.0, "binance.perp.ETH": 2_000.0, "okx.perp.ETH": 2_000.0, "lido.ratio.wstETH": 1.25},
    rows=60,
)
SHORT = order(Verb.PERP, "okx", "ETH", -2.0)
CLOSE = order(Verb.PERP, "okx", "ETH", 2.0, reduce_only=True)


def hour(row: int, usdt: float = 1_000.0) -> Situation:
    return situation(RUN, MARKET, {"okx:BaseToken:USDT": usdt}, row=row)


def refused(*asked: tuple[int, Order], usdt: float = 1_000.0) -> Refusals:
    found = Refusals()
    for row, one in asked:
        assert found.note([one], [rejected(one)], hour(row, usdt))
    return found


def test_an_order_that_was_never_refused_may_go() -> None:
    assert not Refusals().forbids(SHORT, hour(0))
    assert not Refusals().refuses_short("okx", hour(0))


def test_after_a_refusal_the_leg_is_left_alone_for_an_hour() -> None:
    found = refused((0, SHORT))
    assert found.forbids(SHORT, hour(0))
    assert found.refuses_short("okx", hour(0))
    assert not found.refuses_short("binance", hour(0))
    assert not found.forbids(CLOSE, hour(0))
    assert not found.forbids(SHORT, hour(1))


def test_the_same_refusal_never_comes_a_third_time_in_a_row() -> None:
    found = refused((0, SHORT), (1, SHORT))
    assert all(found.forbids(SHORT, hour(row)) for row in range(1, 60))
    assert all(found.refuses_short("okx", hour(row)) for row in range(1, 60))


@pytest.mark.parametrize(("amount", "usdt"), [(-1.7, 1_000.0), (-2.0, 1_200.0), (-2.0, 850.0)])
def test_in_other_circumstances_it_is_another_order(amount: float, usdt: float) -> None:
    found = refused((0, SHORT), (1, SHORT))
    assert not found.forbids(order(Verb.PERP, "okx", "ETH", amount), hour(2, usdt))


def test_getting_out_is_tried_once_a_day_whatever_was_refused() -> None:
    found = refused((0, CLOSE), (1, CLOSE))
    assert found.forbids(CLOSE, hour(24))
    assert not found.forbids(CLOSE, hour(25))


def test_a_fill_wipes_the_slate() -> None:
    found = refused((0, SHORT), (1, SHORT))
    assert not found.note([SHORT], [trade(SHORT)], hour(2))
    assert not found.forbids(SHORT, hour(2))
    assert not found


def test_what_was_no_fault_of_the_order_is_not_remembered() -> None:
    lost: Trade = rejected(SHORT, transient=True)
    assert not Refusals().note([SHORT], [lost], hour(0))


def test_it_goes_on_where_it_was() -> None:
    found, other = refused((0, SHORT), (1, SHORT)), Refusals()
    other.restore(found.state())
    assert other.forbids(SHORT, hour(5))
    other.forget()
    assert not other.forbids(SHORT, hour(5))


def test_what_found_no_price_within_its_limit_rests_as_after_a_first_refusal_however_often() -> None:
    """Prices move; a closing that was outrun twice is not given up for a day."""
    found = Refusals()
    for row in range(4):
        assert found.note([CLOSE, SHORT], [rejected(CLOSE, expired=True), rejected(SHORT, expired=True)], hour(row))
        assert found.forbids(CLOSE, hour(row)) and found.forbids(SHORT, hour(row))
        assert not found.forbids(CLOSE, hour(row + 1)) and not found.forbids(SHORT, hour(row + 1))


@pytest.mark.parametrize("verb", list(Verb))
def test_a_leg_is_the_same_after_a_restart(verb: Verb) -> None:
    leg = Leg.of(order(verb, "okx", "ETH", -2.0))
    assert Leg.named(str(leg)) == leg
    found, again = refused((0, SHORT)), Refusals()
    again.restore(found.state())
    assert again.state() == found.state() and list(found.state()) == ["okx perp ETH more"]
