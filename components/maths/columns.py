"""Columns of a window, one number or one per row: a number stands for all rows alike.

What changes a column makes a copy: columns may be views of a market that others read.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from components.model.market import Column, Flags, Stamps


def add_part(parts: dict[str, Column | float], part: str, column: Column) -> None:
    parts[part] = parts[part] + column if part in parts else column


def add_to_part(parts: dict[str, Column | float], part: str, row: int, value: float, rows: int) -> None:
    if value != 0.0:
        parts[part] = with_added(parts.get(part, 0.0), row, value, rows)


def with_added(column: Column | float, row: int, value: float, rows: int) -> Column:
    """A copy of the column with `value` added on one row."""
    out = np.full(rows, column) if isinstance(column, float) else column.copy()
    out[row] += value
    return out


def with_value(column: Column | float, row: int, value: float, rows: int) -> Column | float:
    """A copy of the column with one row replaced."""
    if rows == 1:
        return value
    out = np.full(rows, column) if isinstance(column, float) else column.copy()
    out[row] = value
    return out


def on_rows(row: Stamps, amount: Column, rows: int) -> Column:
    """What falls on each of the first `rows` rows: amounts of one row are added up in the order given; `row` never
    falls."""
    if len(row) and row[-1] >= rows:
        count = int(row.searchsorted(rows))
        row, amount = row[:count], amount[:count]
    column: Column = np.bincount(row, amount, rows).astype(np.float64, copy=False)
    return column


def head(column: Column | float, rows: int) -> Column | float:
    return column if isinstance(column, float) else column[:rows]


# Where a value lies is found a good deal faster than the value is reduced to.


def lowest(column: Column) -> float:
    """The lowest value; NaN when any is."""
    return float(column[column.argmin()])


def highest(column: Column) -> float:
    """The highest value; NaN when any is."""
    return float(column[column.argmax()])


def extent(column: Column) -> tuple[float, float]:
    """The lowest and the highest value; NaN when any is."""
    return lowest(column), highest(column)


def first_of(flags: Flags) -> int:
    """The first row that is flagged; the length when there is none."""
    row = int(flags.argmax()) if len(flags) else 0
    return row if len(flags) and flags[row] else len(flags)


def is_zero(column: Column | float) -> bool:
    return isinstance(column, float) and column == 0.0


def running(total: float, column: Column | float) -> float:
    """The total after the rows of a column, added one by one."""
    return total if isinstance(column, float) or not len(column) else float(_carried(total, column)[-1])


def ends(carried: Sequence[float], columns: Sequence[Column | float], rows: int) -> list[float]:
    """The totals after the rows of each column, added one by one on top of what is carried."""
    table = np.empty((len(columns), rows))
    for i, column in enumerate(columns):
        table[i] = column
    table[:, 0] += carried
    totals: list[float] = np.add.accumulate(table, axis=1, out=table)[:, -1].tolist()
    return totals


def accumulate(start: float, column: Column | float, rows: int) -> Column:
    if isinstance(column, float):
        return np.full(rows, start)
    return _carried(start, column)


def _carried(start: float, column: Column) -> Column:
    """Running totals that go on from `start`, added row by row."""
    out = column.copy()
    if len(out):
        out[0] += start
    return np.add.accumulate(out, out=out)
