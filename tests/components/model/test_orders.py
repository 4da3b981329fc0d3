"""Orders: the life of one, what it would do to net coins, and whether it can only make a position smaller."""

from __future__ import annotations

import pytest

from components.model.orders import (
    LIFECYCLE,
    REDUCING,
    Action,
    OrderState,
    Verb,
    advance,
    coins_moved,
    reduces_risk,
)
from tests.builders import order

ENTER, LEAVE = Action.ENTRY_FULL, Action.EXIT_FULL


def test_every_state_has_its_ways_on() -> None:
    assert set(LIFECYCLE) == set(OrderState)


def test_an_order_whose_end_is_known_changes_only_if_its_chain_takes_it_back() -> None:
    only_undone = {state for state, ways in LIFECYCLE.items() if ways == {OrderState.UNDONE}}
    assert only_undone == {OrderState.FILLED, OrderState.REJECTED}
    assert {state for state, ways in LIFECYCLE.items() if not ways} == {OrderState.NOT_SENT}


def test_an_unknown_outcome_may_turn_out_to_be_anything_but_an_intent() -> None:
    assert OrderState.NOT_SENT in LIFECYCLE[OrderState.UNKNOWN]
    assert OrderState.INTENT not in {way for ways in LIFECYCLE.values() for way in ways}
    assert OrderState.UNKNOWN not in LIFECYCLE[OrderState.UNKNOWN]


def test_an_order_goes_only_where_its_life_leads() -> None:
    assert advance(advance(OrderState.INTENT, OrderState.SENT), OrderState.UNKNOWN) is OrderState.UNKNOWN
    assert advance(OrderState.UNKNOWN, OrderState.UNKNOWN) is OrderState.UNKNOWN, "said again"
    for state, to in ((OrderState.INTENT, OrderState.FILLED), (OrderState.FILLED, OrderState.UNKNOWN)):
        with pytest.raises(ValueError, match=f"{state.value} cannot become {to.value}"):
            advance(state, to)


@pytest.mark.parametrize(
    ("verb", "token", "into", "amount", "moved"),
    [
        (Verb.SPOT, "ETH", None, 2.0, 2.0),
        (Verb.PERP, "ETH", None, -2.0, -2.0),
        (Verb.SPOT, "BTC", None, 2.0, 0.0),
        (Verb.SWAP, "ETH", "USDT", 2.0, -2.0),
        (Verb.SWAP, "wstETH", "USDT", 2.0, -2.0),
        (Verb.SWAP, "USDT", "ETH", 6_000.0, 2.0),
        (Verb.SWAP, "wstETH", "ETH", 2.0, 0.0),
        (Verb.SWAP, "EIGEN", "USDT", 2.0, 0.0),
        (Verb.STAKE, "ETH", "wstETH", 2.0, 0.0),
        (Verb.TRANSFER, "ETH", None, 2.0, 0.0),
        (Verb.BORROW, "WETH", None, 2.0, 0.0),
    ],
)
def test_only_trades_against_cash_move_net_coins(
    verb: Verb, token: str, into: str | None, amount: float, moved: float
) -> None:
    assert coins_moved(order(verb, "x", token, amount, into_token=into), "ETH", 3_000.0) == moved


def test_btc_is_moved_by_btc_alone() -> None:
    assert coins_moved(order(Verb.PERP, "okx", "BTC", -1.0), "BTC", 60_000.0) == -1.0
    assert coins_moved(order(Verb.PERP, "okx", "ETH", -1.0), "BTC", 60_000.0) == 0.0


def test_a_perp_order_reduces_only_when_it_says_so() -> None:
    assert not reduces_risk(order(Verb.PERP, "okx", "BTC", 1.0), LEAVE)
    assert reduces_risk(order(Verb.PERP, "okx", "BTC", 1.0, reduce_only=True), ENTER)
    assert reduces_risk(order(Verb.PERP, "okx", "BTC", 1.0, everything=True), ENTER)


def test_selling_reduces_and_buying_does_not() -> None:
    assert reduces_risk(order(Verb.SPOT, "okx", "BTC", -1.0), ENTER)
    assert not reduces_risk(order(Verb.SPOT, "okx", "BTC", 1.0), LEAVE)


@pytest.mark.parametrize("verb", [Verb.SWAP, Verb.TRANSFER])
def test_cash_and_coins_move_freely_on_the_way_out_only(verb: Verb) -> None:
    for action in (Action.EXIT_FULL, Action.EXIT_PARTIAL, Action.SELL_DUST):
        assert reduces_risk(order(verb, "uniswap", "ETH", 1.0), action)
    for action in (Action.ENTRY_FULL, Action.ENTRY_PARTIAL):
        assert not reduces_risk(order(verb, "uniswap", "ETH", 1.0), action)


@pytest.mark.parametrize("verb", [Verb.SUPPLY, Verb.BORROW, Verb.STAKE])
def test_putting_capital_to_work_never_reduces(verb: Verb) -> None:
    assert not reduces_risk(order(verb, "aave_v3", "WETH", 1.0), LEAVE)


@pytest.mark.parametrize("verb", sorted(REDUCING))
def test_paying_back_and_paying_out_always_reduce(verb: Verb) -> None:
    assert reduces_risk(order(verb, "aave_v3", "WETH", 1.0), ENTER)
