"""Rows for people: positions as expected and observed, and what an emergency stop would send."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from components.model.orders import OrderGroup
from daemon.replica import Replica


def positions_shown(replicas: Iterable[Replica]) -> list[dict[str, Any]]:
    """A row per position of each strategy; `observed` is None where no venue tells of it."""
    return [
        {
            "strategy": replica.strategy,
            "key": key,
            "expected": replica.positions.get(key, 0.0),
            "observed": replica.observed.get(key),
        }
        for replica in replicas
        for key in sorted({*replica.positions, *replica.observed})
    ]


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
