"""Venue Interface Manager: a group of orders to the execution interface of its venues.

A group leaves in one call, so that `together` means together.
"""

from __future__ import annotations

from collections.abc import Mapping

from components.model.keys import VenueName
from components.model.orders import Trade
from components.ports import Approved, Execution


class VenueInterfaceManager:
    def __init__(self, interfaces: Mapping[VenueName, Execution]) -> None:
        self._interfaces = interfaces

    def knows(self, venue: VenueName) -> bool:
        return venue in self._interfaces

    def execute(self, approved: Approved) -> tuple[Trade, ...]:
        """One trade per order, in order-list order."""
        orders = approved.group.orders
        interface = self._interfaces[orders[0].venue]
        if any(self._interfaces[order.venue] is not interface for order in orders):
            raise ValueError(f"group {approved.group.id} is of several interfaces, and leaves in one call")
        return interface.execute(approved)
