"""What metrics and reports are told as it happens: left for their readers, and read off records and pictures there."""

from __future__ import annotations

from typing import Protocol

from components.model.events import EventType
from components.model.keys import PositionKey, PositionType, token_of
from components.model.orders import CostKind
from daemon.journal.records import Events, Outcome, Record
from daemon.monitoring.metrics import Metrics
from daemon.monitoring.readers import Reader
from daemon.replica import Replica


class Reports(Protocol):
    """Where an error of a cell is reported to people far away."""

    def crashed(self, strategy: str, error: BaseException) -> None: ...


class ToldMetrics:
    """The telemetry of a cell: each call leaves its facts for the metrics' own task."""

    def __init__(self, metrics: Metrics, reader: Reader) -> None:
        self._metrics = metrics
        self._reader = reader

    def step(self, strategy: str, seconds: float, outcome: str) -> None:
        self._reader.tell(self._metrics.step, strategy, seconds, outcome)

    def venue_request(self, venue: str, endpoint: str, outcome: str, seconds: float) -> None:
        self._reader.tell(self._metrics.venue_request, venue, endpoint, outcome, seconds)

    def reconciliation(self, venue: str, outcome: str) -> None:
        self._reader.tell(self._metrics.reconciliation, venue, outcome)

    def order(self, venue: str, strategy: str, side: str, outcome: str) -> None:
        self._reader.tell(self._metrics.order, venue, strategy, side, outcome)

    def order_ack(self, venue: str, seconds: float) -> None:
        self._reader.tell(self._metrics.order_ack, venue, seconds)

    def order_retry(self, reason: str) -> None:
        self._reader.tell(self._metrics.order_retry, reason)


class ToldReports:
    """The supervisor's view of the reports: who reports far away does it in a task of its own."""

    def __init__(self, reports: Reports, reader: Reader) -> None:
        self._reports = reports
        self._reader = reader

    def crashed(self, strategy: str, error: BaseException) -> None:
        self._reader.tell(self._reports.crashed, strategy, error)


def count(metrics: Metrics, record: Record) -> None:
    """What one journal record adds to the counters."""
    if isinstance(record, Outcome):
        count_costs(metrics, record)
    elif isinstance(record, Events):
        for event in record.events:
            metrics.event(event.event_type.value)
            if event.event_type is EventType.RECONCILIATION_FAILED and event.venue:
                metrics.reconciliation(event.venue, "failed")


def show(metrics: Metrics, replica: Replica) -> None:
    """From now on this is how the strategy stands."""
    metrics.publish(replica)
    unhedged = unhedged_usd(replica)
    if unhedged is not None:  # not known is not hedged: the figure of before stands, and its age shows
        metrics.leg_imbalance(replica.strategy, unhedged)


def count_costs(metrics: Metrics, outcome: Outcome) -> None:
    """Fees in USDT by kind, and slippage as a share of the notional."""
    trade = outcome.trade
    if trade is None:
        return
    for cost in trade.costs:
        if cost.kind is CostKind.SLIPPAGE:
            if trade.price and trade.quantity:
                metrics.slippage(trade.venue, cost.amount / (abs(trade.quantity) * trade.price))
        elif cost.token == "USDT":
            metrics.fees(trade.venue, cost.kind.value, cost.amount)


def unhedged_usd(replica: Replica) -> float | None:
    """Net exposure of a hedged strategy in USDT; 0 where nothing is hedged, None where a figure is not known."""
    gross = 0.0
    for key, amount in replica.positions.items():
        held = PositionKey(key)
        if held.position_type is not PositionType.PERP or not amount:
            continue
        price = replica.prices.get(f"{held.venue}.perp.{token_of(held)}")
        if price is None:
            return None
        gross += abs(amount) * price
    delta = replica.columns.get("net_delta")
    if delta is None:
        return None if gross else 0.0
    return abs(delta) * gross
