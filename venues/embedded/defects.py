"""Defects on demand: the faults real data files have, put into the rows of a file about to be written.

Each works on the rows of one kind of file (NOTES-data §2 numbers in brackets); a seeded generator chooses where.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Rows = list[list[str]]
Defect = Callable[[Rows, np.random.Generator], Rows]

DEFECTS = {
    "conflicting_funding": "funding stamps that appear twice with different values [5]",
    "missing_funding": "funding payments that are not there [6]",
    "gaps": "stretches of 23 missing bars [7]",
    "long_gap": "one stretch of 300 missing bars [8]",
    "duplicates": "bars repeated with identical rows [9]",
    "jitter": "funding stamps late by up to 47 ms [10]",
    "stamp_formats": "stamps with a malformed zone [11]",
    "comments": "comment lines and a byte order mark before the header [12]",
    "divergence": "one bar whose prices are 1 % away from every other venue [17]",
}


def conflicting_funding(rows: Rows, draw: np.random.Generator) -> Rows:
    out: Rows = []
    chosen = set(_places(rows, draw, 0.1))
    for i, row in enumerate(rows):
        out.append(row)
        if i in chosen:
            out.append([row[0], "0.0001" if row[1] != "0.0001" else "0.0002", *row[2:]])
    return out


def missing_funding(rows: Rows, draw: np.random.Generator) -> Rows:
    gone = set(_places(rows, draw, 0.03))
    return [row for i, row in enumerate(rows) if i not in gone]


def gaps(rows: Rows, draw: np.random.Generator) -> Rows:
    period = 41 * 24
    first = int(draw.integers(24, period)) if len(rows) > period else len(rows) // 2
    return [row for i, row in enumerate(rows) if i < first or (i - first) % period >= 23]


def long_gap(rows: Rows, draw: np.random.Generator) -> Rows:
    first = int(draw.integers(len(rows) // 4, max(len(rows) // 2, len(rows) // 4 + 1)))
    return rows[:first] + rows[first + 300 :]


def duplicates(rows: Rows, draw: np.random.Generator) -> Rows:
    chosen = set(_places(rows, draw, 0.001))
    return [row for i, row in enumerate(rows) for _ in range(2 if i in chosen else 1)]


def jitter(rows: Rows, draw: np.random.Generator) -> Rows:
    out: Rows = []
    for row in rows:
        late = int(draw.integers(1, 48)) if draw.random() < 0.25 else 0
        out.append([row[0].replace("Z", f".{late:03d}Z") if late else row[0], *row[1:]])
    return out


def stamp_formats(rows: Rows, draw: np.random.Generator) -> Rows:
    return [[row[0].replace("Z", "+00:00Z"), *row[1:]] for row in rows]


def divergence(rows: Rows, draw: np.random.Generator) -> Rows:
    place = int(draw.integers(1, max(len(rows) - 1, 2)))
    moved = [f"{float(value) * 0.99:.8f}" for value in rows[place][1:5]]
    return [*rows[:place], [rows[place][0], *moved, *rows[place][5:]], *rows[place + 1 :]]


FUNDING: dict[str, Defect] = {
    "conflicting_funding": conflicting_funding,
    "missing_funding": missing_funding,
    "jitter": jitter,
}
CANDLES: dict[str, Defect] = {
    "gaps": gaps,
    "long_gap": long_gap,
    "duplicates": duplicates,
    "divergence": divergence,
    "stamp_formats": stamp_formats,
}


def _places(rows: Rows, draw: np.random.Generator, share: float) -> list[int]:
    count = max(1, int(len(rows) * share))
    return sorted(draw.choice(len(rows), size=min(count, len(rows)), replace=False).tolist())
