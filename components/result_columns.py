"""Result columns beside the P&L parts: ratios, net delta, balances, and what each exchange is worth and made.

State: what each exchange was worth after the last row, share-class currency.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from components.exposure_monitor import Exposure
from components.maths.columns import head, on_rows, with_added, with_value
from components.maths.perps import maintenance_usdt
from components.model.keys import perp
from components.model.market import Column, Row
from components.model.slices import RunSlice
from components.ports import FLOW, Settlements
from components.position_monitor import BookColumns, PositionMonitor
from components.risk_monitor import Risk
from components.utility_manager import UtilityManager

BALANCE = "balance."


class ResultColumns:
    def __init__(self, run: RunSlice, prices: UtilityManager, positions: PositionMonitor) -> None:
        self._mode = run.mode
        self._exchanges = run.exchanges
        self._prices = prices
        self._positions = positions
        self.venue_worth: dict[str, float] = {}

    def before_trades(
        self, book: BookColumns, risk: Risk, settlements: Settlements, rows: int
    ) -> dict[str, Column | float]:
        exposure = risk.exposure
        columns: dict[str, Column | float] = {
            "unit_value": risk.unit_value[:rows],
        }
        if risk.delta is not None:
            columns["net_delta"] = head(risk.delta, rows)
        if exposure.ltv is not None and risk.health_factor is not None:
            columns["ltv"] = exposure.ltv[:rows]
            columns["health_factor"] = risk.health_factor[:rows]
        worth = self._worth(exposure)
        for venue in self._mode.hedge_allocation:
            self._venue_columns(columns, book, risk, settlements, venue, worth[venue][:rows])
        for key in book.quantities:
            columns[BALANCE + key] = head(book.native(key), rows)
        return columns

    def _venue_columns(
        self,
        columns: dict[str, Column | float],
        book: BookColumns,
        risk: Risk,
        settlements: Settlements,
        venue: str,
        worth: Column,
    ) -> None:
        account, rows = risk.exposure.accounts[venue], len(worth)
        moved = 0.0
        row = book.window.row(0)
        for happening in settlements.happenings:
            if happening.part in (None, FLOW):
                for key, change in happening.changes.items():
                    moved += change * self._prices.value_at(row, key) if key.venue == venue else 0.0
        step = np.empty(rows)
        step[0] = worth[0] - self.venue_worth.get(venue, float(worth[0])) - moved
        np.subtract(worth[1:], worth[:-1], out=step[1:])
        self.venue_worth[venue] = float(worth[-1])
        columns[f"venue_equity.{venue}"] = worth
        columns[f"venue_pnl.{venue}"] = step
        if account.margin_ratio is not None and account.notional_usdt is not None:
            tiers = self._exchanges[venue].instruments[f"perp.{self._mode.asset}"].tiers
            columns[f"margin_ratio.{venue}"] = account.margin_ratio[:rows]
            needed = maintenance_usdt(account.notional_usdt[:rows], tiers)
            columns[f"mm_ratio.{venue}"] = needed / account.equity_usdt[:rows]
        funding: Column | float = 0.0
        for flow in settlements.cash:
            if flow.part == "funding" and flow.key.venue == venue and len(flow.row) and flow.row[0] < rows:
                funding = funding + on_rows(flow.row, flow.amount, rows)
        columns[f"funding.{venue}"] = funding

    def _worth(self, exposure: Exposure) -> dict[str, Column]:
        """Everything at each exchange, added up in key order, share-class currency."""
        totals: dict[str, Column | float] = dict.fromkeys(self._mode.hedge_allocation, 0.0)
        for key, worth in exposure.worth.items():
            if (venue := key.venue) in totals:
                totals[venue] = totals[venue] + worth
        rows = len(exposure.window)
        return {v: np.full(rows, total) if isinstance(total, float) else total for v, total in totals.items()}

    def after_trades(self, columns: dict[str, Column | float], row: Row, moved: Mapping[str, float], rows: int) -> None:
        """The last row's columns say what is held after its trades."""
        last = rows - 1
        expected = self._positions.expected
        totals = dict.fromkeys(self._mode.hedge_allocation, 0.0)
        for key, native in expected.items():
            name = BALANCE + key
            before = columns.get(name, 0.0)
            if not isinstance(before, float) or before != native:
                columns[name] = with_value(before, last, native, rows)
            if native != 0.0 and (venue := key.venue) in totals:
                totals[venue] += native * self._prices.value_at(row, key)
        for venue, worth in totals.items():
            name = f"venue_equity.{venue}"
            change = worth - self.venue_worth[venue] - moved.get(venue, 0.0)
            self.venue_worth[venue] = worth
            columns[name] = with_value(columns[name], last, worth, rows)
            columns[f"venue_pnl.{venue}"] = with_added(columns[f"venue_pnl.{venue}"], last, change, rows)
            self._margin_after(columns, expected.of(perp(venue, self._mode.asset)), venue, last, rows)

    def _margin_after(self, columns: dict[str, Column | float], size: float, venue: str, last: int, rows: int) -> None:
        """Ratios of the last row belong to what was held when it was assessed; without a position there is none."""
        name = f"margin_ratio.{venue}"
        if size == 0.0 and name in columns:
            for ratio in (name, f"mm_ratio.{venue}"):
                columns[ratio] = with_value(columns[ratio], last, np.nan, rows)
