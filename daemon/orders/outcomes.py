"""What became of an order, in the words of the journal, and how it enters the book when it is known late."""

from __future__ import annotations

from components.model.events import EventType
from components.model.orders import Order, OrderState, RejectKind, Trade, TradeStatus, Verb, advance
from components.ports import LATE, PAID, Happening
from daemon.journal.records import Outcome

STATES = {
    TradeStatus.FILLED: OrderState.FILLED,
    TradeStatus.PARTIAL: OrderState.PARTIAL,
    TradeStatus.REJECTED: OrderState.REJECTED,
    TradeStatus.UNKNOWN: OrderState.UNKNOWN,
}


def state_of(trade: Trade | None) -> OrderState:
    """The journal's word for what became of an order; None = nobody says. What has paid gas, or lost
    its nonce to another, was sent."""
    if trade is None:
        return OrderState.UNKNOWN
    was_sent = bool(trade.changes) or trade.refusal is RejectKind.REPLACED
    return OrderState.NOT_SENT if trade.transient and not was_sent else STATES[trade.status]


def outcome_of(
    order: Order, trade: Trade | None, before: OrderState, *, at: int, origin: str, reason: str = ""
) -> Outcome:
    """What became of an order that was in state `before`, as a record; ValueError where no order goes that way."""
    return Outcome(
        at=at,
        order_id=order.id,
        state=advance(before, state_of(trade)).value,
        trade=trade,
        origin=origin,
        reason=reason or (trade.reason if trade is not None else "nobody says"),
    )


def late_of(order: Order, trade: Trade | None) -> Happening | None:
    """How the outcome of an order of an earlier row enters the book; None while it has none."""
    if trade is None:
        return None
    return Happening(
        event_type=EventType.ORDER_RESOLVED,
        at=trade.at,
        venue=order.venue,
        token=order.token,
        amount=trade.quantity,
        changes=trade.changes,
        part=None if not trade.changes else PAID if order.verb is Verb.PAY_OUT and trade.quantity else LATE,
        detail=f"{order.id} {trade.status.value}" + (f": {trade.reason}" if trade.reason else ""),
        departed=trade.in_flight,
        resolves=order.id,
        revocable=None if trade.final else order,
        block=trade.block,
    )
