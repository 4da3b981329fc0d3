"""Short answers from the journals for people: the newest events, and orders with what became of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from daemon.journal.journal import Journal
from daemon.journal.records import Events, Intent, Outcome


def events_of(journals: Mapping[str, Journal], strategy: str | None, limit: int) -> list[Any]:
    """The newest `limit` events of one strategy or of all, oldest first."""
    found: list[Any] = []
    for name, journal in journals.items():
        if strategy in (None, name):
            newest: deque[Any] = deque(maxlen=limit)
            for _, record in journal.records():
                if isinstance(record, Events):
                    newest.extend(record.events)
            found += [
                {
                    "timestamp": event.timestamp,
                    "strategy": name,
                    "order": event.order,
                    "event_type": event.event_type.value,
                    "venue": event.venue,
                    "token": event.token,
                    "amount": event.amount,
                    "status": event.status,
                    "detail": event.detail,
                    "correlation_id": event.correlation_id,
                }
                for event in newest
            ]
    return sorted(found, key=lambda each: each["timestamp"])[-limit:]


def orders_of(journals: Mapping[str, Journal], strategy: str | None) -> list[Any]:
    """Every order with its last state, in the order they were intended."""
    found: dict[str, dict[str, Any]] = {}
    for name, journal in journals.items():
        if strategy not in (None, name):
            continue
        for _, record in journal.records():
            if isinstance(record, Intent):
                for order in record.group.orders:
                    found[order.id] = {
                        "id": order.id,
                        "strategy": name,
                        "at": record.at,
                        "venue": order.venue,
                        "verb": order.verb.value,
                        "token": order.token,
                        "amount": order.amount,
                        "leg": order.leg,
                        "origin": record.origin,
                        "state": "intent",
                        "quantity": None,
                        "price": None,
                        "reason": "",
                    }
            elif isinstance(record, Outcome) and record.order_id in found:
                trade = record.trade
                found[record.order_id] |= {
                    "state": record.state,
                    "quantity": trade.quantity if trade else None,
                    "price": trade.price if trade else None,
                    "reason": record.reason,
                }
    return list(found.values())
