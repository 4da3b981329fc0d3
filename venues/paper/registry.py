"""What simulated venues remember of orders: by client order id, done once, and every message that reached them.

It is the venues' side of the truth: an oracle reads here how often an order arrived and what was done for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from components.model.keys import PositionKey, base_token, perp
from components.model.orders import Order, OrderGroup, OrderId, Trade, TradeStatus, Verb, nothing
from venues.interfaces import OrderReport, ReportStatus, RestingOrder
from venues.paper.packed import PackedList, PackedMap


class OrderRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One order as its venue keeps it. `trade` is what has been done so far; an open one fills `left` at `fills_at`."""

    order: Order
    group: str
    door: str
    arrived_at: int  # market time, UTC ns
    status: ReportStatus
    trade: Trade | None = None
    left: Order | None = None
    fills_at: int | None = None

    def report(self) -> OrderReport:
        return OrderReport(order_id=self.order.id, status=self.status, trade=self.trade)


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One request about orders that reached a venue; `known` when it had seen their ids before."""

    at: int
    door: str
    endpoint: str  # submit, query or cancel
    order_ids: tuple[OrderId, ...]
    action: str = ""  # why the group exists: one of Action
    known: bool = False


class Registry:
    """`duplicates` counts repeated submits per order id, `conflicts` those that asked for something else."""

    def __init__(self) -> None:
        self.open: dict[OrderId, None] = {}
        self.orders = PackedMap(OrderRecord, self.open)
        self.messages = PackedList(Message)
        self.fills = PackedList(Trade)
        self.duplicates: dict[OrderId, int] = {}
        self.conflicts: dict[OrderId, int] = {}
        self.changed: dict[OrderId, None] = {}  # since the ledger was last written

    def statistics(self) -> Mapping[str, int]:
        return {
            "orders": len(self.orders),
            "open": len(self.open),
            "fills": len(self.fills),
            "messages": len(self.messages),
            "duplicates": sum(self.duplicates.values()),
            "conflicts": sum(self.conflicts.values()),
        }

    def note(self, record: OrderRecord) -> None:
        """An order as it is from now on."""
        self.orders[record.order.id] = record
        self.changed[record.order.id] = None
        if record.status is ReportStatus.OPEN:
            self.open[record.order.id] = None
        else:
            self.open.pop(record.order.id, None)

    def forget(self, order_id: OrderId) -> None:
        """What was done of it was taken back: its venue does not know that it was."""
        self.orders.pop(order_id, None)
        self.open.pop(order_id, None)
        self.changed.pop(order_id, None)
        self.fills = PackedList(Trade, (trade for trade in self.fills if trade.order_id != order_id))

    def heard(self, door: str, endpoint: str, order_ids: Iterable[OrderId], at: int, action: str = "") -> Message:
        ids = tuple(order_ids)
        known = any(each in self.orders for each in ids)
        message = Message(at=at, door=door, endpoint=endpoint, order_ids=ids, action=action, known=known)
        self.messages.append(message)
        return message

    def again(self, group: OrderGroup, at: int) -> tuple[Trade, ...]:
        """The first answer to orders that are known, nothing for those that are not; never done a second time."""
        trades = []
        for order in group.orders:
            record = self.orders.get(order.id)
            self.duplicates[order.id] = self.duplicates.get(order.id, 0) + 1
            if record is None or record.order != order:
                self.conflicts[order.id] = self.conflicts.get(order.id, 0) + 1
            if record is None:
                trades.append(nothing(order, TradeStatus.REJECTED, at, "comes with an order that was seen before"))
            else:
                trades.append(answer_of(record, at))
        return tuple(trades)

    def find(self, door: str, order_id: OrderId) -> OrderRecord | None:
        """The order at this door; other doors do not know of it."""
        record = self.orders.get(order_id)
        return record if record is not None and record.door == door else None

    def open_at(self, door: str) -> tuple[RestingOrder, ...]:
        return tuple(resting_of(self.orders[each]) for each in self.open if self.orders[each].door == door)


def resting_of(record: OrderRecord) -> RestingOrder:
    """An open order as its venue lists it."""
    return resting(record.left or record.order)


def resting(order: Order) -> RestingOrder:
    """An order that its venue holds and has not done, by its own id."""
    return RestingOrder(
        reference=order.id, order_id=order.id, key=_key_of(order), left=order.amount, reduce_only=order.reduce_only
    )


def _key_of(order: Order) -> PositionKey:
    if order.verb is Verb.PERP:
        return perp(order.venue, order.token)
    return order.target or order.source or base_token(order.venue, order.token)


def answer_of(record: OrderRecord, at: int) -> Trade:
    """What a submit is answered: the trade when the order is done, otherwise that it is accepted and no more."""
    if record.status is ReportStatus.DONE and record.trade is not None:
        return record.trade
    return nothing(record.order, TradeStatus.UNKNOWN, at, "accepted, not filled yet")


def merged(first: Trade | None, second: Trade) -> Trade:
    """Two fills of one order as one trade: quantities, changes and costs add up, the price is the average."""
    if first is None or first.quantity == 0.0:
        return second
    if second.quantity == 0.0:
        return msgspec.structs.replace(first, at=second.at, reason=second.reason or first.reason)
    changes = dict(first.changes)
    for key, change in second.changes.items():
        changes[key] = changes.get(key, 0.0) + change
    quantity = first.quantity + second.quantity
    price = second.price
    if first.price is not None and second.price is not None:
        price = (first.price * first.quantity + second.price * second.quantity) / quantity
    return msgspec.structs.replace(
        second, quantity=quantity, changes=changes, price=price, costs=(*first.costs, *second.costs)
    )
