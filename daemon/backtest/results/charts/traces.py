"""From columns of a run to what the chart library draws: thinned, rounded, compact.

No extreme is ever hidden: of each bucket of rows the lowest and the highest value stay. All lines of a chart share
their rows, which a page holds once, as differences; the script of `pages.py` turns them back into times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from components.model.market import Column, Stamps
from daemon.backtest.results.charts.style import DIVERGING

MAX_POINTS = 4_000
DIGITS = 7
Rows = npt.NDArray[np.int64]
Trace = dict[str, Any]


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """One chart: `name` is its file, `lead` says in a sentence what it shows.

    Traces without an `x` are drawn over `rows` of the run.
    """

    name: str
    title: str
    lead: str
    traces: Sequence[Trace]
    layout: Mapping[str, Any]
    rows: Rows | None = None
    wide: bool = False


def thin(columns: Sequence[Column], limit: int = MAX_POINTS) -> Rows:
    """Rows that show every extreme of every column, the first and the last; at most `limit`, rising."""
    length = len(columns[0])
    if length <= limit:
        return np.arange(length)
    buckets = max((limit - 2) // (2 * len(columns)), 1)
    size = -(-length // buckets)
    first = np.arange(buckets) * size
    kept = [np.array([0, length - 1])]
    for column in columns:
        padded = np.full(buckets * size, np.nan)
        padded[:length] = column
        table = padded.reshape(buckets, size)
        missing = np.isnan(table)
        kept.append(first + np.argmin(np.where(missing, np.inf, table), axis=1))
        kept.append(first + np.argmax(np.where(missing, -np.inf, table), axis=1))
    rows = np.unique(np.concatenate(kept))
    return rows[rows < length]


def rounded(values: Column, digits: int = DIGITS) -> list[float | None]:
    """Values of `digits` significant digits; NaN and infinity become None."""
    with np.errstate(divide="ignore", invalid="ignore"):
        magnitude = np.floor(np.log10(np.abs(values)))
    decimals = np.clip(digits - 1 - np.where(np.isfinite(magnitude), magnitude, 0.0), 0, 22)
    scale = np.power(10.0, decimals)
    return [value if np.isfinite(value) else None for value in (np.round(values * scale) / scale).tolist()]


def line(
    name: str,
    values: Column,
    colour: str,
    *,
    width: float = 1.6,
    dash: str = "solid",
    shape: str = "linear",
    **more: Any,
) -> Trace:
    style = {"color": colour, "width": width, "dash": dash, "shape": shape}
    return {"type": "scatter", "mode": "lines", "name": name, "y": rounded(values), "line": style, **more}


def area(name: str, values: Column, colour: str, *, opacity: float = 0.13, **more: Any) -> Trace:
    """A filled line: with `fill` down to zero, with `stackgroup` on top of the ones before it."""
    return line(name, values, colour, fillcolor=faded(colour, opacity), **more)


def bars(name: str, labels: Sequence[str], values: Column, colour: str, **more: Any) -> Trace:
    return {"type": "bar", "name": name, "x": list(labels), "y": rounded(values), "marker": {"color": colour}, **more}


def heat_map(x: Sequence[str], y: Sequence[str], cells: Mapping[tuple[int, int], float], unit: str) -> Trace:
    """Colours around zero by (row, column); blank where there is no cell."""
    table: list[list[float | None]] = [[None] * len(x) for _ in y]
    for (row, column), value in cells.items():
        table[row][column] = float(f"{value:.5g}")
    reach = max((abs(value) for value in cells.values()), default=0.0) or 1.0
    return {
        "type": "heatmap", "x": list(x), "y": list(y), "z": table, "zmin": -reach, "zmax": reach, "xgap": 2, "ygap": 2,
        "colorscale": DIVERGING, "hoverongaps": False,
        "hovertemplate": f"%{{y}} %{{x}}: %{{z:,.4~f}} {unit}<extra></extra>",
        "colorbar": {"title": {"text": unit}, "thickness": 9, "len": 1, "outlinewidth": 0, "tickfont": {"size": 11}},
    }  # fmt: skip


def faded(colour: str, opacity: float) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


class Periods:
    """Rows put together by month or day of UTC. A row belongs to where its step lies: midnight ends a day."""

    def __init__(self, timestamps: Stamps, unit: str) -> None:
        within = timestamps - 1
        within[0] += 1
        self._moments, self._of_row = np.unique(
            within.view("datetime64[ns]").astype(f"datetime64[{unit}]"), return_inverse=True
        )
        self._last_rows = np.searchsorted(self._of_row, np.arange(len(self._moments)), side="right") - 1

    def __len__(self) -> int:
        return len(self._moments)

    @property
    def labels(self) -> list[str]:
        """`2024-06` or `2024-06-01`."""
        return [str(moment) for moment in self._moments]

    def sums(self, values: Column) -> Column:
        sums: Column = np.bincount(self._of_row, weights=np.nan_to_num(values), minlength=len(self)).astype(np.float64)
        return sums

    def growth(self, unit_value: Column) -> Column:
        """Return of each period; the first begins at 1."""
        ends = unit_value[self._last_rows]
        before = np.concatenate([[1.0], ends[:-1]])
        growth: Column = np.divide(ends, before, out=np.ones_like(ends), where=before > 0.0) - 1.0
        return growth
