"""The five doors of the core. Replay, paper and live differ only in what stands behind them.

Every message is frozen. A port answers; it never calls back into the core.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from components.model.events import Event, EventType, PaymentBatch
from components.model.keys import PositionKey, VenueName
from components.model.market import Column, Stamps, Window
from components.model.orders import InFlight, Order, OrderGroup, OrderId, Trade
from components.model.positions import Book

FLOW = "flow"  # money of the owner that came or went: equity, no profit
LATE = "late"  # a trade of an earlier row that is known only now: its parts are those of the trade
PAID = "paid"  # such a trade that paid the owner


class MarketData(Protocol):
    """What was known when."""

    def window(self, start: int, stop: int) -> Window: ...

    def __len__(self) -> int: ...


# What a venue does on its own has one name for each form it takes:
#   venues.interfaces.Settled   an item as a venue lists it, under the venue's own id
#   CashFlows                   many small payments of one kind, as columns over the rows of a window
#   Happening                   any other such thing, one at a time; also the outcome of an order that is learned late
#   Settlements                 both, for the rows of a window: what a step of the core is told
#   events.PaymentBatch         the events of CashFlows, made when somebody reads them
#   journal.records.HandedIn    a Happening that an operator vouches for, until a step has booked it
# A Happening says with `part` what its value is to the profit: a part of it, or one of these three, which are none.


class CashFlows(msgspec.Struct, frozen=True, kw_only=True):
    """Small regular settlements (funding, interest) of one position over a window.

    `row` counts from the start of the window and never falls, `at` is the venue's stamp, `amount` the change of `key`.
    """

    key: PositionKey
    part: str
    event_type: EventType
    token: str
    row: Stamps
    at: Stamps
    amount: Column
    detail: str


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a venue did on its own that changes the book: reward, arrival, liquidation, scheduled flow.

    `part` names the P&L part its value belongs to, or is FLOW, LATE or PAID; None = neutral. `resolves` ends the
    uncertainty of an order; `unknown` is one whose outcome is open. `revocable` is the order whose effects these are,
    where a reorganisation of its chain may still take them back; `undoes` is the order whose effects these take back,
    `finalizes` the one whose effects stand for good.
    """

    event_type: EventType
    at: int
    venue: VenueName
    token: str
    amount: float
    changes: Mapping[PositionKey, float]
    part: str | None
    detail: str = ""
    arrived: InFlight | None = None
    departed: InFlight | None = None
    resolves: OrderId | None = None
    unknown: Order | None = None
    revocable: Order | None = None
    undoes: OrderId | None = None
    finalizes: OrderId | None = None
    block: str = ""  # hash of the block in which `revocable` was done


class Settlements(msgspec.Struct, frozen=True, kw_only=True):
    """What venues do on their own in the rows of a window.

    `rows` is how many rows the answer is good for (a happening cuts the window). `happenings` all fall on the first
    row, in the order (known_at, venue); `cash` covers all rows.
    """

    rows: int
    cash: tuple[CashFlows, ...]
    happenings: tuple[Happening, ...]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """The authority to trade on one row, computed from input contracts; every reason why it is withheld.

    `no_trade`: nothing may leave; `no_risk`: only what reduces risk may. `max_trade_usdt` bounds a single order.
    """

    no_trade: tuple[str, ...] = ()
    no_risk: tuple[str, ...] = ()
    max_trade_usdt: float | None = None


GRANTED = Standing()


class Observation(Protocol):
    """What venues do on their own, and what they say we hold."""

    def settle(self, window: Window, book: Book) -> Settlements:
        """A pure preview for `window`, given the balances held at its start."""
        ...

    def accept(self, window: Window, settlements: Settlements, rows: int) -> None:
        """The core booked the first `rows` rows of a preview: make them so."""
        ...

    def positions(self, venues: frozenset[VenueName]) -> Mapping[PositionKey, float]:
        """Balances as the venues report them now, past any cache; Retry when one of them does not answer."""
        ...


class Approved(msgspec.Struct, frozen=True):
    """A group that may leave; `adds_risk` says what it was judged as."""

    group: OrderGroup
    adds_risk: bool = False


class Withheld(msgspec.Struct, frozen=True):
    """A group that may not, and every reason why."""

    group: OrderGroup
    reasons: tuple[str, ...]


class Execution(Protocol):
    """Do it, and tell what happened: one trade per order, in order-list order."""

    def execute(self, approved: Approved) -> tuple[Trade, ...]: ...


class RowBlock(msgspec.Struct, frozen=True, kw_only=True):
    """Results of consecutive rows: a column, or one number that held for all of them. NaN = not there."""

    timestamps: Stamps
    columns: Mapping[str, Column | float]


class Sink(Protocol):
    """Make it durable."""

    def intend(self, group: OrderGroup, at: int) -> None:
        """The intent is on disk when this returns."""
        ...

    def record(self, events: Sequence[Event | PaymentBatch]) -> None: ...

    def rows(self, block: RowBlock) -> None: ...


class Flow(msgspec.Struct, frozen=True):
    """A deposit (positive) or withdrawal (negative), share-class currency, at a UTC nanosecond stamp."""

    at: int
    amount: float
    id: str
