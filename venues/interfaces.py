"""A venue as seen over a wire: what can be asked of it, what it may answer, and how it may fail.

Paper's simulated venues and the real adapters implement `VenueClient`; dispatch, pollers, recovery and the emergency
path are its users. A client never retries and never guesses: it says *not sent*, *outcome unknown*, or what happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol, runtime_checkable

import msgspec

from components.model.errors import Retry, Severity, catalogued
from components.model.events import EventType
from components.model.keys import PositionKey, VenueName
from components.model.orders import InFlight, Order, OrderGroup, OrderId, Trade
from components.model.transactions import Transaction

EXE_NOT_SENT = catalogued(
    "EXE-001", Severity.WARNING, "An order did not leave", "Nothing happened at the venue; it is tried again"
)
EXE_OUTCOME_UNKNOWN = catalogued(
    "EXE-004",
    Severity.ERROR,
    "The outcome of an order is not known",
    "The venue is asked by client order id before anything else; see 'basis orders' and 'basis resolve'",
)
EXE_UNAVAILABLE = catalogued(
    "EXE-005", Severity.WARNING, "A venue did not answer a question", "It is asked again at the next poll"
)


class NotSent(Retry):
    """The request never reached the venue: the order does not exist there. `retry_after_s` when the venue named one."""

    def __init__(self, message: str, *, retry_after_s: float | None = None, **facts: str) -> None:
        super().__init__(EXE_NOT_SENT, message, **facts)
        self.retry_after_s = retry_after_s


class OutcomeUnknown(Retry):
    """The request may have reached the venue; whether it did anything is not known."""

    def __init__(self, message: str, **facts: str) -> None:
        super().__init__(EXE_OUTCOME_UNKNOWN, message, **facts)


class Unavailable(Retry):
    """A question was not answered; nothing may be concluded from that."""

    def __init__(self, message: str, *, retry_after_s: float | None = None, **facts: str) -> None:
        super().__init__(EXE_UNAVAILABLE, message, **facts)
        self.retry_after_s = retry_after_s


class ReportStatus(StrEnum):
    OPEN = "open"  # accepted, not done yet
    DONE = "done"  # final: `trade` says what happened (filled, partial or rejected)
    ABSENT = "absent"  # the venue says with authority that it never had this order


class OrderReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a venue says of one client order id. `trade` of an open order is what has been done so far.

    A chain is acted on after some `confirmations`, and `final` when no reorganisation can take it back any more.
    """

    order_id: OrderId
    status: ReportStatus
    trade: Trade | None = None
    final: bool = True
    confirmations: int | None = None  # None off chain


class DoorTerms(msgspec.Struct, frozen=True, kw_only=True):
    """How slow a door is, seconds of process time, beside what is configured for all: an exchange answers in a second,
    a block takes twelve, finality minutes.

    Within `answer_s` of a submit or a cancel all is well; `look_s` is the pause between two questions after the same
    order. `cancel_costs`: taking an order back is a transaction that is paid for, so nothing is cancelled in passing.
    """

    answer_s: float = 0.0
    look_s: float = 0.0
    final_s: float = 0.0
    cancel_costs: bool = False


NO_WAIT = DoorTerms()


