"""Stamps of every format the sources use, as UTC nanoseconds.

Accepted: ISO 8601 with `Z`, `UTC`, an offset, or both (`+00:00Z`, a known malformation); epoch seconds, milliseconds,
microseconds or nanoseconds, told apart by size. A stamp without a zone (`2024-06-01 00:00`, `2024.06.01`, `20240601`)
is refused unless a zone is declared. Nothing here is older than 2009: what is read as older is something else, and the
refusal says what it looks like.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from components.model.market import Stamps
from venues.history.files.cells import BadCell, Cells

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST_YEAR, _LAST_YEAR = 2009, 2100
_FIRST = datetime(_FIRST_YEAR, 1, 1, tzinfo=UTC)
_FIRST_S, _LAST_S = int(_FIRST.timestamp()), int(datetime(_LAST_YEAR, 1, 1, tzinfo=UTC).timestamp())
_OFFSET_AND_Z = re.compile(r"[+-]\d\d:?\d\dZ$")
_DIGITS = re.compile(r"\d+(\.\d+)?")
_EXPONENT = re.compile(r"\d+(\.\d+)?[eE][+-]?\d+")
_UTC_WORD = re.compile(r"\s*(?:UTC|GMT)$")
_NAIVE = re.compile(r"(\d{4})[./](\d{1,2})[./](\d{1,2})(?=$|[T ])")
_DATE_DIGITS = {8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
# Below each bound the number counts units of that many nanoseconds since 1970 (bounds lie in the year 5138).
_EPOCH_UNITS = ((1e11, 1_000_000_000), (1e14, 1_000_000), (1e17, 1_000), (float("inf"), 1))
_A_STAMP = "a timestamp like 2024-06-01T08:00Z, or epoch seconds to nanoseconds"
_ZONED = "a timestamp with a zone (Z or an offset), or a declared zone (--timezone UTC, or timezone in data.yaml)"


def parse_stamps(cells: Cells, *, zone: str | None = None) -> Stamps:
    """UTC nanoseconds of each cell, in the order given; BadCell names the first that is empty, naive, odd or older than
    2009. `zone` is that of stamps that name none."""
    if isinstance(cells, np.ndarray) and cells.dtype.kind in "iu":
        return _whole_numbers(cells.astype(np.int64), zone)
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
    if len(stamps) > 1 and (stamps[1:] > stamps[:-1]).all():
        distances = np.diff(stamps)
    else:
        distances = np.diff(np.sort(stamps))
        distances = distances[distances > 0]
    if not len(distances):
        return None
    if (distances == distances[0]).all():
        return int(distances[0])
    values, counts = np.unique(distances, return_counts=True)
    return int(values[np.argmax(counts)])


def iso(ns: int) -> str:
    """`2024-06-01T00:00Z`; seconds only where there are some."""
    moment = _EPOCH + timedelta(microseconds=ns // 1000)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ" if moment.second else "%Y-%m-%dT%H:%MZ")


def length(ns: int) -> str:
    """`8 h`, `15 min`, `1 day`: a distance of rows as one says it."""
    for unit, name in ((86_400, "day"), (3600, "h"), (60, "min")):
        if ns % (unit * SECOND_NS) == 0:
            count = ns // (unit * SECOND_NS)
            return f"{count} {name}" + ("s" if name == "day" and count > 1 else "")
    return f"{ns / SECOND_NS:g} s"


def _whole_numbers(cells: Stamps, zone: str | None) -> Stamps:
    """Epoch times of one column; where one is no epoch time of these years, each is judged on its own."""
    for bound, unit in _EPOCH_UNITS:
        scaled = SECOND_NS // unit
        if len(cells) and bool(((cells >= _FIRST_S * scaled) & (cells < min(_LAST_S * scaled, bound))).all()):
            return cells * unit
    return np.fromiter(_parsed(map(str, cells.tolist()), ZoneInfo(zone) if zone else None), np.int64, len(cells))


def _parsed(cells: Iterable[str], zone: ZoneInfo | None) -> Iterable[int]:
    for row, cell in enumerate(cells, 1):
        text = cell.strip()
        if _DIGITS.fullmatch(text):
            yield _number(row, cell, text, zone)
            continue
        if _EXPONENT.fullmatch(text):
            raise BadCell(row, cell, "a timestamp with all its digits (a spreadsheet has shortened it)")
        if text.endswith("Z") and _OFFSET_AND_Z.search(text):
            text = text[:-1]
        text = _UTC_WORD.sub("Z", text)
        try:
            moment = datetime.fromisoformat(_NAIVE.sub(_dashed, text))
        except ValueError:
            raise BadCell(row, cell, _A_STAMP) from None
        yield _instant(row, cell, moment, zone)


def _dashed(date: re.Match[str]) -> str:
    return f"{date[1]}-{int(date[2]):02}-{int(date[3]):02}"


def _number(row: int, cell: str, text: str, zone: ZoneInfo | None) -> int:
    if (moment := _digits_as_date(text)) is not None:
        return _instant(row, cell, moment, zone)
    at = _from_epoch(int(text)) if text.isdigit() else _from_epoch(round(float(text) * 1000), scale=1000)
    if not _FIRST_S * SECOND_NS <= at < _LAST_S * SECOND_NS:
        raise BadCell(row, cell, f"a timestamp of {_FIRST_YEAR} or later: {_looks_like(float(text))}")
    return at


def _digits_as_date(text: str) -> datetime | None:
    """`20241228` and `202412281300` as the dates they are; None for an epoch time."""
    form = _DATE_DIGITS.get(len(text))
    if form is None or not text.isdigit() or not _FIRST_YEAR <= int(text[:4]) < _LAST_YEAR:
        return None
    try:
        return datetime.strptime(text, form)
    except ValueError:
        return None


def _looks_like(number: float) -> str:
    if 30_000 <= number < 80_000:
        return "it looks like a day number of a spreadsheet"
    if number < 10_000_000:
        return "it looks like a row number or seconds of something else"
    if number < _FIRST_S:
        moment = _EPOCH + timedelta(seconds=number)
        return f"as seconds it is of {moment.year}; a date is written 20241228 or 2024-12-28"
    return f"in no unit from seconds to nanoseconds does it lie between {_FIRST_YEAR} and {_LAST_YEAR}"


def _instant(row: int, cell: str, moment: datetime, zone: ZoneInfo | None) -> int:
    if moment.tzinfo is None:
        if zone is None:
            raise BadCell(row, cell, _ZONED)
        moment = _in_zone(row, cell, moment, zone)
    if not _FIRST_YEAR <= moment.year < _LAST_YEAR:
        hint = ": an epoch time was taken for another unit" if moment.year == 1970 else ""
        raise BadCell(row, cell, f"a timestamp of {_FIRST_YEAR} or later{hint}")
    return (moment - _EPOCH) // _MICROSECOND * 1000


def _in_zone(row: int, cell: str, moment: datetime, zone: ZoneInfo) -> datetime:
    """The instant a local time means; one that the clocks skipped or showed twice means none."""
    placed = moment.replace(tzinfo=zone)
    if placed.utcoffset() != placed.replace(fold=1).utcoffset():
        raise BadCell(row, cell, f"a time that {zone.key} showed exactly once: there the clocks were changed")
    return placed


def _from_epoch(count: int, scale: int = 1) -> int:
    """Nanoseconds of a number of seconds … nanoseconds; `scale` is by how much a fraction was multiplied before."""
    unit = next(unit for bound, unit in _EPOCH_UNITS if count < bound * scale)
    return count * unit // scale
