"""What a record tells people as events: those a core made, and those of an emergency, which has none to make them."""

from __future__ import annotations

from collections.abc import Mapping

from components.model.events import Event, EventType
from components.model.orders import OrderState
from daemon.journal.records import Events, LatchChanged, Outcome, Record

EMERGENCY = "emergency"  # the origin of orders that leave without a core
KINDS: Mapping[str, EventType] = {
    OrderState.FILLED: EventType.TRADE,
    OrderState.PARTIAL: EventType.TRADE,
    OrderState.UNKNOWN: EventType.ORDER_UNKNOWN,
}


def events_of(strategy: str, record: Record) -> tuple[Event, ...]:
    """Events in their order; none for a record that only machines read. Balances of an emergency are not known here."""
    match record:
        case Events():
            return record.events
        case Outcome() if record.origin == EMERGENCY:
            trade = record.trade
            return (
                _event(
                    strategy,
                    record.at,
                    KINDS.get(record.state, EventType.ORDER_REJECTED),
                    record.state,
                    f"{record.order_id}" + (f": {record.reason}" if record.reason else ""),
                    venue="" if trade is None else trade.venue,
                    token="" if trade is None else trade.token,
                    amount=None if trade is None else trade.quantity,
                ),
            )
        case LatchChanged():
            awaited = f"; awaits {', '.join(record.awaited)}" if record.awaited else ""
            return (_event(strategy, record.at, EventType.EMERGENCY_STOP, record.phase, f"{record.reason}{awaited}"),)
        case _:
            return ()


def _event(
    strategy: str,
    at: int,
    kind: EventType,
    status: str,
    detail: str,
    *,
    venue: str = "",
    token: str = "",
    amount: float | None = None,
) -> Event:
    return Event(
        timestamp=at,
        sequence=0,
        event_type=kind,
        venue=venue,
        token=token,
        amount=amount,
        status=status,
        strategy=strategy,
        correlation_id=EMERGENCY,
        detail=detail,
        balances={},
    )
