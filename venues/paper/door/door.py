"""The front door of a simulated venue: a trio client of an exchange. That of the chain is in `chain.door`.

What happens to a request on its way is the passage's business; here is what the venue does with it, which order faults
change that, and how failures are said in the words of `VenueClient`. Fills are market time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import TypeVar

from components.model.keys import CHAIN_VENUES, TRANSIT, PositionKey, VenueName
from components.model.orders import Order, OrderGroup, OrderId, Trade, TradeStatus, Verb, nothing
from venues.clock import Clock
from venues.interfaces import (
    NO_WAIT,
    DoorTerms,
    NotSent,
    OrderReport,
    OutcomeUnknown,
    PositionsReport,
    ReportStatus,
    RestingOrder,
    SentOrder,
    SettledPage,
    Unavailable,
)
from venues.paper.account import CHAIN, PaperAccount
from venues.paper.door.answers import Answers
from venues.paper.door.faults import SECOND_NS, Fault, FaultPlan
from venues.paper.door.passage import Lost, Passage, Profile, Refused
from venues.paper.filling import AT_ONCE, Handling, single
from venues.paper.registry import resting

T = TypeVar("T")


class PaperVenue:
    """One door; a VenueClient."""

    def __init__(
        self,
        name: VenueName,
        account: PaperAccount,
        clock: Clock,
        plan: FaultPlan,
        *,
        seed: int = 0,
        profile: Profile | None = None,
    ) -> None:
        self._name = name
        self._account = account
        self._clock = clock
        self._plan = plan
        self._passage = Passage(name, account, clock, plan, seed, profile or Profile())
        self._answers = Answers(name, account, plan)

    def __repr__(self) -> str:
        return f"<PaperVenue {self._name}, {sum(self._passage.requests.values())} requests>"

    @property
    def name(self) -> VenueName:
        return self._name

    @property
    def venues(self) -> frozenset[VenueName]:
        return served_by(self._name)

    @property
    def terms(self) -> DoorTerms:
        return NO_WAIT

    @property
    def waited_at(self) -> float:
        """When somebody last waited here for what takes its time, process time: that is no standstill."""
        return -inf

    def statistics(self) -> Mapping[str, int]:
        """Requests and refusals by endpoint."""
        refusals = {f"{name} refused": count for name, count in self._passage.refusals.items()}
        return {**self._passage.requests, **refusals}

    async def submit(self, group: OrderGroup) -> tuple[Trade, ...]:
        ids = tuple(order.id for order in group.orders)
        return await self._change("submit", ids, lambda: self._take(group))

    async def cancel(self, sent: SentOrder) -> OrderReport:
        return await self._change("cancel", (sent.order.id,), lambda: self._cancel(sent.order.id))

    async def cancel_resting(self, resting: RestingOrder) -> None:
        await self._change("cancel", (resting.reference,), lambda: self._cancel_resting(resting))

    async def query(self, sent: SentOrder) -> OrderReport:
        return await self._question("query", lambda: self._query(sent.order.id))

    async def open_orders(self) -> tuple[RestingOrder, ...]:
        return await self._question("open_orders", lambda: self._answers.open_orders(self._now(), self._unmined()))

    async def positions(self) -> PositionsReport:
        asked_at = self._now()
        balances, venue_time = await self._question("positions", self._held)
        return PositionsReport(balances=balances, asked_at=asked_at, answered_at=self._now(), venue_time=venue_time)

    async def marks(self) -> Mapping[str, float]:
        return await self._question("marks", lambda: self._account.marks(self._name))

    async def settled(self, cursor: int) -> SettledPage:
        return await self._question("settled", lambda: self._answers.settled(cursor, self._now()))

    async def foreign(self, cursor: int) -> SettledPage:
        return await self._question("foreign", lambda: self._account.foreign(self._name, cursor))

    def _held(self) -> tuple[Mapping[PositionKey, float], int]:
        """Balances, and the venue's own stamp of them."""
        now = self._now()
        return self._answers.positions(now), self._answers.stamp(now)

    # The words of the interface

    async def _change(self, endpoint: str, ids: tuple[OrderId, ...], act: Callable[[], T]) -> T:
        try:
            return await self._passage.request(endpoint, ids, act)
        except Refused as error:
            raise NotSent(
                str(error), retry_after_s=error.retry_after_s, venue=self._name, order=", ".join(ids)
            ) from error
        except Lost as error:
            raise OutcomeUnknown(str(error), venue=self._name, order=", ".join(ids)) from error

    async def _question(self, endpoint: str, act: Callable[[], T]) -> T:
        try:
            return await self._passage.request(endpoint, (), act)
        except Refused as error:
            raise Unavailable(str(error), retry_after_s=error.retry_after_s, venue=self._name) from error
        except Lost as error:
            raise Unavailable(str(error), venue=self._name) from error

    # Orders

    def _take(self, group: OrderGroup) -> tuple[Trade, ...]:
        now, ids = self._now(), [order.id for order in group.orders]
        known = any(each in self._account.registry.orders for each in ids)
        trades = self._account.submit(self._name, group, now, AT_ONCE if known else self._handling(group))
        order = single(group)
        if (
            not known
            and order is not None
            and _traded(order)
            and self._hit("fill_before_ack", "submit", in_flight=True)
        ):
            return (nothing(order, TradeStatus.UNKNOWN, now, "accepted, not filled yet"),)
        return trades

    def _handling(self, group: OrderGroup) -> Handling:
        """What the active faults make of a new order."""
        order = single(group)
        if order is not None and _traded(order):
            return self._exchange_handling(order)
        return AT_ONCE

    def _exchange_handling(self, order: Order) -> Handling:
        now = self._now()
        if self._hit("symbol_paused", "submit"):
            return Handling(reject=f"trading in {order.token} is paused")
        if fault := self._plan.find("lot_change", self._name, now, "submit"):
            product = f"{order.verb.value}.{order.token}"
            lot = self._account.run.exchanges[self._name].instruments[product].lot * fault.number("factor")
            lots = order.amount / lot
            if abs(lots - round(lots)) > 1e-9 and not order.everything:
                self._plan.note(fault)
                return Handling(reject=f"amount {order.amount!r} is not a multiple of the lot {lot:g}")
        if fault := self._hit("late_fill", "submit", in_flight=True):
            fills_at = now + int(fault.number("after_s") * SECOND_NS)
            return Handling(fraction=fault.number("fraction"), fills_at=fills_at)
        if fault := self._hit("partial_fill", "submit"):
            return Handling(fraction=fault.number("fraction"))
        return AT_ONCE

    def _query(self, order_id: OrderId) -> OrderReport:
        report = self._account.query(self._name, order_id, self._now())
        return self._known_or_lost(order_id, report)

    def _cancel(self, order_id: OrderId) -> OrderReport:
        report = self._account.cancel(self._name, order_id, self._now())
        return self._known_or_lost(order_id, report)

    def _cancel_resting(self, resting: RestingOrder) -> None:
        self._account.cancel_resting(self._name, resting, self._now())

    def _known_or_lost(self, order_id: OrderId, report: OrderReport) -> OrderReport:
        """An order that may still arrive is not absent."""
        if report.status is not ReportStatus.ABSENT:
            return report
        if any(order.id == order_id for order in self._pool()):
            return OrderReport(order_id=order_id, status=ReportStatus.OPEN)
        if order_id in self._passage.travelling or self._account.pending.holds(order_id):
            raise Lost("a request for this order may still be on its way")
        return report

    def _pool(self) -> tuple[Order, ...]:
        """Orders that wait somewhere before the venue works on them."""
        return ()

    def _unmined(self) -> tuple[RestingOrder, ...]:
        return tuple(resting(order) for order in self._pool())

    def _hit(self, kind: str, endpoint: str, *, in_flight: bool = False) -> Fault | None:
        return self._plan.hit(kind, self._name, self._now(), endpoint, in_flight=in_flight)

    def _now(self) -> int:
        return self._clock.now()


def served_by(door: VenueName) -> frozenset[VenueName]:
    """Venues of position keys that a door answers for."""
    return frozenset({*CHAIN_VENUES, TRANSIT}) if door == CHAIN else frozenset({door})


def _traded(order: Order) -> bool:
    return order.verb in (Verb.SPOT, Verb.PERP)
