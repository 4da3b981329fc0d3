"""What is written of an account brings another one to the same state; what is told of it is all there is."""

from __future__ import annotations

from tests.venues.paper.stage import USDT, account_of, group, order
from venues.paper.codec import encode
from venues.paper.filling import Handling
from venues.paper.truth import Change


class Kept:
    """A ledger in memory."""

    failed = False

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.durable = 0

    def append(self, change: Change, *, durable: bool) -> None:
        self.changes.append(change)
        self.durable += durable

    def close(self) -> None:
        pass


def test_changes_handed_to_a_ledger_bring_another_account_to_the_same_state() -> None:
    ledger = Kept()
    account = account_of(row=-1)
    ledger.changes.append(account.whole())
    account.ledger = ledger
    account.advance_to(2)
    account.submit("binance", group(), 1)
    account.submit("binance", group(order("late")), 2, Handling(fraction=0.5, fills_at=account.timestamp + 1))
    account.query("binance", "o1", 3)
    account.deposit("d", 10.0, account.timestamp)
    account.foreign_transfer("f", None, USDT, 1.0, 4)
    account.advance_to(20)
    account.submit("binance", group(), 5)

    other = account_of(row=-1)
    other.restore(ledger.changes)

    assert encode(other.whole()) == encode(account.whole())
    assert ledger.durable == 5
    for each in (account, other):
        each.advance_to(40)
    assert encode(other.whole()) == encode(account.whole())


def test_the_truth_tells_all() -> None:
    account = account_of()
    account.submit("binance", group(), 5)
    account.query("binance", "o1", 6)
    account.advance_to(9)

    truth = account.truth()

    assert [(m.endpoint, m.at, m.order_ids, m.known) for m in truth.messages] == [
        ("submit", 5, ("o1",), False),
        ("query", 6, ("o1",), True),
    ]
    assert truth.row == 9 and truth.balances == account.balances and list(truth.orders) == ["o1"]
    assert truth.cursors["binance"] == 0 and len(truth.fills) == 1
    assert account.statistics()["orders"] == 1
