"""Hand-made parameter tables of a data folder, judged before anyone relies on them.

A run takes its maintenance tiers and reserve terms from `configs/venues`; these files are known to be wrong
(maintenance above initial margin, one reserve factor for all reserves) and serve as examples of defects.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import msgspec

from components.model.errors import Fault
from venues.history.files.cells import quantity
from venues.history.files.read import unreadable


def validate_margin_parameters(file: str, content: bytes) -> tuple[Fault, ...]:
    """Everything wrong with one venue's margin JSON (fractions of notional); empty when it is believable."""
    try:
        terms = msgspec.json.decode(content, type=dict[str, object])
    except (msgspec.DecodeError, msgspec.ValidationError) as exc:
        return (Fault(where=file, found=str(exc), expected="a JSON object of margin terms"),)
    names = ("initial_margin_requirement", "maintenance_margin_requirement")
    faults: list[Fault] = []
    rates: list[float] = []
    for name in names:
        value = terms.get(name)
        if isinstance(value, float | int) and not isinstance(value, bool) and 0.0 < value < 1.0:
            rates.append(float(value))
        else:
            faults.append(Fault(where=f"{file} {name}", found=repr(value), expected="a fraction between 0 and 1"))
    if len(rates) == len(names) and rates[1] > rates[0]:
        found, expected = f"{rates[1]:g}", f"at most the initial requirement {rates[0]:g}"
        faults.append(Fault(where=f"{file} {names[1]}", found=found, expected=expected))
    return tuple(faults)


def reserve_terms(path: Path) -> Mapping[str, Mapping[str, float]]:
    """Token → row name → value of the Aave reserve snapshot: `77.50%` as 0.775, `0.0022B` as 2.2e6; cells that are no
    quantity (`TRUE`, `N/A`) are left out. InvalidInput when the file is no table."""
    try:
        rows = [row for row in csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"))) if row]
    except (OSError, UnicodeDecodeError) as exc:
        raise unreadable(path.name, str(exc), "a CSV file in UTF-8") from exc
    if len(rows) < 2:
        raise unreadable(path.name, f"{len(rows)} lines", "a header and rows")
    terms: dict[str, dict[str, float]] = {token: {} for token in rows[0][1:]}
    for name, *cells in rows[1:]:
        for token, cell in zip(rows[0][1:], cells, strict=False):
            try:
                terms[token][name] = quantity(cell)
            except ValueError:
                continue
    return terms
