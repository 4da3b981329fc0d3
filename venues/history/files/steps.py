"""Whether the bars of one file are of one length, and of the length its name says.

A bar is known one length after it opened: a file in which lengths are mixed would serve the longer bars before they
closed. Missing bars are no fault; bars that lie beside the grid of the others, or that follow each other at another
regular distance, are.
"""

from __future__ import annotations

import numpy as np

from components.model.errors import DAT_CONFLICT, Fault, InvalidInput
from components.model.market import Column, Stamps
from venues.history.files.stamps import MINUTE_NS, SECOND_NS, iso, length, usual_step

_SOME = 2  # so many equal distances in a row that are not the step of the file are bars of another length
_SEAMLESS = 2e-4  # the next bar opens where a bar closed; after a hole it does so once in a hundred times
_EXACT = 1e-5  # to the tick: after a hole once in a thousand times, so that one such hole is enough


def bar_length(file: str, opened: Stamps, closed: Stamps | None, named: int | None) -> int | None:
    """The length of the bars opened at `opened` (UTC ns, any order), None for fewer than two; `closed` are the close
    times where the file has them, `named` the length in its name. InvalidInput (DAT-003) when they are of several
    lengths or not of the one named."""
    step = usual_step(opened)
    if closed is not None:
        lengths = -(-(closed - opened) // SECOND_NS) * SECOND_NS  # the last millisecond of a bar is its end
        values, counts = np.unique(lengths, return_counts=True)
        if len(values) > 1:
            usual = int(values[np.argmax(counts)])
            row = int(np.flatnonzero(lengths != usual)[0])
            raise _mixed(file, f"a bar of {length(int(lengths[row]))} in row {row + 1}", opened[row], usual)
        step = int(values[0])
    if step is None:
        return None
    _refuse_mixed(file, opened, step)
    if named is not None and named != step:
        found = f"rows {length(step)} apart"
        raise _conflict(file, found, f"rows {length(named)} apart, as the name of the file says")
    return step


def refuse_long_bars(file: str, opened: Stamps, step: int, opens: Column, closes: Column) -> None:
    """InvalidInput (DAT-003) when the holes of one width are no holes: each time the bar before it closed at the very
    price at which the bar after it opened, so that it ran until then."""
    order = np.argsort(opened, kind="stable")
    distances = np.diff(opened[order])
    holes = np.flatnonzero(distances > step)
    if not len(holes):
        return
    seam = np.abs(opens[order[holes + 1]] / closes[order[holes]] - 1.0)
    moved = np.abs(closes[order[holes]] / opens[order[holes]] - 1.0)
    for apart in np.unique(distances[holes]).tolist():
        these = (distances[holes] == apart) & (moved > _SEAMLESS)
        exact = these & (seam <= _EXACT)
        if exact.any():
            these = exact
        elif these.sum() < _SOME or not (seam[these] <= _SEAMLESS).all():
            continue
        if these.any():
            row = order[holes[these][0]]
            found = f"{int(these.sum())} bars that ran {length(int(apart))}, the first in row {row + 1}"
            raise _mixed(file, found, opened[row], step)


def refuse_other_name(file: str, stamps: Stamps, named: int | None) -> None:
    """InvalidInput (DAT-003) when rows that need not lie on a grid are not about as far apart as the name says."""
    usual = usual_step((stamps + MINUTE_NS // 2) // MINUTE_NS * MINUTE_NS)
    if named is not None and usual is not None and abs(usual - named) > named // 10:
        found = f"rows {length(usual)} apart"
        raise _conflict(file, found, f"rows {length(named)} apart, as the name of the file says")


def _refuse_mixed(file: str, opened: Stamps, step: int) -> None:
    order = np.argsort(opened, kind="stable")
    at = opened[order]
    distances = np.diff(at)
    other = np.flatnonzero((distances != step) & (distances != 0))
    if not len(other):
        return
    beside = other[distances[other] % step != 0]
    if len(beside):
        row = order[beside[0] + 1]
        found = f"row {row + 1} {length(int(distances[beside[0]]))} after the one before it in time"
        raise _mixed(file, found, opened[row], step)
    kept = np.flatnonzero(distances != 0)
    runs = _equal_runs(distances[kept])
    for start, count in runs:
        apart = int(distances[kept[start]])
        if apart != step and count >= _SOME:
            row = order[kept[start] + 1]
            found = f"{count + 1} rows {length(apart)} apart among rows {length(step)} apart, from row {row + 1}"
            raise _mixed(file, found, opened[row], step)


def _equal_runs(distances: Stamps) -> list[tuple[int, int]]:
    """(first index, count) of each stretch of equal distances."""
    edges = np.flatnonzero(np.diff(distances)) + 1
    starts = np.concatenate([[0], edges])
    stops = np.concatenate([edges, [len(distances)]])
    return [(int(start), int(stop - start)) for start, stop in zip(starts, stops, strict=True)]


def _mixed(file: str, found: str, stamp: int, step: int) -> InvalidInput:
    return _conflict(
        file, f"{found} (stamped {iso(int(stamp))})", f"bars of one length: {length(step)} is the usual one"
    )


def _conflict(file: str, found: str, expected: str) -> InvalidInput:
    return InvalidInput(DAT_CONFLICT, [Fault(where=file, found=found, expected=expected)])
