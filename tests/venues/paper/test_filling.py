"""How a venue fills: at once, in parts, late, never, reverted."""

from __future__ import annotations

import pytest

from components.model.orders import TradeStatus, Verb
from tests.venues.paper.stage import BTC, RICH, USDT, account_of, group, order
from venues.interfaces import ReportStatus
from venues.paper.filling import Handling, single

HOUR_NS = 3_600_000_000_000


def test_what_fills_late_fills_at_the_price_of_then() -> None:
    account = account_of()
    at_once = account.submit("binance", group(order("now")), account.timestamp)[0]
    account.submit("binance", group(), account.timestamp, Handling(fraction=0.0, fills_at=account.timestamp + HOUR_NS))

    account.advance_to(10)

    trade = account.registry.orders["o1"].trade
    assert trade is not None and trade.status is TradeStatus.FILLED
    assert trade.at == account.timestamp - 9 * HOUR_NS and trade.price != at_once.price


def test_a_late_fill_that_the_venue_cannot_do_any_more_ends_with_what_it_has() -> None:
    account = account_of()
    fills_at = account.timestamp + HOUR_NS
    account.submit("binance", group(order(amount=4.0)), account.timestamp, Handling(fraction=0.5, fills_at=fills_at))
    account.foreign_transfer("f", USDT, None, account.balances[USDT], account.timestamp)

    account.advance_to(1)

    record = account.registry.orders["o1"]
    assert record.status is ReportStatus.DONE and record.trade is not None
    assert (record.trade.status, record.trade.quantity) == (TradeStatus.PARTIAL, 2.0)
    assert "costs" in record.trade.reason


def test_a_part_that_the_venue_refuses_refuses_the_order() -> None:
    account = account_of()

    (trade,) = account.submit("binance", group(order(amount=1e-4)), 1, Handling(fraction=0.01))

    assert trade.status is TradeStatus.REJECTED and "minimum" in trade.reason
    assert account.registry.orders["o1"].status is ReportStatus.DONE and account.registry.fills == []


def test_an_order_cancelled_before_anything_was_done_may_be_asked_for_again() -> None:
    account = account_of()
    account.submit("binance", group(), 1, Handling(fraction=0.0, fills_at=account.timestamp + HOUR_NS))

    report = account.cancel("binance", "o1", 2)
    account.advance_to(3)

    assert report.status is ReportStatus.DONE and report.trade is not None
    assert report.trade.status is TradeStatus.REJECTED and report.trade.transient
    assert account.balances == RICH


def test_a_partial_close_of_everything_leaves_the_rest() -> None:
    account = account_of()
    account.submit("binance", group(order("p", Verb.PERP, -2.0)), 1)
    close = order("c", Verb.PERP, 2.0, reduce_only=True, everything=True)

    (trade,) = account.submit("binance", group(close), 2, Handling(fraction=0.25))

    assert (trade.status, trade.quantity) == (TradeStatus.PARTIAL, 0.5)


@pytest.mark.parametrize(("handling", "why"), [(Handling(reject="no"), "no"), (Handling(revert="oops"), "oops")])
def test_what_is_refused_does_nothing(handling: Handling, why: str) -> None:
    account = account_of()

    (trade,) = account.submit("binance", group(), 1, handling)

    assert trade.status is TradeStatus.REJECTED and why in trade.reason
    assert account.balances.get(BTC, 0.0) == 0.0


def test_a_group_of_one_has_a_single_order() -> None:
    assert single(group(order("a"))) == order("a")
    assert single(group(order("a"), order("b"))) is None
