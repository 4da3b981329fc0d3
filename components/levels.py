"""Levels: when a measure rises to one, fires again at it, and is ok again.

Levels are `ok`, `warning`, `critical`. A level falls back to ok when the measure has recovered past its warning limit
by `HYSTERESIS`. One that stands fires again when the measure has worsened by a quarter of the distance left to its end,
has been critical for an hour, or new means arrived. Nothing is kept here: the Risk Monitor latches.
"""

from __future__ import annotations

import msgspec
import numpy as np

from components.maths.columns import first_of, highest, lowest
from components.model.market import Column, Flags, Stamps
from components.model.measures import Measure, measure_of
from components.model.requirements import HOUR_NS
from components.model.slices import Limit

HYSTERESIS = 0.1
QUARTER = 0.25  # of the distance left to liquidation: a measure that is worse by that fires again at its level
OK, WARNING, CRITICAL = 0, 1, 2
LEVEL_NAMES = ("ok", "warning", "critical")


class MeasureColumn(msgspec.Struct, frozen=True):
    """One measure over a window; `sign` +1 when danger is up, −1 when it is down; beyond `recovered` it is ok again.

    `end` is where it is over (a liquidation), for measures that something can be done about: they fire again. `worst`
    is the value nearest to danger, where it is known; `column` is None when that is no danger at all and the measure
    stands at no level, so that nobody need look at the rows.
    """

    name: str
    column: Column | None
    limit: Limit
    sign: float
    recovered: float
    end: float | None = None
    worst: float | None = None

    @classmethod
    def rising(
        cls, name: str, column: Column | None, limit: Limit, end: float | None = None, worst: float | None = None
    ) -> MeasureColumn:
        return cls(name, column, limit, 1.0, limit.warning * (1.0 - HYSTERESIS), end, worst)

    @classmethod
    def falling(
        cls, name: str, column: Column | None, limit: Limit, end: float | None = None, worst: float | None = None
    ) -> MeasureColumn:
        return cls(name, column, limit, -1.0, limit.warning * (1.0 + HYSTERESIS), end, worst)

    @property
    def rows(self) -> Column:
        """The column of a measure that may be in danger."""
        if self.column is None:
            raise ValueError(f"{self.name} stands at no level and is far from one: there is nothing to look at")
        return self.column


class Crossing(msgspec.Struct, frozen=True):
    """A level that rose: at which row of the window, which measure, to what level, at what value."""

    row: int
    name: str
    level: int
    value: float

    @property
    def measure(self) -> Measure:
        return measure_of(self.name)


class Fired(msgspec.Struct, frozen=True):
    """When a level last rose or fired again (UTC ns), and what the measure was then, or on the row after if that was
    safer: `settled` is False until that row. With `anew` it fires at its level at once: new means arrived."""

    at: int
    value: float
    settled: bool = False
    anew: bool = False


def crossing_of(measure: MeasureColumn, latched: int, fired: Fired | None, timestamps: Stamps) -> Crossing | None:
    """The first row on which a level rises or fires again, of a measure at the level `latched`, which fired last so."""
    if latched == OK:
        return _rise_from_ok(measure, 0)
    cleared = first_of(has_recovered(measure, measure.rows))
    if latched == WARNING or measure.end is not None:
        rises = _rises(measure, latched, fired, timestamps[:cleared])
        row = first_of(rises)
        if row < len(rises):
            value = float(measure.rows[row])
            is_critical = _beyond(measure, measure.limit.critical, measure.rows[row : row + 1])[0]
            return Crossing(row, measure.name, CRITICAL if is_critical else WARNING, value)
    return _rise_from_ok(measure, cleared)


def _rises(measure: MeasureColumn, latched: int, fired: Fired | None, timestamps: Stamps) -> Flags:
    """Rows on which a level that is latched rises or fires again: it turns critical, has worsened by a quarter of
    the distance left, has been critical for an hour, or new means arrived."""
    column = measure.rows[: len(timestamps)]
    critical = _beyond(measure, measure.limit.critical, column)
    rises = critical if latched == WARNING else np.zeros(len(column), dtype=np.bool_)
    if measure.end is None or not len(column):
        return rises
    fired = Fired(0, float(column[0])) if fired is None else fired
    value = baseline(measure, fired)
    worse = _beyond(measure, value + QUARTER * (measure.end - value), column)
    rises = rises | worse
    if latched == CRITICAL:
        rises = rises | (critical & (timestamps >= fired.at + HOUR_NS))
    if fired.anew:
        rises = rises | _beyond(measure, measure.limit.warning, column)
    return rises


def _rise_from_ok(measure: MeasureColumn, start: int) -> Crossing | None:
    danger, worst = measure.limit.warning, measure.worst
    if worst is not None and (worst < danger if measure.sign > 0.0 else worst >= danger):
        return None
    column = measure.rows[start:] if start else measure.rows
    if not len(column):
        return None
    worst = highest(column) if measure.sign > 0.0 else lowest(column)
    if worst < danger if measure.sign > 0.0 else worst >= danger:
        return None
    beyond = _beyond(measure, danger, column)
    row = first_of(beyond)
    if row == len(beyond):
        return None
    level = CRITICAL if _beyond(measure, measure.limit.critical, column[row : row + 1])[0] else WARNING
    return Crossing(start + row, measure.name, level, float(column[row]))


def baseline(measure: MeasureColumn, fired: Fired) -> float:
    """What a measure must be worse than to fire again: what a plan made of it counts, not what a bad row made of it."""
    if fired.settled:
        return fired.value
    first = float(measure.rows[0])
    return min(fired.value, first) if measure.sign > 0.0 else max(fired.value, first)


def _beyond(measure: MeasureColumn, limit: float, column: Column) -> Flags:
    return column >= limit if measure.sign > 0.0 else column < limit


def has_recovered(measure: MeasureColumn, column: Column) -> Flags:
    """Rows on which it has recovered past its limit."""
    return column < measure.recovered if measure.sign > 0.0 else column > measure.recovered
