"""Paper: an embedded market that moves by itself, simulated accounts that live in it, and the driver of both.

Each strategy has an account of its own. At every market row the driver lets all accounts live through it, tells the
row to the cells whose tick it is, and waits until they have handled it: market time never passes a tick that is not
handled, unless a cell is stuck for longer than a step may take; then the others go on without it. The market is
made some weeks ahead and continued when it runs short; what it said stays as it was, and rows that nobody can ask for
any more are let go of. One column serves all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import gcd, inf
from typing import Protocol

import structlog
import trio

from components.market_measures import carry_name, carry_of
from components.model.errors import Stop
from components.model.keys import PositionKey
from components.model.market import Column, Market, Row
from components.model.requirements import DAY_NS, Grid, SeriesName, requirements
from components.model.slices import RunSlice
from components.strategies.factory import make_strategy
from daemon.config.daemon_file import MarketFeed, StrategyEntry
from daemon.world.clocks import SECOND_NS, MarketClock
from daemon.world.rows import EmbeddedMarket, MarketRow
from daemon.world.world import Control, Listener, Place
from venues.embedded import Continued

log = structlog.get_logger()
FIRST_DAYS = 28
FEW_ROWS = 64


class PaperControl(Control, Protocol):
    """What the driver does to an account as well; in this process or in another."""

    async def advance_to(self, row: int) -> None: ...


class PaperPlace(Place, frozen=True, kw_only=True):
    """One strategy's place in the paper world."""

    control: PaperControl
    extend: Callable[[Market], None]
    close: Callable[[], None] = lambda: None
    waited_at: Callable[[], float] = lambda: -inf  # process time: when somebody last waited for a block


OpenPlace = Callable[[StrategyEntry, Market, Mapping[PositionKey, float]], PaperPlace]


