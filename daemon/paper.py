"""Paper: an embedded market that moves by itself, simulated accounts that live in it, and the driver of both.

Each strategy has an account of its own. At every market row the driver lets all accounts live through it, tells the
row to the cells whose tick it is, and waits until they have handled it: market time never passes a tick that is not
handled, unless a cell is stuck for longer than a step may take; then the others go on without it. The market is
generated some time ahead and continued when it runs short; what it said stays as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec
import trio

from components.model.keys import PositionKey
from components.model.market import Column, Market
from components.model.requirements import DAY_NS, Grid, requirements
from components.model.slices import RunSlice
from components.risk_monitor import carry_of
from components.strategies.factory import make_strategy
from daemon.cell import Cell
from daemon.clocks import SECOND_NS, MarketClock
from daemon.daemon_config import MarketFeed, StrategyEntry
from daemon.ticks import EmbeddedMarket, MarketRow
from venues.interfaces import VenueClient
from venues.sim.market import generate

FIRST_DAYS = 28


class PaperAccountControl(Protocol):
    """What the driver does to an account; in this process or in another."""

    async def advance_to(self, row: int) -> None: ...

    async def deposit(self, id: str, amount: float, at: int) -> None: ...

    async def withdrawal(self, id: str, amount: float, at: int) -> None: ...


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy's place in the paper world."""

    entry: StrategyEntry
    control: PaperAccountControl
    clients: tuple[VenueClient, ...]
    extend: Callable[[Market], None]
    close: Callable[[], None] = lambda: None


OpenPlace = Callable[[StrategyEntry, Market, Mapping[PositionKey, float]], Place]


class PaperWorld:
    """Markets and accounts of all strategies, and the clock they share."""

    def __init__(self, entries: tuple[StrategyEntry, ...], feed: MarketFeed, speed: float, first_row: int) -> None:
        assert feed.start is not None and feed.step_s is not None
        self._entries = entries
        self._feed = feed
        self._step = int(feed.step_s * SECOND_NS)
        self._start = feed.start - feed.start % self._step
        self._rows = max(self._rows_for(FIRST_DAYS), 2 * first_row)
        self.row = first_row
        self.clock = MarketClock(self._start + first_row * self._step, speed=speed)
        self.clock.raise_ceiling(self._start + first_row * self._step)
        self.places: dict[str, Place] = {}
        self._feeds: dict[str, EmbeddedMarket] = {}
        self.lagged_ns = 0
        self.muted: set[str] = set()
        self.handled: Callable[[int], None] = lambda row: None

    def open(self, open_place: OpenPlace) -> None:
        """Generates the markets and opens the accounts at the row where they stopped."""
        for entry in self._entries:
            market = self._market(entry)
            self._feeds[entry.id] = self._embedded(entry, market)
            self.places[entry.id] = open_place(entry, market, initial_balances(entry.run, entry.capital))

    async def drive(self, cells: Mapping[str, Cell], *, step_budget_s: float) -> None:
        """Row after row, for ever."""
        while True:
            at = self.at
            self.lagged_ns += self.clock.raise_ceiling(at)
            await trio.lowlevel.checkpoint()  # a clock that is always late never sleeps
            await self.clock.sleep_until(at)
            for place in self.places.values():
                await place.control.advance_to(self.row)
            waiting = []
            for strategy, cell in list(cells.items()):
                interval = int(cell.run_slice.mode.time_throttle_interval * SECOND_NS)
                if at % interval == 0 and strategy not in self.muted:
                    waiting.append(cell.tell(self._feeds[strategy].row(self.row, at // interval)))
            with trio.move_on_after(step_budget_s):
                for handled in waiting:
                    await handled.wait()
            self.handled(self.row)
            self.row += 1
            if self.row + self._rows_for(1) > self._rows:
                self._continue()

    def close(self) -> None:
        """Keeps the accounts as they are, quiet rows included."""
        for place in self.places.values():
            place.close()

    def last_row(self, strategy: str) -> MarketRow:
        """The last row that the accounts have lived through."""
        index = max(self.row - 1, 0)
        return self._feeds[strategy].row(index, (self._start + index * self._step) // self._step)

    def _continue(self) -> None:
        """Twice as long a market, the same on the rows that there were."""
        self._rows *= 2
        for entry in self._entries:
            market = self._market(entry)
            self._feeds[entry.id] = self._embedded(entry, market)
            self.places[entry.id].extend(market)

    @property
    def at(self) -> int:
        """The stamp of the next row, UTC ns."""
        return self._start + self.row * self._step

    def grid(self) -> Grid:
        """The rows there are so far."""
        return Grid(self._start, self._start + (self._rows - 1) * self._step, self._step)

    def _market(self, entry: StrategyEntry) -> Market:
        grid = self.grid()
        assert self._feed.seed is not None and self._feed.scenario is not None
        return generate(grid, seed=self._feed.seed, names=requirements(entry.run.mode), scenario=self._feed.scenario)

    def _embedded(self, entry: StrategyEntry, market: Market) -> EmbeddedMarket:
        mode = entry.run.mode
        derived: dict[str, Column] = {}
        carry = carry_of(market, mode)
        if carry is not None:
            derived[f"carry({mode.lst_type}, {mode.break_even_days})"] = carry
        return EmbeddedMarket(market, derived)

    def _rows_for(self, days: int) -> int:
        return days * DAY_NS // self._step


def initial_balances(run: RunSlice, capital: float) -> dict[PositionKey, float]:
    """Where the capital lies before the first decision."""
    gas = 0.0 if run.mode.costs == "none" else run.mode.gas_reserve
    return make_strategy(run.mode).initial(capital, gas)
