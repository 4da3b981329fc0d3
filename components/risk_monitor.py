"""Risk Monitor: how close each enabled measure is to its limits, and when it crosses one.

Levels are `ok`, `warning`, `critical`. A crossing is reported once, on the row where the level rises; a level falls
back to ok when the measure has recovered past its warning limit by `HYSTERESIS`. State between windows: latched
levels, the peak and the day's first unit value. It forecasts; venues liquidate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec
import numpy as np

from components.exposure_monitor import Exposure
from components.levels import HYSTERESIS, OK, Crossing, Fired, MeasureColumn, baseline, crossing_of, has_recovered
from components.losses import Losses
from components.market_measures import carry_of, divergence_of
from components.maths.aave import health_factor
from components.model.keys import RESERVE, base_token
from components.model.market import Column, Flags, Stamps
from components.model.requirements import DAY_NS, reference_price
from components.model.slices import ChainSlice, Limit, ModeSlice

BREAK_EVEN_BAND = 0.0025  # per year: how far below break-even an alarm is raised, and how far above it ends
DAYS_PER_YEAR = 365
RESERVE_LOW, RESERVE_FULL = 0.97, 0.98  # share of the reserve wanted; a refill may leave 2 % open
LEAST_USDT = 1e-6  # where trading costs nothing: what rounding leaves of a position that was closed
EMERGENCIES = frozenset({"drawdown", "daily_loss", "liquidation"})


class Risk(msgspec.Struct, frozen=True):
    """Columns over one window. `delta` is |net coin| ÷ gross coin; `liquidation` is the health factor − 1."""

    exposure: Exposure
    unit_value: Column
    losses: Losses
    health_factor: Column | None
    delta: Column | float | None
    measures: tuple[MeasureColumn, ...]


class RiskState(msgspec.Struct, frozen=True, kw_only=True):
    """What the Risk Monitor carries from step to step."""

    levels: dict[str, int]
    peak: float
    unit_value: float
    day: int
    day_start: float
    fired: dict[str, Fired] = {}


class RiskMonitor:
    def __init__(self, mode: ModeSlice, chain: ChainSlice) -> None:
        self._mode = mode
        self._risk = mode.risk
        self._threshold = chain.e_mode.liquidation_threshold
        self._levels: dict[str, int] = {}
        self._peak = 1.0
        self._unit_value = 1.0
        self._day = -1
        self._day_start = 1.0
        self._fired: dict[str, Fired] = {}

    def statistics(self) -> Mapping[str, float]:
        return {"peak": self._peak, "day_start": self._day_start, **self._levels}

    def state(self) -> RiskState:
        return RiskState(
            levels=dict(self._levels),
            peak=self._peak,
            unit_value=self._unit_value,
            day=self._day,
            day_start=self._day_start,
            fired=dict(self._fired),
        )

    def restore(self, state: RiskState) -> None:
        self._levels = dict(state.levels)
        self._peak, self._unit_value = state.peak, state.unit_value
        self._day, self._day_start = state.day, state.day_start
        self._fired = dict(state.fired)

    def means_arrived(self) -> None:
        """Cash or coin came in: a level that stands is worth another try."""
        self._fired = {name: msgspec.structs.replace(each, anew=True) for name, each in self._fired.items()}

    def forgive(self, share: float) -> None:
        """A cost of that share of the equity was the owner's own wish: it is no loss that stops a strategy. Payments in
        a depeg cost percents of a leveraged fund, and a stop would sell the rest at the same price."""
        self._peak *= 1.0 - share
        self._day_start *= 1.0 - share

    def levels(self) -> Mapping[str, int]:
        """The latched level of each measure."""
        return dict(self._levels)

    def level(self) -> int:
        """The highest latched level."""
        return max(self._levels.values(), default=OK)

    def assess(self, exposure: Exposure, units: float) -> Risk:
        """Measures at every row, at the prices and holdings before any decision of the row."""
        window = exposure.window
        unit_value = exposure.equity / units if units else np.full(len(window), self._unit_value)
        losses = Losses(window, unit_value, peak=self._peak, day=self._day, day_start=self._day_start)
        hf = None
        if exposure.collateral_eth is not None and exposure.debt_eth is not None:
            hf = health_factor(exposure.collateral_eth, self._threshold, exposure.debt_eth)
        delta = self._delta(exposure)
        measures = tuple(self._measures(exposure, hf, delta, losses)) if units else ()
        return Risk(exposure, unit_value, losses, hf, delta, measures)

    def first_crossing(self, risk: Risk) -> Crossing | None:
        """The first row on which a level rises; of several on one row the worst, then the first by name order."""
        best: Crossing | None = None
        for measure in risk.measures:
            found = self._crossing(measure, risk.exposure.window.timestamps)
            if found is not None and (best is None or (found.row, -found.level) < (best.row, -best.level)):
                best = found
        return best

    def crossings_at(self, risk: Risk, row: int) -> tuple[Crossing, ...]:
        """All levels that rise on `row`, given that none rose before it in this window."""
        timestamps = risk.exposure.window.timestamps
        found = (self._crossing(measure, timestamps) for measure in risk.measures)
        return tuple(crossing for crossing in found if crossing is not None and crossing.row == row)

    def advance(self, risk: Risk, rows: int, crossings: tuple[Crossing, ...]) -> None:
        """The first `rows` rows have happened, with these crossings on the last of them. What is no longer measured,
        because nothing of it is held, is at no level."""
        for name in self._levels.keys() - {measure.name for measure in risk.measures}:
            self._levels[name] = OK
            self._fired.pop(name, None)
        for measure in risk.measures:
            latched = self._levels.get(measure.name, OK)
            if latched and has_recovered(measure, measure.rows[:rows]).any():
                self._levels[measure.name] = OK
                self._fired.pop(measure.name, None)
            elif measure.name in self._fired:
                fired = self._fired[measure.name]
                self._fired[measure.name] = Fired(fired.at, baseline(measure, fired), settled=True)
        at = int(risk.exposure.window.timestamps[rows - 1])
        ends = {measure.name for measure in risk.measures if measure.end is not None}
        for crossing in crossings:
            self._levels[crossing.name] = crossing.level
            if crossing.name in ends:
                self._fired[crossing.name] = Fired(at, crossing.value)
        self._unit_value = float(risk.unit_value[rows - 1])
        self._peak = risk.losses.peak_after(rows)
        self._day_start = risk.losses.day_start_after(rows)
        self._day = int(risk.exposure.window.timestamps[rows - 1] // DAY_NS)

    def _measures(
        self, exposure: Exposure, hf: Column | None, delta: Column | float | None, losses: Losses
    ) -> Iterator[MeasureColumn]:
        risk = self._risk
        enabled = risk.enabled
        if "cex_margin" in enabled:
            for venue, account in exposure.accounts.items():
                if (span := account.ratio_extent) is not None:
                    yield MeasureColumn.falling(f"cex_margin:{venue}", account.margin_ratio, risk.margin, 0.0, span[0])
        if exposure.ltv is not None and "ltv" in enabled:
            target, warning = self._mode.target_ltv, risk.ltv.warning
            recovered = max(warning * (1.0 - HYSTERESIS), warning - HYSTERESIS * (warning - target))
            worst = None if exposure.ltv_extent is None else exposure.ltv_extent[1]
            yield MeasureColumn("ltv", exposure.ltv, risk.ltv, 1.0, recovered, self._threshold, worst)
        if hf is not None and "liquidation" in enabled:
            yield MeasureColumn.falling("liquidation", hf - 1.0, risk.liquidation, 0.0)
        if exposure.net_coin is not None and "delta" in enabled:
            yield self._delta_measure(exposure, exposure.net_coin, delta)
        fall, loss = losses.worst() or (np.inf, np.inf)
        if self._is_calm("drawdown", fall, risk.max_drawdown):
            yield MeasureColumn.rising("drawdown", None, risk.max_drawdown, worst=fall)
        else:
            yield MeasureColumn.rising("drawdown", losses.drawdown, risk.max_drawdown)
        if self._is_calm("daily_loss", loss, risk.max_daily_loss):
            yield MeasureColumn.rising("daily_loss", None, risk.max_daily_loss, worst=loss)
        else:
            yield MeasureColumn.rising("daily_loss", losses.daily_loss, risk.max_daily_loss)
        divergence = divergence_of(exposure.window.market, self._mode)
        if divergence is not None:
            yield MeasureColumn.rising("divergence", exposure.window.cut(divergence), self._mode.divergence_alarm)
        if self._mode.reserve_ratio > 0.0:
            wanted = exposure.equity * self._mode.reserve_ratio
            held = exposure.book.native(base_token(RESERVE, self._mode.share_class))
            yield MeasureColumn("reserve", held / wanted, Limit(RESERVE_LOW, -np.inf), -1.0, RESERVE_FULL)
        carry = carry_of(exposure.window.market, self._mode)
        if carry is not None and exposure.ltv is not None:
            band = BREAK_EVEN_BAND * self._mode.break_even_days / DAYS_PER_YEAR
            yield MeasureColumn("break_even", exposure.window.cut(carry), Limit(-band, -np.inf), -1.0, band)

    def _is_calm(self, name: str, worst: float, limit: Limit) -> bool:
        """Whether what rises no further than `worst` is at no level and comes to none."""
        return self._levels.get(name, OK) == OK and worst < limit.warning

    def _delta_measure(self, exposure: Exposure, net: Column | float, delta: Column | float | None) -> MeasureColumn:
        """Delta where the net coins are worth an order, else none."""
        limit, end = self._risk.delta, 2.0 * self._risk.delta.critical
        if not (exposure.uncertain_low or exposure.uncertain_high):
            worst = 0.0 if exposure.drift_extent is None else exposure.drift_extent[1]
            if self._is_calm("delta", worst, limit):
                return MeasureColumn.rising("delta", None, limit, end, worst)
        matters = self._is_worth_an_order(exposure, net)
        return MeasureColumn.rising("delta", np.where(matters, 0.0 if delta is None else delta, 0.0), limit, end)

    def _delta(self, exposure: Exposure) -> Column | float | None:
        net, gross = exposure.net_coin, exposure.gross_coin
        if net is None or gross is None or not (exposure.uncertain_low or exposure.uncertain_high):
            return exposure.drift
        worst = np.maximum(np.abs(net + exposure.uncertain_low), np.abs(net + exposure.uncertain_high))
        larger = np.maximum(gross, worst)
        return np.where(larger > 0.0, worst / np.where(larger > 0.0, larger, 1.0), 0.0) + np.zeros(len(exposure.window))

    def _is_worth_an_order(self, exposure: Exposure, net: Column | float) -> Flags:
        """Rows on which the net coins, at the worst end of what is uncertain, are worth a minimum trade: what a closed
        position leaves over is small beside nothing, and no order mends it."""
        window = exposure.window
        worst = np.maximum(np.abs(net + exposure.uncertain_low), np.abs(net + exposure.uncertain_high))
        least = self._mode.minimum_trade_usdt if self._mode.costs == "default" else LEAST_USDT
        flags: Flags = worst * window.column(reference_price(self._mode.asset)) > least
        return flags

    def _crossing(self, measure: MeasureColumn, timestamps: Stamps) -> Crossing | None:
        return crossing_of(measure, self._levels.get(measure.name, OK), self._fired.get(measure.name), timestamps)
