"""One file's bytes as named columns of cells: CSV, gzipped CSV, a zip of one CSV, and Parquet.

Only leading `#` lines are comments (`Top-Up #3` is a cell); a byte order mark, a `sep=;` line and a line that is
nothing but an address are dropped, and nothing is guessed about types: cells stay text until a schema asks for numbers
or stamps. pyarrow is imported only when a Parquet file is met.
"""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date
from importlib import import_module
from typing import Any

import msgspec
import numpy as np

from components.model.errors import DAT_CONFLICT, DAT_UNREADABLE, Fault, InvalidInput
from venues.history.files.cells import Cells

_GZIP_MAGIC = b"\x1f\x8b"
_ZIP_MAGIC = b"PK\x03\x04"
_PARQUET_MAGIC = b"PAR1"
_FORMS = "CSV in UTF-8, plain, gzipped or alone in a zip, or Parquet"
Layouts = Mapping[int, tuple[str, ...]]


class Sheet(msgspec.Struct, frozen=True):
    """Columns of one file by their published names, all of `rows` cells; `headed` is False where the names come from a
    known layout because the file has no header line."""

    columns: Mapping[str, Cells]
    rows: int
    headed: bool = True


def read_sheet(file: str, content: bytes, layouts: Layouts | None = None) -> Sheet:
    """The table in `content`; `file` is only its name for messages. `layouts` names the columns of a file without a
    header line by their number. InvalidInput (DAT-005, DAT-003 for a column twice) when it is no table."""
    try:
        raw = _unpacked(file, content)
        if raw.startswith(_PARQUET_MAGIC):
            return _parquet(file, raw)
        text = raw.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError, UnicodeDecodeError, ValueError) as exc:
        raise unreadable(file, str(exc) or type(exc).__name__, _FORMS) from exc
    return _csv(file, text, layouts or {})


def unreadable(where: str, found: str, expected: str) -> InvalidInput:
    return InvalidInput(DAT_UNREADABLE, [Fault(where=where, found=found, expected=expected)])


def canonical(name: str) -> str:
    """A column name without case, blanks and punctuation: `Open time`, `open_time` and `openTime` are one name."""
    return "".join(char for char in name.lower() if char.isalnum())


def _unpacked(file: str, content: bytes) -> bytes:
    if content.startswith(_GZIP_MAGIC):
        return _unpacked(file, gzip.decompress(content))
    if not content.startswith(_ZIP_MAGIC):
        return content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [name for name in archive.namelist() if not name.endswith("/") and not _is_litter(name)]
        if len(members) != 1:
            found = f"a zip of {len(members)} files ({', '.join(members[:5]) or 'none'})"
            raise unreadable(file, found, "a zip of one table")
        return _unpacked(file, archive.read(members[0]))


def _is_litter(name: str) -> bool:
    """What archivers of some systems, and exchanges with their checksums, put beside the table."""
    last = name.rsplit("/", 1)[-1]
    return name.startswith("__MACOSX/") or last.startswith(".") or last.upper().endswith(".CHECKSUM")


def _csv(file: str, text: str, layouts: Layouts) -> Sheet:
    lines = iter(io.StringIO(text, newline=""))
    first, delimiter = _first_line(lines)
    names = [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
    if not any(names):
        raise unreadable(file, "no header line", "a header line after the comments")
    if headed := not any(map(_is_number, names)):
        rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
    else:
        rows = [row for row in csv.reader(_chained(first, lines), delimiter=delimiter) if row]
        layout = layouts.get(len(names))
        if layout is None:
            known = ", ".join(f"{count} ({', '.join(columns[:3])}, …)" for count, columns in sorted(layouts.items()))
            expected = "a header line" + (f", or without one {known} columns" if known else " after the comments")
            raise unreadable(file, f"no header line, and {len(names)} columns", expected)
        names = list(layout)
    _refuse_repeated(file, names)
    for number, row in enumerate(rows, 1):
        if len(row) != len(names):
            expected = f"{len(names)} as in the header" if headed else f"{len(names)} as in the first row"
            raise unreadable(f"{file} row {number}", f"{len(row)} cells", expected)
    columns: Mapping[str, Cells] = (
        dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else {name: () for name in names}
    )
    return Sheet(columns, len(rows), headed)


def _first_line(lines: Iterator[str]) -> tuple[str, str]:
    """The first line of the table and what separates its cells."""
    declared = None
    for line in lines:
        text = line.strip()
        if text.lower().startswith("sep=") and len(text) == len("sep=") + 1:
            declared = text[-1]
        elif text and not text.startswith("#") and not (text.startswith("http") and "," not in text):
            return line, declared or _delimiter(text)
    return "", ","


def _delimiter(line: str) -> str:
    if "," in line:
        return ","
    return next((mark for mark in (";", "\t", "|") if mark in line), ",")


def _chained(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text[:4].isdigit() and text[4:5] in ("-", "/", ".")  # a date
    return text.lower() not in ("nan", "inf", "infinity")


def _refuse_repeated(file: str, names: list[str]) -> None:
    """Which of two columns of one name holds the truth cannot be known: neither is taken."""
    counts = Counter(name for name in names if name)
    faults = [
        Fault(where=f"{file} column {name}", found=f"{count} columns of this name", expected="each column once")
        for name, count in counts.items()
        if count > 1
    ]
    if faults:
        raise InvalidInput(DAT_CONFLICT, faults)


def _parquet(file: str, content: bytes) -> Sheet:
    pa = import_module("pyarrow")
    table = import_module("pyarrow.parquet").read_table(io.BytesIO(content))
    _refuse_repeated(file, list(table.column_names))
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
