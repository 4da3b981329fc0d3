"""One file as sorted columns stamped at the time each row became known, and several files of one series as one.

This is where rows are judged: what is empty, not finite, not positive, inverted, about something else, of another
length or said twice with different values is refused with file, column and row, by the names and stamps of the file.
Nothing is filled, smoothed or dropped except identical repeats. Whether values are plausible is `plausible.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from components.model.errors import DAT_CONFLICT, DAT_NOT_COVERED, DAT_UNREADABLE, Fault, InvalidInput
from components.model.market import Column, Flags, Stamps
from components.model.requirements import HOUR_NS
from venues.history.files.cache import READER_VERSION, ColumnCache, Parsed, content_hash
from venues.history.files.catalogue import SourceFile
from venues.history.files.cells import BadCell
from venues.history.files.columns import (
    absent_column,
    ambiguous_names,
    ambiguous_values,
    close_times,
    columns_of,
    missing_columns,
    numbers_of,
    stamp_column,
)
from venues.history.files.identity import foreign_rows, foreign_token
from venues.history.files.instruments import expected_instrument
from venues.history.files.read import Sheet, canonical, read_sheet, unreadable
from venues.history.files.schema import MAX_FUNDING_RATE, Schema, StampColumn, fingerprint
from venues.history.files.stamps import MINUTE_NS, iso, parse_stamps, snapped, usual_step
from venues.history.files.steps import bar_length, refuse_long_bars, refuse_other_name
from venues.history.series.align import Part

_SHOWN = 5
_INTERVALS = (1.0, 2.0, 4.0, 6.0, 8.0, 12.0, 24.0)  # hours between two settlements


class Facts(msgspec.Struct, frozen=True):
    """What the file calls its columns, the length of its rows, and by how much a row is known after its stamp (ns)."""

    stamp: str
    titles: dict[str, str]
    step: int
    lag: int


class Table(msgspec.Struct, frozen=True):
    """Rows of one file or of several joined, by the time they became known.

    `at` is UTC ns, strictly rising once joined; `values` one float64 column per field of the schema, NaN where an
    optional one is absent; `titles` what the file calls them; `step` the native step in ns; `lag` how much later than
    its stamp in the file a row is known.
    """

    files: tuple[str, ...]
    hashes: tuple[str, ...]
    at: Stamps
    values: Mapping[str, Column]
    titles: Mapping[str, str]
    step: int
    lag: int
    parts: tuple[Part, ...]
    duplicates: int = 0


def read_table(file: SourceFile, schema: Schema, cache: ColumnCache) -> Table:
    """The rows of one file in file order. InvalidInput lists everything wrong with it."""
    try:
        content = file.path.read_bytes()
    except OSError as exc:
        raise unreadable(file.name, exc.strerror or "not readable", "a readable file") from exc
    digest = content_hash(content)
    zone = schema.zone or file.zone
    read_as = f"{schema.name}{fingerprint(schema.name)}-{file.venue or ''}{file.symbol}-{file.step_hint or 0}"
    key = f"{digest}-{read_as}-{(zone or 'none').replace('/', '~')}-r{READER_VERSION}"
    kept = cache.get(key, len(schema.fields))
    if kept is None:
        kept = _parse(file, schema, zone, read_sheet(file.name, content, schema.layouts))
        cache.put(key, kept)
    facts = msgspec.json.decode(kept.facts, type=Facts)
    values = {field.name: kept.values[i] for i, field in enumerate(schema.fields)}
    if faults := _unbelievable(file.name, schema, values, facts.titles):
        raise InvalidInput(DAT_UNREADABLE, faults)
    used = digest if file.zone is None else f"{digest} {file.zone}"
    part = Part(file.name, kept.at)
    return Table((file.name,), (used,), kept.at, values, facts.titles, facts.step, facts.lag, (part,))


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
        values = {name: _completed(column, repeat) for name, column in values.items()}
        if faults := _contradictions(tables, at, values, repeat):
            raise InvalidInput(DAT_CONFLICT, faults)
        keep = np.concatenate([[True], ~repeat])
        at, values = at[keep], {name: column[keep] for name, column in values.items()}
        duplicates = int(repeat.sum())
    return msgspec.structs.replace(
        tables[0],
        files=tuple(name for table in tables for name in table.files),
        hashes=tuple(digest for table in tables for digest in table.hashes),
        at=at,
        values=values,
        parts=tuple(part for table in tables for part in table.parts),
        duplicates=duplicates,
    )


def _completed(column: Column, repeat: Flags) -> Column:
    """What one of two rows of a stamp leaves empty, as the other says it."""
    holes = np.isnan(column)
    if not holes.any() or holes.all():
        return column
    out = column.copy()
    later, earlier = np.flatnonzero(repeat & holes[1:]) + 1, np.flatnonzero(repeat & holes[:-1])
    out[later] = column[later - 1]
    out[earlier] = np.where(np.isnan(out[earlier]), column[earlier + 1], out[earlier])
    return out


def _parse(file: SourceFile, schema: Schema, zone: str | None, sheet: Sheet) -> Parsed:
    by_name = {canonical(name): name for name in reversed(list(sheet.columns))}
    stamp, stamp_name = stamp_column(schema, by_name)
    found = {field.name: columns_of(field, by_name) for field in schema.fields}
    faults = missing_columns(file.name, schema, sheet, found)
    if stamp is None:
        faults.append(
            absent_column(file.name, sheet, schema.stamps[0].column, tuple(stamp.column for stamp in schema.stamps))
        )
    faults += ambiguous_names(file.name, sheet, {stamp_name, *(name for names in found.values() for name in names)})
    if faults or stamp is None:
        raise InvalidInput(DAT_UNREADABLE, faults)
    if not sheet.rows:
        fault = Fault(where=f"{file.name} column {stamp_name}", found="a header and no rows", expected="rows")
        raise InvalidInput(DAT_NOT_COVERED, [fault])
    column = stamp_name
    try:
        at = snapped(parse_stamps(sheet.columns[column], zone=zone), schema.snap_ns)
        closed = close_times(sheet, by_name, zone) if stamp.meaning == "open" else None
        values = np.full((len(schema.fields), sheet.rows), np.nan)
        for i, field in enumerate(schema.fields):
            for name in found[field.name][:1]:
                column = name
                values[i] = numbers_of(field, sheet.columns[name])
        faults += ambiguous_values(file.name, schema, sheet, found)
    except BadCell as bad:
        where = f"{file.name} column {column} row {bad.row}"
        raise unreadable(where, repr(bad.text), bad.expected) from bad
    if faults:
        raise InvalidInput(DAT_CONFLICT, faults)
    used = frozenset({stamp_name, *(name for names in found.values() for name in names)})
    if foreign := _foreign(file, schema, sheet, used):
        raise InvalidInput(DAT_UNREADABLE, foreign)
    known, step, lag = _known_times(file, schema, stamp, at, closed, values)
    titles = {field.name: (found[field.name] or [field.title])[0] for field in schema.fields}
    return Parsed(known, values, msgspec.json.encode(Facts(stamp_name, titles, step, lag)))


def _known_times(
    file: SourceFile, schema: Schema, stamp: StampColumn, at: Stamps, closed: Stamps | None, values: Column
) -> tuple[Stamps, int, int]:
    """When each row is known, the native step, and how much later than its stamp that is."""
    fields = [field.name for field in schema.fields]
    match stamp.meaning:
        case "known":
            refuse_other_name(file.name, at, file.step_hint)
            usual = usual_step((at + MINUTE_NS // 2) // MINUTE_NS * MINUTE_NS)
            return at, schema.step_ns or usual or file.step_hint or HOUR_NS, 0
        case "close":
            known = -(-at // MINUTE_NS) * MINUTE_NS
            step = bar_length(file.name, known, None, file.step_hint) or file.step_hint or HOUR_NS
            return known, step, 0
        case _ if schema.zone is not None:  # days of a hand-made table, which may leave some out
            step = usual_step(at) or file.step_hint or HOUR_NS
        case _:
            step = bar_length(file.name, at, closed, file.step_hint) or file.step_hint or HOUR_NS
            if {"open", "close"} <= set(fields):
                opens, closes = values[fields.index("open")], values[fields.index("close")]
                if not np.isnan(opens).any() and (closes > 0.0).all() and (opens > 0.0).all():
                    refuse_long_bars(file.name, at, step, opens, closes)
    return at + step, step, step


def _foreign(file: SourceFile, schema: Schema, sheet: Sheet, used: frozenset[str]) -> list[Fault]:
    """Rows that speak of something else than the name and folder of the file."""
    if schema.market is None:
        return foreign_token(file.name, sheet, schema.identity, file.symbol)
    expected = expected_instrument(schema.market, file.symbol, file.venue)
    return foreign_rows(file.name, sheet, expected, used)


def _unbelievable(file: str, schema: Schema, values: Mapping[str, Column], titles: Mapping[str, str]) -> list[Fault]:
    faults: list[Fault] = []
    for field in schema.fields:
        column = values[field.name]
        if field.optional and np.isnan(column).all():
            continue
        where = f"{file} column {titles[field.name]}"
        if field.check != "none":
            _report(faults, where, column, ~np.isfinite(column), "a finite number")
        if field.check == "positive":
            _report(faults, where, column, column <= 0.0, "a number above 0")
        elif field.check == "funding":
            expected = f"a rate of at most ±{MAX_FUNDING_RATE:.0%} per interval, as a fraction (0.0001 is 1 bp)"
            _report(faults, where, column, np.abs(column) > MAX_FUNDING_RATE, expected)
        elif field.check == "interval":
            _report(
                faults, where, column, np.isfinite(column) & ~np.isin(column, _INTERVALS), "1, 2, 4, 6, 8, 12 or 24"
            )
    if {"open", "high", "low", "close"} <= values.keys():
        _report_inversions(faults, file, values, titles)
    return faults


def _report_inversions(faults: list[Fault], file: str, values: Mapping[str, Column], titles: Mapping[str, str]) -> None:
    high, low = values["high"], values["low"]
    top = np.fmax(values["open"], values["close"])
    bottom = np.fmin(values["open"], values["close"])
    _report(faults, f"{file} column {titles['high']}", high, high < top, "at least open and close of its bar")
    _report(faults, f"{file} column {titles['low']}", low, low > bottom, "at most open and close of its bar")


def _report(faults: list[Fault], where: str, column: Column, wrong: Flags, expected: str) -> None:
    if not wrong.any():
        return
    rows = np.flatnonzero(wrong)
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
            stamps = at[rows[:_SHOWN]] - tables[0].lag
            first = ", ".join(
                f"{iso(int(stamp))} ({before[row]:g} and {after[row]:g})"
                for stamp, row in zip(stamps, rows[:_SHOWN], strict=True)
            )
            found = f"{len(rows)} stamps with two different values, first {first}"
            where = f"{files} column {tables[0].titles[name]}"
            faults.append(Fault(where=where, found=found, expected="one value per stamp"))
    return faults
