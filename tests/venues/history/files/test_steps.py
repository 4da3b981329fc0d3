"""Bars of several lengths in one file, and names that their rows contradict."""

from __future__ import annotations

import numpy as np
import pytest

from components.model.errors import DAT_CONFLICT, InvalidInput
from components.model.market import Stamps
from tests.venues.history.trees import HOUR_NS, Tree, at
from venues.history.files.cache import ColumnCache
from venues.history.files.catalogue import SourceFile
from venues.history.files.schema import SPOT
from venues.history.files.stamps import MINUTE_NS
from venues.history.files.steps import bar_length, refuse_other_name
from venues.history.files.tables import read_table

START = at("2024-06-01T00")


def opened(*minutes: int) -> Stamps:
    return START + MINUTE_NS * np.array(minutes, np.int64)


def hours(*values: int) -> Stamps:
    return opened(*(60 * value for value in values))


FOUR_AMONG_HOURS = hours(*range(24), *range(24, 48, 4), *range(48, 72))
HOURS_AMONG_MINUTES = opened(*range(120), *range(120, 600, 60), *range(600, 700))
MINUTES_AMONG_HOURS = opened(*range(0, 6000, 60), *range(6000, 6050))
BESIDE = opened(0, 60, 120, 210, 240, 300, 360)
ONLY_A_FEW = hours(*range(24), 24, 28, 32, *range(33, 60))


@pytest.mark.parametrize(
    "stamps",
    [FOUR_AMONG_HOURS, HOURS_AMONG_MINUTES, MINUTES_AMONG_HOURS, BESIDE, ONLY_A_FEW],
    ids=["4 h among 1 h", "1 h among 1 min", "1 min among 1 h", "beside the grid", "two long bars"],
)
@pytest.mark.parametrize("newest_first", [False, True])
def test_bars_of_several_lengths_are_refused(stamps: Stamps, newest_first: bool) -> None:
    with pytest.raises(InvalidInput, match="bars of one length") as refused:
        bar_length("x.csv", stamps[::-1] if newest_first else stamps, None, None)

    assert refused.value.code == DAT_CONFLICT
    assert refused.value.faults[0].where == "x.csv"


def test_the_row_where_the_length_changes_is_named() -> None:
    with pytest.raises(
        InvalidInput, match=r"4 h apart among rows 1 h apart, from row 26 \(stamped 2024-06-02T04:00Z\)"
    ):
        bar_length("x.csv", FOUR_AMONG_HOURS, None, None)


@pytest.mark.parametrize("stamps", [hours(0, 1, 2, 3), hours(0, 1, 5, 6, 29, 30), hours(0, 1, 1, 2), hours(3, 1, 2, 0)])
def test_missing_repeated_and_unsorted_bars_are_of_one_length(stamps: Stamps) -> None:
    assert bar_length("x.csv", stamps, None, HOUR_NS) == HOUR_NS


def test_a_name_that_its_rows_contradict_is_refused() -> None:
    with pytest.raises(InvalidInput, match="rows 4 h apart, expected rows 1 h apart, as the name of the file says"):
        bar_length("x.csv", hours(0, 4, 8), None, HOUR_NS)
    with pytest.raises(InvalidInput, match="rows 1 h apart, expected rows 1 day apart"):
        refuse_other_name("x.csv", hours(0, 1, 2), 24 * HOUR_NS)


def test_snapshots_some_seconds_after_midnight_are_daily() -> None:
    seconds = np.array([5, 11, 7, 8]) * 1_000_000_000
    refuse_other_name("x.csv", hours(0, 24, 48, 72) + seconds, 24 * HOUR_NS)


def test_the_close_times_of_a_file_show_one_longer_bar() -> None:
    stamps = hours(0, 1, 2, 6, 7)
    closed = stamps + HOUR_NS - 1_000_000
    assert bar_length("x.csv", stamps, closed, HOUR_NS) == HOUR_NS

    closed[2] += 3 * HOUR_NS
    with pytest.raises(InvalidInput, match=r"a bar of 4 h in row 3 \(stamped 2024-06-01T02:00Z\)"):
        bar_length("x.csv", stamps, closed, HOUR_NS)


@pytest.mark.parametrize("seamless", [True, False])
def test_holes_over_which_the_price_runs_on_are_longer_bars(tree: Tree, seamless: bool) -> None:
    """Isolated 4-hour bars among hourly ones: the bar after each opens where it closed."""
    draw = np.random.default_rng(5)
    closes = 100.0 * np.exp(np.cumsum(0.005 * draw.standard_normal(60)))
    gone = [h for first in (10, 30, 50) for h in (first + 1, first + 2, first + 3)]
    rows = []
    for hour in (h for h in range(60) if h not in gone):
        last = hour + 3 if seamless and hour + 1 in gone and hour not in gone else hour
        start, end = (closes[hour - 1] if hour else 100.0), closes[last]
        stamp = f"2024-06-{1 + hour // 24:02}T{hour % 24:02}:00:00Z"
        rows.append(f"{stamp},{start},{max(start, end)},{min(start, end)},{end}")
    file = SourceFile(tree.rows("x.csv", "timestamp,open,high,low,close", rows), "x.csv", "BTC", HOUR_NS, None)

    if seamless:
        with pytest.raises(InvalidInput, match="3 bars that ran 4 h"):
            read_table(file, SPOT, ColumnCache(None))
    else:
        assert read_table(file, SPOT, ColumnCache(None)).step == HOUR_NS


def test_one_bar_after_which_the_price_goes_on_to_the_tick_is_a_longer_bar(tree: Tree) -> None:
    closes = {0: 100.0, 1: 101.0, 2: 103.0, 6: 103.5, 7: 104.0}
    rows, last = [], 100.5
    for hour, close in closes.items():
        rows.append(f"2024-06-01T{hour:02}:00:00Z,{last},{max(last, close)},{min(last, close)},{close}")
        last = close
    file = SourceFile(tree.rows("x.csv", "timestamp,open,high,low,close", rows), "x.csv", "BTC", HOUR_NS, None)

    with pytest.raises(InvalidInput, match=r"1 bars that ran 4 h, the first in row 3 \(stamped 2024-06-01T02:00Z\)"):
        read_table(file, SPOT, ColumnCache(None))


def test_bars_of_a_second_close_a_millisecond_before_the_next_opens() -> None:
    stamps = START + 1_000_000_000 * np.arange(9, dtype=np.int64)

    assert bar_length("x.csv", stamps, stamps + 999_000_000, None) == 1_000_000_000
