"""Rows for people: positions as expected and observed, and what an emergency stop would send."""

from __future__ import annotations

from collections.abc import Iterable
from math import isnan
from typing import Any

import msgspec

from daemon.control.holdings import holdings
from daemon.replica import Replica
from daemon.safety.plan import Planned


def positions_shown(replicas: Iterable[Replica]) -> list[dict[str, Any]]:
    """A row per position of each strategy; `observed` is None where no venue tells of it."""
    return [msgspec.to_builtins(holding) for holding in holdings(replicas)]


def plan_shown(strategy: str, steps: Iterable[Planned]) -> list[dict[str, Any]]:
    """A row per order of the whole plan; `cost` of its group stands in the first, share-class currency, None without a
    price. `after_s` is how much later it can be sent, market time, None when nobody knows what it waits for."""
    return [
        {
            "strategy": strategy,
            "step": number,
            "after_s": step.after_s,
            "venue": order.venue,
            "verb": order.verb.value,
            "token": order.token,
            "amount": order.amount,
            "leg": order.leg,
            "cost": (None if isnan(step.cost) else step.cost) if i == 0 else 0.0,
            "refused": step.refused,
        }
        for number, step in enumerate(steps, start=1)
        for i, order in enumerate(step.group.orders)
    ]
