"""The row an emergency plans on: what the doors say now, else the last row, else the nearest thing there is.

A missing price never stops an exit; the legs it would price are only sent last.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from components.model.keys import PositionKey, perp, perp_quote
from components.model.requirements import SeriesName, requirements
from components.model.slices import RunSlice
from daemon.world.rows import MarketRow

NEUTRAL = {"supply_index": 1.0, "borrow_index": 1.0, "ratio": 1.0, "gas_price": 30.0, "eth_price": 0.0}
PRICES = ("spot", "perp")


class Marked(msgspec.Struct, frozen=True):
    """A whole row, and the series in it that are stood in for."""

    row: MarketRow
    missing: frozenset[str]


def marked_row(
    run: RunSlice,
    at: int,
    marks: Mapping[str, float],
    last: MarketRow | None,
    positions: Mapping[PositionKey, float],
) -> Marked:
    """Every series that the mode needs, nothing stale: who must get out does not wait for a fresher price."""
    values = {**(last.values if last is not None else {}), **marks}
    fresh = frozenset(marks) | (frozenset(last.values) - frozenset(last.stale) if last is not None else frozenset())
    missing = set()
    for name in requirements(run.mode):
        kind = SeriesName.parse(name).kind
        if kind in ("funding", "reward"):
            continue
        if name not in values:
            values[name] = _instead(run, name, values, positions)
        if name not in fresh:
            missing.add(name)
    derived = last.derived if last is not None else {}
    return Marked(
        MarketRow(tick=last.tick if last else 0, timestamp=at, values=values, derived=derived), frozenset(missing)
    )


def _instead(run: RunSlice, name: str, values: Mapping[str, float], positions: Mapping[PositionKey, float]) -> float:
    """The same coin elsewhere, else what a short of it was opened at; 1 for what has a natural unit."""
    series = SeriesName.parse(name)
    if series.kind not in PRICES:
        return NEUTRAL.get(series.kind, 1.0)
    for kind in (series.kind, *PRICES):
        for venue in ("binance", *sorted(run.exchanges)):
            value = values.get(f"{venue}.{kind}.{series.symbol}")
            if value is not None:
                return value
    for venue in sorted(run.exchanges):
        size, quote = positions.get(perp(venue, series.symbol)), positions.get(perp_quote(venue, series.symbol))
        if size and quote:
            return abs(quote / size)
    return 1.0
