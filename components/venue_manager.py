"""Venue Manager: checks an order group before it may leave; the verdict is a type.

A group is approved or withheld as a whole: a single leg is never cut out of it. What adds risk needs more than what
reduces it: authority, and no order whose outcome is uncertain. "Adding" means raising the worst end of |net coins|.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

import msgspec

from components.model.keys import VenueName
from components.model.orders import GroupKind, Order, OrderGroup, Trade, Verb, coins_moved, leg_of, reduces_risk
from components.model.slices import CexSlice
from components.pieces import Limits, pieces, too_large
from components.ports import GRANTED, Approved, Standing, Withheld
from components.venue_interface_manager import VenueInterfaceManager

SIGNED = frozenset({Verb.SPOT, Verb.PERP})
SMALLER = 1.0 - 1e-9  # of the worst end: less is a reduction


class Uncertainty(msgspec.Struct, frozen=True):
    """Net coins of the asset, lowest and highest, given orders whose outcome is not known: their ids, and the legs on
    which nothing else may happen before it is."""

    coin: str
    reference_usdt: float
    low: float
    high: float
    orders: tuple[str, ...] = ()
    legs: frozenset[str] = frozenset()


CERTAIN = Uncertainty("", 1.0, 0.0, 0.0)


class VenueManager:
    def __init__(self, interfaces: VenueInterfaceManager, exchanges: Mapping[VenueName, CexSlice]) -> None:
        self._interfaces = interfaces
        self._exchanges = exchanges

    def approve(
        self,
        group: OrderGroup,
        prices_usdt: Mapping[str, float],
        standing: Standing = GRANTED,
        uncertainty: Uncertainty = CERTAIN,
    ) -> Approved | Withheld:
        """Approved, or Withheld with every reason. `prices_usdt`: USDT per unit by order id, where known."""
        reasons = self._faults(group.orders)
        if uncertainty.legs:
            legs = dict.fromkeys(leg_of(order, self._exchanges) for order in group.orders)
            reasons += [f"the outcome of an order on {leg} is not known" for leg in legs if leg in uncertainty.legs]
        reasons += standing.no_trade
        is_adding = adds_risk(group, uncertainty)
        limits = Limits(self._exchanges, standing.max_trade_usdt if is_adding else None)
        if is_adding:
            reasons += standing.no_risk
            reasons += [f"the outcome of order {order} is not known" for order in uncertainty.orders]
        for order in group.orders:
            if reason := too_large(order, group.action, prices_usdt.get(order.id), limits):
                reasons.append(reason)
        return Withheld(group, tuple(dict.fromkeys(reasons))) if reasons else Approved(group, is_adding)

    def pieces(self, group: OrderGroup, prices_usdt: Mapping[str, float], standing: Standing) -> tuple[OrderGroup, ...]:
        """A group as groups that fit the limits of its venues and the guard."""
        return pieces(group, prices_usdt, Limits(self._exchanges, standing.max_trade_usdt))

    def execute(self, approved: Approved) -> tuple[Trade, ...]:
        return self._interfaces.execute(approved)

    def _faults(self, orders: tuple[Order, ...]) -> list[str]:
        faults = []
        for order in orders:
            if not self._interfaces.knows(order.venue):
                faults.append(f"{order.leg}: no interface for venue {order.venue!r}")
            if not isfinite(order.amount):
                faults.append(f"{order.leg}: amount {order.amount} is not a number")
            elif order.amount == 0.0 or (order.amount < 0.0 and order.verb not in SIGNED):
                faults.append(f"{order.leg}: amount {order.amount} must be positive")
        return faults


def adds_risk(group: OrderGroup, uncertainty: Uncertainty) -> bool:
    """False for a group whose orders can only make positions smaller, or that shrinks the worst end of |net coins|.

    Legs of a group that is not atomic can part: what would raise that end without some of them adds risk too.
    """
    if all([reduces_risk(order, group.action) for order in group.orders]):
        return False
    moves = [coins_moved(order, uncertainty.coin, uncertainty.reference_usdt) for order in group.orders]
    before, moved = max(abs(uncertainty.low), abs(uncertainty.high)), sum(moves)
    if group.kind is not GroupKind.ATOMIC:
        bought, sold = sum([max(each, 0.0) for each in moves]), sum([min(each, 0.0) for each in moves])
        if max(abs(uncertainty.high + bought), abs(uncertainty.low + sold)) > before * (2.0 - SMALLER):
            return True
    return not max(abs(uncertainty.low + moved), abs(uncertainty.high + moved)) < before * SMALLER
