"""What an operator vouches for: the outcome of an order that nobody else can tell, a difference that is taken over."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import TYPE_CHECKING

import msgspec
import trio

from components.model.errors import Refuse
from components.model.events import EventType
from components.model.keys import PositionKey, VenueName, base_token, perp, perp_quote
from components.model.orders import Cost, CostKind, Order, Trade, TradeStatus, Verb, nothing
from components.ports import Happening
from daemon.errors import OPS_REFUSED

if TYPE_CHECKING:
    from daemon.cells.cell import Cell

ADOPT_WITHIN_S = 5.0  # for the step under way to end


async def adopt(cell: Cell, id: str, venue: VenueName, uid: int) -> tuple[dict[PositionKey, float], int]:
    """What the venue holds now, taken into the book: (differences by key, foreign items). Between two steps, by a look
    of its own that is newer than any trade; Refuse OPS-005 when there is none, or an order is uncertain."""
    with trio.move_on_after(ADOPT_WITHIN_S) as waiting:
        async with cell.desk.book:
            waiting.deadline = inf
            view = await cell.desk.observer.look(venue)
            if cell.core.positions.uncertain:
                raise Refuse(OPS_REFUSED, "an order is uncertain; resolve it first, its outcome may be the difference")
            changes = cell.desk.observer.differences(venue, cell.core.positions.expected)
            foreign, view.foreign = len(view.foreign), {}
            if changes:
                now = cell.desk.around.clock.now()
                await cell.hand_in(id, adoption(venue, changes, uid, now), now)
            return changes, foreign
    raise Refuse(OPS_REFUSED, f"a step of {cell.strategy} is under way; ask again when it is over")


def adoption(venue: VenueName, changes: Mapping[PositionKey, float], uid: int, at: int) -> Happening:
    """Differences at a venue, taken into the book as an adjustment: a line of the P&L of its own."""
    return Happening(
        event_type=EventType.ADJUSTMENT,
        at=at,
        venue=venue,
        token="",
        amount=0.0,
        changes=changes,
        part="adjustment",
        detail=f"adopted by uid {uid}: " + ", ".join(f"{key} {change!r}" for key, change in changes.items()),
    )


def trade_by_hand(order: Order, arguments: Mapping[str, str], at: int) -> Trade:
    """The trade an operator vouches for: nothing, or a fill of an exchange order at a price."""
    blank = nothing(order, TradeStatus.REJECTED, at, "resolved by hand", transient=True)
    if arguments["as"] == "not_sent":
        return blank
    if order.verb not in (Verb.PERP, Verb.SPOT) or "price" not in arguments:
        raise Refuse(OPS_REFUSED, "only an exchange order can be resolved as filled by hand, and it needs --price")
    price = float(arguments["price"])
    quantity = float(arguments.get("quantity", abs(order.amount))) * (1.0 if order.amount > 0.0 else -1.0)
    fee, cash = float(arguments.get("fee", 0.0)), base_token(order.venue, "USDT")
    if order.verb is Verb.PERP:
        changes = {perp(order.venue, order.token): quantity, perp_quote(order.venue, order.token): -quantity * price}
    else:
        changes = {
            base_token(order.venue, order.token): quantity,
            cash: -quantity * price,
        }
    if fee:
        changes[cash] = changes.get(cash, 0.0) - fee
    return msgspec.structs.replace(
        blank,
        status=TradeStatus.FILLED,
        quantity=quantity,
        price=price,
        changes=changes,
        costs=(Cost(CostKind.FEE, "USDT", fee),) if fee else (),
        transient=False,
    )
