"""Linear USDT perps: value, margin, maintenance by tiers, funding, liquidation. Scalars or arrays of one length.

`size` is signed (short < 0), in coins; `quote` is `−Σ quantity × fill` in USDT. `margin_ratio` = equity ÷ notional is
our trigger; `mm_ratio` = maintenance margin ÷ equity is the venue's (1 = liquidation). Source: NOTES-cex §4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from components.maths.columns import extent
from components.model.keys import Tier

Number = TypeVar("Number", float, npt.NDArray[np.float64])


def unrealised_usdt(size: float, quote_usdt: float, mark_usdt: Number) -> Number:
    """`size × mark + quote`."""
    return size * mark_usdt + quote_usdt


def funding_usdt(size: float, mark_usdt: Number, rate: Number) -> Number:
    """Cash received at a settlement: `−size × mark × rate`; a short receives when the rate is positive."""
    return -size * mark_usdt * rate


def tier_of(notional_usdt: float, tiers: Sequence[Tier]) -> Tier:
    """The first tier that reaches `notional_usdt`; beyond the table, the last."""
    for tier in tiers:
        if notional_usdt <= tier.notional_usdt:
            return tier
    return tiers[-1]


def maintenance_usdt(notional_usdt: npt.NDArray[np.float64], tiers: Sequence[Tier]) -> npt.NDArray[np.float64]:
    """Maintenance margin per row: `notional × rate − deduction` of its tier."""
    lowest, highest = extent(notional_usdt)
    low, high = tier_of(lowest, tiers), tier_of(highest, tiers)
    if low is high:
        return notional_usdt * low.maintenance_rate - low.deduction_usdt
    edges = np.array([tier.notional_usdt for tier in tiers[:-1]])
    which = np.searchsorted(edges, notional_usdt, side="left")
    rates = np.array([tier.maintenance_rate for tier in tiers])[which]
    deductions = np.array([tier.deduction_usdt for tier in tiers])[which]
    margin: npt.NDArray[np.float64] = notional_usdt * rates - deductions
    return margin


def realised_on_reduce(size: float, quote_usdt: float, change: float, price_usdt: float) -> float:
    """USDT that moves from the quote to the wallet when `change` reduces `size` at `price_usdt`.

    The part closed carries its share of the quote; opening or adding moves nothing. A change through zero realises all
    of the old position.
    """
    if size == 0.0 or size * change >= 0.0:
        return 0.0
    closed = min(abs(change), abs(size))
    share = closed / abs(size)
    return quote_usdt * share + (closed if size > 0.0 else -closed) * price_usdt


def equity_after_liquidation(
    balance_usdt: float, size: float, quote_usdt: float, mark_usdt: float, fee: float
) -> float:
    """Equity left when the whole position is closed at mark with `fee` × notional; never below 0."""
    left = balance_usdt + unrealised_usdt(size, quote_usdt, mark_usdt) - abs(size) * mark_usdt * fee
    return max(left, 0.0)
