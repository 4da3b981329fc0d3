"""Dispatch: sends one group that is durable already, and finds out what became of it.

Theory of operation. A group is one effect. Its legs leave together, each in a task of its own; an atomic group is one
leg. A leg ends in one of three ways: *done* (the venue said so), *not sent* (the venue surely never had it: the same id
is sent again until the legs' deadline), or *unknown*. An unknown leg is asked after by its client order id, within a
budget; an error is not an answer, and "never heard of it" counts only once nothing of ours can still be on its way.
What is unknown then stays unknown: the core counts it both ways. Every outcome is journaled before the core hears it.
Nothing here ever makes an order, and no order id is sent again after its outcome has been uncertain.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec
import trio

from components.model.errors import Stop
from components.model.keys import VenueName
from components.model.orders import GroupKind, Order, OrderGroup, OrderId, OrderState, Trade, TradeStatus, nothing
from daemon.journal.records import Record
from daemon.orders.gate import EXE_HALTED, READ_ONLY, Gate, TradingHalted
from daemon.orders.outcomes import outcome_of
from daemon.orders.patience import Patience
from daemon.orders.terms import FREE, Terms
from venues.clock import Clock
from venues.interfaces import (
    NotSent,
    OrderReport,
    OutcomeUnknown,
    ReportStatus,
    RestingOrder,
    SentOrder,
    Unavailable,
    VenueClient,
)

WAITS_EVERY_S = 5.0
LEFT = "it waits for its block; a stop does not wait that long, and the next start asks after it"


class OrderLog(Protocol):
    """The journal as dispatch uses it."""

    def append(self, record: Record) -> int: ...

    async def commit(self) -> None: ...


class Telemetry(Protocol):
    """What is told to metrics as it happens."""

    def order(self, venue: str, strategy: str, side: str, outcome: str) -> None: ...

    def order_ack(self, venue: str, seconds: float) -> None: ...

    def order_retry(self, reason: str) -> None: ...


class Attempt(msgspec.Struct, frozen=True):
    """What became of one request, seconds after which the same may be sent again (None when it must not), and why it
    would be: it was not sent, or refused for a reason that passes."""

    trades: Sequence[Trade]
    again_s: float | None = None
    why: str = ""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What every dispatch of one account sends over: `clients` by the venues of keys and by their own names."""

    strategy: str
    clients: Mapping[VenueName, VenueClient]
    clock: Clock
    patience: Patience
    telemetry: Telemetry
    read_only: bool = False


