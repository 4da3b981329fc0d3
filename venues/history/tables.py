"""One file as sorted columns stamped at the time each row became known, and several files of one series as one.

This is where rows are judged: what is empty, not finite, not positive, inverted or said twice with different values is
refused with file, column and row. Nothing is filled, smoothed or dropped except identical repeats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import msgspec
import numpy as np

from components.model.errors import DAT_CONFLICT, DAT_NOT_COVERED, DAT_UNREADABLE, Fault, InvalidInput
from components.model.market import Column, Flags, Stamps
from components.model.requirements import HOUR_NS
from venues.history.cache import READER_VERSION, ColumnCache, content_hash
from venues.history.catalogue import SourceFile
from venues.history.cells import BadCell, numbers
from venues.history.read import Sheet, read_sheet, unreadable
from venues.history.schema import MAX_FUNDING_RATE, Field, Schema
from venues.history.stamps import MINUTE_NS, iso, parse_stamps, snapped, usual_step

_SHOWN = 5


class Table(msgspec.Struct, frozen=True):
    """Rows of one file or of several joined, by the time they became known.

    `at` is UTC ns, strictly rising once joined; `values` one float64 column per field of the schema, NaN where an
    optional one is absent; `step` the native step in ns.
    """

    files: tuple[str, ...]
    hashes: tuple[str, ...]
    at: Stamps
    values: Mapping[str, Column]
    step: int
    duplicates: int = 0


def read_table(file: SourceFile, schema: Schema, cache: ColumnCache) -> Table:
    """The rows of one file in file order. InvalidInput lists everything wrong with it."""
    try:
        content = file.path.read_bytes()
    except OSError as exc:
        raise unreadable(file.name, exc.strerror or "not readable", "a readable file") from exc
    digest = content_hash(content)
    key = f"{digest}-{schema.name}-{file.symbol}-{file.step_hint or 0}-r{READER_VERSION}"
    kept = cache.get(key, len(schema.fields))
    if kept is None:
        kept = _parse(file, schema, read_sheet(file.name, content))
        cache.put(key, *kept)
    at, stacked = kept
    values = {field.name: stacked[i] for i, field in enumerate(schema.fields)}
    if faults := _unbelievable(file.name, schema, values):
        raise InvalidInput(DAT_UNREADABLE, faults)
    step = schema.step_ns or usual_step(at) or file.step_hint or HOUR_NS
    return Table((file.name,), (digest,), at, values, step)


def joined(tables: Sequence[Table]) -> Table:
    """All rows of one series in time order, identical repeats dropped; DAT-003 when two rows of one stamp differ."""
    at = np.concatenate([table.at for table in tables])
    values = {name: np.concatenate([table.values[name] for table in tables]) for name in tables[0].values}
    duplicates = 0
    if len(at) > 1 and not (at[1:] > at[:-1]).all():
        order = np.argsort(at, kind="stable")
        at = at[order]
        values = {name: column[order] for name, column in values.items()}
        repeat = at[1:] == at[:-1]
        if faults := _contradictions(tables, at, values, repeat):
            raise InvalidInput(DAT_CONFLICT, faults)
        keep = np.concatenate([[True], ~repeat])
        at, values = at[keep], {name: column[keep] for name, column in values.items()}
        duplicates = int(repeat.sum())
    files = tuple(name for table in tables for name in table.files)
    hashes = tuple(digest for table in tables for digest in table.hashes)
    return Table(files, hashes, at, values, tables[0].step, duplicates)


def _parse(file: SourceFile, schema: Schema, sheet: Sheet) -> tuple[Stamps, Column]:
    stamp = next((stamp for stamp in schema.stamps if stamp.column in sheet.columns), None)
    faults = [
        _absent(file.name, sheet, field.title, field.columns)
        for field in schema.fields
        if not field.optional and _column_of(field, sheet) is None
    ]
    if stamp is None:
        faults.append(
            _absent(file.name, sheet, schema.stamps[0].column, tuple(stamp.column for stamp in schema.stamps))
        )
    if faults or stamp is None:
        raise InvalidInput(DAT_UNREADABLE, faults)
    if not sheet.rows:
        fault = Fault(where=f"{file.name} column {stamp.column}", found="a header and no rows", expected="rows")
        raise InvalidInput(DAT_NOT_COVERED, [fault])
    column = stamp.column
    try:
        at = snapped(parse_stamps(sheet.columns[column], zone=schema.zone), schema.snap_ns)
        values = np.full((len(schema.fields), sheet.rows), np.nan)
        for i, field in enumerate(schema.fields):
            if (name := _column_of(field, sheet)) is not None:
                column = name
                values[i] = numbers(sheet.columns[name])
    except BadCell as bad:
        where = f"{file.name} column {column} row {bad.row}"
        raise unreadable(where, repr(bad.text), bad.expected) from bad
    if other := _foreign(file, schema, sheet):
        raise InvalidInput(DAT_UNREADABLE, [other])
    if stamp.meaning == "open":
        at = at + (usual_step(at) or file.step_hint or HOUR_NS)
    elif stamp.meaning == "close":
        at = -(-at // MINUTE_NS) * MINUTE_NS
    return at, values


def _column_of(field: Field, sheet: Sheet) -> str | None:
    return next((name for name in field.columns if name in sheet.columns), None)


def _absent(file: str, sheet: Sheet, title: str, columns: tuple[str, ...]) -> Fault:
    nearest = get_close_matches(title, list(sheet.columns), n=1, cutoff=0.6)
    return Fault(
        where=f"{file} column {title}",
        found="no such column",
        expected=" or ".join(columns),
        nearest=nearest[0] if nearest else None,
    )


def _foreign(file: SourceFile, schema: Schema, sheet: Sheet) -> Fault | None:
    """A file whose rows speak of another coin than its name."""
    symbol = file.symbol.upper()
    for name in schema.identity:
        if name not in sheet.columns:
            continue
        for cell in sorted(set(map(str, sheet.columns[name]))):
            word = cell.upper().replace("/", "").replace("-", "").removesuffix("SWAP")
            if word not in (symbol, f"W{symbol}", f"{symbol}USDT"):
                expected = f"rows of {file.symbol} only"
                return Fault(where=f"{file.name} column {name}", found=repr(cell), expected=expected)
    return None


def _unbelievable(file: str, schema: Schema, values: Mapping[str, Column]) -> list[Fault]:
    faults: list[Fault] = []
    for field in schema.fields:
        column = values[field.name]
        if field.optional and np.isnan(column).all():
            continue
        where = f"{file} column {field.title}"
        if field.check != "none":
            _report(faults, where, column, ~np.isfinite(column), "a finite number")
        if field.check == "positive":
            _report(faults, where, column, column <= 0.0, "a number above 0")
        elif field.check == "funding":
            expected = f"a rate of at most ±{MAX_FUNDING_RATE:.0%} per interval"
            _report(faults, where, column, np.abs(column) > MAX_FUNDING_RATE, expected)
    if {"open", "high", "low", "close"} <= values.keys():
        _report_inversions(faults, file, values)
    return faults


def _report_inversions(faults: list[Fault], file: str, values: Mapping[str, Column]) -> None:
    high, low = values["high"], values["low"]
    top = np.fmax(values["open"], values["close"])
    bottom = np.fmin(values["open"], values["close"])
    _report(faults, f"{file} column high", high, high < top, "at least open and close of its bar")
    _report(faults, f"{file} column low", low, low > bottom, "at most open and close of its bar")


def _report(faults: list[Fault], where: str, column: Column, wrong: Flags, expected: str) -> None:
    rows = np.flatnonzero(wrong)
    if len(rows):
        shown = ", ".join(f"{column[row]:g} in row {row + 1}" for row in rows[:_SHOWN])
        more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
        faults.append(Fault(where=where, found=shown + more, expected=expected))


def _contradictions(tables: Sequence[Table], at: Stamps, values: Mapping[str, Column], repeat: Flags) -> list[Fault]:
    files = ", ".join(name for table in tables for name in table.files)
    faults = []
    for name, column in values.items():
        before, after = column[:-1], column[1:]
        differs = repeat & ~((before == after) | (np.isnan(before) & np.isnan(after)))
        rows = np.flatnonzero(differs)
        if len(rows):
            first = ", ".join(f"{iso(int(at[row]))} ({before[row]:g} and {after[row]:g})" for row in rows[:_SHOWN])
            found = f"{len(rows)} stamps with two different values, first {first}"
            faults.append(Fault(where=f"{files} column {name}", found=found, expected="one value per stamp"))
    return faults
