"""Venue Manager: checks an order group before it may leave; the verdict is a type.

A group is approved or withheld as a whole: a single leg is never cut out of it. What adds risk needs more than what
reduces it: authority, and no order whose outcome is in doubt. "Adding" means raising the worst end of |net coins|.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from math import ceil, isfinite

import msgspec
from msgspec import structs

from components.maths.costs import round_to_lot
from components.model.keys import VenueName
from components.model.orders import GroupKind, Order, OrderGroup, Trade, Verb, coins_moved, leg_of, reduces_risk
from components.model.slices import CexSlice
from components.ports import GRANTED, Approved, Standing, Withheld
from components.venue_interface_manager import VenueInterfaceManager

SIGNED = frozenset({Verb.SPOT, Verb.PERP})
MOST_PIECES = 1000  # of an order without a grid
SMALLER = 1.0 - 1e-9  # of the worst end: less is a reduction


class Doubt(msgspec.Struct, frozen=True):
    """Net coins of the asset, lowest and highest, given orders whose outcome is not known: their ids, and the legs on
    which nothing else may happen before it is."""

    coin: str
    reference_usdt: float
    low: float
    high: float
    orders: tuple[str, ...] = ()
    legs: frozenset[str] = frozenset()


NO_DOUBT = Doubt("", 1.0, 0.0, 0.0)


class VenueManager:
    def __init__(self, interfaces: VenueInterfaceManager, exchanges: Mapping[VenueName, CexSlice]) -> None:
        self._interfaces = interfaces
        self._exchanges = exchanges

    def approve(
        self,
        group: OrderGroup,
        prices_usdt: Mapping[str, float],
        standing: Standing = GRANTED,
        doubt: Doubt = NO_DOUBT,
    ) -> Approved | Withheld:
        """Approved, or Withheld with every reason. `prices_usdt`: USDT per unit by order id, where known."""
        reasons = [reason for order in group.orders for reason in self._faults(order, prices_usdt.get(order.id))]
        legs = dict.fromkeys(leg_of(order, self._exchanges) for order in group.orders)
        reasons += [f"the outcome of an order on {leg} is not known" for leg in legs if leg in doubt.legs]
        reasons += standing.no_trade
        is_adding = adds_risk(group, doubt)
        if is_adding and (standing.no_risk or doubt.orders):
            reasons += standing.no_risk
            reasons += [f"the outcome of order {order} is not known" for order in doubt.orders]
        elif is_adding and standing.max_trade_usdt is not None:
            for order in group.orders:
                notional = abs(order.amount) * prices_usdt.get(order.id, 0.0)
                if notional > standing.max_trade_usdt:
                    reasons.append(
                        f"{order.leg}: notional {notional:.2f} USDT is above the guard's {standing.max_trade_usdt:.2f}"
                    )
        return Withheld(group, tuple(dict.fromkeys(reasons))) if reasons else Approved(group, is_adding)

    def pieces(
        self, group: OrderGroup, prices_usdt: Mapping[str, float], standing: Standing, doubt: Doubt
    ) -> tuple[OrderGroup, ...]:
        """A group that reduces risk and is too large for the guard, as groups that are not; any other as it is.

        Legs stay together: each piece has the same share of every leg but for its lot, and no piece is above the guard
        unless a single lot is.
        """
        limit = standing.max_trade_usdt
        largest = max((abs(o.amount) * prices_usdt.get(o.id, 0.0) for o in group.orders), default=0.0)
        if limit is None or largest <= limit or group.kind is GroupKind.ATOMIC or adds_risk(group, doubt):
            return (group,)
        most = max(self._lots(order) for order in group.orders)
        for count in range(min(ceil(largest / limit), most), most + 1):
            shares = [self._shares(order, count) for order in group.orders]
            prices = [prices_usdt.get(order.id, 0.0) for order in group.orders]
            if all(abs(x) * price <= limit for each, price in zip(shares, prices, strict=True) for x in each):
                break
        out = []
        for i in range(count):
            orders = []
            for order, share in zip(group.orders, shares, strict=True):
                if share[i]:
                    id = sha256(f"{order.id}/{i}".encode()).hexdigest()[:28]
                    last = order.everything and i == count - 1
                    orders.append(structs.replace(order, id=id, amount=share[i], everything=last))
            if orders:
                out.append(structs.replace(group, id=f"{group.id}/{i}", orders=tuple(orders)))
        return tuple(out)

    def _shares(self, order: Order, count: int) -> list[float]:
        """An order in `count` parts on the venue's grid, as equal as that lets them be; what is off it comes last."""
        lot = self._lot(order)
        ends = [round_to_lot(order.amount * (i + 1) / count, lot) for i in range(count - 1)] + [order.amount]
        return [end - begin for begin, end in zip([0.0, *ends], ends, strict=False)]

    def _lots(self, order: Order) -> int:
        lot = self._lot(order)
        return ceil(abs(order.amount) / lot) if lot else MOST_PIECES

    def _lot(self, order: Order) -> float:
        exchange = self._exchanges.get(order.venue)
        instrument = exchange.instruments.get(f"{order.verb.value}.{order.token}") if exchange is not None else None
        return 0.0 if instrument is None else instrument.lot

    def execute(self, approved: Approved) -> tuple[Trade, ...]:
        return self._interfaces.execute(approved)

    def _faults(self, order: Order, price_usdt: float | None) -> list[str]:
        faults = []
        if not self._interfaces.knows(order.venue):
            faults.append(f"{order.leg}: no interface for venue {order.venue!r}")
        if not isfinite(order.amount):
            faults.append(f"{order.leg}: amount {order.amount} is not a number")
        elif order.amount == 0.0 or (order.amount < 0.0 and order.verb not in SIGNED):
            faults.append(f"{order.leg}: amount {order.amount} must be positive")
        exchange = self._exchanges.get(order.venue)
        if exchange is not None and price_usdt is not None and not order.reduce_only:
            notional = abs(order.amount) * price_usdt
            if notional > exchange.max_trade_usdt:
                faults.append(
                    f"{order.leg}: notional {notional:.2f} USDT is above max_trade_usdt {exchange.max_trade_usdt:.2f} "
                    f"of {order.venue}"
                )
        return faults


def adds_risk(group: OrderGroup, doubt: Doubt) -> bool:
    """False for a group whose orders can only make positions smaller, or that shrinks the worst end of |net coins|.

    Legs of a group that is not atomic can part: what would raise that end without some of them adds risk too.
    """
    if all(reduces_risk(order, group.action) for order in group.orders):
        return False
    moves = [coins_moved(order, doubt.coin, doubt.reference_usdt) for order in group.orders]
    before, moved = max(abs(doubt.low), abs(doubt.high)), sum(moves)
    if group.kind is not GroupKind.ATOMIC:
        bought, sold = sum(max(each, 0.0) for each in moves), sum(min(each, 0.0) for each in moves)
        if max(abs(doubt.high + bought), abs(doubt.low + sold)) > before * (2.0 - SMALLER):
            return True
    return not max(abs(doubt.low + moved), abs(doubt.high + moved)) < before * SMALLER
