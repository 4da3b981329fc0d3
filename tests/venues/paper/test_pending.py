"""Requests on their way."""

from __future__ import annotations

from venues.paper.pending import Pending


def test_requests_arrive_in_their_order_and_once() -> None:
    pending, done = Pending(), []
    for at in (30, 10, 20):
        pending.add(at, (f"o{at}",), lambda at=at: done.append(at))

    pending.deliver(20)
    pending.deliver(20)

    assert done == [10, 20] and len(pending) == 1 and pending.times() == [30]
    assert pending.holds("o30") and not pending.holds("o10")


def test_a_request_may_cause_another() -> None:
    pending, done = Pending(), []
    pending.add(1, ("a",), lambda: pending.add(2, ("b",), lambda: done.append("b")))

    pending.deliver(5)
    assert done == [] and pending.holds("b")
    pending.deliver(5)
    assert done == ["b"]