class Keeper(Protocol):
    """Where the transactions of a wallet are kept: durable before anybody else sees them. A wallet has one writer."""

    def kept(self) -> tuple[Transaction, ...]:
        """Those that are signed and neither final nor dropped, in the order in which they were signed."""
        ...

    async def keep(self, transaction: Transaction) -> None:
        """It is on disk when this returns."""
        ...

    async def drop(self, transaction: Transaction) -> None:
        """It surely never left: its nonce is free again. On disk when this returns."""
        ...

    def close(self, nonce: int) -> None:
        """What became of this nonce is final; all that was signed for it may be forgotten."""
        ...


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a venue did on its own, as its private stream or a poll reports it.

    `id` is the venue's own and unique per venue: the same item seen twice has the same id. `at` is the venue's stamp,
    `known_at` when it could first be read (UTC ns). `part` names the P&L part its value belongs to (None = neutral).
    `cash` marks small regular payments (funding, interest), whose `changes` have one key.
    """

    id: str
    venue: VenueName
    at: int
    known_at: int
    event_type: EventType
    token: str
    amount: float
    changes: Mapping[PositionKey, float]
    part: str | None
    detail: str = ""
    cash: bool = False
    arrived: InFlight | None = None
    undoes: OrderId | None = None  # what this order did in `block` is no longer in the chain
    finalizes: OrderId | None = None  # what this order did in `block` stands for good
    block: str = ""


class SettledPage(msgspec.Struct, frozen=True):
    """Items in the order the venue lists them; `cursor` is where the next page begins."""

    items: tuple[Settled, ...]
    cursor: int


@runtime_checkable
class KeepsTransactions(Protocol):
    """A client that signs: it needs somewhere to keep what it has signed before it says it to anybody."""

    def bind(self, keeper: Keeper) -> None:
        """Where it keeps from now on; that keeper knows what was signed before."""
        ...

    def kept(self) -> tuple[Transaction, ...]:
        """What its keeper keeps now."""
        ...


class SentOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it left, with all that a venue needs to find it again: one asks for the symbol and the product beside
    the id, another for the category, and all keep orders for a limited time after `sent_at` (UTC ns)."""

    order: Order
    sent_at: int


class RestingOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order that is accepted and not done: it may still trade at any moment.

    `reference` is the venue's own name for it. `order_id` is the client order id it carries if that is ours, else None:
    a stranger's order. `key` is the position it would change by `left` (native units, signed).
    """

    reference: str
    order_id: OrderId | None
    key: PositionKey
    left: float
    reduce_only: bool = False


class PositionsReport(msgspec.Struct, frozen=True, kw_only=True):
    """What is held at a venue: balances and positions, past any cache.

    `asked_at` and `answered_at` are the times at the door (UTC ns), `venue_time` the venue's own stamp, None when it
    gives none. A report that is not `complete` misses keys: what is not in it is not zero.
    """

    balances: Mapping[PositionKey, float]
    asked_at: int
    answered_at: int
    venue_time: int | None = None
    complete: bool = True


class Asking(Protocol):
    """What may be asked of one account at one venue; asking changes nothing there. Every question may raise
    `Unavailable`. Amounts are in native units, times in UTC nanoseconds."""

    @property
    def name(self) -> VenueName:
        """The venue; the chain with all its protocols and the wallet is one venue, `chain`."""
        ...

    @property
    def venues(self) -> frozenset[VenueName]:
        """Venues of position keys that this client answers for."""
        ...

    @property
    def terms(self) -> DoorTerms:
        """How slow it is by its nature."""
        ...

    async def query(self, sent: SentOrder) -> OrderReport:
        """What became of an order (for an atomic group: of any order of it)."""
        ...

    async def open_orders(self) -> tuple[RestingOrder, ...]:
        """All orders that rest at the venue, ours or not."""
        ...

    async def positions(self) -> PositionsReport:
        """All balances and positions, past any cache."""
        ...

    async def marks(self) -> Mapping[str, float]:
        """What this venue prices and counts with now, by series name (`binance.perp.BTC`; the chain: oracle ratios,
        pools, indices, gas): what an emergency goes by when nobody tells it a market row."""
        ...

    async def settled(self, cursor: int) -> SettledPage:
        """What the venue did on its own since `cursor` (0 = the beginning)."""
        ...

    async def foreign(self, cursor: int) -> SettledPage:
        """Trades, transfers and transactions of this account that carry none of our order ids."""
        ...


class Acting(Protocol):
    """What may be done at a venue. Only dispatch does it. A call raises `NotSent` or `OutcomeUnknown`."""

    async def submit(self, group: OrderGroup) -> tuple[Trade, ...]:
        """Sends one order, or the orders of one atomic group as one transaction; one trade per order.

        An order id that the venue has seen before is never done again: the answer is what was done the first time.
        """
        ...

    async def cancel(self, sent: SentOrder) -> OrderReport:
        """Takes back what is still open of an order, and reports what had been done by then."""
        ...

    async def cancel_resting(self, resting: RestingOrder) -> None:
        """Takes back an order that rests, whoever sent it; one that is gone by then is taken back."""
        ...


class VenueClient(Asking, Acting, Protocol):
    """One account at one venue, asked and acted upon."""
