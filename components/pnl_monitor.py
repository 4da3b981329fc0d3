"""P&L Monitor: the change of equity is the truth; the parts say where it came from, and they add up.

Each part has its own formula (SPEC §5), computed from what was *held* when a row began; none is a remainder. What a
mode does not enable goes to `residual` and counts. `unexplained` is balance P&L − parts − residual since the start and
stays within 1e-9 of equity. State: equity after the last row's trades, running sums, units.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np

from components.maths.perps import maintenance_usdt
from components.model.keys import GAS, PositionKey, PositionType, perp
from components.model.market import Column, Row, Window
from components.model.orders import Trade, Verb
from components.model.slices import RunSlice
from components.ports import FLOW, LATE, PAID, RowBlock, Settlements, Sink
from components.position_monitor import BookColumns, PositionMonitor
from components.risk_monitor import Risk
from components.utility_manager import UtilityManager

PARTS = (
    "supply_yield",
    "borrow_costs",
    "staking_yield_oracle",
    "staking_yield_rewards",
    "funding",
    "basis",
    "delta",
    "dust",
    "liquidation",
    "transaction_costs",
)
ADJUSTMENT = "adjustment"  # accepted differences from what venues report: a line of its own, in every mode
LINES = (*PARTS, ADJUSTMENT)
PAID_OUT = 1e-6  # of the initial equity: less than this after a payment and the last unit is redeemed


class Steps(msgspec.Struct):
    """The accepted rows of one window on their way to the sink; the last row may still be changed by trades."""

    window: Window
    parts: dict[str, Column | float]
    flow: Column | float
    equity: Column
    columns: dict[str, Column | float]


class PnlState(msgspec.Struct, frozen=True, kw_only=True):
    """What the P&L Monitor carries from step to step, share-class currency."""

    equity: float
    total: float
    paid_in: float
    venue_worth: dict[str, float]
    initial: float
    units: float
    unit_value: float
    sums: dict[str, float]
    residual: float
    external_flows: float
    residual_max: float


class PnlMonitor:
    def __init__(self, run: RunSlice, prices: UtilityManager, positions: PositionMonitor, sink: Sink) -> None:
        self._mode = run.mode
        self._exchanges = run.exchanges
        self._prices = prices
        self._positions = positions
        self._sink = sink
        self._enabled = frozenset(run.mode.pnl.parts)
        self._equity = 0.0
        self._total = 0.0
        self._paid_in = 0.0
        self._venue_worth: dict[str, float] = {}
        self.initial = 0.0
        self.units = 0.0
        self._unit_value = 1.0
        self.sums = dict.fromkeys(LINES, 0.0)
        self.residual = 0.0
        self.external_flows = 0.0
        self.residual_max = 0.0

    def statistics(self) -> Mapping[str, float]:
        return {"residual_max": self.residual_max, "units": self.units, **self.sums}

    def state(self) -> PnlState:
        return PnlState(
            equity=self._equity,
            total=self._total,
            paid_in=self._paid_in,
            venue_worth=dict(self._venue_worth),
            initial=self.initial,
            units=self.units,
            unit_value=self._unit_value,
            sums=dict(self.sums),
            residual=self.residual,
            external_flows=self.external_flows,
            residual_max=self.residual_max,
        )

    def restore(self, state: PnlState) -> None:
        self._equity, self._total, self._paid_in = state.equity, state.total, state.paid_in
        self._venue_worth = dict(state.venue_worth)
        self.initial, self.units, self._unit_value = state.initial, state.units, state.unit_value
        self.sums = dict(state.sums)
        self.residual, self.external_flows = state.residual, state.external_flows
        self.residual_max = state.residual_max

    @property
    def equity(self) -> float:
        """Equity after the last row's trades, share-class currency."""
        return self._equity

    def start(self, equity: float) -> None:
        """Equity before the first row: one unit of value is one unit of currency."""
        self.initial = self._equity = self.units = equity

    def attribute(self, book: BookColumns, settlements: Settlements, risk: Risk, rows: int) -> Steps:
        """Parts of the first `rows` rows, before the trades of the last one."""
        window = book.window.head(rows)
        parts = self._held(book, window)
        for flow in settlements.cash:
            count = int(np.searchsorted(flow.row, rows, side="left"))
            if count:
                column = np.zeros(rows)
                np.add.at(column, flow.row[:count], flow.amount[:count])
                _add(parts, flow.part, self._cash_value(window, flow.key, column))
        external = self._happenings(parts, settlements, window) if settlements.happenings else 0.0
        return Steps(window, parts, external, risk.exposure.equity[:rows], self._columns(book, risk, settlements, rows))

    def trade(self, steps: Steps, trades: tuple[Trade, ...], row: Row) -> None:
        """What the trades of the last row cost, and what is held after them."""
        cost = 0.0
        paid = 0.0
        moved: dict[str, float] = {}
        for trade in trades:
            value = 0.0
            for key, change in trade.changes.items():
                worth = change * self._prices.value_at(row, key)
                if trade.verb is Verb.PAY_OUT and key.venue != GAS:
                    paid += worth
                else:
                    value += worth
                if trade.verb is Verb.TRANSFER:
                    moved[key.venue] = moved.get(key.venue, 0.0) + worth
            cost += value
        equity = 0.0
        for key, native in self._positions.expected.items():
            if native != 0.0:
                equity += native * self._prices.value_at(row, key)
        last = len(steps.window) - 1
        steps.equity = steps.equity.copy()
        steps.equity[last] = equity
        _patch(steps.parts, "transaction_costs", last, cost, len(steps.window))
        if paid:
            left = equity / (equity - paid) if equity > PAID_OUT * self.initial else 0.0
            self.units *= left
            steps.flow = _with(steps.flow, last, paid, len(steps.window))
        if self.units:
            steps.columns["unit_value"] = _with_value(steps.columns["unit_value"], last, equity / self.units, last + 1)
        self._after_trades(steps, row, moved)

    def commit(self, steps: Steps) -> None:
        """Closes the rows: checks that the parts add up, and hands them on."""
        rows = len(steps.window)
        enabled: dict[str, Column | float] = {}
        residual: Column | float = 0.0
        total: Column | float = 0.0
        for part in LINES:
            column = steps.parts.get(part, 0.0)
            if isinstance(column, float):  # nothing of this part in these rows
                if part in self._enabled:
                    enabled[part] = column
                continue
            total = total + column
            self.sums[part] = _running(self.sums[part], column)
            if part in self._enabled or part == ADJUSTMENT:
                enabled[part] = column
            else:
                residual = residual + column
        self.residual = _running(self.residual, residual)
        explained = _accumulate(self._total, total, rows)
        paid_in = self._paid_in if _zero(steps.flow) else _accumulate(self._paid_in, steps.flow, rows)
        unexplained = steps.equity - self.initial - paid_in - explained
        self._total = float(explained[-1])
        self._paid_in = paid_in if isinstance(paid_in, float) else float(paid_in[-1])
        self.external_flows = self._paid_in
        scale = np.maximum(steps.equity, self.initial)
        self.residual_max = max(self.residual_max, float((np.abs(unexplained) / scale).max()))
        self._equity = float(steps.equity[-1])
        unit_value = steps.columns["unit_value"]
        self._unit_value = unit_value if isinstance(unit_value, float) else float(unit_value[-1])
        columns = {
            "equity": steps.equity,
            "external_flow": steps.flow,
            **enabled,
            "residual": residual,
            "unexplained": unexplained,
            **steps.columns,
        }
        self._sink.rows(RowBlock(timestamps=steps.window.timestamps, columns=columns))

    def take_flow(self, amount: float, equity_before: float) -> None:
        """A deposit buys units at the value before it came, a payment known late redeems them; when none are left, a
        deposit buys at the value of the last."""
        if self.units and equity_before > 0.0:
            left = (equity_before + amount) / equity_before
            self.units *= left if equity_before + amount > PAID_OUT * self.initial else 0.0
        else:
            self.units = max(amount, 0.0) / self._unit_value

    # Parts

    def _held(self, book: BookColumns, window: Window) -> dict[str, Column | float]:
        """Σ held × change of one unit, per part, in key order; equal columns are added up first."""
        market, rows = window.market, len(window)
        weights: dict[str, dict[int, Column | float]] = {}
        columns: dict[int, Column] = {}
        for key, held in book.held.items():
            flowing = book.flowing.get(key)
            if held == 0.0 and flowing is None:
                continue
            native: Column | float = held
            for part, column in self._prices.unit(market, key).terms:
                if flowing is not None:
                    native = np.concatenate(((held,), flowing[: rows - 1]))
                by_column = weights.setdefault(part, {})
                by_column[id(column)] = by_column.get(id(column), 0.0) + native
                columns[id(column)] = column
        parts: dict[str, Column | float] = {}
        for part, by_column in weights.items():
            total: Column | float = 0.0
            for which, weight in by_column.items():
                total = total + weight * window.cut(columns[which])
            parts[part] = total
        return parts

    def _happenings(self, parts: dict[str, Column | float], settlements: Settlements, window: Window) -> Column | float:
        """Rewards, liquidations, arrivals and flows of the first row, at its prices."""
        row, rows = window.row(0), len(window)
        external: Column | float = 0.0
        for happening in settlements.happenings:
            if happening.part in (LATE, PAID):
                paid = {key: x for key, x in happening.changes.items() if happening.part == PAID and key.venue != GAS}
                self._late(parts, {key: x for key, x in happening.changes.items() if key not in paid}, window)
                external = _with(external, 0, self._value(row, paid), rows) if paid else external
                continue
            value = self._value(row, happening.changes)
            if happening.part == FLOW:
                external = _with(external, 0, value, rows)
            else:
                _patch(parts, happening.part or "transaction_costs", 0, value, rows)
        return external

    def _value(self, row: Row, changes: Mapping[PositionKey, float]) -> float:
        value = 0.0
        for key, change in changes.items():
            value += change * self._prices.value_at(row, key)
        return value

    def _late(self, parts: dict[str, Column | float], changes: Mapping[PositionKey, float], window: Window) -> None:
        """A trade that happened before this row: its cost at the prices of the row before, and what has moved since
        in the parts it belongs to, as if it had been held from there."""
        rows = len(window)
        known = Row(window.market, window.start - 1 if window.start else window.start)
        cost = 0.0
        for key, change in changes.items():
            cost += change * self._prices.value_at(known, key)
            for part, column in self._prices.unit(window.market, key).terms if window.start else ():
                _patch(parts, part, 0, change * float(column[window.start]), rows)
        _patch(parts, "transaction_costs", 0, cost, rows)

    def _cash_value(self, window: Window, key: PositionKey, amount: Column) -> Column:
        value = self._prices.unit(window.market, key).value
        if isinstance(value, float):
            return amount if value == 1.0 else amount * value
        return amount * window.cut(value)

    # Columns beside the parts

    def _columns(self, book: BookColumns, risk: Risk, settlements: Settlements, rows: int) -> dict[str, Column | float]:
        exposure = risk.exposure
        columns: dict[str, Column | float] = {
            "unit_value": risk.unit_value[:rows],
            "drawdown": risk.drawdown[:rows],
        }
        if risk.delta is not None:
            columns["net_delta"] = _head(risk.delta, rows)
        if exposure.ltv is not None and risk.health_factor is not None:
            columns["ltv"] = exposure.ltv[:rows]
            columns["health_factor"] = risk.health_factor[:rows]
        for venue in self._mode.hedge_allocation:
            self._venue_columns(columns, book, risk, settlements, venue, rows)
        for key in book.quantities:
            if key.position_type is not PositionType.PERP_QUOTE:
                columns[f"balance.{key}"] = _head(book.native(key), rows)
        return columns

    def _venue_columns(
        self,
        columns: dict[str, Column | float],
        book: BookColumns,
        risk: Risk,
        settlements: Settlements,
        venue: str,
        rows: int,
    ) -> None:
        account = risk.exposure.accounts[venue]
        worth = self._worth(book, venue)[:rows]
        moved = 0.0
        row = book.window.row(0)
        for happening in settlements.happenings:
            if happening.part in (None, FLOW):
                for key, change in happening.changes.items():
                    moved += change * self._prices.value_at(row, key) if key.venue == venue else 0.0
        step = np.empty(rows)
        step[0] = worth[0] - self._venue_worth.get(venue, float(worth[0])) - moved
        np.subtract(worth[1:], worth[:-1], out=step[1:])
        self._venue_worth[venue] = float(worth[-1])
        columns[f"venue_equity.{venue}"] = worth
        columns[f"venue_pnl.{venue}"] = step
        if account.margin_ratio is not None and account.notional_usdt is not None:
            tiers = self._exchanges[venue].instruments[f"perp.{self._mode.asset}"].tiers
            columns[f"margin_ratio.{venue}"] = account.margin_ratio[:rows]
            needed = maintenance_usdt(account.notional_usdt[:rows], tiers)
            columns[f"mm_ratio.{venue}"] = needed / account.equity_usdt[:rows]
        funding: Column | float = 0.0
        for flow in settlements.cash:
            if flow.part == "funding" and flow.key.venue == venue:
                count = int(np.searchsorted(flow.row, rows, side="left"))
                if count:
                    column = np.zeros(rows)
                    np.add.at(column, flow.row[:count], flow.amount[:count])
                    funding = funding + column
        columns[f"funding.{venue}"] = funding

    def _worth(self, book: BookColumns, venue: str) -> Column:
        """Everything at one exchange, share-class currency."""
        window = book.window
        total: Column | float = 0.0
        for key in book.quantities:
            if key.venue == venue:
                value = self._prices.unit(window.market, key).value
                total = total + book.native(key) * (value if isinstance(value, float) else window.cut(value))
        return np.full(len(window), total) if isinstance(total, float) else total

    def _after_trades(self, steps: Steps, row: Row, moved: Mapping[str, float]) -> None:
        """The last row's columns say what is held after its trades."""
        rows = len(steps.window)
        last = rows - 1
        columns = steps.columns
        expected = self._positions.expected
        for key, native in expected.items():
            if key.position_type is not PositionType.PERP_QUOTE:
                name = f"balance.{key}"
                before = columns.get(name, 0.0)
                if not isinstance(before, float) or before != native:
                    columns[name] = _with_value(before, last, native, rows)
        for venue in self._mode.hedge_allocation:
            worth = 0.0
            for key, native in expected.items():
                if key.venue == venue and native != 0.0:
                    worth += native * self._prices.value_at(row, key)
            name = f"venue_equity.{venue}"
            change = worth - self._venue_worth[venue] - moved.get(venue, 0.0)
            self._venue_worth[venue] = worth
            columns[name] = _with_value(columns[name], last, worth, rows)
            columns[f"venue_pnl.{venue}"] = _with(columns[f"venue_pnl.{venue}"], last, change, rows)
            self._margin_after(columns, expected.of(perp(venue, self._mode.asset)), venue, last, rows)

    def _margin_after(self, columns: dict[str, Column | float], size: float, venue: str, last: int, rows: int) -> None:
        """Ratios of the last row belong to what was held when it was assessed; without a position there is none."""
        name = f"margin_ratio.{venue}"
        if size == 0.0 and name in columns:
            for ratio in (name, f"mm_ratio.{venue}"):
                columns[ratio] = _with_value(columns[ratio], last, np.nan, rows)


