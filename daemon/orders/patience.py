"""How long dispatch waits for what."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from daemon.config.daemon_file import DaemonLimits
from venues.interfaces import DoorTerms


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long what may take, seconds of process time. Their sum bounds how long a stop may wait for an order."""

    order_grace_s: float = 8.0  # one request, from its start
    unknown_budget_s: float = 4.0  # asking after an unknown outcome inside a step
    legs_s: float = 6.0  # completing the legs of a group that did not leave
    first_retry_s: float = 0.25
    legs_cost_bps: float = 20.0  # a price that has moved further against a late leg ends its completion
    absent_after_s: float = 2.0  # "never heard of it" counts only this long after the request ended

    def grace_s(self, terms: DoorTerms) -> float:
        """How long one request at such a door may take: what is configured, or what the door itself needs."""
        return max(self.order_grace_s, terms.answer_s)

    def seen_through_s(self, doors: Iterable[DoorTerms]) -> float:
        """How long after a request the slowest of these doors may still do something."""
        return max((self.grace_s(terms) for terms in doors), default=self.order_grace_s) + self.unknown_budget_s


def patience_of(limits: DaemonLimits) -> Patience:
    """How long dispatch waits for what, as configured."""
    return Patience(
        order_grace_s=limits.order_grace_s,
        unknown_budget_s=limits.unknown_budget_s,
        legs_s=limits.leg_deadline_s,
        legs_cost_bps=limits.leg_cost_bps,
    )
