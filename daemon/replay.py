"""Replays a market through the core: simulated venues behind the ports, no trio, no clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from components.model.events import Event, SettlementBatch
from components.model.market import Column, Market, Stamps
from components.model.slices import RunSlice
from components.ports import Flow


class ReplayRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to replay: the market already spans the grid; `capital` in share-class currency."""

    run_id: str
    capital: float
    flows: tuple[Flow, ...] = ()
    close_at_end: bool = False
    window_rows: int | None = None   # None: adaptive; otherwise windows of exactly this many rows


class ReplayResult(msgspec.Struct, frozen=True, kw_only=True):
    """Columns per row, events in order, and the figures only the core knows.

    Columns (share-class currency unless said otherwise; step values, not cumulative):
    `equity`, `external_flow`, one per enabled P&L part, `residual`, `unexplained`, `unit_value` (1 at start),
    `drawdown` (fraction), `net_delta` (fraction of gross), `reserve`, `reference_price` (USDT), `stale` (count of stale
    inputs), `risk_level` (0 ok, 1 warning, 2 critical); per CEX `venue_equity.<v>`, `margin_ratio.<v>`, `mm_ratio.<v>`,
    `funding.<v>`, `venue_pnl.<v>`; with debt `ltv` and `health_factor`; `balance.<position key>` native units.
    NaN = not there (e.g. a margin ratio without a position).
    """

    timestamps: Stamps
    columns: Mapping[str, Column]
    events: tuple[Event | SettlementBatch, ...]
    initial_equity: float
    final_equity: float
    liquidation_value: float
    parts: Mapping[str, float]
    external_flows: float
    residual: float
    residual_max: float
    trades: int
    liquidations: int
    notes: tuple[str, ...]


Progress = Callable[[int, int], None]


def replay(run: RunSlice, market: Market, request: ReplayRequest, progress: Progress | None = None) -> ReplayResult:
    """Runs the full loop over every row of `market`; the result does not depend on `window_rows`."""
    raise NotImplementedError
