"""The paper world: rows at their time for everybody whose tick it is, venues that live on, a market without an end."""

from __future__ import annotations

import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import trio
from msgspec import structs
from trio.testing import MockClock

from components.model.slices import RunSlice
from daemon.cells.cell import interval_ns
from daemon.config.daemon_file import DaemonSlice, load_daemon
from daemon.config.settings import PACKAGED, load_run
from daemon.world.paper import PaperWorld, initial_balances
from daemon.world.paper_places import places
from daemon.world.rows import MarketRow
from tests.daemon.fakes import virtual
from venues.paper.account import PaperAccount
from venues.paper.door.faults import FaultPlan
from venues.paper.door.passage import Profile

WIRE = Profile(latency_s=0.0, spread=0.0, requests_per_minute=1_000_000)


class Told:
    """A cell as the driver sees one: it handles a row after `takes_s`."""

    def __init__(self, run: RunSlice, takes_s: float = 0.0) -> None:
        self.interval_ns = interval_ns(run)
        self.rows: list[tuple[float, MarketRow]] = []
        self.takes_s = takes_s
        self.nursery: trio.Nursery | None = None

    def tell(self, row: MarketRow) -> trio.Event:
        self.rows.append((trio.current_time(), row))
        handled = trio.Event()
        assert self.nursery is not None
        self.nursery.start_soon(self._handle, handled)
        return handled

    async def _handle(self, handled: trio.Event) -> None:
        await trio.sleep(self.takes_s)
        handled.set()


def configuration(folder: Path) -> DaemonSlice:
    return load_daemon(PACKAGED / "paper.yaml", environ={"BASIS_STATE_DIR": str(folder)})


def opened(folder: Path, *, speed: float = 1.0, row: int = 0, threads: bool = False) -> PaperWorld:
    config = configuration(folder)
    world = PaperWorld(config.strategies[:2], config.market, speed, row, threads=threads)
    world.open(
        places(
            world,
            lambda entry, market, balances: PaperAccount(entry.run, market, balances),
            lambda _: FaultPlan(),
            seed=1,
            profile=WIRE,
        )
    )
    return world


def driven(folder: Path, seconds: float, *, takes_s: float = 0.0, speed: float = 1.0) -> tuple[PaperWorld, list[Told]]:
    cells: list[Told] = []
    found: list[PaperWorld] = []

    async def play() -> None:
        world = opened(folder, speed=speed)
        found.append(world)
        entries = configuration(folder).strategies[:2]
        async with trio.open_nursery() as nursery:
            for entry in entries:
                cell = Told(entry.run, takes_s)
                cell.nursery = nursery
                cells.append(cell)
            named = dict(zip((entry.id for entry in entries), cells, strict=True))
            with trio.move_on_after(seconds):
                await world.drive(named, step_budget_s=lambda: 600.0)  # type: ignore[arg-type]
            nursery.cancel_scope.cancel()

    virtual(play)
    return found[0], cells