class PaperWorld:
    """Markets and accounts of all strategies, and the clock they share."""

    def __init__(
        self,
        entries: tuple[StrategyEntry, ...],
        feed: MarketFeed,
        speed: float,
        first_row: int,
        *,
        threads: bool = False,  # whether the market is continued, and its row written down, beside the event loop
        oldest_row: int | None = None,
    ) -> None:
        """The next row is `first_row`; some account stands no further than `oldest_row`."""
        assert feed.start is not None and feed.step_s is not None
        self._entries = entries
        self._feed = feed
        self._step = int(feed.step_s * SECOND_NS)
        self._start = feed.start - feed.start % self._step
        self._threads = threads
        self._oldest = first_row if oldest_row is None else min(oldest_row, first_row)
        self._kept_days = max(FIRST_DAYS, *(entry.run.mode.break_even_days for entry in entries)) + 1
        self._source: Continued | None = None
        self._whole: Market | None = None
        self.row = first_row
        self.clock = MarketClock(self._start + first_row * self._step, speed=speed)
        self.clock.raise_ceiling(self._start + first_row * self._step)
        self.places: dict[str, PaperPlace] = {}
        self.failed: dict[str, Stop] = {}  # strategies whose account cannot be opened, and why
        self._silent: set[str] = set()  # accounts that live on without being written down
        self._feeds: dict[str, EmbeddedMarket] = {}
        self.lagged_ns = 0
        self.muted: set[str] = set()
        self.handled: Callable[[int], None] = lambda row: None
        self._passed = trio.Event()

    def open(self, open_place: OpenPlace) -> None:
        """Generates the markets and opens the accounts at the row where they stopped."""
        self._whole = self._grown(self.row + self._rows_for(FIRST_DAYS))
        for entry in self._entries:
            market = self._part_of(self._whole, entry)
            self._feeds[entry.id] = self._embedded(entry, market)
            try:
                self.places[entry.id] = open_place(entry, market, initial_balances(entry.run, entry.capital))
            except Stop as error:  # one account that is damaged takes no other down
                self.failed[entry.id] = error
                log.critical("account.not_opened", strategy=entry.id, error=str(error))

    def row_of(self, entry: StrategyEntry) -> Row:
        """The market row at which a strategy would begin; no more of the market is made than that takes."""
        market = self._whole = self._grown(self.row + FEW_ROWS)
        return Row(self._part_of(market, entry), self.row - market.first)

    def place(self, strategy: str) -> PaperPlace:
        """Where a strategy trades; the Stop that kept its account from being opened."""
        if strategy in self.failed:
            raise self.failed[strategy]
        return self.places[strategy]

    def rerun(self, entry: StrategyEntry) -> None:
        """A mode that was changed while it runs: its rows come with the derived columns that it asks for now."""
        self._entries = tuple(entry if each.id == entry.id else each for each in self._entries)
        self._feeds[entry.id] = self._embedded(entry, self._feeds[entry.id].market)

    async def drive(self, listeners: Mapping[str, Listener], *, step_budget_s: Callable[[], float]) -> None:
        """Row after row, for ever."""
        async with trio.open_nursery() as nursery:
            if self._threads:
                nursery.start_soon(self._write_rows)
            await self._drive(listeners, step_budget_s)

    async def _drive(self, listeners: Mapping[str, Listener], step_budget_s: Callable[[], float]) -> None:
        while True:
            at = self.at
            self.lagged_ns += self.clock.raise_ceiling(at)
            await trio.lowlevel.checkpoint()  # a clock that is always late never sleeps
            await self.clock.sleep_until(at)
            for strategy, place in self.places.items():
                await self._live(strategy, place)
            waiting = []
            for strategy, listener in list(listeners.items()):
                interval = listener.interval_ns
                if at % interval == 0 and strategy not in self.muted:
                    waiting.append((strategy, listener.tell(self._feeds[strategy].row(self.row, at // interval))))
            await self._heard(waiting, step_budget_s())
            self.row += 1
            if self._threads:
                self._passed.set()
            else:
                self.handled(self.row - 1)
            if self.row + self._rows_for(1) > self._rows():
                await self._continue()

    async def _write_rows(self) -> None:
        """How far the market is, the newest row only: a disk that hangs holds up no market."""
        limiter = trio.CapacityLimiter(1)
        while True:
            await self._passed.wait()
            self._passed = trio.Event()
            # Left behind, this thread writes one number to a file that is a hint, and sends nothing.
            await trio.to_thread.run_sync(self.handled, self.row - 1, abandon_on_cancel=True, limiter=limiter)

    async def _heard(self, waiting: Iterable[tuple[str, trio.Event]], budget_s: float) -> None:
        """Until all have handled their row, or one of them stands still for the budget: who waits for a block does
        not. Nobody is waited for by half a row more than that: the others are told nothing meanwhile, the next row is a
        whole one later, and after two and a budget they would be taken for stuck."""
        began = trio.current_time()
        last = began + budget_s + 0.5 * self._step / SECOND_NS / self.clock.speed
        for strategy, handled in waiting:
            while not handled.is_set():
                until = min(max(began, self.places[strategy].waited_at()) + budget_s, last)
                if trio.current_time() >= until:
                    return
                with trio.move_on_after(until - trio.current_time()):
                    await handled.wait()

    async def _live(self, strategy: str, place: PaperPlace) -> None:
        """Takes one account through the row. One that cannot be written down lives on in memory: its requests are
        refused until it is written again, which is tried on each row."""
        try:
            await place.control.advance_to(self.row)
        except Stop as error:
            if strategy not in self._silent:
                log.critical("account.not_written", strategy=strategy, error=str(error))
            self._silent.add(strategy)
        else:
            if strategy in self._silent:
                log.warning("account.written_again", strategy=strategy)
            self._silent.discard(strategy)

    def trouble(self) -> str:
        """Whose accounts are not written down now; empty when all are."""
        return ", ".join(sorted(self._silent))

    def close(self) -> None:
        """Keeps the accounts as they are, quiet rows included."""
        for strategy, place in self.places.items():
            try:
                place.close()
            except (Stop, OSError) as error:
                log.critical("account.not_written", strategy=strategy, error=str(error))

    def last_row(self, strategy: str) -> MarketRow:
        """The last row that the accounts have lived through."""
        index = max(self.row - 1, 0)
        return self._feeds[strategy].row(index, (self._start + index * self._step) // self._step)

    async def _continue(self) -> None:
        """Some weeks more of the market, the same on the rows that there were; strategies live on meanwhile."""
        rows, self._oldest = self._rows() + 1, self.row
        if self._threads:
            self._whole = await trio.to_thread.run_sync(self._grown, rows)
        else:
            self._whole = self._grown(rows)
        for entry in self._entries:
            market = self._part_of(self._whole, entry)
            self._feeds[entry.id] = self._embedded(entry, market)
            if entry.id in self.places:
                self.places[entry.id].extend(market)

    @property
    def at(self) -> int:
        """The stamp of the next row, UTC ns."""
        return self._start + self.row * self._step

    def grid(self) -> Grid:
        """The rows there are so far, those that were let go of included."""
        return Grid(self._start, self._start + (self._rows() - 1) * self._step, self._step)

    def _rows(self) -> int:
        return 0 if self._whole is None else self._whole.first + len(self._whole)

    def _grown(self, rows: int) -> Market:
        """The market of all strategies with at least so many rows, made since the first one; every column is made once.
        It goes as far back as somebody looks: an account that has not lived so far, a carry over weeks, a reward."""
        if self._source is None:
            assert self._feed.seed is not None and self._feed.scenario is not None
            wanted = [name for entry in self._entries for name in requirements(entry.run.mode)]
            self._source = Continued(
                Grid(self._start, self._start, self._step),
                seed=self._feed.seed,
                names=wanted,
                scenario=self._feed.scenario,
                scenario_hours=FIRST_DAYS * 24.0,
            )
        market, oldest = self._whole, self._oldest - self._rows_for(self._kept_days)
        while self._source.rows < rows:
            part = self._source.part(self._part_rows())
            market = part if market is None else market.since(oldest, part)
        assert market is not None
        return market

    def _part_rows(self) -> int:
        """Some weeks, in whole days of the span."""
        whole = DAY_NS // gcd(DAY_NS, self._step)
        return -(-self._rows_for(FIRST_DAYS) // whole) * whole

    def _part_of(self, market: Market, entry: StrategyEntry) -> Market:
        return part_of(market, tuple(requirements(entry.run.mode)))

    def _embedded(self, entry: StrategyEntry, market: Market) -> EmbeddedMarket:
        mode = entry.run.mode
        derived: dict[str, Column] = {}
        carry = carry_of(market, mode)
        if carry is not None:
            derived[carry_name(mode)] = carry
        return EmbeddedMarket(market, derived)

    def _rows_for(self, days: int) -> int:
        return days * DAY_NS // self._step


def initial_balances(run: RunSlice, capital: float) -> dict[PositionKey, float]:
    """Where the capital lies before the first decision."""
    gas = 0.0 if run.mode.costs == "none" else run.mode.gas_reserve
    return make_strategy(run.mode).initial(capital, gas)


def part_of(market: Market, names: tuple[str, ...]) -> Market:
    """The series of these names alone, without a copy; a perp brings its extremes."""
    known = {name: SeriesName.parse(name) for name in names}
    extremes = [
        f"{each.venue}.{kind}.{each.symbol}"
        for each in known.values()
        if each.kind == "perp"
        for kind in ("perp_high", "perp_low")
    ]
    tokens = {each.symbol for each in known.values() if each.kind == "reward"}
    wanted = dict.fromkeys((*names, *extremes))
    return Market(
        market.timestamps,
        {name: market.columns[name] for name in wanted if name in market.columns},
        funding={name: market.funding[name] for name in names if name in market.funding},
        rewards=tuple(period for period in market.rewards if period.token in tokens),
        provenance=market.provenance,
        first=market.first,
        begins=market.begins,
    )
