"""What a daemon trades in, as everything above this room sees it: a clock, a place for each strategy, rows in time.

Paper and live differ behind this protocol and nowhere else: whoever has a World knows no venue by name, and not whether
its market is made up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec
import trio

from daemon.config.daemon_file import StrategyEntry
from daemon.world.rows import MarketRow
from venues.clock import Clock
from venues.interfaces import VenueClient


class Listener(Protocol):
    """Who is told the rows of the market that fall on its ticks."""

    @property
    def interval_ns(self) -> int:
        """Between two of its ticks."""
        ...

    def tell(self, row: MarketRow) -> trio.Event:
        """A new row; the event is set when it has been handled, or never will be."""
        ...


class Control(Protocol):
    """What an account is asked for beside trading on it: money that its owner moves. Each `id` counts once."""

    async def deposit(self, id: str, amount: float, at: int) -> None: ...

    async def withdrawal(self, id: str, amount: float, at: int) -> None: ...


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where one strategy trades; without a `control` its owner moves money by himself."""

    entry: StrategyEntry
    clients: tuple[VenueClient, ...]
    control: Control | None = None


class World(Protocol):
    @property
    def clock(self) -> Clock:
        """Market time."""
        ...

    @property
    def at(self) -> int:
        """The stamp of the next row, UTC ns."""
        ...

    def place(self, strategy: str) -> Place:
        """Where a strategy trades; the Stop that kept its account from being opened."""
        ...

    def rerun(self, entry: StrategyEntry) -> None:
        """A mode has changed while it runs: its rows come with what it asks for now."""
        ...

    async def drive(self, listeners: Mapping[str, Listener], *, step_budget_s: Callable[[], float]) -> None:
        """Tells rows to listeners, by strategy, for ever; a listener that takes longer is not waited for."""
        ...

    def last_row(self, strategy: str) -> MarketRow:
        """The last row that was told or lived through."""
        ...

    def close(self) -> None:
        """Keeps what is to be kept; never raises what a disk does."""
        ...
