"""How close a run came to liquidation, and past it: what a venue liquidated counts as it stood when that was done.

The columns of a run show a row after its liquidations; the figure before them is worked out from the event before,
whose balances are the book that was liquidated. Prices are those of the row; a perp is tested at the bar's adverse
extreme where the mode says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec
import numpy as np

from components.model.events import Event, EventType
from components.model.keys import PositionKey, a_token, base_token, debt_token, perp, perp_quote
from components.model.market import Column, Market, Row
from components.model.requirements import LST_PROTOCOL
from components.model.slices import RunSlice
from daemon.backtest.replay import ReplayResult
from daemon.backtest.results.events import single_events


class Lows(msgspec.Struct, frozen=True):
    """The lowest health factor and margin ratio of a run; None where there never was a position."""

    health_factor: float | None
    margin_ratio: float | None


def lows_of(result: ReplayResult, run: RunSlice, market: Market) -> Lows:
    health = [lowest(result.columns, "health_factor")]
    margin = [lowest(result.columns, "margin_ratio.")]
    if result.liquidations:
        for event, held in _liquidated(result):
            row = Row(market, int(np.searchsorted(market.timestamps, event.timestamp)))
            if event.venue in run.exchanges:
                margin.append(_margin_ratio(event.venue, held, run, row))
            else:
                health.append(_health_factor(held, run, row))
    return Lows(_least(health), _least(margin))


def lowest(columns: Mapping[str, Column], *prefixes: str) -> float | None:
    """The smallest value in all columns of these prefixes; None when there is none."""
    found = [columns[name] for name in columns if name.startswith(prefixes)]
    return _least([float(np.nanmin(column)) for column in found if not np.isnan(column).all()])


def _liquidated(result: ReplayResult) -> Iterator[tuple[Event, Mapping[PositionKey, float]]]:
    """Each liquidation and what was held right before it."""
    held: Mapping[PositionKey, float] = {}
    for event in single_events(result.events):
        if event.event_type is EventType.LIQUIDATION:
            yield event, held
        held = event.balances


def _health_factor(held: Mapping[PositionKey, float], run: RunSlice, row: Row) -> float | None:
    lst = run.mode.lst_type
    if lst is None:
        return None
    scaled = held.get(a_token(lst), 0.0)
    collateral = (
        scaled * row.value(f"aave_v3.supply_index.{lst}") * row.value(f"{LST_PROTOCOL[lst]}.ratio.{lst}")
        if scaled
        else 0.0
    )
    owed = held.get(debt_token("WETH"), 0.0)
    debt = owed * row.value("aave_v3.borrow_index.WETH") if owed else 0.0
    return collateral * run.chain.e_mode.liquidation_threshold / debt if debt else None


def _margin_ratio(venue: str, held: Mapping[PositionKey, float], run: RunSlice, row: Row) -> float | None:
    coin = run.mode.asset
    size = held.get(perp(venue, coin), 0.0)
    if not size:
        return None
    extreme = f"{venue}.perp_{'high' if size < 0.0 else 'low'}.{coin}"
    tested = run.mode.liquidation_price == "extreme" and extreme in row.market.columns
    price = row.value(extreme if tested else f"{venue}.perp.{coin}")
    equity = held.get(base_token(venue, "USDT"), 0.0) + size * price + held.get(perp_quote(venue, coin), 0.0)
    coins = held.get(base_token(venue, coin), 0.0)
    if run.mode.collateral == "unified" and coins:
        equity += coins * row.value(f"{venue}.spot.{coin}") * run.exchanges[venue].haircuts.get(coin, 0.0)
    return equity / (abs(size) * price)


def _least(values: list[float | None]) -> float | None:
    return min((value for value in values if value is not None), default=None)