def test_every_strategy_is_told_its_rows_at_their_time(tmp_path: Path) -> None:
    world, cells = driven(tmp_path, 301.0)
    for cell in cells:
        stamps = [row.timestamp for _, row in cell.rows]
        assert np.diff(stamps).tolist() == [60_000_000_000] * (len(stamps) - 1)
        assert [row.tick for _, row in cell.rows] == [stamp // 60_000_000_000 for stamp in stamps]
        told = np.array([at for at, _ in cell.rows])
        assert np.diff(told) == pytest.approx(60.0, abs=1e-6)
    assert world.row == len(cells[0].rows)


def test_market_time_runs_as_fast_as_asked(tmp_path: Path) -> None:
    _, cells = driven(tmp_path, 6.05, speed=60.0)
    assert 6 <= len(cells[0].rows) <= 7


def test_a_slow_strategy_makes_the_market_wait_and_misses_nothing(tmp_path: Path) -> None:
    world, cells = driven(tmp_path, 610.0, takes_s=100.0)
    rows = [row.tick for _, row in cells[0].rows]
    assert rows == list(range(rows[0], rows[0] + len(rows)))
    assert 3 <= len(rows) <= 4, "market time stands still until a row is handled"
    assert world.lagged_ns > 200_000_000_000


def test_who_waits_for_blocks_is_never_waited_for_until_the_others_count_as_stuck(tmp_path: Path) -> None:
    """They are told nothing meanwhile, and two intervals and a budget without a row are no progress."""
    cells: list[Told] = []

    async def play() -> None:
        world = opened(tmp_path)
        entries = configuration(tmp_path).strategies[:2]
        blocks = world.places[entries[0].id]
        world.places[entries[0].id] = structs.replace(blocks, waited_at=trio.current_time)
        async with trio.open_nursery() as nursery:
            for entry in entries:
                cell = Told(entry.run, 100_000.0 if entry is entries[0] else 0.0)
                cell.nursery = nursery
                cells.append(cell)
            listeners = {entry.id: cell for entry, cell in zip(entries, cells, strict=True)}
            with trio.move_on_after(1800.0):
                await world.drive(listeners, step_budget_s=lambda: 30.0)
            nursery.cancel_scope.cancel()

    virtual(play)
    told = [at for at, _ in cells[1].rows]
    assert len(told) >= 15
    assert max(after - before for before, after in pairwise(told)) < 2 * 60.0 + 30.0 - 15.0


async def test_a_muted_strategy_is_told_nothing_and_its_venues_live_on(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    world = opened(tmp_path)
    entry = configuration(tmp_path).strategies[0]
    world.muted.add(entry.id)
    cell = Told(entry.run)
    with trio.move_on_after(200.0):
        await world.drive({entry.id: cell}, step_budget_s=lambda: 1.0)  # type: ignore[dict-item]
    assert cell.rows == []
    assert world.places[entry.id].control.account.row >= 2  # type: ignore[attr-defined]


def test_a_longer_market_is_the_same_on_the_rows_there_were(tmp_path: Path) -> None:
    world = opened(tmp_path)
    before = [world._feeds[name].row(index, index) for name in world.places for index in (0, 77, 5000)]
    rows = len(world.grid())
    trio.run(world._continue)
    assert len(world.grid()) == rows + 28 * 1440
    after = [world._feeds[name].row(index, index) for name in world.places for index in (0, 77, 5000)]
    assert [row.values for row in after] == [row.values for row in before]


@pytest.mark.parametrize("scenario", ["calm", "crash", "depeg"])
def test_a_strategy_sees_the_market_it_would_see_alone(tmp_path: Path, scenario: str) -> None:
    config = configuration(tmp_path)
    feed = structs.replace(config.market, scenario=scenario)
    worlds = []
    for entries in (config.strategies, config.strategies[-1:]):
        world = PaperWorld(entries, feed, 1.0, 0)
        world._whole = world._grown(28 * 1440)
        short = world._part_of(world._whole, entries[-1])
        worlds.append((world._part_of(world._grown(2 * 28 * 1440), entries[-1]), short))
    (long, short), (alone, _) = worlds
    assert set(long.columns) == set(alone.columns)
    for name, column in short.columns.items():
        assert np.array_equal(column, long.columns[name][: len(column)]), "continuing it changes nothing that was"
        assert np.array_equal(long.columns[name], alone.columns[name])
    assert set(long.funding) == set(alone.funding)
    assert long.rewards == alone.rewards


def test_strategies_share_their_columns(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    world = PaperWorld(config.strategies, config.market, 1.0, 0)
    whole = world._grown(1440)
    markets = [world._part_of(whole, entry) for entry in config.strategies]
    distinct = {id(column) for market in markets for column in market.columns.values()}
    assert len(distinct) == len({name for market in markets for name in market.columns})


def test_what_nobody_can_ask_for_any_more_is_let_go_of(tmp_path: Path) -> None:
    """However old the market is, as many rows lie in memory, and those there are say the same."""
    sizes = []
    for days in (100, 400):
        world = opened(tmp_path, row=days * 1440)
        feed = world._feeds["btc-basis"]
        sizes.append(len(feed.market))
        assert feed.market.first <= (days - 29) * 1440, "weeks back are at hand"
        sizes.append(len(feed.market))
    assert max(sizes) <= 86 * 1440
    whole = opened(tmp_path)
    whole._oldest = 0
    long = whole._part_of(whole._grown(400 * 1440), whole.places["btc-basis"].entry)
    assert long.first == 0
    for row in (feed.market.first, 399 * 1440):
        found = feed.row(row, row)
        assert found.values == {name: float(column[row]) for name, column in long.columns.items()}
        assert found.timestamp == int(long.timestamps[row])


def test_an_account_that_has_not_lived_so_far_finds_the_rows_it_missed(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    world = PaperWorld(config.strategies[:1], config.market, 1.0, 300 * 1440, oldest_row=100 * 1440)
    market = world._grown(300 * 1440)
    assert market.first <= 100 * 1440
    assert len(market) >= 200 * 1440


def test_an_account_that_begins_late_begins_with_the_rows_there_are(tmp_path: Path) -> None:
    world = opened(tmp_path, row=200 * 1440)
    account = world.places["btc-basis"].control.account  # type: ignore[attr-defined]
    assert account.row == world._feeds["btc-basis"].market.first - 1 > 0
    trio.run(world.places["btc-basis"].control.advance_to, 200 * 1440)
    assert account.row == 200 * 1440
    assert account.timestamp == world.at


def test_capital_lies_where_the_strategy_begins() -> None:
    for mode, capital in (("btc_basis", 100_000.0), ("eth_leveraged", 30.0), ("pure_lending", 50_000.0)):
        placed = initial_balances(load_run(mode, environ={}), capital)
        assert sum(placed.values()) == pytest.approx(capital)
        assert all(amount >= 0.0 for amount in placed.values())


def test_a_disk_that_hangs_holds_up_no_market(tmp_path: Path) -> None:
    """How far the market is, is written down beside it; what could not be written meanwhile is left out."""
    world = opened(tmp_path, speed=600.0, threads=True)
    hangs, written = threading.Event(), list[int]()

    def write(row: int) -> None:
        written.append(row)
        hangs.wait(20.0)

    world.handled = write
    rows = world.row

    async def whole() -> None:
        with trio.move_on_after(1.0):
            await world.drive({}, step_budget_s=lambda: 1.0)

    trio.run(whole)
    hangs.set()
    assert world.row >= rows + 3
    assert len(written) == 1
