"""Result columns beside the P&L parts: ratios, net delta, balances, and what each exchange is worth and made.

State: what each exchange was worth after the last row, share-class currency.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np

from components.exposure_monitor import Exposure
from components.maths.columns import head, with_added, with_value
from components.maths.perps import maintenance_usdt
from components.model.keys import PositionKey, Tier, VenueName, perp
from components.model.market import Column, Row
from components.model.slices import RunSlice
from components.ports import FLOW, Settlements
from components.position_monitor import BookColumns, PositionMonitor
from components.risk_monitor import Risk
from components.utility_manager import UtilityManager

BALANCE = "balance."


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """The columns of one exchange, the perp that it hedges with and that perp's maintenance table."""

    venue: VenueName
    worth: str
    gained: str
    margin_ratio: str
    mm_ratio: str
    funding: str
    perp: PositionKey
    tiers: tuple[Tier, ...]

    @classmethod
    def of(cls, run: RunSlice, venue: VenueName) -> Names:
        instrument = run.exchanges[venue].instruments.get(f"perp.{run.mode.asset}")
        tiers = () if instrument is None else instrument.tiers
        return cls(
            venue=venue,
            worth=f"venue_equity.{venue}",
            gained=f"venue_pnl.{venue}",
            margin_ratio=f"margin_ratio.{venue}",
            mm_ratio=f"mm_ratio.{venue}",
            funding=f"funding.{venue}",
            perp=perp(venue, run.mode.asset),
            tiers=tiers,
        )


class ResultColumns:
    def __init__(self, run: RunSlice, prices: UtilityManager, positions: PositionMonitor) -> None:
        self._names = {venue: Names.of(run, venue) for venue in run.mode.hedge_allocation}
        self._prices = prices
        self._positions = positions
        self.venue_worth: dict[str, float] = {}
        self._listed: frozenset[PositionKey] = frozenset()
        self._at: dict[
            VenueName, tuple[PositionKey, ...]
        ] = {}  # which of the listed lie at each exchange, in key order

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
        worth = self._worth(exposure, rows)
        for venue, names in self._names.items():
            self._venue_columns(columns, book, risk, settlements, names, worth[venue])
        for key, quantity in book.quantities.items():
            flow = book.flowing.get(key)
            columns[BALANCE + key] = quantity if flow is None else flow[:rows]
        return columns

    def _venue_columns(
        self,
        columns: dict[str, Column | float],
        book: BookColumns,
        risk: Risk,
        settlements: Settlements,
        names: Names,
        worth: Column,
    ) -> None:
        venue, rows = names.venue, len(worth)
        account = risk.exposure.accounts[venue]
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
        columns[names.worth] = worth
        columns[names.gained] = step
        if account.margin_ratio is not None and account.notional_usdt is not None:
            columns[names.margin_ratio] = account.margin_ratio[:rows]
            needed = maintenance_usdt(account.notional_usdt[:rows], names.tiers)
            needed /= account.equity_usdt[:rows]
            columns[names.mm_ratio] = needed
        funding: Column | float = 0.0
        for flow, paid in zip(settlements.cash, book.paid, strict=True):
            if flow.part == "funding" and flow.key.venue == venue and len(flow.row) and flow.row[0] < rows:
                funding = paid[:rows] if isinstance(funding, float) else funding + paid[:rows]
        columns[names.funding] = funding

    def _worth(self, exposure: Exposure, rows: int) -> dict[str, Column]:
        """Everything at each exchange, added up in key order, share-class currency."""
        worth = exposure.worth
        if worth.keys() != self._listed:
            self._listed = frozenset(worth)
            self._at = {venue: tuple(key for key in worth if key.venue == venue) for venue in self._names}
        found: dict[str, Column] = {}
        for venue, keys in self._at.items():
            total: Column | float = 0.0
            for key in keys:
                total = total + head(worth[key], rows)
            found[venue] = np.full(rows, total) if isinstance(total, float) else total
        return found

    def after_trades(self, columns: dict[str, Column | float], row: Row, moved: Mapping[str, float], rows: int) -> None:
        """The last row's columns say what is held after its trades."""
        last = rows - 1
        expected = self._positions.expected
        totals = dict.fromkeys(self._names, 0.0)
        for key, native in expected.items():
            name = BALANCE + key
            before = columns.get(name, 0.0)
            if not isinstance(before, float) or before != native:
                columns[name] = with_value(before, last, native, rows)
            if native != 0.0 and (venue := key.venue) in totals:
                totals[venue] += native * self._prices.value_at(row, key)
        for venue, worth in totals.items():
            names = self._names[venue]
            change = worth - self.venue_worth[venue] - moved.get(venue, 0.0)
            self.venue_worth[venue] = worth
            columns[names.worth] = with_value(columns[names.worth], last, worth, rows)
            columns[names.gained] = with_added(columns[names.gained], last, change, rows)
            if expected.of(names.perp) == 0.0 and names.margin_ratio in columns:
                # Ratios of the last row belong to what was held when it was assessed; without a position there is none.
                for ratio in (names.margin_ratio, names.mm_ratio):
                    columns[ratio] = with_value(columns[ratio], last, np.nan, rows)
