"""How a simulated venue fills an order: at once, in parts, late, never, at a dearer gas price, or reverted.

Prices, fees and balances are the world's; here is only when, and how much of it.
"""

from __future__ import annotations

import msgspec

from components.model.keys import GAS, base_token
from components.model.orders import (
    DONE,
    CostKind,
    GroupKind,
    Order,
    OrderGroup,
    RejectKind,
    Trade,
    TradeStatus,
    nothing,
    part_of,
)
from components.ports import Approved
from venues.interfaces import ReportStatus
from venues.paper.registry import OrderRecord, Registry, answer_of, merged
from venues.sim.world import SimWorld

GAS_KEY = base_token(GAS, "ETH")


class Mined(msgspec.Struct, frozen=True, kw_only=True):
    """Where a transaction is carried out: what fails there pays gas, and what is done there is not final."""

    block: str
    hash: str


class Handling(msgspec.Struct, frozen=True, kw_only=True):
    """How a venue deals with one request: at once and wholly, unless something here says otherwise.

    `fraction` fills at once; the rest fills at `fills_at` (UTC ns), or never when there is no such time. `reject` and
    `revert` are reasons; a reverted transaction still pays gas. `gas_factor` multiplies gas.
    """

    fraction: float = 1.0
    fills_at: int | None = None
    reject: str = ""
    revert: str = ""
    gas_factor: float = 1.0
    mined: Mined | None = None


AT_ONCE = Handling()


