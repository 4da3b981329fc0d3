"""Pieces: orders that are too large leave in pieces that fit, their legs in step."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.model.orders import Action, GroupKind, OrderGroup, Verb
from components.pieces import Limits, pieces, prices_of, too_large
from tests.builders import exchange, group, market, order, run_of, situation

BUY = order(Verb.SPOT, "binance", "BTC", 1.0)
SHORT = order(Verb.PERP, "binance", "BTC", -1.0)
SELL = order(Verb.SPOT, "binance", "BTC", -1.0, id="sell")
CLOSE = order(Verb.PERP, "binance", "BTC", 1.0, id="close", reduce_only=True)
PRICES = dict.fromkeys((BUY.id, SHORT.id, "sell", "close"), 60_000.0)
VENUES = {venue: exchange(venue) for venue in ("binance", "bybit", "okx")}


def amounts(whole: OrderGroup, guard: float | None, prices: dict[str, float] = PRICES) -> list[list[float]]:
    cut = pieces(whole, prices, Limits(VENUES, guard))
    assert len({one.id for one in cut}) == len(cut)
    assert len({each.id for one in cut for each in one.orders}) == sum(len(one.orders) for one in cut)
    return [[round(each.amount, 9) for each in one.orders] for one in cut]


def test_what_is_too_large_is_cut_with_its_legs_together() -> None:
    assert amounts(group(SELL, CLOSE), 30_000.0) == [[-0.5, 0.5], [-0.5, 0.5]]
    assert amounts(group(BUY, SHORT), 30_000.0) == [[0.5, -0.5], [0.5, -0.5]]


def test_the_limit_of_a_venue_cuts_too_and_the_smallest_limit_counts() -> None:
    large = order(Verb.SPOT, "binance", "BTC", 400.0)
    hedge = order(Verb.PERP, "okx", "BTC", -400.0)
    prices = {large.id: 60_000.0, hedge.id: 60_000.0}
    cut = amounts(group(large, hedge), None, prices)
    assert len(cut) == 3  # 24 million, 10 at a time
    assert all(abs(bought + sold) < 0.001 for bought, sold in cut)
    assert len(amounts(group(large, hedge), 6e6, prices)) == 4


@given(st.floats(1e3, 1e9), st.floats(1e3, 1e9), st.floats(0.02, 1.0))
def test_between_any_two_pieces_the_legs_are_in_step(spot: float, perp: float, share: float) -> None:
    bought = order(Verb.SPOT, "binance", "BTC", spot / 60_000.0)
    sold = [order(Verb.PERP, venue, "BTC", -perp * w / 60_000.0) for venue, w in (("okx", share), ("bybit", 1.0))]
    whole = group(bought, *sold)
    cut = pieces(whole, {one.id: 60_000.0 for one in whole.orders}, Limits(VENUES))
    done = dict.fromkeys((one.leg for one in whole.orders), 0.0)
    for i, piece in enumerate(cut, start=1):
        for one in piece.orders:
            assert abs(one.amount) * 60_000.0 <= 1e7 * (1 + 1e-9)
            done[one.leg] += one.amount
        for one in whole.orders:
            assert abs(done[one.leg] - one.amount * i / len(cut)) <= 0.001 + 1e-9 * abs(one.amount)


@pytest.mark.parametrize("guard", [None, 60_000.0])
def test_what_fits_is_left_as_it_is(guard: float | None) -> None:
    whole = group(SELL, CLOSE)
    assert pieces(whole, PRICES, Limits(VENUES, guard)) == (whole,)


def test_pieces_are_whole_lots_and_the_last_takes_the_rest() -> None:
    assert amounts(group(CLOSE), 25_000.0) == [[0.333], [0.333], [0.334]]  # the lot is 0.001


def test_an_atomic_group_is_never_cut() -> None:
    repay = order(Verb.REPAY, "aave_v3", "WETH", 5.0)
    whole = group(repay, kind=GroupKind.ATOMIC)
    assert pieces(whole, {repay.id: 2_000.0}, Limits(VENUES, 10.0)) == (whole,)


def test_what_its_venue_would_find_too_small_is_not_cut() -> None:
    whole = group(BUY, SHORT)
    assert pieces(whole, PRICES, Limits(VENUES, 90.0)) == (whole,)  # a perp of Binance is at least 100 USDT
    assert len(pieces(group(CLOSE), PRICES, Limits(VENUES, 90.0))) > 1  # unless it only reduces


def test_only_the_last_piece_closes_everything() -> None:
    whole = order(Verb.PERP, "binance", "BTC", 1.0, id="close", everything=True)
    cut = pieces(group(whole), PRICES, Limits(VENUES, 30_000.0))
    assert [one.orders[0].everything for one in cut] == [False, True]


def test_a_leg_that_rounds_to_nothing_waits_for_the_last_piece() -> None:
    tiny = order(Verb.PERP, "okx", "BTC", 0.00015, id="tiny", reduce_only=True)  # the lot is 0.0001
    cut = pieces(group(CLOSE, tiny), PRICES, Limits(VENUES, 30_000.0))
    assert [[one.amount for one in each.orders] for each in cut] == [[0.5], [0.5, 0.00015]]
    assert [each.kind for each in cut] == [GroupKind.ONE, GroupKind.TOGETHER]


def test_a_leg_without_an_instrument_is_cut_exactly() -> None:
    withdraw = order(Verb.WITHDRAW, "aave_v3", "USDT", 10.0, id="close")
    assert amounts(group(withdraw), 150_000.0) == [[2.5], [2.5], [2.5], [2.5]]


@given(st.integers(min_value=1, max_value=5_000), st.floats(min_value=1_000.0, max_value=200_000.0))
def test_the_pieces_are_the_whole_and_none_is_above_the_guard(lots: int, guard: float) -> None:
    whole = order(Verb.PERP, "binance", "BTC", lots * 0.001, id="close", reduce_only=True)
    cut = [one.orders[0].amount for one in pieces(group(whole), PRICES, Limits(VENUES, guard))]
    assert sum(cut) == pytest.approx(whole.amount, rel=1e-12)
    assert max(cut) * 60_000.0 <= guard * (1 + 1e-9)


def test_a_guard_below_one_lot_lets_one_lot_at_a_time_go() -> None:
    whole = order(Verb.PERP, "binance", "BTC", 0.004, id="close", reduce_only=True)
    cut = pieces(group(whole), PRICES, Limits(VENUES, 1.0))
    assert [one.orders[0].amount for one in cut] == pytest.approx([0.001] * 4)


def test_what_is_too_large_is_refused_by_name_unless_it_only_reduces() -> None:
    large = order(Verb.PERP, "binance", "BTC", -200.0)
    limits = Limits(VENUES, 50_000.0)
    assert too_large(large, Action.ENTRY_FULL, 60_000.0, limits) == (
        "binance_perp: notional 12000000.00 USDT is above max_trade_usdt 10000000.00 of binance"
    )
    assert too_large(BUY, Action.ENTRY_FULL, 60_000.0, limits) == (
        "binance_spot: notional 60000.00 USDT is above the guard's 50000.00"
    )
    assert too_large(BUY, Action.ENTRY_FULL, None, limits) == too_large(CLOSE, Action.EXIT_FULL, 6e9, limits) == ""


def test_prices_are_those_of_the_row_where_there_are_any() -> None:
    now = situation(run_of(), market({"binance.spot.BTC": 50_000.0, "binance.perp.BTC": float("nan")}), {})
    assert prices_of(group(BUY, SHORT, order(Verb.SUPPLY, "aave_v3", "USDT", 5.0)), now) == {BUY.id: 50_000.0}
