"""Pieces: orders above the largest that a venue or a guard takes, cut into groups that fit, with their legs in step.

Each piece has the same share of every leg but for its lot, so that what is hedged stays hedged between any two of them.
The core cuts, and so does the exit of an emergency; what is still too large is refused, by the core and again by
dispatch, both through `too_large`. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from math import ceil, isfinite

import msgspec
from msgspec import structs

from components.maths.costs import round_to_lot
from components.model.keys import Instrument, VenueName
from components.model.orders import Action, GroupKind, Order, OrderGroup, Verb, part_of, reduces_risk
from components.model.slices import CexSlice
from components.situation import Situation

MOST_PIECES = 1000  # of an order without a grid
FINER = 32  # a count that does not do yet grows by its so many-th part
ROUNDING = 1.0 + 1e-9  # of a limit: as much above it is no more than rounding


class Limits(msgspec.Struct, frozen=True):
    """The largest single orders, USDT: of each exchange, and of a guard over all that trades (None = no guard)."""

    exchanges: Mapping[VenueName, CexSlice]
    guard_usdt: float | None = None

    def largest(self, order: Order) -> float | None:
        exchange = self.exchanges.get(order.venue) if order.verb in (Verb.SPOT, Verb.PERP) else None
        if exchange is None:
            return self.guard_usdt
        return exchange.max_trade_usdt if self.guard_usdt is None else min(self.guard_usdt, exchange.max_trade_usdt)

    def instrument(self, order: Order) -> Instrument | None:
        exchange = self.exchanges.get(order.venue)
        return None if exchange is None else exchange.instruments.get(f"{order.verb.value}.{order.token}")


def too_large(order: Order, action: Action, price_usdt: float | None, limits: Limits) -> str:
    """Why an order is refused for its size, "" when it is not; what only makes a position smaller never is."""
    if price_usdt is None or reduces_risk(order, action):
        return ""
    notional = abs(order.amount) * price_usdt
    exchange = limits.exchanges.get(order.venue)
    if exchange is not None and notional > exchange.max_trade_usdt * ROUNDING:
        return (
            f"{order.leg}: notional {notional:.2f} USDT is above max_trade_usdt {exchange.max_trade_usdt:.2f} "
            f"of {order.venue}"
        )
    if limits.guard_usdt is not None and notional > limits.guard_usdt * ROUNDING:
        return f"{order.leg}: notional {notional:.2f} USDT is above the guard's {limits.guard_usdt:.2f}"
    return ""


def prices_of(group: OrderGroup, now: Situation) -> dict[str, float]:
    """USDT per unit, by id of the orders that have an exchange price."""
    prices = {}
    for order in group.orders:
        if order.verb in (Verb.SPOT, Verb.PERP):
            name = f"{order.venue}.{order.verb}.{order.token}"
            if name in now.row.market.columns and isfinite(price := now.value(name)):
                prices[order.id] = price
    return prices


def pieces(group: OrderGroup, prices_usdt: Mapping[str, float], limits: Limits) -> tuple[OrderGroup, ...]:
    """`group` as groups none of which has an order above its limit, unless a single lot is; an atomic group, and one
    whose pieces would be too small for their venues, as it is."""
    if group.kind is GroupKind.ATOMIC:
        return (group,)
    bounds = [limits.largest(order) for order in group.orders]
    prices = [prices_usdt.get(order.id, 0.0) for order in group.orders]
    legs = list(zip(group.orders, bounds, prices, strict=True))
    times = max([abs(o.amount) * price / bound for o, bound, price in legs if bound], default=0.0)
    if times <= ROUNDING:
        return (group,)
    most = max(_lots(order, limits) for order in group.orders)
    count = min(ceil(times / ROUNDING), most)
    while True:
        shares = [_shares(order, count, limits) for order in group.orders]
        fits = all(
            abs(amount) * price <= bound * ROUNDING or abs(amount) <= _lot(order, limits) * ROUNDING
            for (order, bound, price), each in zip(legs, shares, strict=True)
            if bound is not None
            for amount in each
        )
        if fits or count >= most:
            break
        count = min(count + 1 + count // FINER, most)
    if any(
        _is_too_small(order, amount * price, limits)
        for (order, _, price), each in zip(legs, shares, strict=True)
        for amount in each
    ):
        return (group,)
    return tuple(_made(group, shares, count))


def _made(group: OrderGroup, shares: list[list[float]], count: int) -> list[OrderGroup]:
    out = []
    for i in range(count):
        orders = []
        for order, share in zip(group.orders, shares, strict=True):
            if share[i]:
                id = sha256(f"{order.id}/{i}".encode()).hexdigest()[:28]
                last = order.everything and i == count - 1
                orders.append(structs.replace(part_of(order, share[i]), id=id, everything=last))
        if orders:
            kind = group.kind if len(orders) > 1 else GroupKind.ONE
            out.append(structs.replace(group, id=f"{group.id}/{i}", kind=kind, orders=tuple(orders)))
    return out


def _is_too_small(order: Order, notional_usdt: float, limits: Limits) -> bool:
    instrument = limits.instrument(order)
    if instrument is None or order.reduce_only or order.everything:
        return False
    return 0.0 < abs(notional_usdt) < instrument.minimum_notional_usdt


def _shares(order: Order, count: int, limits: Limits) -> list[float]:
    """An order in `count` parts on the venue's grid, as equal as that lets them be; what is off it comes last."""
    lot = _lot(order, limits)
    ends = [round_to_lot(order.amount * (i + 1) / count, lot) for i in range(count - 1)] + [order.amount]
    return [end - begin for begin, end in zip([0.0, *ends], ends, strict=False)]


def _lots(order: Order, limits: Limits) -> int:
    lot = _lot(order, limits)
    return ceil(abs(order.amount) / lot) if lot else MOST_PIECES


def _lot(order: Order, limits: Limits) -> float:
    instrument = limits.instrument(order)
    return 0.0 if instrument is None else instrument.lot
