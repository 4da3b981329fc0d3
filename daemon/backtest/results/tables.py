"""The per-row tables of a run as CSV: what became of the money (`pnl.csv`), and what was held (`balance_sheet.csv`).

Numbers are written in their shortest exact form, so equal results are equal bytes; NaN is an empty cell. A column that
never changes is kept as one cell: most columns of most runs are of that kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from components.model.market import Column, Stamps
from components.pnl_monitor import PARTS
from daemon.backtest.replay import ReplayResult

CHUNK_ROWS = 16_384
RUN_ROWS = 3  # shorter runs of equal values are encoded one by one
BALANCE = "balance."
MONEY = ("equity", "external_flow", "residual", "unexplained", *PARTS)
MONEY_BY_VENUE = ("venue_equity", "venue_pnl", "funding")


class Table:
    """Named columns of one length beside their timestamps, in order of addition."""

    def __init__(self, timestamps: Stamps) -> None:
        self._timestamps = timestamps
        self._columns: dict[str, Column | bytes] = {}

    def add(self, name: str, values: Column) -> None:
        self._columns[name] = values if _varies(values) else cells(values[:1])[0]

    def write(self, path: Path) -> None:
        with path.open("wb") as file:
            file.write(",".join(["timestamp", *map(quoted, self._columns)]).encode() + b"\n")
            for start in range(0, len(self._timestamps), CHUNK_ROWS):
                file.writelines(self._lines(slice(start, start + CHUNK_ROWS)))

    def _lines(self, rows: slice) -> Iterator[bytes]:
        columns: list[Iterable[bytes]] = [iso_stamps(self._timestamps[rows])]
        for values in self._columns.values():
            columns.append(repeat(values) if isinstance(values, bytes) else cells(values[rows]))
        return (b",".join(line) + b"\n" for line in zip(*columns, strict=False))  # constant cells have no end


def pnl_table(result: ReplayResult, benchmarks: Mapping[str, Column], suffix: str) -> Table:
    """One row per timestamp: equity, the parts per step and summed up, risk measures, venues, benchmarks."""
    table, columns = Table(result.timestamps), result.columns
    equity, flow = columns["equity"], columns["external_flow"]
    pnl = np.diff(equity, prepend=result.initial_equity) - flow
    parts = [part for part in PARTS if part in columns]
    table.add(f"equity_{suffix}", equity)
    table.add(f"pnl_{suffix}", pnl)
    table.add(f"cum_pnl_{suffix}", np.cumsum(pnl))
    table.add(f"external_flow_{suffix}", flow)
    for name in (*parts, "residual"):
        table.add(f"{name}_{suffix}", columns[name])
    for name in (*parts, "residual"):
        table.add(f"cum_{name}_{suffix}", np.cumsum(columns[name]))
    table.add(f"unexplained_{suffix}", columns["unexplained"])
    for name in columns:
        if name not in MONEY and not name.startswith(BALANCE):
            table.add(_column_name(name, suffix), columns[name])
    for name, value in benchmarks.items():
        table.add(f"benchmark_{name}_{suffix}", value)
    return table


def balance_table(result: ReplayResult, suffix: str) -> Table:
    """One row per timestamp: equity, then the native units of every position there ever was, by key."""
    table = Table(result.timestamps)
    table.add(f"equity_{suffix}", result.columns["equity"])
    for name in sorted(name for name in result.columns if name.startswith(BALANCE)):
        table.add(name, result.columns[name])
    return table


def cells(values: Column) -> list[bytes]:
    """One cell per value; NaN and infinity are empty, −0 is 0. What stays the same for many rows is encoded once."""
    values = values + 0.0
    changes = np.flatnonzero(values[1:] != values[:-1]) + 1
    if RUN_ROWS * len(changes) > len(values):
        return cells_of(values.tolist())
    starts = np.concatenate([[0], changes])
    lengths = np.diff(starts, append=len(values)).tolist()
    return list(chain.from_iterable(map(repeat, cells_of(values[starts].tolist()), lengths)))


def cells_of(values: Sequence[float | None]) -> list[bytes]:
    return msgspec.json.encode(values)[1:-1].replace(b"null", b"").split(b",")


def iso_stamps(timestamps: Stamps) -> list[bytes]:
    """ISO 8601 in UTC with as many decimals of a second as the stamps need."""
    unit: Any = next((unit for unit, ns in _UNITS if not (timestamps % ns).any()), "ns")
    texts = np.datetime_as_string(timestamps.view("datetime64[ns]"), unit=unit, timezone="UTC")
    return [text.encode() for text in texts.tolist()]


def iso_stamp(at: int) -> str:
    return iso_stamps(np.array([at], dtype=np.int64))[0].decode()


@lru_cache(maxsize=4096)
def quoted(text: str) -> str:
    """A CSV cell of any text."""
    if any(char in text for char in ',"\n\r'):
        return '"' + text.replace('"', '""') + '"'
    return text


_UNITS = (("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000))


def _column_name(name: str, suffix: str) -> str:
    kind, dot, venue = name.partition(".")
    if name == "reference_price":
        return "reference_price_usdt"
    if dot and kind in MONEY_BY_VENUE:
        return f"{kind}_{venue}_{suffix}"
    return name.replace(".", "_")


def _varies(values: Column) -> bool:
    first = values[0]
    same = np.isnan(values) if np.isnan(first) else values == first
    return not bool(same.all())
