"""What became of an order: the journal's word for it, and how it enters the book when it is known late."""

from __future__ import annotations

import pytest

from components.model.events import EventType
from components.model.keys import base_token
from components.model.orders import InFlight, OrderState, Trade, TradeStatus, Verb, nothing
from components.ports import LATE, PAID
from daemon.orders.outcomes import late_of, outcome_of, state_of
from tests.builders import order, trade

BUY = order(Verb.SPOT, "binance", "BTC", 1.0)
USDT, COIN = base_token("binance", "USDT"), base_token("binance", "BTC")


def test_every_status_has_its_word() -> None:
    for status, state in (
        (TradeStatus.FILLED, OrderState.FILLED),
        (TradeStatus.PARTIAL, OrderState.PARTIAL),
        (TradeStatus.REJECTED, OrderState.REJECTED),
        (TradeStatus.UNKNOWN, OrderState.UNKNOWN),
    ):
        assert state_of(nothing(BUY, status, 1, "why")) is state


def test_what_nobody_says_is_not_known() -> None:
    assert state_of(None) is OrderState.UNKNOWN
    record = outcome_of(BUY, None, OrderState.SENT, at=5, origin="core")
    assert (record.state, record.reason, record.trade) == ("unknown", "nobody says", None)


def test_what_did_not_leave_may_leave_again_unless_it_has_paid_for_it() -> None:
    away = nothing(BUY, TradeStatus.REJECTED, 1, "no way there", transient=True)
    assert state_of(away) is OrderState.NOT_SENT
    paid = trade(BUY, status=TradeStatus.REJECTED, transient=True, changes={base_token("gas", "ETH"): -0.01})
    assert state_of(paid) is OrderState.REJECTED, "a transaction that was mined was sent"


def test_an_order_goes_no_way_that_orders_do_not_go() -> None:
    with pytest.raises(ValueError, match="not_sent"):
        outcome_of(BUY, trade(BUY), OrderState.NOT_SENT, at=5, origin="core")


def test_what_is_known_late_enters_with_all_that_it_did() -> None:
    done = trade(BUY, changes={USDT: -50_000.0, COIN: 1.0}, quantity=1.0)
    happening = late_of(BUY, done)
    assert happening is not None
    assert (happening.event_type, happening.part) == (EventType.ORDER_RESOLVED, LATE)
    assert dict(happening.changes) == {USDT: -50_000.0, COIN: 1.0}
    assert happening.resolves == BUY.id
    assert late_of(BUY, None) is None, "it has no outcome yet"


def test_what_did_nothing_has_no_part_and_a_payment_has_its_own() -> None:
    rejected = late_of(BUY, nothing(BUY, TradeStatus.REJECTED, 1, "too small"))
    assert rejected is not None
    assert rejected.part is None and "too small" in rejected.detail
    out = order(Verb.PAY_OUT, "wallet", "USDT", 10.0)
    paid = late_of(out, trade(out, changes={base_token("wallet", "USDT"): -10.0}, quantity=-10.0))
    assert paid is not None and paid.part == PAID


def test_what_travels_is_told_with_it() -> None:
    flight = InFlight(id="t", token="BTC", amount=1.0, source=COIN, target=base_token("okx", "BTC"), arrives_at=9)
    moved = order(Verb.TRANSFER, "binance", "BTC", 1.0)
    late = late_of(moved, trade(moved, changes={COIN: -1.0}, in_flight=flight))
    assert late is not None and late.departed == flight


def test_what_a_chain_may_take_back_says_so() -> None:
    open_ended: Trade = trade(BUY, changes={COIN: 1.0}, final=False, block="0xb")
    late, final = late_of(BUY, open_ended), late_of(BUY, trade(BUY, changes={COIN: 1.0}))
    assert late is not None and final is not None
    assert (late.revocable, late.block) == (BUY, "0xb")
    assert final.revocable is None
