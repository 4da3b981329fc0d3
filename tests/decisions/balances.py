"""What may be owed: nothing but gas, Aave debt, unified USDT, and what a short is."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.decisions.book import Book
from tests.decisions.judging import Finding
from tests.decisions.playing import Played

ROUNDING = 1e-9
GAS_ROOM = 2.0  # times the limit: a repayment waits for cash and costs gas itself


def nothing_is_below_zero(played: Played) -> Iterator[Finding]:
    """No balance is negative but those that may be."""
    mode = played.run.mode
    for key, native in Book(played).balances.items():
        venue, kind, symbol = key.split(":")
        if kind in ("Perp", "PerpQuote") or (mode.collateral == "unified" and venue in mode.hedge_allocation):
            continue
        least = -ROUNDING * max(1.0, float(np.abs(native).max()))
        if venue == "gas" and mode.share_class == "USDT":
            least = -GAS_ROOM * mode.gas_debt_limit
        below = np.flatnonzero(native < least)
        if len(below):
            row = int(below[0])
            yield Finding(row, f"{key} is {native[row]:.6g}")


def equity_stays_above_zero(played: Played) -> Iterator[Finding]:
    """Whatever is held, it is never worth less than nothing while somebody's capital is in it."""
    equity = played.result.columns["equity"]
    below = np.flatnonzero(equity < -ROUNDING * played.result.initial_equity)
    if len(below) and not played.case.flows:
        yield Finding(int(below[0]), f"equity {equity[below[0]]:.2f}")
