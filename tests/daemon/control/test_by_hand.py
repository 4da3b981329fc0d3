"""What an operator vouches for is booked as said, and only what can be said with a price."""

from __future__ import annotations

import pytest

from components.model.errors import Refuse
from components.model.events import EventType
from components.model.orders import Verb
from daemon.control.by_hand import adoption, trade_by_hand
from tests.builders import keyed, order


def test_a_fill_vouched_for_by_hand_is_booked_with_its_price_and_fee() -> None:
    short = order(Verb.PERP, "okx", "BTC", -2.0)
    words = {"as": "filled", "price": "50000", "quantity": "1.5", "fee": "30"}
    made = trade_by_hand(short, words, 7)
    assert made.changes == keyed(
        {"okx:Perp:BTCUSDT": -1.5, "okx:PerpQuote:BTCUSDT": 75_000.0, "okx:BaseToken:USDT": -30.0}
    )
    assert (made.quantity, made.price, [cost.amount for cost in made.costs]) == (-1.5, 50_000.0, [30.0])
    bought = trade_by_hand(order(Verb.SPOT, "okx", "BTC", 2.0), {"as": "filled", "price": "50000", "fee": "30"}, 7)
    assert bought.changes == keyed({"okx:BaseToken:BTC": 2.0, "okx:BaseToken:USDT": -100_030.0})
    nothing = trade_by_hand(short, {"as": "not_sent"}, 7)
    assert (nothing.quantity, nothing.changes, nothing.transient) == (0.0, {}, True)


def test_only_a_fill_with_a_price_can_be_vouched_for() -> None:
    for faulty, words in (
        (order(Verb.PERP, "okx", "BTC", 1.0), {"as": "filled"}),
        (order(Verb.TRANSFER, "okx", "USDT", 1.0), {"as": "filled", "price": "1"}),
    ):
        with pytest.raises(Refuse, match="only an exchange order"):
            trade_by_hand(faulty, words, 7)


def test_an_adoption_is_an_adjustment_that_names_who_and_what() -> None:
    changes = keyed({"okx:Perp:BTCUSDT": -0.01, "okx:BaseToken:USDT": 3.5})
    made = adoption("okx", changes, 1000, 7)
    assert (made.event_type, made.part, made.changes, made.at) == (EventType.ADJUSTMENT, "adjustment", changes, 7)
    assert made.detail == "adopted by uid 1000: okx:Perp:BTCUSDT -0.01, okx:BaseToken:USDT 3.5"
