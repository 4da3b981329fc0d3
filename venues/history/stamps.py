"""Stamps of every format the sources use, as UTC nanoseconds.

Accepted: ISO 8601 with `Z`, an offset, or both (`+00:00Z`, a known malformation); epoch seconds, milliseconds,
microseconds or nanoseconds, told apart by size. A stamp without a zone is refused unless the schema declares one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from components.model.market import Stamps
from venues.history.cells import BadCell, Cells

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_OFFSET_AND_Z = re.compile(r"[+-]\d\d:?\d\dZ$")
_DIGITS = re.compile(r"\d+(\.\d+)?")
# Below each bound the number counts units of that many nanoseconds since 1970 (bounds lie in the year 5138).
_EPOCH_UNITS = ((1e11, 1_000_000_000), (1e14, 1_000_000), (1e17, 1_000), (float("inf"), 1))


def parse_stamps(cells: Cells, *, zone: str | None = None) -> Stamps:
    """UTC nanoseconds of each cell, in the order given; BadCell names the first that is empty, naive or odd."""
    if isinstance(cells, np.ndarray) and cells.dtype.kind in "iu":
        return np.array([_from_epoch(int(cell)) for cell in cells], np.int64)
    return np.fromiter(_parsed(map(str, cells), ZoneInfo(zone) if zone else None), np.int64, len(cells))


def parse_stamp(text: str, *, zone: str | None = None) -> int:
    """One stamp in UTC nanoseconds; BadCell (row 1) when it cannot be read."""
    return int(parse_stamps([text], zone=zone)[0])


def snapped(stamps: Stamps, tolerance_ns: int) -> Stamps:
    """Stamps at most `tolerance_ns` away from a full minute moved onto it; the others as they are."""
    minute = (stamps + MINUTE_NS // 2) // MINUTE_NS * MINUTE_NS
    return np.where(np.abs(stamps - minute) <= tolerance_ns, minute, stamps)


def usual_step(stamps: Stamps) -> int | None:
    """The most frequent distance between neighbours in time; None for fewer than two distinct stamps."""
    distances = np.diff(np.sort(stamps))
    distances = distances[distances > 0]
    if not len(distances):
        return None
    values, counts = np.unique(distances, return_counts=True)
    return int(values[np.argmax(counts)])


def iso(ns: int) -> str:
    """`2024-06-01T00:00Z`; seconds only where there are some."""
    moment = _EPOCH + timedelta(microseconds=ns // 1000)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ" if moment.second else "%Y-%m-%dT%H:%MZ")


def _parsed(cells: Iterable[str], zone: ZoneInfo | None) -> Iterable[int]:
    for row, cell in enumerate(cells, 1):
        text = cell.strip()
        if _DIGITS.fullmatch(text):
            yield _from_epoch(int(text)) if text.isdigit() else _from_epoch(round(float(text) * 1000), scale=1000)
            continue
        if text.endswith("Z") and _OFFSET_AND_Z.search(text):
            text = text[:-1]
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise BadCell(row, cell, "a timestamp") from None
        if moment.tzinfo is None:
            if zone is None:
                raise BadCell(row, cell, "a timestamp with a zone (Z or an offset)")
            moment = moment.replace(tzinfo=zone)
        yield (moment - _EPOCH) // _MICROSECOND * 1000


def _from_epoch(count: int, scale: int = 1) -> int:
    """Nanoseconds of a number of seconds … nanoseconds; `scale` is by how much a fraction was multiplied before."""
    unit = next(unit for bound, unit in _EPOCH_UNITS if count < bound * scale)
    return count * unit // scale
