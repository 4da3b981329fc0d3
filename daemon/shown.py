"""Rows for people: positions as expected and observed, and what an emergency stop would send."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from components.model.orders import OrderGroup
from daemon.holdings import holdings
from daemon.replica import Replica


def positions_shown(replicas: Iterable[Replica]) -> list[dict[str, Any]]:
    """A row per position of each strategy; `observed` is None where no venue tells of it."""
    return [msgspec.to_builtins(holding) for holding in holdings(replicas)]


def plan_shown(strategy: str, groups: Iterable[OrderGroup]) -> list[dict[str, Any]]:
    """A row per order."""
    return [
        {
            "strategy": strategy,
            "venue": order.venue,
            "verb": order.verb.value,
            "token": order.token,
            "amount": order.amount,
            "leg": order.leg,
        }
        for group in groups
        for order in group.orders
    ]
