"""Venue Manager: checks an order group before it may leave; the verdict is a type.

A group is approved or withheld as a whole: a single leg is never cut out of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

from components.model.keys import VenueName
from components.model.orders import Order, OrderGroup, Trade, Verb
from components.model.slices import CexSlice
from components.ports import Approved, Withheld
from components.venue_interface_manager import VenueInterfaceManager

SIGNED = frozenset({Verb.SPOT, Verb.PERP})


class VenueManager:
    def __init__(self, interfaces: VenueInterfaceManager, exchanges: Mapping[VenueName, CexSlice]) -> None:
        self._interfaces = interfaces
        self._exchanges = exchanges

    def approve(self, group: OrderGroup, prices_usdt: Mapping[str, float]) -> Approved | Withheld:
        """Approved, or Withheld with every reason. `prices_usdt`: USDT per unit by order id, where known."""
        reasons = [reason for order in group.orders for reason in self._faults(order, prices_usdt.get(order.id))]
        return Withheld(group, tuple(reasons)) if reasons else Approved(group)

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
