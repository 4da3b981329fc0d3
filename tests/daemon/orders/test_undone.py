"""What a chain takes back of what is booked, and of what is not."""

from __future__ import annotations

from msgspec.structs import replace

from components.model.events import EventType
from components.model.keys import base_token
from components.model.orders import UNCERTAIN, Order, OrderState, TradeStatus, Verb, follows, nothing
from components.ports import LATE, PAID, Happening
from components.position_monitor import Unfinal
from daemon.orders.outcomes import late_of, state_of
from daemon.orders.undone import reversed_in, undone, undone_outcome
from tests.builders import happening

ETH = base_token("wallet", "ETH")
GAS = base_token("gas", "ETH")
SWAP = Order(id="s1", verb=Verb.SWAP, venue="uniswap", token="ETH", amount=1.0, leg="swap", into_token="USDT")
DONE = Unfinal(order=SWAP, block="b1", quantity=-1.0, changes={ETH: -1.0})


def says(order_id: str, block: str) -> Happening:
    return replace(happening(EventType.UNDONE, {}), undoes=order_id, block=block)


def late(block: str) -> Happening:
    trade = replace(
        nothing(SWAP, TradeStatus.FILLED, 7, ""), changes={ETH: -0.9}, quantity=-0.9, final=False, block=block
    )
    found = late_of(SWAP, trade)
    assert found is not None
    return found


def test_what_is_booked_is_reversed_as_it_is_booked_and_the_order_is_uncertain_again() -> None:
    (back,) = reversed_in([says("s1", "b1")], (), {"s1": DONE})
    assert (back.changes, back.amount, back.part) == ({ETH: 1.0}, 1.0, LATE)
    assert back.unknown == SWAP and back.undoes == "s1"


def test_what_was_never_booked_has_nothing_to_take_back() -> None:
    assert reversed_in([says("s1", "b1")], (), {}) == ()
    assert reversed_in([says("s1", "b0")], (), {"s1": DONE}) == ()  # it stands in another block by now


def test_an_outcome_that_enters_the_book_now_is_taken_back_behind_it() -> None:
    came = late("b2")
    first, second = reversed_in([says("s1", "b1"), says("s1", "b2")], [came], {})
    assert first == came and second.changes == {ETH: 0.9} and second.unknown == SWAP


def test_the_same_block_is_taken_back_once() -> None:
    assert len(reversed_in([says("s1", "b1"), says("s1", "b1")], (), {"s1": DONE})) == 1


def test_other_facts_keep_their_order() -> None:
    gas, deposit = happening(EventType.GAS, {"gas:BaseToken:ETH": -0.1}), happening()
    assert reversed_in([gas, says("x", "b"), deposit], (), {}) == (gas, deposit)


def test_a_payment_that_is_taken_back_is_a_payment() -> None:
    pay = replace(SWAP, verb=Verb.PAY_OUT, venue="wallet", token="USDT")
    paid = Unfinal(order=pay, block="b1", quantity=-5.0, changes={base_token("wallet", "USDT"): -5.0, GAS: -0.1})
    failed = replace(paid, quantity=0.0, changes={GAS: -0.1})
    assert undone(paid, 1).part == PAID and undone(failed, 1).part == LATE


def test_a_rejection_that_cost_something_is_booked_and_was_sent() -> None:
    pay = replace(SWAP, verb=Verb.PAY_OUT)
    cancelled = replace(nothing(pay, TradeStatus.REJECTED, 7, "cancelled", transient=True), changes={GAS: -0.1})
    came = late_of(pay, cancelled)
    assert came is not None and came.part == LATE and came.changes == {GAS: -0.1}
    assert state_of(cancelled) == "rejected" and state_of(replace(cancelled, changes={})) == "not_sent"


def test_an_order_that_was_taken_back_is_uncertain_whatever_was_known_of_it() -> None:
    record = undone_outcome("s1", 9, "block b1 is no longer in the chain")
    assert OrderState(record.state) in UNCERTAIN and record.origin == "undone"
    for known in (OrderState.FILLED, OrderState.PARTIAL, OrderState.REJECTED):
        assert follows(known, OrderState.UNDONE) and follows(OrderState.UNDONE, known)
        assert not follows(known, OrderState.UNKNOWN)
