"""Attribution: what positions gained, by P&L part: Σ held × change of one unit since the row before.

What was held when a row began earns that row's change. Which columns a set of positions needs is found once: positions
that move with the same column are added up first.
"""

from __future__ import annotations

import numpy as np

from components.model.keys import PositionKey
from components.model.market import Column, Market, Window
from components.position_monitor import BookColumns
from components.utility_manager import UtilityManager

# Per part, each column that something moves with, and what moves with it; parts, columns and keys in key order.
Movers = tuple[tuple[str, tuple[tuple[Column, tuple[PositionKey, ...]], ...]], ...]


class Attribution:
    def __init__(self, prices: UtilityManager) -> None:
        self._prices = prices
        self._market: Market | None = None
        self._keys: tuple[PositionKey, ...] = ()
        self._movers: Movers = ()

    def of(self, book: BookColumns, window: Window) -> dict[str, Column | float]:
        """Share-class currency per row of `window`, the first rows of the book, by part."""
        held, flowing = book.held, book.flowing
        parts: dict[str, Column | float] = {}
        for part, movers in self._movers_of(window.market, tuple(k for k, x in held.items() if x or k in flowing)):
            total: Column | float = 0.0
            for column, keys in movers:
                weight: Column | float = 0.0
                for key in keys:
                    flow = flowing.get(key)
                    weight = weight + (held[key] if flow is None else _before(held[key], flow, len(window)))
                total = total + weight * window.cut(column)
            parts[part] = total
        return parts

    def _movers_of(self, market: Market, keys: tuple[PositionKey, ...]) -> Movers:
        if market is not self._market or keys != self._keys:
            self._market, self._keys, self._movers = market, keys, self._find(market, keys)
        return self._movers

    def _find(self, market: Market, keys: tuple[PositionKey, ...]) -> Movers:
        found: dict[str, dict[int, tuple[Column, list[PositionKey]]]] = {}
        for key in keys:
            for part, column in self._prices.unit(market, key).terms:
                found.setdefault(part, {}).setdefault(id(column), (column, []))[1].append(key)
        return tuple(
            (part, tuple((column, tuple(moved)) for column, moved in movers.values())) for part, movers in found.items()
        )


def _before(held: float, flow: Column, rows: int) -> Column:
    """The balance with which each row began."""
    return np.concatenate(((held,), flow[: rows - 1]))
