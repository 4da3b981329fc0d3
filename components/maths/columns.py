"""Columns of a window, one number or one per row: a number stands for all rows alike.

What changes a column makes a copy: columns may be views of a market that others read.
"""

from __future__ import annotations

import numpy as np

from components.model.market import Column


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


def head(column: Column | float, rows: int) -> Column | float:
    return column if isinstance(column, float) else column[:rows]


def is_zero(column: Column | float) -> bool:
    return isinstance(column, float) and column == 0.0


def running(total: float, column: Column | float) -> float:
    """The total after the rows of a column, added one by one."""
    if isinstance(column, float):
        return total
    return float(np.concatenate(((total,), column)).cumsum()[-1])


def accumulate(start: float, column: Column | float, rows: int) -> Column:
    if isinstance(column, float):
        return np.full(rows, start)
    return np.concatenate(((start,), column)).cumsum()[1:]
