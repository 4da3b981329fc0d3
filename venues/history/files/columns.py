"""Which columns of a sheet hold the stamps and values of a schema, and which of them cannot be told apart."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

import numpy as np

from components.model.errors import Fault
from components.model.market import Column, Stamps
from venues.history.files.cells import BadCell, Cells, hours, numbers
from venues.history.files.read import Sheet, canonical
from venues.history.files.schema import Field, Schema, StampColumn
from venues.history.files.stamps import parse_stamps


def stamp_column(schema: Schema, by_name: Mapping[str, str]) -> tuple[StampColumn | None, str]:
    for stamp in schema.stamps:
        if (name := by_name.get(canonical(stamp.column))) is not None:
            return stamp, name
    return None, ""


def close_times(sheet: Sheet, by_name: Mapping[str, str], zone: str | None) -> Stamps | None:
    """When each bar closed, where the file says it beside the open times in a form that can be read."""
    name = by_name.get("closetime") or by_name.get("endtime")
    if name is None:
        return None
    try:
        return parse_stamps(sheet.columns[name], zone=zone)
    except BadCell:
        return None


def columns_of(field: Field, by_name: Mapping[str, str]) -> list[str]:
    return [by_name[canonical(name)] for name in field.columns if canonical(name) in by_name]


def numbers_of(field: Field, cells: Cells) -> Column:
    return hours(cells) if field.check == "interval" else numbers(cells)


def missing_columns(file: str, schema: Schema, sheet: Sheet, found: Mapping[str, list[str]]) -> list[Fault]:
    faults = [
        absent_column(file, sheet, field.title, field.columns)
        for field in schema.fields
        if not field.optional and not found[field.name]
    ]
    if schema.one_of and not any(found[name] for name in schema.one_of):
        fields = [field for field in schema.fields if field.name in schema.one_of]
        columns = tuple(name for field in fields for name in field.columns)
        faults.append(absent_column(file, sheet, fields[0].title, columns))
    return faults


def absent_column(file: str, sheet: Sheet, title: str, columns: tuple[str, ...]) -> Fault:
    nearest = get_close_matches(title, list(sheet.columns), n=1, cutoff=0.6)
    return Fault(
        where=f"{file} column {title}",
        found=f"no such column among {', '.join(list(sheet.columns)[:12])}",
        expected=" or ".join(columns),
        nearest=nearest[0] if nearest else None,
    )


def ambiguous_names(file: str, sheet: Sheet, used: set[str]) -> list[Fault]:
    """Columns whose names differ in nothing but case and punctuation from one that is read."""
    faults = []
    for name in sorted(used - {""}):
        alike = [other for other in sheet.columns if canonical(other) == canonical(name)]
        if len(alike) > 1:
            where = f"{file} column {name}"
            faults.append(Fault(where=where, found=f"{' and '.join(alike)}", expected="each column once"))
    return faults


def ambiguous_values(file: str, schema: Schema, sheet: Sheet, found: Mapping[str, list[str]]) -> list[Fault]:
    """Columns that both claim to be one field and differ; a settled rate beside a forecast is no contradiction."""
    faults = []
    for field in schema.fields:
        settled = {canonical(name) for name in field.columns[: field.settled]}
        names = found[field.name]
        rivals = [name for name in names if (canonical(name) in settled) == (canonical(names[0]) in settled)]
        for other in rivals[1:]:
            first, second = numbers_of(field, sheet.columns[rivals[0]]), numbers_of(field, sheet.columns[other])
            differ = np.flatnonzero(~((first == second) | (np.isnan(first) & np.isnan(second))))
            if len(differ):
                row = int(differ[0])
                found_here = f"{first[row]:g} and {second[row]:g} in row {row + 1}"
                where = f"{file} columns {rivals[0]} and {other}"
                faults.append(Fault(where=where, found=found_here, expected=f"one column for the {field.name}"))
    return faults
