"""Whether a group that adds risk may still leave: asked by dispatch right before the send, for whoever sends.

Authority was judged when the step began; a step may take long, and what it knows grows old meanwhile. What reduces risk
is not asked: a hedge on old prices is better than none. Pure; times are market time, UTC ns.
"""

from __future__ import annotations

from collections.abc import Mapping

from components.model.keys import VenueName
from components.model.orders import Order, OrderGroup, Trade
from components.model.slices import CexSlice
from components.pieces import Limits, too_large
from daemon.world.rows import MarketRow


class Terms:
    """What a dispatch asks before a send and tells after it; by itself, as in an emergency, nothing is in the way."""

    def unfit(self, group: OrderGroup) -> str:
        """Why a group that adds risk may not leave now, "" when it may."""
        return ""

    def moved_bps(self, order: Order) -> float:
        """How far the price has moved against an order since it was decided on."""
        return 0.0

    def heard(self, order: Order, trade: Trade, at: float, market_now: int) -> None:
        """What became of an order; `at` process time."""

    def waits(self) -> None:
        """A door that is slow by its nature is waited for: told now and then, it is no standstill."""


FREE = Terms()


def unfit(
    group: OrderGroup,
    row: MarketRow | None,
    now: int,
    *,
    max_age_s: float,
    max_trade_usdt: float | None,
    exchanges: Mapping[VenueName, CexSlice],
) -> str:
    """Why it may not, "" when it may. `row` is what it was decided on, `max_trade_usdt` the guard's bound per order."""
    if row is None:
        return "no market row is known"
    age = (now - row.timestamp) / 1e9
    if age > max_age_s:
        return f"stale: the row it was decided on is {age:.0f} s old, limit {max_age_s:g} s"
    limits = Limits(exchanges, max_trade_usdt)
    sizes = (too_large(order, group.action, price_usdt(order, row), limits) for order in group.orders)
    return next((reason for reason in sizes if reason), "")


def price_usdt(order: Order, row: MarketRow) -> float | None:
    """What an exchange order trades at in a row, USDT per coin; None where the row has no price of that kind."""
    return row.values.get(f"{order.venue}.{order.verb.value}.{order.token}")
