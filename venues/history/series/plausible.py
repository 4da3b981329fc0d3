"""Whether the values of a series can be what they claim to be: a range for each kind, and each against its likes.

Rates in percent, a decimal point in the wrong place, a perp of another coin: such values are refused with file, column,
row and stamp. The bounds stand in the mode file (`plausible`), wide enough for every crash on record; what is real and
lies outside is named there under `accepted` and then reported instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from components.model.errors import Fault
from components.model.market import Column, Flags
from components.model.requirements import DAY_NS, HOUR_NS, LST_PROTOCOL, SeriesName, reference_price
from components.model.slices import MedianAndRow, PlausibleSlice
from venues.history.files.stamps import MINUTE_NS, iso, parse_stamp
from venues.history.series.align import Samples

BAR_KINDS = frozenset({"spot", "perp", "eth_price"})
MAX_INDEX_GROWTH_PER_YEAR = 10.0
MAX_GAS_GWEI = 50_000.0
MAX_APY = 5.0
# ETH per coin: what is far outside is in USD, or of something else.
ETH_RANGE = {"ratio": (0.5, 3.0), "eth_price": (1e-7, 0.2)}
LST_APART = MedianAndRow(0.10, 0.30)  # market and protocol ratio of one LST
_SHOWN = 5
_PLACEHOLDER_ROWS = 24
_MANY = 3  # of so many settlements a median says something
_STRETCH, _TELLING = 336, 48  # rows that are held against each other for their stamps, and how few of them tell
_STRAYS, _TIMES = 0.001, 4.0


class Verdict(msgspec.Struct, frozen=True):
    """What is wrong with a series, and what was odd and accepted."""

    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()


class _Oddity(msgspec.Struct, frozen=True):
    """Values out of range: `rows` (indices), empty where the whole series is meant."""

    rows: tuple[int, ...]
    found: str
    expected: str


def judge(samples: Samples, bounds: PlausibleSlice) -> Verdict:
    """One series on its own: prices by their moves, funding by its size, indices by their growth, the rest by range."""
    series = SeriesName.parse(samples.name)
    if series.kind in ETH_RANGE and (outside := _outside(samples, *ETH_RANGE[series.kind])):
        odd = iter(outside)
    elif series.kind in BAR_KINDS or (series.venue == "dex" and series.kind == "ratio"):
        odd = _moves(samples, bounds)
    elif series.kind == "funding":
        odd = _rates(samples, series.venue, bounds)
    elif series.kind in ("supply_index", "borrow_index"):
        odd = _growth(samples)
    elif series.kind == "gas_price":
        high = samples.value > MAX_GAS_GWEI
        odd = _rows(samples, high, f"gas of at most {MAX_GAS_GWEI:,.0f} gwei (not wei)")
    elif series.kind == "apy":
        odd = _rows(samples, np.abs(samples.value) > MAX_APY, f"a yield of at most {MAX_APY:g} as a fraction (0.05)")
    else:
        odd = iter(())
    return _verdict(samples, odd, bounds.accepted)


def judge_extreme(samples: Samples, bodies: Column, bounds: PlausibleSlice) -> Verdict:
    """Highs or lows against `bodies`, the end of open and close that lies nearer to them."""
    ratio = samples.value / bodies
    far = (ratio > bounds.bar_factor) | (ratio < 1.0 / bounds.bar_factor)
    expected = f"within a factor of {bounds.bar_factor:g} of open and close"
    return _verdict(samples, _rows(samples, far, expected), bounds.accepted)


def judge_pairs(columns: Mapping[str, Samples], bounds: PlausibleSlice) -> dict[str, Verdict]:
    """Perps against spot and venues against each other, coin by coin; the verdict by the name of the odd one."""
    found: dict[str, Verdict] = {}
    for coin, prices in _by_coin(columns).items():
        spots = [name for name in prices if SeriesName.parse(name).kind == "spot"]
        perps = [name for name in prices if SeriesName.parse(name).kind == "perp"]
        reference = reference_price(coin)
        first_spot = reference if reference in spots else spots[0] if spots else None
        pairs: list[tuple[str, str, MedianAndRow]] = []
        if first_spot is not None:
            pairs += [(name, first_spot, bounds.venue_to_venue) for name in spots if name != first_spot]
            pairs += [(name, first_spot, bounds.perp_to_spot) for name in perps]
        pairs += [(name, perps[0], bounds.venue_to_venue) for name in perps[1:]]
        held: set[str] = set()
        for name, other, bound in pairs:
            own, theirs = columns[name], columns[other]
            if own.name == theirs.name:
                continue
            _join(found, name, _verdict(own, _apart(own, theirs, bound), bounds.accepted))
            if name not in held:
                held.add(name)
                _join(found, name, _verdict(own, _shifted(own, theirs), bounds.accepted))
    for lst, protocol in LST_PROTOCOL.items():
        market, other = f"dex.ratio.{lst}", f"{protocol}.ratio.{lst}"
        if market in columns and other in columns:
            odd = _apart(columns[market], columns[other], LST_APART)
            _join(found, market, _verdict(columns[market], odd, bounds.accepted))
    return found


def _join(found: dict[str, Verdict], name: str, verdict: Verdict) -> None:
    before = found.get(name, Verdict())
    found[name] = Verdict((*before.faults, *verdict.faults), (*before.notes, *verdict.notes))


def _outside(samples: Samples, low: float, high: float) -> list[_Oddity]:
    wrong = (samples.value < low) | (samples.value > high)
    return list(_rows(samples, wrong, f"{low:g} to {high:g} ETH (not USD)"))


def _moves(samples: Samples, bounds: PlausibleSlice) -> Iterator[_Oddity]:
    """Bars that jump further than any market did, and bars whose move the next one takes back."""
    value = samples.value
    ratio = value[1:] / value[:-1]
    small = min(bounds.bar_factor, bounds.spike_factor)
    moved = (ratio > small) | (ratio < 1.0 / small)
    if not moved.any():
        return
    log = np.log(ratio)
    # Over a hole the price had time to move.
    adjacent = np.diff(samples.at) <= 2 * samples.step
    limit = np.where(adjacent, 1.0, 2.0) * np.log(bounds.bar_factor)
    jumped = np.concatenate([[False], np.abs(log) > limit])
    size = np.log(bounds.spike_factor)
    back = (np.abs(log[:-1]) > size) & (np.abs(log[1:]) > size) & (np.abs(log[:-1] + log[1:]) < 0.5 * np.abs(log[:-1]))
    spiked = np.concatenate([[False], back & adjacent[:-1] & adjacent[1:], [False]])
    yield from _rows(
        samples, spiked, f"no move beyond a factor of {bounds.spike_factor:g} that the next bar takes back"
    )
    alone = jumped & ~spiked & ~np.concatenate([[False], spiked[:-1]])
    yield from _rows(samples, alone, f"neighbouring bars within a factor of {bounds.bar_factor:g}")


def _rates(samples: Samples, venue: str, bounds: PlausibleSlice) -> Iterator[_Oddity]:
    size = np.abs(samples.value)
    largest, median = bounds.funding_largest.get(venue), bounds.funding_median.get(venue)
    unit = "as a fraction (0.0001 is 1 bp; in percent it would be 0.01)"
    if len(size) >= _PLACEHOLDER_ROWS and not size.any():
        yield _Oddity((), f"0 in all {len(size)} settlements", "rates that were settled, not filled in")
    elif median is not None and len(size) >= _MANY and (usual := float(np.median(size))) > median:
        found = f"a median |rate| of {usual:g}"
        yield _Oddity((), found, f"at most {median:g} at {venue}, {unit}")
    elif largest is not None:
        yield from _rows(samples, size > largest, f"|rate| of at most {largest:g} at {venue}, {unit}")


def _growth(samples: Samples) -> Iterator[_Oddity]:
    per_year = (samples.value[1:] / samples.value[:-1] - 1.0) * (365.0 * DAY_NS / np.diff(samples.at))
    fast = np.concatenate([[False], per_year > MAX_INDEX_GROWTH_PER_YEAR])
    yield from _rows(samples, fast, f"an index that grows by at most {MAX_INDEX_GROWTH_PER_YEAR:.0%} a year")


def _apart(own: Samples, other: Samples, bound: MedianAndRow) -> Iterator[_Oddity]:
    place = np.minimum(np.searchsorted(other.at, own.at), len(other.at) - 1)
    both = np.flatnonzero(other.at[place] == own.at)
    if not len(both):
        return
    theirs = other.value[place[both]]
    distance = np.abs(own.value[both] / theirs - 1.0)
    if distance.max() <= min(bound.median, bound.row):
        return
    usual = float(np.median(distance))
    if usual > bound.median:
        middle = int(np.argsort(distance, kind="stable")[len(distance) // 2])
        found = f"{usual:.1%} from {other.name} in the median, like {own.value[both[middle]]:g} and {theirs[middle]:g}"
        yield _Oddity((), found, f"at most {bound.median:.1%}: two prices of one coin")
        return
    far = np.zeros(len(own.at), np.bool_)
    far[both] = distance > bound.row
    if not far.any():
        return
    rows = np.flatnonzero(far)
    there = dict(zip(both.tolist(), theirs.tolist(), strict=True))
    shown = "; ".join(f"{own.value[row]:g} where {other.name} has {there[int(row)]:g}" for row in rows[:_SHOWN])
    more = f"; {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    yield _Oddity(tuple(rows.tolist()), shown + more, f"at most {bound.row:.0%} apart")


def _shifted(own: Samples, other: Samples) -> Iterator[_Oddity]:
    """Stamps of another zone: two weeks in which one price goes the way of the other some hours before or after it.

    The measure is how far the log ratio of the two strays from its median. It is a few basis points where bars stand
    at their hour, and that many times as much beside it; below `_STRAYS` nothing can be told.
    """
    place = np.minimum(np.searchsorted(other.at, own.at), len(other.at) - 1)
    rows = np.flatnonzero(other.at[place] == own.at)
    for first in range(0, len(rows), _STRETCH):
        stretch = rows[first : first + _STRETCH]
        here = _strays(own, other, stretch, 0)
        if here is None or here <= _STRAYS:
            continue
        found = {lag: strays for lag in _lags(own, other) if (strays := _strays(own, other, stretch, lag)) is not None}
        best = min(found, key=found.__getitem__, default=None)
        if best is not None and found[best] * _TIMES <= here:
            far = f"{abs(best) // MINUTE_NS} min" if best % HOUR_NS else f"{abs(best) // HOUR_NS} h"
            when = f"{far} {'before' if best > 0 else 'after'} those of {other.name}"
            since = iso(own.stamp(int(own.at[stretch[0]])))
            yield _Oddity(
                (), f"its moves {when}, from {since} on", "both at once: the stamps of one are of another zone"
            )
            return


def _lags(own: Samples, other: Samples) -> list[int]:
    """One bar, and every half hour as far as two zones can lie apart, both ways."""
    bar = max(own.step, other.step)
    half = max(bar, HOUR_NS // 2)
    far = range(half, 26 * HOUR_NS + 1, half)
    return [sign * lag for lag in (bar, *far) for sign in (1, -1)]


def _strays(own: Samples, other: Samples, rows: npt.NDArray[np.intp], lag: int) -> float | None:
    """Median distance of the log ratio from its median, `other` taken `lag` later; None where too few rows tell."""
    at = own.at[rows] + lag
    place = np.minimum(np.searchsorted(other.at, at), len(other.at) - 1)
    both = other.at[place] == at
    if np.count_nonzero(both) < _TELLING:
        return None
    ratio = np.log(own.value[rows][both] / other.value[place[both]])
    return float(np.median(np.abs(ratio - np.median(ratio))))


def _rows(samples: Samples, wrong: Flags, expected: str) -> Iterator[_Oddity]:
    if not wrong.any():
        return
    rows = np.flatnonzero(wrong)
    shown = ", ".join(
        f"{samples.value[row]:g}" + (f" after {samples.value[row - 1]:g}" if row else "") for row in rows[:_SHOWN]
    )
    more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    yield _Oddity(tuple(rows.tolist()), shown + more, expected)


def _verdict(samples: Samples, odd: Iterator[_Oddity], accepted: Sequence[str]) -> Verdict:
    faults: list[Fault] = []
    notes: list[str] = []
    stamps = {
        parse_stamp(stamp) for name, mark, stamp in (one.partition("@") for one in accepted)
        if mark and name == samples.name
    }  # fmt: skip
    for oddity in odd:
        rows = [row for row in oddity.rows if samples.stamp(int(samples.at[row])) not in stamps]
        if samples.name in accepted or (oddity.rows and not rows):
            where = "" if not oddity.rows else f" at {_stamps(samples, oddity.rows)}"
            notes.append(f"plausible: {samples.name}{where}: {oddity.found}; accepted by the mode")
            continue
        where = samples.place(rows[0]) if rows else samples.where
        how = f"{samples.name}@{iso(samples.stamp(int(samples.at[rows[0]])))}" if rows else samples.name
        expected = f"{oddity.expected}; if it is real: plausible.accepted: [{how}]"
        faults.append(Fault(where=where, found=oddity.found, expected=expected))
    return Verdict(tuple(faults), tuple(notes))


def _stamps(samples: Samples, rows: Sequence[int]) -> str:
    shown = ", ".join(iso(samples.stamp(int(samples.at[row]))) for row in rows[:_SHOWN])
    return shown + (f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else "")


def _by_coin(columns: Mapping[str, Samples]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in columns:
        series = SeriesName.parse(name)
        if series.kind in ("spot", "perp"):
            found.setdefault(series.symbol, []).append(name)
    return found
