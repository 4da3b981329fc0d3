"""Measures of the market alone, whatever is held: how far prices of one thing part, and what leverage earns.

Each is worked out once per market and kept with it, so that all strategies on it share the column.
"""

from __future__ import annotations

import numpy as np

from components.model.market import Column, Market
from components.model.requirements import DAY_NS, LST_PROTOCOL, reference_price
from components.model.slices import ModeSlice


def divergence_of(market: Market, mode: ModeSlice) -> Column | None:
    """Largest |own price ÷ reference − 1| over the spot and perp series a hedged mode uses, fresh rows only."""
    if not mode.hedge_allocation:
        return None

    def compute() -> Column:
        reference = market.column(reference_price(mode.asset))
        worst = np.zeros(len(market))
        for venue in mode.hedge_allocation:
            for kind in ("spot", "perp"):
                name = f"{venue}.{kind}.{mode.asset}"
                if name in market.columns and name != reference_price(mode.asset):
                    away = np.abs(market.columns[name] / reference - 1.0)
                    if name in market.stale:
                        away = np.where(market.stale[name], 0.0, away)
                    worst = np.maximum(worst, away)
        return worst

    return market.derived(f"divergence({mode.asset}, {','.join(mode.hedge_allocation)})", compute)


def carry_of(market: Market, mode: ModeSlice) -> Column | None:
    """Growth of LST ratio and supply index less growth of the WETH debt index over the last `break_even_days`, as a
    fraction; NaN while there are not enough rows."""
    if mode.max_ltv is None or mode.lst_type is None:
        return None
    lst = mode.lst_type
    names = (f"{LST_PROTOCOL[lst]}.ratio.{lst}", f"aave_v3.supply_index.{lst}", "aave_v3.borrow_index.WETH")
    if any(name not in market.columns for name in names) or len(market) < 2:
        return None

    def compute() -> Column:
        rows = mode.break_even_days * DAY_NS // int(market.timestamps[1] - market.timestamps[0])
        ratio, supply, borrow = (market.columns[name] for name in names)
        out = np.full(len(market), np.nan)
        if rows < len(market):
            grown = (ratio[rows:] * supply[rows:]) / (ratio[:-rows] * supply[:-rows])
            out[rows:] = grown - borrow[rows:] / borrow[:-rows]
        return out

    return market.derived(carry_name(mode), compute)


def carry_name(mode: ModeSlice) -> str:
    """What `carry_of` is called among the derived columns of a market."""
    return f"carry({mode.lst_type}, {mode.break_even_days})"
