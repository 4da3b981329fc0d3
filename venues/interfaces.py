"""A venue as seen over a wire: what can be asked of it, what it may answer, and how it may fail.

Paper's simulated venues and the real adapters implement `VenueClient`; dispatch, pollers, recovery and the emergency
path are its users. A client never retries and never guesses: it says *not sent*, *outcome unknown*, or what happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol

import msgspec

from components.model.errors import Retry, Severity, catalogued
from components.model.events import EventType
from components.model.keys import PositionKey, VenueName
from components.model.orders import InFlight, OrderGroup, OrderId, Trade

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
    """What a venue says of one client order id. `trade` of an open order is what has been done so far."""

    order_id: OrderId
    status: ReportStatus
    trade: Trade | None = None


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


class SettledPage(msgspec.Struct, frozen=True):
    """Items in the order the venue lists them; `cursor` is where the next page begins."""

    items: tuple[Settled, ...]
    cursor: int


class VenueClient(Protocol):
    """One account at one venue. Every call may raise `Unavailable`; `submit` and `cancel` raise `NotSent` or
    `OutcomeUnknown` instead. Amounts are in native units, times in UTC nanoseconds."""

    @property
    def name(self) -> VenueName:
        """The venue; the chain with all its protocols and the wallet is one venue, `chain`."""
        ...

    @property
    def venues(self) -> frozenset[VenueName]:
        """Venues of position keys that this client answers for."""
        ...

    async def submit(self, group: OrderGroup) -> tuple[Trade, ...]:
        """Sends one order, or the orders of one atomic group as one transaction; one trade per order.

        An order id that the venue has seen before is never done again: the answer is what was done the first time.
        """
        ...

    async def query(self, order_id: OrderId) -> OrderReport:
        """What became of a client order id (for an atomic group: of any order of it)."""
        ...

    async def cancel(self, order_id: OrderId) -> OrderReport:
        """Takes back what is still open of an order, and reports what had been done by then."""
        ...

    async def open_orders(self) -> tuple[OrderId, ...]:
        """Client order ids of all orders that are still open, ours or not."""
        ...

    async def positions(self) -> Mapping[PositionKey, float]:
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
