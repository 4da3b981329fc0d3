"""What a reorganisation of a chain takes back: facts of a venue turned into changes of our book.

A venue says which order, in which block, is no longer there. What that takes out of the book is what the book itself
has of that order in that block, so that it is reversed exactly; of an order that is not booked, or stands in another
block by now, there is nothing to take back. The order is uncertain from then on: it may be done again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from components.model.events import EventType
from components.model.orders import OrderId, OrderState, Verb
from components.ports import LATE, PAID, Happening
from components.position_monitor import Unfinal
from daemon.journal.records import Outcome


def undone(done: Unfinal, at: int) -> Happening:
    """Takes back what an order did, at a stamp of its venue (UTC ns)."""
    order = done.order
    part = None if not done.changes else PAID if order.verb is Verb.PAY_OUT and done.quantity else LATE
    return Happening(
        event_type=EventType.UNDONE,
        at=at,
        venue=order.venue,
        token=order.token,
        amount=-done.quantity,
        changes={key: -change for key, change in done.changes.items()},
        part=part,
        detail=order.id,
        unknown=order,
        undoes=order.id,
        block=done.block,
    )


def undone_outcome(order_id: OrderId, at: int, reason: str) -> Outcome:
    """The record that an order is uncertain again, whatever was known of it."""
    return Outcome(at=at, order_id=order_id, state=OrderState.UNDONE.value, origin="undone", reason=reason)


def reversed_in(
    happenings: Iterable[Happening], late: Iterable[Happening], unfinal: Mapping[OrderId, Unfinal]
) -> tuple[Happening, ...]:
    """All of them in the order in which they enter the book, with what is taken back as it is in the book; `late` are
    outcomes of earlier rows that enter it now as well, and may be among what is taken back."""
    known = dict(unfinal)
    told: list[Happening] = []
    taken: list[Happening] = []
    for happening in happenings:
        (taken if happening.event_type is EventType.UNDONE else told).append(happening)
    for happening in late:
        told.append(happening)
        if (order := happening.revocable) is not None:
            known[order.id] = Unfinal(
                order=order, block=happening.block, quantity=happening.amount, changes=happening.changes
            )
    for happening in taken:
        done = known.get(happening.undoes or "")
        if done is not None and done.block == happening.block:
            del known[done.order.id]
            told.append(undone(done, happening.at))
    return tuple(told)
