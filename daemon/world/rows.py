"""Rows of the market on their way to a cell, and the windows of one row that a core computes on.

A live core needs the row and the one before it: every change it attributes is between the two. Columns that look
further back (the carry of a leveraged position) come along as derived values.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np

from components.model.market import Column, Market, Provenance, Window

PROVENANCE = Provenance(source="ticks", data_hash="")


class MarketRow(msgspec.Struct, frozen=True, kw_only=True):
    """What is known at one tick. `ages_s` per source in row time; `stale` names series too old to trade on."""

    tick: int
    timestamp: int  # UTC ns, tick × interval
    values: Mapping[str, float]
    derived: Mapping[str, float] = {}
    stale: tuple[str, ...] = ()
    ages_s: Mapping[str, float] = {}


class EmbeddedMarket:
    """The rows of a generated market, as a feed would tell them; `derived` columns are read as the core names them."""

    def __init__(self, market: Market, derived: Mapping[str, Column]) -> None:
        self.market = market
        self._derived = derived

    def row(self, index: int, tick: int) -> MarketRow:
        """The row of this number, counted from the first of the whole market."""
        market = self.market
        index -= market.first
        return MarketRow(
            tick=tick,
            timestamp=int(market.timestamps[index]),
            values={name: float(column[index]) for name, column in market.columns.items()},
            derived={name: float(column[index]) for name, column in self._derived.items()},
            stale=tuple(name for name, flags in market.stale.items() if flags[index]),
        )


def window_of(row: MarketRow, previous: MarketRow | None) -> Window:
    """One row as the core sees it; columns that the previous row lacks hold the value of this one."""
    if previous is None:
        rows: tuple[MarketRow, ...] = (row,)
    else:
        rows = (previous, row)
    market = Market(
        np.array([each.timestamp for each in rows], dtype=np.int64),
        {name: np.array([each.values.get(name, value) for each in rows]) for name, value in row.values.items()},
        stale={name: np.array([name in each.stale for each in rows]) for name in row.stale},
        derived={
            name: np.array([each.derived.get(name, value) for each in rows]) for name, value in row.derived.items()
        },
        provenance=PROVENANCE,
    )
    return Window(market, len(rows) - 1, len(rows))
