"""P&L Monitor: the change of equity is the truth; the parts say where it came from, and they add up.

Each part has its own formula (SPEC §5), computed from what was *held* when a row began; none is a remainder. What a
mode does not enable goes to `residual` and counts. `unexplained` is balance P&L − parts − residual since the start and
stays within 1e-9 of equity. State: equity after the last row's trades, running sums, units.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np

from components.attribution import Attribution
from components.maths.columns import (
    accumulate,
    add_part,
    add_to_part,
    ends,
    highest,
    is_zero,
    running,
    with_added,
    with_value,
)
from components.model.keys import GAS, WALLET, PositionKey, base_token
from components.model.market import Column, Row, Window
from components.model.orders import OrderId, Trade, Verb
from components.model.slices import RunSlice
from components.ports import FLOW, LATE, PAID, RowBlock, Settlements, Sink
from components.position_monitor import BookColumns, PositionMonitor
from components.result_columns import ResultColumns
from components.risk_monitor import Risk
from components.uncertain_gains import Since, UncertainGains
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
NOTHING, CRUMBS = 1e-5, 1e-2  # of the initial equity: what after a payment is nothing, and what may be called crumbs


class Steps(msgspec.Struct):
    """The accepted rows of one window on their way to the sink; the last row may still be changed by trades."""

    window: Window
    parts: dict[str, Column | float]
    flow: Column | float
    equity: Column
    columns: dict[str, Column | float]


class PnlState(msgspec.Struct, frozen=True, kw_only=True, rename={"outcomes": "in_doubt"}):
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
    outcomes: dict[OrderId, dict[PositionKey, Since]]
    borne: float = 0.0
    peak: float | None = None  # None: from before it was kept


class PnlMonitor:
    def __init__(self, run: RunSlice, prices: UtilityManager, positions: PositionMonitor, sink: Sink) -> None:
        self._mode = run.mode
        self._prices = prices
        self._positions = positions
        self._sink = sink
        self._attribution = Attribution(prices)
        self._columns = ResultColumns(run, prices, positions)
        self._uncertain = UncertainGains(run.mode, prices)
        self._enabled = frozenset(run.mode.pnl.parts)
        self._equity = 0.0
        self._total = 0.0
        self._paid_in = 0.0
        self.initial = 0.0
        self.units = 0.0
        self._unit_value = 1.0
        self._peak = 1.0  # highest unit value after the trades of a row, the 1 of the start included
        self.sums = dict.fromkeys(LINES, 0.0)
        self.residual = 0.0
        self.external_flows = 0.0
        self.residual_max = 0.0
        self.borne = 0.0  # costs of payments that the units of those who left have borne

    def statistics(self) -> Mapping[str, float]:
        return {"residual_max": self.residual_max, "units": self.units, **self.sums}

    def state(self) -> PnlState:
        return PnlState(
            equity=self._equity,
            total=self._total,
            paid_in=self._paid_in,
            venue_worth=dict(self._columns.venue_worth),
            initial=self.initial,
            units=self.units,
            unit_value=self._unit_value,
            sums=dict(self.sums),
            residual=self.residual,
            external_flows=self.external_flows,
            residual_max=self.residual_max,
            outcomes=self._uncertain.state(),
            peak=self._peak,
            borne=self.borne,
        )

    def restore(self, state: PnlState, *, peak: float = 1.0) -> None:
        """Goes on from a state; `peak` is the highest unit value where the state does not know it."""
        self._equity, self._total, self._paid_in = state.equity, state.total, state.paid_in
        self._columns.venue_worth = dict(state.venue_worth)
        self.initial, self.units, self._unit_value = state.initial, state.units, state.unit_value
        self.sums = dict(state.sums)
        self.residual, self.external_flows = state.residual, state.external_flows
        self.residual_max, self.borne = state.residual_max, state.borne
        self._peak = peak if state.peak is None else state.peak
        self._uncertain.restore(state.outcomes)

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
        parts = self._attribution.of(book, window)
        for flow, paid in zip(settlements.cash, book.paid, strict=True):
            if len(flow.row) and flow.row[0] < rows:
                add_part(parts, flow.part, self._cash_value(window, flow.key, paid[:rows]))
        external = self._happenings(parts, settlements, window) if settlements.happenings else 0.0
        if self._positions.uncertain or self._positions.unfinal or self._uncertain.orders:
            self._uncertain.advance(window, self._positions.watched)
        columns = self._columns.before_trades(book, risk, settlements, rows)
        if not self.units:  # the value of the last one stands
            columns["unit_value"] = np.full(rows, self._unit_value)
        return Steps(window, parts, external, risk.exposure.equity[:rows], columns)

    def trade(self, steps: Steps, trades: tuple[Trade, ...], row: Row, *, leaver_pays: bool = False) -> float:
        """What the trades of the last row cost, and what is held after them; the cost as a share of the equity. Where
        the leaver pays, the cost redeems units as the payment does: the value of those that stay is what it was."""
        cost = 0.0
        paid = 0.0
        moved: dict[str, float] = {}
        values = self._prices.values_at(row)
        for trade in trades:
            value = 0.0
            for key, change in trade.changes.items():
                worth = change * values[key]
                if trade.verb is Verb.PAY_OUT and key.venue != GAS:
                    paid += worth
                else:
                    value += worth
                if trade.verb is Verb.TRANSFER:
                    moved[key.venue] = moved.get(key.venue, 0.0) + worth
            cost += value
        equity = self._prices.worth_at(row, self._positions.expected)
        last = len(steps.window) - 1
        before = float(steps.equity[last])
        steps.equity = steps.equity.copy()
        steps.equity[last] = equity
        add_to_part(steps.parts, "transaction_costs", last, cost, len(steps.window))
        borne = cost if leaver_pays and equity > self._crumbs(row) and self.units else 0.0
        if paid or borne:
            if equity <= self._crumbs(row) and self.units:
                steps.columns["unit_value"] = with_value(
                    steps.columns["unit_value"], last, (equity - paid) / self.units, last + 1
                )
            self.units *= equity / (equity - paid - borne) if equity > self._crumbs(row) else 0.0
            self.borne += -borne
            steps.flow = with_added(steps.flow, last, paid, len(steps.window))
        if self.units:
            steps.columns["unit_value"] = with_value(steps.columns["unit_value"], last, equity / self.units, last + 1)
        self._columns.after_trades(steps.columns, row, moved, last + 1)
        self._uncertain.watch(self._positions.watched.values(), row)
        return max(-cost, 0.0) / before if before > 0.0 else 0.0

    def commit(self, steps: Steps) -> None:
        """Closes the rows: checks that the parts add up, and hands them on."""
        rows = len(steps.window)
        enabled: dict[str, Column | float] = {}
        residual: Column | float = 0.0
        total: Column | float | None = None
        found: list[str] = []
        for part in LINES:
            column = steps.parts.get(part, 0.0)
            if isinstance(column, float):  # nothing of this part in these rows
                if part in self._enabled:
                    enabled[part] = column
                continue
            found.append(part)
            total = column if total is None else total + column
            if part in self._enabled or part == ADJUSTMENT:
                enabled[part] = column
            else:
                residual = residual + column
        if found:
            carried = [self.sums[part] for part in found]
            self.sums.update(zip(found, ends(carried, [steps.parts[part] for part in found], rows), strict=True))
        self.residual = running(self.residual, residual)
        explained = accumulate(self._total, 0.0 if total is None else total, rows)
        paid_in = self._paid_in if is_zero(steps.flow) else accumulate(self._paid_in, steps.flow, rows)
        unexplained = steps.equity - self.initial
        unexplained -= paid_in
        unexplained -= explained
        self._total = float(explained[-1])
        self._paid_in = paid_in if isinstance(paid_in, float) else float(paid_in[-1])
        self.external_flows = self._paid_in
        share = np.abs(unexplained)
        share /= np.maximum(steps.equity, self.initial)
        self.residual_max = max(self.residual_max, highest(share))
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
            "drawdown": self._drawdown(unit_value, rows),
        }
        self._sink.rows(RowBlock(timestamps=steps.window.timestamps, columns=columns))

    def _drawdown(self, unit_value: Column | float, rows: int) -> Column:
        """Fall of the unit value after each row's trades from its highest so far, as a fraction."""
        values = np.full(rows, unit_value) if isinstance(unit_value, float) else unit_value
        peak = np.maximum.accumulate(values)
        np.maximum(peak, self._peak, out=peak)
        self._peak = float(peak[-1])
        np.divide(values, peak, out=peak)
        return np.subtract(1.0, peak, out=peak)

    def take_flow(self, amount: float, equity_before: float, row: Row) -> None:
        """A deposit buys units at the value before it came, a payment known late redeems them; when none are left, a
        deposit buys at the value of the last, and what lay there as crumbs comes with it."""
        equity = equity_before + amount
        if self.units and equity_before > 0.0:
            self.units *= equity / equity_before if amount > 0.0 or equity > self._crumbs(row) else 0.0
        else:
            self.units = max(equity, 0.0) / self._unit_value

    def _crumbs(self, row: Row) -> float:
        """Share-class currency that is no more than crumbs once everything was paid out: less than a minimum trade.
        Gas alone moves it by whole percents, which says nothing about what was managed: the last unit is redeemed."""
        if self._mode.costs != "default":
            return NOTHING * self.initial
        usdt = self._prices.value_at(row, base_token(WALLET, "USDT"))
        return max(NOTHING * self.initial, min(self._mode.minimum_trade_usdt * usdt, CRUMBS * self.initial))

    # Parts

    def _happenings(self, parts: dict[str, Column | float], settlements: Settlements, window: Window) -> Column | float:
        """Rewards, liquidations, arrivals and flows of the first row, at its prices."""
        row, rows = window.row(0), len(window)
        external: Column | float = 0.0
        for happening in settlements.happenings:
            if happening.part in (LATE, PAID):
                paid = {key: x for key, x in happening.changes.items() if happening.part == PAID and key.venue != GAS}
                traded = {key: x for key, x in happening.changes.items() if key not in paid}
                cost, gains = self._uncertain.known(happening.undoes or happening.resolves, traded, window)
                if happening.undoes is not None:  # if it is done again, that is a new trade
                    self._uncertain.forget(happening.undoes)
                for part, gain in gains.items():
                    add_to_part(parts, part, 0, gain, rows)
                add_to_part(parts, "transaction_costs", 0, cost, rows)
                external = with_added(external, 0, self._value(row, paid), rows) if paid else external
                continue
            value = self._value(row, happening.changes)
            if happening.part == FLOW:
                external = with_added(external, 0, value, rows)
            else:
                add_to_part(parts, happening.part or "transaction_costs", 0, value, rows)
        return external

    def _value(self, row: Row, changes: Mapping[PositionKey, float]) -> float:
        value = 0.0
        for key, change in changes.items():
            value += change * self._prices.value_at(row, key)
        return value

    def _cash_value(self, window: Window, key: PositionKey, amount: Column) -> Column:
        value = self._prices.unit(window.market, key).value
        if isinstance(value, float):
            return amount if value == 1.0 else amount * value
        return amount * window.cut(value)
