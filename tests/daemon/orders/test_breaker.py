"""The circuit breaker: opens on failures in a row and on too many orders, lets one try, and never holds up an exit."""

from __future__ import annotations

import pytest

from components.model.orders import Verb
from daemon.cells.authority import Authority, Circumstances, Limits
from daemon.orders.breaker import MINUTE_NS, PROBE_EVERY_S, Breaker, BreakerLimits
from daemon.replica import Contract
from daemon.world.rows import MarketRow
from tests.builders import order, rejected, trade, unknown

LIMITS = BreakerLimits(failures_in_a_row=3, orders_per_minute=4)
BUY = order(Verb.PERP, "okx", "BTC", 1.0)
OTHER = order(Verb.PERP, "bybit", "BTC", 1.0)


def broken(breaker: Breaker, at: float = 0.0, market_now: int = 0) -> list[str]:
    return [contract.name for contract in breaker.contracts(at, market_now) if not contract.holds]


def failing(times: int, *, at: float = 0.0) -> Breaker:
    breaker = Breaker(LIMITS)
    for i in range(times):
        breaker.heard(BUY, rejected(BUY, "margin"), at, i * MINUTE_NS)
    return breaker


def test_failures_in_a_row_open_it_for_one_venue() -> None:
    assert broken(failing(2)) == []
    assert broken(failing(3)) == ["orders.okx"]
    (contract,) = [each for each in failing(3).contracts(0.0, 0) if each.name == "orders.okx"]
    assert contract.blocks == "risk"
    assert contract.reason == "circuit breaker: the last 3 orders at okx failed: margin"


@pytest.mark.parametrize("outcome", [rejected(BUY, transient=True), rejected(BUY), unknown(BUY)])
def test_whatever_is_not_done_has_failed(outcome: object) -> None:
    breaker = Breaker(LIMITS)
    for i in range(3):
        breaker.heard(BUY, outcome, 0.0, i * MINUTE_NS)  # type: ignore[arg-type]
    assert broken(breaker, market_now=9 * MINUTE_NS) == ["orders.okx"]


def test_an_order_that_is_done_closes_it_and_one_elsewhere_does_not() -> None:
    breaker = failing(3)
    breaker.heard(OTHER, trade(OTHER), 0.0, 0)
    assert "orders.okx" in broken(breaker, market_now=9 * MINUTE_NS)
    breaker.heard(BUY, trade(BUY), 0.0, 0)
    assert "orders.okx" not in broken(breaker, market_now=9 * MINUTE_NS)


def test_after_a_pause_one_may_try_and_a_failure_opens_it_again() -> None:
    breaker = failing(3, at=100.0)
    assert broken(breaker, 100.0 + PROBE_EVERY_S - 0.1, 9 * MINUTE_NS) == ["orders.okx"]
    assert broken(breaker, 100.0 + PROBE_EVERY_S, 9 * MINUTE_NS) == []
    breaker.heard(BUY, rejected(BUY), 130.0, 9 * MINUTE_NS)
    assert broken(breaker, 131.0, 11 * MINUTE_NS) == ["orders.okx"]


def test_too_many_orders_within_a_minute_open_it_until_the_minute_is_over() -> None:
    breaker = Breaker(LIMITS)
    for i in range(4):
        assert broken(breaker, market_now=i) == []
        breaker.heard(BUY, trade(BUY), 0.0, i)
    assert broken(breaker, market_now=4) == ["orders.rate"]
    assert broken(breaker, market_now=MINUTE_NS) == []


def test_without_limits_it_never_opens() -> None:
    breaker = Breaker(None)
    for _ in range(1000):
        breaker.heard(BUY, rejected(BUY), 0.0, 0)
    assert list(breaker.contracts(0.0, 0)) == []


def test_an_open_breaker_withholds_what_adds_risk_and_nothing_else() -> None:
    row = MarketRow(tick=1, timestamp=0, values={}, stale=(), ages_s={})
    contracts: tuple[Contract, ...] = tuple(failing(3).contracts(0.0, 0))
    standing = Authority(Limits()).judge(row, [], Circumstances(market_now=0, process_now=0.0, contracts=contracts))
    assert standing.no_trade == ()
    assert standing.no_risk == ("circuit breaker: the last 3 orders at okx failed: margin",)
