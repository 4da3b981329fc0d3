"""One file's bytes as named columns of cells: CSV, gzipped CSV and Parquet.

Only leading `#` lines are comments (`Top-Up #3` is a cell), a byte order mark is dropped, and nothing is guessed about
types: cells stay text until a schema asks for numbers or stamps. pyarrow is imported only when a Parquet file is met.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Mapping
from datetime import date
from importlib import import_module
from typing import Any

import msgspec
import numpy as np

from components.model.errors import DAT_UNREADABLE, Fault, InvalidInput
from venues.history.cells import Cells

_GZIP_MAGIC = b"\x1f\x8b"
_PARQUET_MAGIC = b"PAR1"


class Sheet(msgspec.Struct, frozen=True):
    """Columns of one file by their published names, all of `rows` cells."""

    columns: Mapping[str, Cells]
    rows: int


def read_sheet(file: str, content: bytes) -> Sheet:
    """The table in `content`; `file` is only its name for messages. InvalidInput (DAT-005) when it is no table."""
    try:
        if content.startswith(_PARQUET_MAGIC):
            return _parquet(content)
        raw = gzip.decompress(content) if content.startswith(_GZIP_MAGIC) else content
        text = raw.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, ValueError) as exc:
        raise unreadable(file, str(exc) or type(exc).__name__, "CSV, gzipped CSV or Parquet in UTF-8") from exc
    return _csv(file, text)


def unreadable(where: str, found: str, expected: str) -> InvalidInput:
    return InvalidInput(DAT_UNREADABLE, [Fault(where=where, found=found, expected=expected)])


def _csv(file: str, text: str) -> Sheet:
    lines = io.StringIO(text, newline="")
    line = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    header = next(csv.reader([line]), None)
    if not header or not any(header):
        raise unreadable(file, "no header line", "a header line after the comments")
    rows = [row for row in csv.reader(lines) if row]
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise unreadable(f"{file} row {number}", f"{len(row)} cells", f"{len(header)} as in the header")
    columns: Mapping[str, Cells] = (
        dict(zip(header, zip(*rows, strict=True), strict=True)) if rows else {name: () for name in header}
    )
    return Sheet(columns, len(rows))


def _parquet(content: bytes) -> Sheet:
    pa = import_module("pyarrow")
    table = import_module("pyarrow.parquet").read_table(io.BytesIO(content))
    return Sheet({name: _cells(pa, table.column(name)) for name in table.column_names}, table.num_rows)


def _cells(pa: Any, column: Any) -> Cells:
    """Typed numbers stay numbers; zoned times become UTC nanoseconds; all else text, so that zoneless times stay so."""
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return np.asarray(column.cast(pa.timestamp("ns", tz=kind.tz)).cast(pa.int64()).to_numpy())
    if pa.types.is_floating(kind) or (pa.types.is_integer(kind) and column.null_count == 0):
        return np.asarray(column.to_numpy())
    return [_text(value) for value in column.to_pylist()]


def _text(value: object) -> str:
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, date) else str(value)