class Filling:
    def __init__(self, world: SimWorld, registry: Registry) -> None:
        self._world = world
        self._registry = registry

    def fill(self, door: str, group: OrderGroup, at: int, handling: Handling) -> tuple[Trade, ...]:
        """Works on a group that was never seen before; one answer per order, UNKNOWN for one that is accepted only."""
        if handling.reject:
            trades = tuple(nothing(order, TradeStatus.REJECTED, at, handling.reject) for order in group.orders)
        elif handling.revert:
            trades = self._revert(group, at, handling.revert)
        elif group.kind is GroupKind.ATOMIC or (handling.fraction >= 1.0 and handling.fills_at is None):
            trades = self._dearer(self._world.execute(Approved(group)), handling.gas_factor)
            if handling.mined is not None and trades[0].status is TradeStatus.REJECTED:
                trades = self._revert(group, at, trades[0].reason, expired=trades[0].expired)
        else:
            return (self._in_parts(door, group, at, handling),)
        if (mined := handling.mined) is not None:
            trades = tuple(
                msgspec.structs.replace(trade, final=False, block=mined.block, venue_reference=mined.hash)
                for trade in trades
            )
        for order, trade in zip(group.orders, trades, strict=True):
            self._registry.note(
                OrderRecord(
                    order=order, group=group.id, door=door, arrived_at=at, status=ReportStatus.DONE, trade=trade
                )
            )
        self._filled(trades)
        return trades

    def due(self) -> list[int]:
        """When open orders fill (UTC ns)."""
        times = [self._registry.orders[each].fills_at for each in self._registry.open]
        return [at for at in times if at is not None]

    def fill_due(self, now: int) -> bool:
        """Fills what is due by `now` at the row the world stands at; whether there was any."""
        due = [self._registry.orders[each] for each in self._registry.open]
        due = [record for record in due if record.fills_at is not None and record.fills_at <= now]
        for record in due:
            trade = self._world.execute_one(record.left or record.order)
            self._filled((trade,))
            if trade.status in DONE:
                self._done(record, merged(record.trade, trade))
            else:
                self._close(record, now, trade.reason, expired=trade.expired)
        return bool(due)

    def cancel(self, record: OrderRecord, at: int) -> OrderRecord:
        """Closes an open order; one that did nothing may be asked for again."""
        return self._close(record, at, "cancelled", transient=True)

    def _in_parts(self, door: str, group: OrderGroup, at: int, handling: Handling) -> Trade:
        """A part now and the rest later, or never."""
        (order,) = group.orders
        done: Trade | None = None
        if handling.fraction > 0.0:
            part = part_of(order, order.amount * handling.fraction)
            done = self._world.execute_one(part)
            self._filled((done,))
        refused = done is not None and done.status is TradeStatus.REJECTED
        partial = None if done is None or refused else msgspec.structs.replace(done, status=TradeStatus.PARTIAL)
        record = OrderRecord(
            order=order,
            group=group.id,
            door=door,
            arrived_at=at,
            status=ReportStatus.OPEN,
            trade=partial,
            left=msgspec.structs.replace(
                part_of(order, order.amount * (1.0 - handling.fraction)), everything=order.everything
            ),
            fills_at=handling.fills_at,
        )
        self._registry.note(record)
        if done is not None and refused:
            record = self._done(record, done)
        elif handling.fills_at is None:
            record = self._close(record, at, "the venue cancelled what was left")
        return answer_of(record, at)

    def _close(
        self, record: OrderRecord, at: int, reason: str, *, transient: bool = False, expired: bool = False
    ) -> OrderRecord:
        """Ends an order with what it has."""
        if record.trade is None:
            trade = nothing(record.order, TradeStatus.REJECTED, at, reason, transient=transient, expired=expired)
            return self._done(record, trade)
        return self._done(record, msgspec.structs.replace(record.trade, reason=reason))

    def _done(self, record: OrderRecord, trade: Trade) -> OrderRecord:
        done = msgspec.structs.replace(record, status=ReportStatus.DONE, trade=trade, left=None, fills_at=None)
        self._registry.note(done)
        return done

    def _revert(self, group: OrderGroup, at: int, reason: str, *, expired: bool = False) -> tuple[Trade, ...]:
        """The transaction is mined and undone: the first step pays gas, nothing else happens."""
        gas = self._world.costs.gas(self._world.row, "transfer")
        said = f"reverted: {reason}"
        trades = [
            nothing(order, TradeStatus.REJECTED, at, said, expired=expired, refusal=RejectKind.REVERTED)
            for order in group.orders
        ]
        paid = sum(cost.amount for cost in gas)
        if paid:
            self._world.adjust({GAS_KEY: -paid})
            trades[0] = msgspec.structs.replace(trades[0], changes={GAS_KEY: -paid}, costs=gas)
        return tuple(trades)

    def take_nonce(
        self, door: str, cancelled: tuple[Order, ...], at: int, mined: Mined, factor: float
    ) -> tuple[tuple[Trade, ...], float]:
        """A transaction that does nothing takes the place of these orders: (one rejected trade each, of which the
        first pays the gas; the gas, ETH)."""
        gas = tuple(
            msgspec.structs.replace(cost, amount=cost.amount * factor)
            for cost in self._world.costs.gas(self._world.row, "transfer")
        )
        paid = sum(cost.amount for cost in gas)
        self._world.adjust({GAS_KEY: -paid} if paid else {})
        trades: list[Trade] = []
        for order in cancelled:
            trade = nothing(order, TradeStatus.REJECTED, at, "cancelled", transient=True, refusal=RejectKind.REPLACED)
            if paid and not trades:
                trade = msgspec.structs.replace(trade, changes={GAS_KEY: -paid}, costs=gas)
            trade = msgspec.structs.replace(trade, final=False, block=mined.block, venue_reference=mined.hash)
            trades.append(trade)
            self._registry.note(
                OrderRecord(
                    order=order, group=mined.hash, door=door, arrived_at=at, status=ReportStatus.DONE, trade=trade
                )
            )
        return tuple(trades), paid

    def _dearer(self, trades: tuple[Trade, ...], factor: float) -> tuple[Trade, ...]:
        """The same trades with gas at a multiple of its price."""
        return trades if factor == 1.0 else tuple(self._dearer_one(trade, factor) for trade in trades)

    def _dearer_one(self, trade: Trade, factor: float) -> Trade:
        extra = sum(cost.amount for cost in trade.costs if cost.kind is CostKind.GAS) * (factor - 1.0)
        if not extra or trade.status is not TradeStatus.FILLED:
            return trade
        self._world.adjust({GAS_KEY: -extra})
        costs = tuple(
            msgspec.structs.replace(cost, amount=cost.amount * factor) if cost.kind is CostKind.GAS else cost
            for cost in trade.costs
        )
        changes = {**trade.changes, GAS_KEY: trade.changes.get(GAS_KEY, 0.0) - extra}
        return msgspec.structs.replace(trade, changes=changes, costs=costs)

    def _filled(self, trades: tuple[Trade, ...]) -> None:
        self._registry.fills.extend(trade for trade in trades if trade.status in DONE)


def single(group: OrderGroup) -> Order | None:
    """The one order of a group that is not atomic."""
    return group.orders[0] if group.kind is not GroupKind.ATOMIC and len(group.orders) == 1 else None
