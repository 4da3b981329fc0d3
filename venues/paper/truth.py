"""What is written and what is told of a simulated account: a change for the ledger, the whole truth for an oracle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from components.model.keys import PositionKey
from components.model.orders import OrderId, Trade
from venues.interfaces import RestingOrder
from venues.paper.chain.state import ChainState
from venues.paper.listing import Listed
from venues.paper.registry import Message, OrderRecord
from venues.sim.world import SimWorldState


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What changed since the last one: the world as it is now, and everything that came on top. The first has all."""

    row: int
    world: SimWorldState
    orders: tuple[OrderRecord, ...] = ()
    listed: tuple[Listed, ...] = ()
    messages: tuple[Message, ...] = ()
    fills: tuple[Trade, ...] = ()
    duplicates: Mapping[OrderId, int] = {}
    conflicts: Mapping[OrderId, int] = {}
    strangers: tuple[RestingOrder, ...] = ()
    chain: ChainState | None = None  # None: from before there was one


class Ledger(Protocol):
    """Where changes are kept. A durable one is on disk when this returns."""

    failed: bool  # a write went wrong: the account takes no request before `begin` has put it right

    def begin(self, whole: Change) -> None:
        """Puts all of it in the place of what was there."""
        ...

    def append(self, change: Change, *, durable: bool) -> None: ...

    def close(self) -> None: ...


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an oracle judges by; `timestamp` (UTC ns) is that of `row`, the last row lived through (−1 = none)."""

    row: int
    timestamp: int
    balances: Mapping[PositionKey, float]
    orders: Mapping[OrderId, OrderRecord]
    fills: tuple[Trade, ...]
    messages: tuple[Message, ...]
    duplicates: Mapping[OrderId, int]
    conflicts: Mapping[OrderId, int]
    cursors: Mapping[str, int]
    foreign_cursors: Mapping[str, int]
    strangers: tuple[RestingOrder, ...] = ()