class Dispatch:
    """`terms` are asked before a send and told of each outcome; `sent_at` keeps when orders left, market time, for as
    long as their outcome is not known."""

    def __init__(
        self, line: Line, log: OrderLog, gate: Gate, terms: Terms = FREE, *, sent_at: dict[OrderId, int] | None = None
    ) -> None:
        self.line = line
        self._leaving = trio.Event()
        self._log = log
        self._gate = gate
        self._terms = terms
        self.patience = line.patience
        self.in_flight: dict[str, Order] = {}  # orders that are SENT
        self.sent_at = {} if sent_at is None else sent_at

    async def send(self, group: OrderGroup, *, origin: str = "core", adds_risk: bool = False) -> tuple[Trade, ...]:
        """One trade per order, in order-list order. TradingHalted when nothing of this strategy may leave: nothing was
        sent. What adds risk and is not fit to leave any more comes back as rejected for now: ask again."""
        refusal = self._refusal(group, origin)
        if refusal:
            await self._never_left(group, origin, refusal)
            raise TradingHalted(EXE_HALTED, refusal)
        if adds_risk and (why := self._terms.unfit(group)):
            return await self._never_left(group, origin, why)
        trades: dict[str, Trade] = {}
        failed: list[Stop] = []
        async with trio.open_nursery() as nursery:
            for leg in legs_of(group):
                nursery.start_soon(self._leg, leg, origin, trades, failed)
        if failed:
            raise failed[0]
        await self._log.commit()
        return tuple(trades[order.id] for order in group.orders)

    def leave(self) -> None:
        """Waits no longer for doors that take longer than a stop may: their orders stay uncertain, and the next start
        asks after them."""
        self._leaving.set()

    def _refusal(self, group: OrderGroup, origin: str) -> str:
        """Why this group may not leave, "" when it may: the one place for cell, closing and safety program alike."""
        if self.line.read_only:
            return READ_ONLY
        return self._gate.reason if origin != "emergency" else ""

    async def ask(self, order: Order) -> Trade | None:
        """What became of an order whose outcome is open; None while nobody can say. An order that the venue never had
        comes back as a rejected trade. One that rests is taken back, unless its door asks money for that."""
        client = self.line.clients[order.venue]
        sent = SentOrder(order=order, sent_at=self.sent_at.get(order.id, self.line.clock.now()))
        try:
            with trio.fail_after(self.patience.order_grace_s):
                report = await client.query(sent)
                if report.status is ReportStatus.OPEN and not self.line.read_only and not client.terms.cancel_costs:
                    report = await client.cancel(sent)
        except (Unavailable, NotSent, OutcomeUnknown, trio.TooSlowError):
            return None
        return self._told(order, report)

    async def take_back(self, venue: VenueName, resting: RestingOrder) -> str:
        """Takes back an order that rests at a venue, whoever sent it. Why it could not, "" when it is gone."""
        if self.line.read_only:
            return READ_ONLY
        try:
            with trio.fail_after(self.patience.order_grace_s):
                await self.line.clients[venue].cancel_resting(resting)
        except (Unavailable, NotSent, OutcomeUnknown) as error:
            return error.message
        except trio.TooSlowError:
            return "no answer in time"
        return ""

    async def ask_all(self, orders: Sequence[Order], exchanges: Container[VenueName]) -> dict[OrderId, Trade]:
        """What became of several, by order id, all asked at once. What is open in the wallet is told together or not at
        all: it may be one transaction."""
        found: dict[OrderId, Trade] = {}

        async def ask(order: Order) -> None:
            trade = await self.ask(order)
            if trade is not None:
                found[order.id] = trade

        async with trio.open_nursery() as nursery:
            for order in orders:
                nursery.start_soon(ask, order)
        wallet = [order.id for order in orders if order.venue not in exchanges]
        if not all(id in found for id in wallet):
            found = {id: trade for id, trade in found.items() if id not in wallet}
        return found

    async def _leg(self, leg: OrderGroup, origin: str, trades: dict[str, Trade], failed: list[Stop]) -> None:
        """Sends one leg until it is done, uncertain, or out of time; a journal that fails does not stop the others."""
        for order in leg.orders:
            self.in_flight[order.id] = order
        deadline = trio.current_time() + self.patience.legs_s
        pause = self.patience.first_retry_s
        while True:
            attempt = await self._attempt(leg)
            answers, wait = attempt.trades, attempt.again_s
            if wait is None or trio.current_time() + max(wait, pause) >= deadline or self._gate.closed:
                break
            if any(self._terms.moved_bps(order) > self.patience.legs_cost_bps for order in leg.orders):
                break
            self.line.telemetry.order_retry(attempt.why)
            await trio.sleep(max(wait, pause))
            pause *= 2.0
        for order, trade in zip(leg.orders, answers, strict=True):
            trades[order.id] = trade
            self._terms.heard(order, trade, trio.current_time(), self.line.clock.now())
            outcome = outcome_of(order, trade, OrderState.SENT, at=self.line.clock.now(), origin=origin)
            try:
                self._log.append(outcome)
            except Stop as error:
                failed.append(error)
            if outcome.state != OrderState.UNKNOWN:
                self.sent_at.pop(order.id, None)
            self.line.telemetry.order(order.venue, self.line.strategy, order.verb.value, outcome.state)
            self.in_flight.pop(order.id, None)

    async def _attempt(self, leg: OrderGroup) -> Attempt:
        """One request."""
        client = self.line.clients[leg.orders[0].venue]
        began = trio.current_time()
        reason = ""
        for order in leg.orders:
            self.sent_at.setdefault(order.id, self.line.clock.now())
        try:
            answers = await self._answers(client, leg)
            self.line.telemetry.order_ack(client.name, trio.current_time() - began)
            if any(trade.status is TradeStatus.UNKNOWN for trade in answers):
                return Attempt(await self._find_out(leg, answers[0].reason, began))
            again = all(trade.transient for trade in answers)
            return Attempt(answers, 0.0 if again else None, "refused")
        except NotSent as error:
            nothing = [self._nothing(order, f"not sent: {error.message}") for order in leg.orders]
            return Attempt(nothing, error.retry_after_s or 0.0, "not_sent")
        except OutcomeUnknown as error:
            reason = error.message
        except trio.TooSlowError:
            reason = f"no answer within {self.patience.grace_s(client.terms):g} s"
        except Stop as error:  # it could not be kept, so it was not sent; the outcome cannot be written down either
            return Attempt([self._nothing(order, f"not sent: {error.message}") for order in leg.orders])
        return Attempt(await self._find_out(leg, reason, began))

    async def _answers(self, client: VenueClient, leg: OrderGroup) -> tuple[Trade, ...]:
        """What a door answers within its time. One that is slow by its nature is left behind at a stop."""
        grace_s = self.patience.grace_s(client.terms)
        if grace_s <= self.patience.order_grace_s:
            with trio.fail_after(grace_s):
                return await client.submit(leg)
        answered: list[tuple[Trade, ...]] = []
        failed: list[Exception] = []
        async with trio.open_nursery() as waiting:
            waiting.start_soon(self._wait_along, waiting.cancel_scope)
            try:
                with trio.fail_after(grace_s):
                    answered.append(await client.submit(leg))
            except (NotSent, OutcomeUnknown, Stop, trio.TooSlowError) as error:
                failed.append(error)
            waiting.cancel_scope.cancel()
        if failed:
            raise failed[0]
        if not answered:
            raise OutcomeUnknown(LEFT, venue=client.name)
        return answered[0]

    async def _wait_along(self, wait: trio.CancelScope) -> None:
        """Tells that somebody waits; ends the wait when it is to be left."""
        while not self._leaving.is_set():
            self._terms.waits()
            with trio.move_on_after(WAITS_EVERY_S):
                await self._leaving.wait()
        wait.cancel()

    async def _find_out(self, leg: OrderGroup, reason: str, began: float) -> Sequence[Trade]:
        """Asks after every order of a leg until it is settled or the budget is used up: what is configured, or what is
        left since `began` of the time that its door may take."""
        ended = trio.current_time()
        pause = self.patience.first_retry_s
        terms = self.line.clients[leg.orders[0].venue].terms
        found: dict[str, Trade] = {}
        with trio.move_on_after(max(self.patience.unknown_budget_s, began + terms.answer_s - ended)):
            while len(found) < len(leg.orders):
                for order in leg.orders:
                    if order.id not in found:
                        trade = await self.ask(order)
                        fresh = trio.current_time() - ended < self.patience.absent_after_s
                        if trade is not None and not (trade.transient and fresh):
                            found[order.id] = trade
                if terms.answer_s > self.patience.order_grace_s:
                    if self._leaving.is_set():
                        break
                    self._terms.waits()
                if len(found) < len(leg.orders):
                    await trio.sleep(max(pause, terms.look_s))
                    pause = min(2.0 * pause, 1.0)
        if leg.kind is GroupKind.ATOMIC and len(found) < len(leg.orders):
            found = {}  # its steps were done together or not at all: half an answer is none
        return [found.get(order.id) or self._unknown(order, reason) for order in leg.orders]

    async def _never_left(self, group: OrderGroup, origin: str, reason: str) -> tuple[Trade, ...]:
        """Journals that nothing of a group was sent; its trades say so."""
        trades = tuple(self._nothing(order, f"not sent: {reason}") for order in group.orders)
        for order, trade in zip(group.orders, trades, strict=True):
            now = self.line.clock.now()
            self._log.append(outcome_of(order, trade, OrderState.INTENT, at=now, origin=origin, reason=reason))
        await self._log.commit()
        return trades

    def _told(self, order: Order, report: OrderReport) -> Trade | None:
        match report.status:
            case ReportStatus.DONE:
                return report.trade
            case ReportStatus.ABSENT:
                return self._nothing(order, "never arrived: the venue does not know this order")
            case ReportStatus.OPEN:
                return None

    def _nothing(self, order: Order, reason: str) -> Trade:
        return self._trade(order, TradeStatus.REJECTED, reason, transient=True)

    def _unknown(self, order: Order, reason: str) -> Trade:
        return self._trade(order, TradeStatus.UNKNOWN, reason)

    def _trade(self, order: Order, status: TradeStatus, reason: str, *, transient: bool = False) -> Trade:
        return nothing(order, status, self.line.clock.now(), reason, transient=transient)


def legs_of(group: OrderGroup) -> tuple[OrderGroup, ...]:
    """An atomic group is one leg; of any other group each order is."""
    if group.kind is GroupKind.ATOMIC:
        return (group,)
    return tuple(msgspec.structs.replace(group, kind=GroupKind.ONE, orders=(order,)) for order in group.orders)


def by_venue(clients: Iterable[VenueClient]) -> dict[VenueName, VenueClient]:
    """The clients by the venues of keys they answer for, and by their own names."""
    return {venue: client for client in clients for venue in (*client.venues, client.name)}
