"""Circuit breaker of one strategy: orders that keep failing at a venue, and orders that leave too fast, open it.

While it is open nothing that adds risk leaves; what reduces risk always may. After a pause it lets one step try: an
order that is done closes it, one that fails opens it again. Pauses are process time in seconds; the rate is counted in
market time (ns), as steps are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import msgspec

from components.model.keys import VenueName
from components.model.orders import DONE, Order, Trade
from daemon.replica import Contract

PROBE_EVERY_S = 30.0
MINUTE_NS = 60_000_000_000


class BreakerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Where it opens: orders in a row that a venue did not do, and orders that left within a minute."""

    failures_in_a_row: int = 5
    orders_per_minute: int = 60


class Breaker:
    """`limits` None: it never opens."""

    def __init__(self, limits: BreakerLimits | None) -> None:
        self.limits = limits
        self._failed: dict[VenueName, int] = {}
        self._last_failure: dict[VenueName, tuple[float, str]] = {}
        self._left: deque[int] = deque()

    def heard(self, order: Order, trade: Trade, at: float, market_now: int) -> None:
        """What became of an order that was sent."""
        self._left.append(market_now)
        if trade.status in DONE:
            self._failed.pop(order.venue, None)
            self._last_failure.pop(order.venue, None)
        else:
            self._failed[order.venue] = self._failed.get(order.venue, 0) + 1
            self._last_failure[order.venue] = (at, trade.reason or trade.status.value)

    def contracts(self, at: float, market_now: int) -> Iterator[Contract]:
        """How it stands; a contract that does not hold keeps what adds risk from leaving."""
        limits = self.limits
        if limits is None:
            return
        for venue, failed in sorted(self._failed.items()):
            since, why = self._last_failure[venue]
            holds = failed < limits.failures_in_a_row or at - since >= PROBE_EVERY_S
            reason = f"circuit breaker: the last {failed} orders at {venue} failed: {why}"
            yield Contract(name=f"orders.{venue}", holds=holds, blocks="risk", reason="" if holds else reason)
        while self._left and market_now - self._left[0] >= MINUTE_NS:
            self._left.popleft()
        count, most = len(self._left), limits.orders_per_minute
        reason = f"circuit breaker: {count} orders left within a minute, limit {most}"
        yield Contract(name="orders.rate", holds=count < most, blocks="risk", reason="" if count < most else reason)
