"""Cells of a published table as numbers: strict where money depends on it, tolerant only where a schema says so.

A cell that cannot be read raises `BadCell` with its row; the caller knows file and column and tells the operator.
Empty cells become NaN here and are refused later, where it is known whether the column is needed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from components.model.market import Column

Cells: TypeAlias = Sequence[str] | npt.NDArray[Any]

_MISSING = frozenset({"", "nan", "na", "null", "none"})
_SCALE = {"": 1.0, "%": 0.01, "K": 1e3, "M": 1e6, "B": 1e9}
_QUANTITY = re.compile(r"~?\s*(-?[\d.,]+(?:[eE][+-]?\d+)?)\s*([%KMB]?)\s*")
_SPAN = re.compile(r"~?\s*([\d.]+)\s*%?\s*[–—-]\s*([\d.]+)\s*%?\s*")
_UNIT_OF_TIME = re.compile(r"\s*(h|hours?|m|min|minutes?)$", re.IGNORECASE)
_SHORTEST_IN_MINUTES = 60.0


class BadCell(ValueError):
    """One cell that is not what its column promises. `row` counts data rows from 1."""

    def __init__(self, row: int, text: object, expected: str) -> None:
        super().__init__(f"row {row}: {text!r} is not {expected}")
        self.row = row
        self.text = text
        self.expected = expected


def numbers(cells: Cells) -> Column:
    """Plain decimal numbers, NaN where the cell is empty. Percent signs and suffixes are refused: a price has none."""
    if isinstance(cells, np.ndarray) and cells.dtype.kind in "fiu":
        return cells.astype(np.float64)
    try:
        return np.fromiter(map(float, cells), np.float64, len(cells))
    except (ValueError, TypeError):
        return np.array([_number(row, cell) for row, cell in enumerate(cells, 1)], np.float64)


def hours(cells: Cells) -> Column:
    """Lengths of time in hours: `8`, `8h`, `480` (minutes, as one exchange gives them), `480min`."""
    if not isinstance(cells, np.ndarray):
        cells = [_UNIT_OF_TIME.sub("", str(cell).strip()) for cell in cells]
    length = numbers(cells)
    return np.where(length >= _SHORTEST_IN_MINUTES, length / 60.0, length)


def quantity(text: str) -> float:
    """`77.50%` → 0.775, `0.0022B` → 2.2e6, `1,234` → 1234; ValueError for anything else."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a number, percentage or amount with K, M or B")
    return float(match[1].replace(",", "")) * _SCALE[match[2]]


def span(text: str) -> tuple[float, float] | None:
    """The two ends of a published range such as `~5–15`; None when the text is no range (an exact figure)."""
    match = _SPAN.fullmatch(text)
    if match is None:
        return None
    low, high = float(match[1]), float(match[2])
    return (low, high) if low <= high else (high, low)


def _number(row: int, cell: object) -> float:
    text = "" if cell is None else str(cell).strip()
    if text.lower() in _MISSING:
        return float("nan")
    try:
        return float(text)
    except ValueError:
        raise BadCell(row, text, "a number, with a point before its decimals and nothing else") from None
