"""Replays a market through the core: simulated venues behind the ports, no trio, no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec
import numpy as np

from components.core import Core, Ports
from components.model.events import Event, PaymentBatch
from components.model.keys import CHAIN_VENUES, TRANSIT, base_token
from components.model.market import Column, Market, Row, Stamps
from components.model.orders import OrderGroup
from components.model.requirements import reference_price
from components.model.slices import RunSlice
from components.pnl_monitor import PARTS
from components.ports import Flow, RowBlock
from daemon.backtest.sold import exit_value
from venues.sim.world import SimWorld


class ReplayRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to replay: the market already spans the grid; `capital` in share-class currency."""

    run_id: str
    capital: float
    flows: tuple[Flow, ...] = ()
    close_at_end: bool = False
    window_rows: int | None = None  # None: adaptive; otherwise windows of exactly this many rows


class Rows(Mapping[str, Column]):
    """Columns of all blocks, put together when they are asked for; absent in a block = NaN (a balance: 0)."""

    def __init__(self, blocks: Sequence[RowBlock], beside: Mapping[str, Callable[[], Column]]) -> None:
        self._blocks = blocks
        self._beside = beside
        names: dict[str, None] = dict.fromkeys(beside)
        for block in blocks:
            names.update(dict.fromkeys(block.columns))
        self._names = tuple(names)
        self.timestamps: Stamps = np.concatenate([block.timestamps for block in blocks])

    def __getitem__(self, name: str) -> Column:
        if name in self._beside:
            return self._beside[name]()
        if name not in self._names:
            raise KeyError(name)
        out = np.full(len(self.timestamps), 0.0 if name.startswith("balance.") else np.nan)
        start = 0
        for block in self._blocks:
            stop = start + len(block.timestamps)
            value = block.columns.get(name)
            if value is not None:
                out[start:stop] = value
            start = stop
        return out

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class MemorySink:
    """Keeps rows and events of a replay in memory; intents are durable in the sense that nothing can crash between."""

    def __init__(self) -> None:
        self.blocks: list[RowBlock] = []
        self.events: list[Event | PaymentBatch] = []
        self.intents = 0

    def intend(self, group: OrderGroup, at: int) -> None:
        self.intents += len(group.orders)

    def record(self, events: Sequence[Event | PaymentBatch]) -> None:
        self.events.extend(events)

    def rows(self, block: RowBlock) -> None:
        self.blocks.append(block)


class ReplayResult(msgspec.Struct, frozen=True, kw_only=True):
    """Columns per row, events in order, and the figures only the core knows.

    Columns (share-class currency unless said otherwise; step values, not cumulative): `equity`, `external_flow`, one
    per enabled P&L part, `residual`, `unexplained` (cumulative), `unit_value` (1 at start), `drawdown` (fraction),
    `net_delta` (fraction of gross); per CEX `venue_equity.<v>`, `venue_pnl.<v>`, `margin_ratio.<v>`, `mm_ratio.<v>`,
    `funding.<v>`; with debt `ltv` and `health_factor`; `balance.<position key>` native units; `reference_price` (USDT)
    and `stale` (count of stale series). NaN = not there (e.g. a margin ratio without a position).
    """

    timestamps: Stamps
    columns: Mapping[str, Column]
    events: tuple[Event | PaymentBatch, ...]
    initial_equity: float
    final_equity: float
    liquidation_value: float
    parts: Mapping[str, float]
    external_flows: float
    residual: float
    residual_max: float
    trades: int  # filled, at least in part
    liquidations: int
    notes: tuple[str, ...]
    rejected: int = 0
    borne: float = 0.0  # costs of payments that the units of those who left have borne, share-class currency


Progress = Callable[[int, int], None]


class Replay:
    """One replay: a fresh core over a fresh world."""

    def __init__(self, run: RunSlice, market: Market, request: ReplayRequest) -> None:
        self._request = request
        self._market = market
        self.world = SimWorld(run, market, request.flows)
        self.sink = MemorySink()
        venues = (*run.exchanges, *CHAIN_VENUES)
        ports = Ports(
            market_data=market, observation=self.world, execution=dict.fromkeys(venues, self.world), sink=self.sink
        )
        self._run_slice = run
        self.core = Core(run, ports, strategy_id=run.mode.mode, run_id=request.run_id)
        gas = 0.0 if run.mode.costs == "none" else run.mode.gas_reserve
        balances = self.core.strategy.initial(request.capital, gas)
        self.world.place(balances)
        self.core.start(balances, request.capital, int(market.timestamps[0]))

    def run(self, progress: Progress | None = None) -> None:
        """Every row of the market, in windows; a closing run sells everything on the last row."""
        total, request = len(self._market), self._request
        open_rows = total - 1 if request.close_at_end else total
        row = 0
        while row < open_rows:
            row = self.core.run_row(row, rows=request.window_rows, until=open_rows)
            if progress is not None:
                progress(row, total)
        if request.close_at_end:
            self.world.costs.waive_delays = True  # nothing can arrive after the last row
            self.core.run_row(row, rows=1, until=total, close=True)

    def liquidation_value(self) -> float:
        """What would be left of the final positions after a full exit at market ratios and depth, share-class currency.

        A leg that cannot be sold because its price is stale counts at book value.
        """
        arrived = dict(self.core.positions.snapshot())
        for flight in self.core.positions.in_flight.values():
            transit = base_token(TRANSIT, flight.token)
            arrived[transit] = arrived.get(transit, 0.0) - flight.amount
            arrived[flight.target] = arrived.get(flight.target, 0.0) + flight.amount
        return exit_value(self._run_slice, Row(self._market, len(self._market) - 1), arrived)

    def result(self) -> ReplayResult:
        core = self.core
        rows = Rows(self.sink.blocks, _market_columns(self._market, self._run_slice))
        return ReplayResult(
            timestamps=rows.timestamps,
            columns=rows,
            events=tuple(self.sink.events),
            initial_equity=core.pnl.initial,
            final_equity=core.pnl.equity,
            liquidation_value=self.liquidation_value(),
            parts={part: core.pnl.sums[part] for part in PARTS if part in self._run_slice.mode.pnl.parts},
            external_flows=core.pnl.external_flows,
            residual=core.pnl.residual,
            residual_max=core.pnl.residual_max,
            trades=core.trades,
            liquidations=core.liquidations,
            rejected=core.rejected,
            borne=core.pnl.borne,
            notes=self._market.provenance.notes,
        )


def replay(run: RunSlice, market: Market, request: ReplayRequest, progress: Progress | None = None) -> ReplayResult:
    """Runs the full loop over every row of `market`; the result does not depend on `window_rows`."""
    job = Replay(run, market, request)
    job.run(progress)
    return job.result()


def _market_columns(market: Market, run: RunSlice) -> dict[str, Callable[[], Column]]:
    """Columns that say what the market was: the reference price, and how many series were stale."""

    def stale() -> Column:
        count = np.zeros(len(market))
        for flags in market.stale.values():
            count += flags
        return count

    out: dict[str, Callable[[], Column]] = {"stale": stale}
    name = reference_price("ETH" if run.mode.asset == "USDT" else run.mode.asset)
    if name in market.columns:
        out["reference_price"] = lambda: market.columns[name]
    return out
