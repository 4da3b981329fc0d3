"""Event Logger: gives every event its place in one global order and the balances after it, and makes it durable.

It keeps no events: they go to the sink at once. Only this component assigns sequence numbers.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from components.model.events import Event, EventType, PaymentBatch
from components.model.keys import PositionKey
from components.model.orders import OrderGroup
from components.ports import CashFlows, Sink


class EventLogger:
    def __init__(self, sink: Sink, strategy: str, run_id: str) -> None:
        self._sink = sink
        self._strategy = strategy
        self._run_id = run_id
        self.sequence = 0
        self.step = 0

    def statistics(self) -> Mapping[str, int]:
        return {"events": self.sequence, "step": self.step}

    @property
    def correlation_id(self) -> str:
        """Run and decision step: all that one decision caused shares it."""
        return f"{self._run_id}/{self.step}"

    def intend(self, group: OrderGroup, at: int) -> None:
        """The intent of a whole group is durable when this returns."""
        self._sink.intend(group, at)

    def record(
        self,
        event_type: EventType,
        at: int,
        balances: Mapping[PositionKey, float],
        *,
        venue: str = "",
        token: str = "",
        amount: float | None = None,
        status: str = "ok",
        detail: str = "",
    ) -> None:
        event = Event(
            timestamp=at,
            sequence=self.sequence,
            event_type=event_type,
            venue=venue,
            token=token,
            amount=amount,
            status=status,
            strategy=self._strategy,
            correlation_id=self.correlation_id,
            detail=detail,
            balances=balances,
        )
        self.sequence += 1
        self._sink.record((event,))

    def payments(self, flows: tuple[CashFlows, ...], rows: int, balances: Mapping[PositionKey, float]) -> None:
        """Cash flows of the first `rows` rows of a window as one batch, in order of row, then of source."""
        counts = [int(flow.row.searchsorted(rows)) for flow in flows]
        total = sum(counts)
        if not total:
            return
        if len(flows) == 1:
            which = np.zeros(total, dtype=np.int64)
            row, at, amount = flows[0].row[:total], flows[0].at[:total], flows[0].amount[:total]
        else:
            row = np.concatenate([flow.row[:count] for flow, count in zip(flows, counts, strict=True)])
            which = np.arange(len(flows)).repeat(counts)
            by_row = row.argsort(kind="stable")  # within a row in the order of the sources
            which, row = which[by_row], row[by_row]
            at = np.concatenate([flow.at[:count] for flow, count in zip(flows, counts, strict=True)])[by_row]
            amount = np.concatenate([flow.amount[:count] for flow, count in zip(flows, counts, strict=True)])[by_row]
        batch = PaymentBatch(
            first_sequence=self.sequence,
            strategy=self._strategy,
            correlation_id=self.correlation_id,
            event_types=tuple(flow.event_type for flow in flows),
            tokens=tuple(flow.token for flow in flows),
            keys=tuple(flow.key for flow in flows),
            details=tuple(flow.detail for flow in flows),
            which=which,
            row=row,
            at=at,
            amount=amount,
            balances=balances,
        )
        self.sequence += total
        self._sink.record((batch,))