def _add(parts: dict[str, Column | float], part: str, column: Column) -> None:
    parts[part] = parts[part] + column if part in parts else column


def _patch(parts: dict[str, Column | float], part: str, row: int, value: float, rows: int) -> None:
    if value != 0.0:
        parts[part] = _with(parts.get(part, 0.0), row, value, rows)


def _with(column: Column | float, row: int, value: float, rows: int) -> Column:
    """A copy of the column with `value` added on one row."""
    out = np.full(rows, column) if isinstance(column, float) else column.copy()
    out[row] += value
    return out


def _with_value(column: Column | float, row: int, value: float, rows: int) -> Column | float:
    """A copy of the column with one row replaced."""
    if rows == 1:
        return value
    out = np.full(rows, column) if isinstance(column, float) else column.copy()
    out[row] = value
    return out


def _head(column: Column | float, rows: int) -> Column | float:
    return column if isinstance(column, float) else column[:rows]


def _zero(column: Column | float) -> bool:
    return isinstance(column, float) and column == 0.0


def _running(total: float, column: Column | float) -> float:
    """The total after the rows of a column, added one by one."""
    if isinstance(column, float):
        return total
    return float(np.concatenate(((total,), column)).cumsum()[-1])


def _accumulate(start: float, column: Column | float, rows: int) -> Column:
    if isinstance(column, float):
        return np.full(rows, start)
    return np.concatenate(((start,), column)).cumsum()[1:]
