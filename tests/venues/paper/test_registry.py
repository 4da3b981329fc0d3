"""What a venue remembers of orders."""

from __future__ import annotations

import pytest

from components.model.keys import PositionKey
from components.model.orders import Cost, CostKind, Trade, TradeStatus, Verb, nothing
from tests.venues.paper.stage import BTC, USDT, group, order
from venues.interfaces import ReportStatus
from venues.paper.registry import OrderRecord, Registry, answer_of, merged


def record(id: str = "o1", status: ReportStatus = ReportStatus.OPEN, trade: Trade | None = None) -> OrderRecord:
    return OrderRecord(order=order(id), group="g", door="binance", arrived_at=1, status=status, trade=trade)


def fill(quantity: float, price: float) -> Trade:
    return Trade(
        order_id="o1",
        status=TradeStatus.FILLED,
        verb=Verb.SPOT,
        venue="binance",
        token="BTC",
        quantity=quantity,
        changes={BTC: quantity, USDT: -quantity * price},
        at=1,
        price=price,
        costs=(Cost(CostKind.FEE, "USDT", 1.0),),
    )


def test_an_open_order_is_listed_at_its_door_until_it_is_done() -> None:
    registry = Registry()
    registry.note(record())

    assert [each.order_id for each in registry.open_at("binance")] == ["o1"] and registry.open_at("bybit") == ()
    registry.note(record(status=ReportStatus.DONE, trade=fill(1.0, 10.0)))
    assert registry.open_at("binance") == () and registry.statistics()["orders"] == 1


def test_an_accepted_order_is_answered_as_unknown_and_a_done_one_with_its_trade() -> None:
    done = record(status=ReportStatus.DONE, trade=fill(1.0, 10.0))

    assert answer_of(record(), 5).status is TradeStatus.UNKNOWN
    assert answer_of(done, 5) == done.trade


def test_what_comes_again_is_counted_and_answered_as_before() -> None:
    registry = Registry()
    registry.note(record(status=ReportStatus.DONE, trade=fill(1.0, 10.0)))

    assert registry.again(group(order("o1")), 5) == (fill(1.0, 10.0),)
    assert registry.duplicates == {"o1": 1} and registry.conflicts == {}
    (stray,) = registry.again(group(order("other")), 5)
    assert stray.status is TradeStatus.REJECTED and registry.conflicts == {"other": 1}


def test_every_message_is_kept() -> None:
    registry = Registry()

    registry.heard("binance", "submit", ("o1",), 5, "entry_full")
    registry.note(record())
    registry.heard("binance", "query", ("o1",), 6)

    assert [(m.endpoint, m.at, m.known, m.action) for m in registry.messages] == [
        ("submit", 5, False, "entry_full"),
        ("query", 6, True, ""),
    ]


def test_two_fills_of_one_order_are_one_trade() -> None:
    both = merged(fill(1.0, 10.0), fill(3.0, 14.0))

    assert (both.quantity, both.price) == (4.0, pytest.approx(13.0))
    assert both.changes == {BTC: 4.0, USDT: -52.0} and len(both.costs) == 2
    assert merged(None, fill(1.0, 10.0)) == fill(1.0, 10.0)
    rejected = nothing(order(), TradeStatus.REJECTED, 9, "too small")
    assert merged(fill(1.0, 10.0), rejected).changes == {BTC: 1.0, PositionKey(USDT): -10.0}
