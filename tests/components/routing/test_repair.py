"""Repair of legs that parted: what filled is taken back as far as that helps, and nothing is guessed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.model.orders import Action, GroupKind, Order, OrderGroup, Trade, TradeStatus, Verb
from components.routing.repair import repair_group
from components.situation import Situation
from tests.builders import group, market, order, rejected, run_with, situation, trade, unknown

MARKET = market(
    {"binance.spot.BTC": 50_000.0, "binance.perp.BTC": 50_000.0, "okx.spot.BTC": 50_000.0, "okx.perp.BTC": 50_000.0}
)
RUN = run_with("btc_basis", hedge_allocation={"binance": 0.5, "okx": 0.5}, max_delta_drift=0.02)
BUY, SHORT = order(Verb.SPOT, "binance", "BTC", 1.0), order(Verb.PERP, "binance", "BTC", -1.0)
BUY_OKX, SHORT_OKX = order(Verb.SPOT, "okx", "BTC", 1.0), order(Verb.PERP, "okx", "BTC", -1.0)
UNKNOWN = TradeStatus.UNKNOWN
ENTRY = group(BUY, SHORT, BUY_OKX, SHORT_OKX)


def filled(one: Order, share: float = 1.0) -> Trade:
    return trade(one, quantity=one.amount * share, status=TradeStatus.FILLED if share == 1 else TradeStatus.PARTIAL)


def now(trades: tuple[Trade, ...], held: dict[str, float] | None = None) -> Situation:
    """The book after the trades, on top of what was held."""
    book = dict(held or {})
    for one in trades:
        name = f"{one.venue}:BaseToken:BTC" if one.verb is Verb.SPOT else f"{one.venue}:Perp:BTCUSDT"
        book[name] = book.get(name, 0.0) + one.quantity
    uncertain = [each for each in ENTRY.orders for one in trades if (one.order_id, one.status) == (each.id, UNKNOWN)]
    return situation(RUN, MARKET, book, *uncertain)


def repaired(whole: OrderGroup, *trades: Trade) -> OrderGroup | None:
    return repair_group(whole, trades, now(trades))


def backs(found: OrderGroup | None) -> dict[str, Any]:
    assert found is not None
    return {one.leg: pytest.approx(one.amount) for one in found.orders}


def test_a_purchase_whose_short_failed_is_sold_again() -> None:
    found = repaired(group(BUY, SHORT), filled(BUY), rejected(SHORT))
    assert found is not None
    assert backs(found) == {"binance_spot_back": -1.0}
    assert (found.kind, found.action, found.reason, found.id) == (
        GroupKind.ONE, Action.EXIT_PARTIAL, "legs parted", "g/unwind",
    )  # fmt: skip
    assert not found.orders[0].reduce_only


def test_a_short_whose_purchase_failed_is_bought_back_reduce_only() -> None:
    found = repaired(group(BUY, SHORT), rejected(BUY), filled(SHORT))
    assert backs(found) == {"binance_perp_back": 1.0}
    assert found is not None
    assert found.orders[0].reduce_only


def test_only_as_much_is_taken_back_as_is_too_much() -> None:
    found = repaired(group(BUY, SHORT), filled(BUY), trade(SHORT, quantity=0.0, status=TradeStatus.REJECTED))
    assert backs(found) == {"binance_spot_back": -1.0}
    part = (filled(BUY), filled(BUY_OKX), rejected(SHORT_OKX))
    held = situation(
        RUN, MARKET, {"binance:BaseToken:BTC": 1.0, "okx:BaseToken:BTC": 1.0, "binance:Perp:BTCUSDT": -1.5}
    )
    found = repair_group(group(BUY, BUY_OKX, SHORT_OKX), part, held)
    assert backs(found) == {"okx_spot_back": -0.5}


def test_the_venue_whose_other_leg_failed_comes_first() -> None:
    found = repaired(ENTRY, filled(BUY), filled(SHORT), filled(BUY_OKX), rejected(SHORT_OKX))
    assert backs(found) == {"okx_spot_back": -1.0}


def test_other_venues_help_when_that_one_cannot() -> None:
    whole = group(BUY, BUY_OKX, SHORT_OKX)
    found = repaired(whole, filled(BUY), rejected(BUY_OKX), rejected(SHORT_OKX))
    assert backs(found) == {"binance_spot_back": -1.0}


def test_several_legs_are_taken_back_together() -> None:
    found = repaired(ENTRY, filled(BUY), rejected(SHORT), filled(BUY_OKX), rejected(SHORT_OKX))
    assert backs(found) == {"binance_spot_back": -1.0, "okx_spot_back": -1.0}
    assert found is not None
    assert found.kind is GroupKind.TOGETHER
    assert len({one.id for one in found.orders}) == 2


def test_an_uncertain_order_is_neither_completed_nor_taken_back() -> None:
    assert repaired(group(BUY, SHORT), filled(BUY), unknown(SHORT)) is None


def test_what_surely_parted_is_taken_back_while_another_venue_leaves_its_outcome_open() -> None:
    found = repaired(ENTRY, filled(BUY), rejected(SHORT), unknown(BUY_OKX), unknown(SHORT_OKX))
    assert backs(found) == {"binance_spot_back": -1.0}


def test_nothing_is_taken_back_for_the_sake_of_an_uncertain_order() -> None:
    assert repaired(ENTRY, filled(BUY), filled(SHORT), filled(BUY_OKX), unknown(SHORT_OKX)) is None
    found = repaired(ENTRY, rejected(BUY), filled(SHORT), filled(BUY_OKX), unknown(SHORT_OKX))
    assert backs(found) == {
        "binance_perp_back": 0.5
    }  # net is between -1 and 0: half of it makes the worst end smallest


def test_a_single_order_or_a_transaction_has_no_legs_to_part() -> None:
    assert repaired(group(BUY), rejected(BUY)) is None
    assert repaired(group(BUY, SHORT, kind=GroupKind.ATOMIC), filled(BUY), rejected(SHORT)) is None


def test_where_all_failed_or_all_filled_nothing_parted() -> None:
    assert repaired(group(BUY, SHORT), rejected(BUY), rejected(SHORT)) is None
    assert repaired(group(BUY, SHORT), filled(BUY), filled(SHORT)) is None


def test_a_third_leg_that_failed_is_taken_back_in_full_however_small_it_is() -> None:
    tiny = order(Verb.PERP, "okx", "BTC", -0.01)
    whole = group(BUY, SHORT, tiny)
    trades = (filled(BUY), filled(SHORT), rejected(tiny))
    held = situation(RUN, MARKET, {"binance:BaseToken:BTC": 1.01, "binance:Perp:BTCUSDT": -1.0})
    assert backs(repair_group(whole, trades, held)) == {"binance_spot_back": -0.01}


def test_what_its_venue_would_find_too_small_is_left() -> None:
    tiny = order(Verb.PERP, "okx", "BTC", -0.00005)
    trades = (filled(BUY), filled(SHORT), rejected(tiny))
    held = situation(RUN, MARKET, {"binance:BaseToken:BTC": 1.00005, "binance:Perp:BTCUSDT": -1.0})
    assert repair_group(group(BUY, SHORT, tiny), trades, held) is None  # 2.5 USDT


def test_what_would_grow_the_difference_is_not_taken_back() -> None:
    """A short that filled is right when what is held is long anyway."""
    trades = (rejected(BUY), filled(SHORT))
    long = situation(RUN, MARKET, {"binance:BaseToken:BTC": 3.0, "binance:Perp:BTCUSDT": -1.0})
    assert repair_group(group(BUY, SHORT), trades, long) is None


def test_less_than_a_lot_is_left() -> None:
    small, other = order(Verb.SPOT, "binance", "BTC", 0.000004), order(Verb.PERP, "binance", "BTC", -0.000004)
    assert repaired(group(small, other), filled(small), rejected(other)) is None


def test_coins_bought_on_a_dex_are_sold_there_again() -> None:
    swap = order(Verb.SWAP, "uniswap", "USDT", 50_000.0, into_token="BTC")
    trades = (trade(swap, quantity=-50_000.0), rejected(SHORT_OKX))
    held = situation(RUN, MARKET, {"wallet:BaseToken:BTC": 0.995})
    found = repair_group(group(swap, SHORT_OKX), trades, held)
    assert found is not None
    assert [(one.verb, one.token, one.into_token, one.amount) for one in found.orders] == [
        (Verb.SWAP, "BTC", "USDT", pytest.approx(0.995))
    ]


@given(st.lists(st.sampled_from([0.0, 0.3, 1.0]), min_size=4, max_size=4))
def test_a_repair_never_leaves_more_net_coins_than_it_found(shares: list[float]) -> None:
    trades = tuple(
        rejected(one) if share == 0.0 else filled(one, share) for one, share in zip(ENTRY.orders, shares, strict=True)
    )
    found = repair_group(ENTRY, trades, now(trades))
    net = sum(one.quantity for one in trades)
    after = net + sum(one.amount for one in found.orders) if found is not None else net
    assert abs(after) <= abs(net) + 1e-9
    assert after * net >= -1e-9  # and never turns it round
    if found is not None:
        assert all(one.amount != 0.0 for one in found.orders)
