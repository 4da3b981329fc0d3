"""Data Provider: windows of the market with only what was known at each row; one row is a window of one.

It refuses to look ahead: rows beyond the one that is known now do not exist for the core.
"""

from __future__ import annotations

from components.model.errors import DAT_LOOK_AHEAD, Refuse
from components.model.market import Row, Window
from components.ports import MarketData


class DataProvider:
    def __init__(self, market_data: MarketData) -> None:
        self._market_data = market_data

    def __len__(self) -> int:
        return len(self._market_data)

    def window(self, start: int, rows: int) -> Window:
        """Rows [start, start + rows), fewer at the end of what is known; Refuse(DAT-004) beyond it."""
        if start >= len(self._market_data):
            raise Refuse(DAT_LOOK_AHEAD, f"row {start} is not known yet", rows_known=len(self._market_data))
        return self._market_data.window(start, start + rows)

    def get_data(self, row: int) -> Row:
        """What was known at one row."""
        return self.window(row, 1).row(0)
