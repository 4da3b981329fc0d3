"""Venue Interface Manager: routes orders to the execution interface of their venue.

Legs that share an interface leave in one call, so that `together` means together.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from components.model.keys import VenueName
from components.model.orders import Order, Trade
from components.ports import Approved, Execution


class VenueInterfaceManager:
    def __init__(self, interfaces: Mapping[VenueName, Execution]) -> None:
        self._interfaces = interfaces

    def knows(self, venue: VenueName) -> bool:
        return venue in self._interfaces

    def execute(self, approved: Approved) -> tuple[Trade, ...]:
        """One trade per order, in order-list order."""
        group = approved.group
        interfaces = [self._interfaces[order.venue] for order in group.orders]
        if all(interface is interfaces[0] for interface in interfaces):
            return interfaces[0].execute(approved)
        trades: dict[str, Trade] = {}
        for interface in dict.fromkeys(interfaces):
            legs: tuple[Order, ...] = tuple(o for o, i in zip(group.orders, interfaces, strict=True) if i is interface)
            for trade in interface.execute(Approved(msgspec.structs.replace(group, orders=legs), approved.adds_risk)):
                trades[trade.order_id] = trade
        return tuple(trades[order.id] for order in group.orders)
