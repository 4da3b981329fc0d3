"""Venue Manager: what may leave, what is withheld and why, and how a large reduction is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.model.orders import Action, Order, Trade, Verb
from components.ports import Approved, Standing, Withheld
from components.venue_interface_manager import VenueInterfaceManager
from components.venue_manager import CERTAIN, Uncertainty, VenueManager, adds_risk
from tests.builders import exchange, group, order, trade

BUY = order(Verb.SPOT, "binance", "BTC", 1.0)
SHORT = order(Verb.PERP, "binance", "BTC", -1.0)
SELL = order(Verb.SPOT, "binance", "BTC", -1.0, id="sell")
CLOSE = order(Verb.PERP, "binance", "BTC", 1.0, id="close", reduce_only=True)
SUPPLY = order(Verb.SUPPLY, "aave_v3", "USDT", 100.0)
PRICES = {BUY.id: 60_000.0, SHORT.id: 60_000.0, SELL.id: 60_000.0, CLOSE.id: 60_000.0}
FLAT = Uncertainty("BTC", 60_000.0, 0.0, 0.0)
LOST = Uncertainty("BTC", 60_000.0, -1.0, 0.0, ("lost",))


class Desk:
    def execute(self, approved: Approved) -> tuple[Trade, ...]:
        return tuple(trade(each) for each in approved.group.orders)


@pytest.fixture
def manager() -> VenueManager:
    venues = {venue: exchange(venue) for venue in ("binance", "bybit", "okx")}
    return VenueManager(VenueInterfaceManager(dict.fromkeys([*venues, "aave_v3", "morpho"], Desk())), venues)


def reasons(verdict: Approved | Withheld) -> tuple[str, ...]:
    assert isinstance(verdict, Withheld)
    return verdict.reasons


# The orders themselves


def test_a_sound_group_is_approved_whole_and_executed(manager: VenueManager) -> None:
    verdict = manager.approve(group(BUY, SHORT), PRICES)
    assert isinstance(verdict, Approved)
    assert [one.order_id for one in manager.execute(verdict)] == [BUY.id, SHORT.id]


@pytest.mark.parametrize(
    ("faulty", "reason"),
    [
        (order(Verb.SPOT, "kraken", "BTC", 1.0), "kraken_spot: no interface for venue 'kraken'"),
        (order(Verb.SPOT, "binance", "BTC", float("nan")), "binance_spot: amount nan is not a number"),
        (order(Verb.SUPPLY, "aave_v3", "USDT", float("inf")), "aave_v3_supply: amount inf is not a number"),
        (order(Verb.SPOT, "binance", "BTC", 0.0), "binance_spot: amount 0.0 must be positive"),
        (order(Verb.SUPPLY, "aave_v3", "USDT", -1.0), "aave_v3_supply: amount -1.0 must be positive"),
    ],
)
def test_an_order_that_makes_no_sense_takes_its_group_with_it(
    manager: VenueManager, faulty: Order, reason: str
) -> None:
    assert reasons(manager.approve(group(SHORT, faulty), PRICES)) == (reason,)


def test_every_reason_is_given_once(manager: VenueManager) -> None:
    twice = group(order(Verb.SPOT, "x", "BTC", 0.0, leg="leg"), order(Verb.SPOT, "x", "BTC", 0.0, leg="leg"))
    assert reasons(manager.approve(twice, {})) == (
        "leg: no interface for venue 'x'", "leg: amount 0.0 must be positive",
    )  # fmt: skip


def test_a_group_is_cut_by_venue_and_guard(manager: VenueManager) -> None:
    cut = manager.pieces(group(BUY, SHORT), PRICES, Standing(max_trade_usdt=30_000.0))
    assert [[one.amount for one in each.orders] for each in cut] == [[0.5, -0.5], [0.5, -0.5]]
    assert manager.pieces(group(BUY, SHORT), PRICES, Standing()) == (group(BUY, SHORT),)


def test_an_order_above_the_limit_of_its_venue_is_withheld_unless_it_only_reduces(manager: VenueManager) -> None:
    large = order(Verb.PERP, "binance", "BTC", -200.0)
    assert reasons(manager.approve(group(large), {large.id: 60_000.0})) == (
        "binance_perp: notional 12000000.00 USDT is above max_trade_usdt 10000000.00 of binance",
    )
    closing = order(Verb.PERP, "binance", "BTC", 200.0, reduce_only=True)
    assert isinstance(manager.approve(group(closing), {closing.id: 60_000.0}), Approved)
    assert isinstance(manager.approve(group(large), {}), Approved)  # no price is known


# Authority


def test_without_authority_nothing_leaves(manager: VenueManager) -> None:
    standing = Standing(no_trade=("read only",))
    for one in (group(BUY), group(CLOSE, action=Action.EXIT_FULL)):
        assert reasons(manager.approve(one, PRICES, standing, FLAT)) == ("read only",)


def test_without_authority_for_risk_only_reductions_leave(manager: VenueManager) -> None:
    standing = Standing(no_risk=("quote too old", "latched"))
    assert reasons(manager.approve(group(BUY, SHORT), PRICES, standing, FLAT)) == ("quote too old", "latched")
    assert isinstance(manager.approve(group(SELL, CLOSE), PRICES, standing, FLAT), Approved)


def test_faults_and_missing_authority_come_together(manager: VenueManager) -> None:
    bad = order(Verb.SPOT, "x", "BTC", 1.0)
    found = reasons(manager.approve(group(bad), {}, Standing(no_trade=("a",), no_risk=("b",)), FLAT))
    assert found == ("x_spot: no interface for venue 'x'", "a", "b")


def test_while_an_outcome_is_open_no_risk_is_added(manager: VenueManager) -> None:
    assert reasons(manager.approve(group(BUY), PRICES, uncertainty=LOST)) == ("the outcome of order lost is not known",)
    assert isinstance(manager.approve(group(SELL, CLOSE), PRICES, uncertainty=LOST), Approved)


def test_what_shrinks_the_worst_end_may_leave_although_it_opens_something(manager: VenueManager) -> None:
    """Net coins are between −1 and 0: buying a half makes the worst a half."""
    half = order(Verb.PERP, "okx", "BTC", 0.5)
    assert isinstance(manager.approve(group(half), PRICES, uncertainty=LOST), Approved)
    assert isinstance(manager.approve(group(half), PRICES, Standing(no_risk=("latched",)), LOST), Approved)


def test_the_guard_refuses_a_group_that_adds_risk_when_one_leg_is_too_large(manager: VenueManager) -> None:
    small = order(Verb.PERP, "okx", "BTC", -0.1)
    found = reasons(manager.approve(group(BUY, small), {BUY.id: 60_000.0}, Standing(max_trade_usdt=59_999.0), FLAT))
    assert found == ("binance_spot: notional 60000.00 USDT is above the guard's 59999.00",)
    assert isinstance(manager.approve(group(BUY), PRICES, Standing(max_trade_usdt=60_000.0), FLAT), Approved)


def test_the_guard_lets_reductions_pass(manager: VenueManager) -> None:
    assert isinstance(manager.approve(group(SELL, CLOSE), PRICES, Standing(max_trade_usdt=1.0), FLAT), Approved)


# What adds risk


def test_lending_and_leverage_add_risk_where_no_coin_is_hedged() -> None:
    assert adds_risk(group(SUPPLY), CERTAIN)
    assert not adds_risk(group(order(Verb.WITHDRAW, "aave_v3", "USDT", 100.0)), CERTAIN)


def test_a_hedge_of_what_is_long_reduces_and_the_same_order_on_a_flat_book_adds() -> None:
    assert not adds_risk(group(SHORT), Uncertainty("BTC", 60_000.0, 1.0, 1.0))
    assert adds_risk(group(SHORT), FLAT)
    assert adds_risk(group(SHORT), Uncertainty("BTC", 60_000.0, 0.5, 0.5))  # from +0.5 to −0.5


def test_both_legs_of_an_entry_move_nothing_and_still_add_risk() -> None:
    assert adds_risk(group(BUY, SHORT), FLAT)


def test_an_entry_that_mends_a_little_on_its_way_still_adds_risk_because_its_legs_can_part() -> None:
    mending = group(BUY, order(Verb.PERP, "binance", "BTC", -1.006))
    assert adds_risk(mending, Uncertainty("BTC", 60_000.0, 0.01, 0.01))


@given(
    st.floats(min_value=-5.0, max_value=5.0), st.floats(min_value=0.0, max_value=5.0),
    st.floats(min_value=-5.0, max_value=5.0).filter(bool),
)  # fmt: skip
def test_what_does_not_add_risk_makes_the_worst_end_smaller(low: float, width: float, amount: float) -> None:
    found = Uncertainty("BTC", 60_000.0, low, low + width, ("x",))
    if not adds_risk(group(order(Verb.PERP, "okx", "BTC", amount)), found):
        assert max(abs(low + amount), abs(low + width + amount)) < max(abs(low), abs(low + width))


def test_nothing_happens_on_a_leg_while_an_outcome_there_is_open(manager: VenueManager) -> None:
    found = Uncertainty("BTC", 60_000.0, 0.0, 1.0, ("lost",), frozenset({"binance perp BTC", "the wallet"}))
    mirror = order(Verb.PERP, "binance", "BTC", -0.999, id="mirror", reduce_only=True)
    paid = order(Verb.WITHDRAW, "aave_v3", "USDT", 5.0, id="paid")
    other = order(Verb.PERP, "okx", "BTC", -0.5, id="other", reduce_only=True)
    for one, reasons in (
        (mirror, ("the outcome of an order on binance perp BTC is not known",)),
        (paid, ("the outcome of an order on the wallet is not known",)),
    ):
        verdict = manager.approve(group(one), PRICES, Standing(), found)
        assert isinstance(verdict, Withheld)
        assert verdict.reasons == reasons
    assert isinstance(manager.approve(group(other), PRICES, Standing(), found), Approved)
