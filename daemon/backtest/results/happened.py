"""What happened in a run beside its profit: whether and why it stopped, what was left open then, how far prices parted,
and what its owner paid in and took out."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import numpy as np

from components.market_measures import divergence_of
from components.model.events import Event, EventType
from components.model.keys import GAS, PositionKey, PositionType
from components.model.market import Market
from components.model.slices import RunSlice
from components.ports import Flow
from components.utility_manager import UtilityManager
from daemon.backtest.replay import ReplayResult
from daemon.backtest.results.tables import BALANCE, iso_stamp

CRUMBS = 1e-5  # of the capital: what a lot or a fee leaves over is no position
ROUNDING = 1e-6  # of the capital
STOPS = (EventType.EMERGENCY_STOP, EventType.HALTED)


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """Stamps are ISO 8601. `left_open` are positions that a stopped run still holds on its last row, by key; the
    divergence is the largest of a fresh price of its venues from the reference, as a fraction."""

    stopped_at: str | None
    stopped_because: str | None
    left_open: tuple[str, ...]
    divergence_max: float | None
    divergence_at: str | None
    paid_in: float
    paid_out: float
    withdrawals_refused: tuple[str, ...] = ()  # when, and why
    unpaid: float = 0.0  # of the withdrawals that were not refused: not paid by the end
    withdrawal_waits: str | None = None  # when and why what is unpaid was last found too dear to free
    withdrawal_costs: float = 0.0  # of freeing what was paid out: borne by the units that left


def happened_in(result: ReplayResult, run: RunSlice, market: Market) -> Happened:
    stop = _stop(result)
    divergence = divergence_of(market, run.mode)
    worst = None if divergence is None else int(divergence.argmax())
    paid_in = sum(
        event.amount or 0.0
        for event in result.events
        if isinstance(event, Event) and event.event_type is EventType.DEPOSIT
    )
    paid_out = max(paid_in - result.external_flows, 0.0) if paid_in or result.external_flows else 0.0
    refused, granted = _withdrawals(result)
    unpaid = granted - paid_out
    is_unpaid = unpaid > ROUNDING * result.initial_equity
    return Happened(
        stopped_at=None if stop is None else iso_stamp(stop.timestamp),
        stopped_because=None if stop is None else _reason(stop),
        left_open=() if stop is None else tuple(open_positions(result, run, market)),
        divergence_max=None if divergence is None or worst is None else float(divergence[worst]),
        divergence_at=None if worst is None else iso_stamp(int(market.timestamps[worst])),
        paid_in=paid_in,
        paid_out=paid_out,
        withdrawals_refused=refused,
        unpaid=unpaid if is_unpaid else 0.0,
        withdrawal_waits=_waits(result) if is_unpaid else None,
        withdrawal_costs=result.borne,
    )


def flow_texts(flows: Iterable[Flow]) -> tuple[str, ...]:
    """Scheduled flows as one types them."""
    return tuple(f"{iso_stamp(flow.at)}:{flow.amount:+.12g}" for flow in flows)


def open_positions(result: ReplayResult, run: RunSlice, market: Market) -> list[str]:
    """Keys of what is held on the last row and is neither cash of the share class, reserve, gas nor a crumb."""
    prices, last = UtilityManager(run.mode.share_class), market.window(len(market) - 1, len(market)).row(0)
    found = []
    for name in result.columns:
        if not name.startswith(BALANCE):
            continue
        key = PositionKey(name.removeprefix(BALANCE))
        amount = float(result.columns[name][-1])
        cash = key.position_type is PositionType.BASE_TOKEN and key.symbol == run.mode.share_class
        if not amount or key.venue == GAS or key.position_type is PositionType.PERP_QUOTE or cash:
            continue
        if abs(amount * prices.value_at(last, key)) > CRUMBS * result.initial_equity:
            found.append(str(key))
    return sorted(found)


def _withdrawals(result: ReplayResult) -> tuple[tuple[str, ...], float]:
    """(What was refused and why, share-class currency asked for and not refused)."""
    refused, granted = [], 0.0
    for event in result.events:
        if not isinstance(event, Event):
            continue
        if event.event_type is EventType.WITHDRAWAL_REQUESTED:
            granted += event.amount or 0.0
        elif event.event_type is EventType.WITHDRAWAL_REFUSED:
            granted -= event.amount or 0.0
            refused.append(f"{iso_stamp(event.timestamp)} {event.detail}")
    return tuple(refused), granted


def _waits(result: ReplayResult) -> str | None:
    """When and why the rest of a payment was last found too dear to free."""
    for event in reversed(result.events):
        if isinstance(event, Event) and event.event_type is EventType.WITHDRAWAL_WAITS:
            return f"{iso_stamp(event.timestamp)} {event.detail}"
    return None


def _stop(result: ReplayResult) -> Event | None:
    """The first event that ended trading."""
    for event in result.events:
        if isinstance(event, Event) and event.event_type in STOPS:
            return event
    return None


def _reason(stop: Event) -> str:
    if stop.event_type is EventType.EMERGENCY_STOP:
        figure = "" if stop.amount is None or not np.isfinite(stop.amount) else f" at {stop.amount:.2%}"
        return f"emergency stop: {stop.detail}{figure}"
    return stop.detail
