"""Columns: a number stands for every row, copies are changed and never what others read, and cuts change no bit."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from components.maths.columns import (
    accumulate,
    add_part,
    add_to_part,
    ends,
    extent,
    first_of,
    head,
    highest,
    is_zero,
    lowest,
    on_rows,
    running,
    with_added,
    with_value,
)
from components.model.market import Column

FLOATS = st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=40)


def test_a_number_becomes_a_column_when_one_row_differs() -> None:
    assert with_added(2.0, 1, 0.5, 3).tolist() == [2.0, 2.5, 2.0]
    assert np.asarray(with_value(2.0, 1, 0.5, 3)).tolist() == [2.0, 0.5, 2.0]
    assert with_value(2.0, 0, 0.5, 1) == 0.5


def test_what_others_read_is_not_written_to() -> None:
    shared = np.array([1.0, 2.0])
    with_added(shared, 0, 5.0, 2)
    with_value(shared, 0, 5.0, 2)
    parts: dict[str, Column | float] = {"delta": shared}
    add_to_part(parts, "delta", 1, 3.0, 2)
    add_part(parts, "delta", np.array([1.0, 1.0]))
    assert shared.tolist() == [1.0, 2.0]
    assert np.asarray(parts["delta"]).tolist() == [2.0, 6.0]


def test_nothing_is_added_where_there_is_nothing() -> None:
    parts: dict[str, Column | float] = {}
    add_to_part(parts, "delta", 0, 0.0, 3)
    assert parts == {}
    add_to_part(parts, "delta", 2, 1.5, 3)
    assert np.asarray(parts["delta"]).tolist() == [0.0, 0.0, 1.5]


def test_only_the_number_zero_is_nothing() -> None:
    assert is_zero(0.0)
    assert not is_zero(np.zeros(2))
    assert head(3.0, 1) == 3.0
    assert np.asarray(head(np.array([1.0, 2.0]), 1)).tolist() == [1.0]


@given(FLOATS, st.integers(0, 40))
def test_sums_along_time_do_not_depend_on_where_they_are_cut(values: list[float], cut: int) -> None:
    column = np.array(values)
    cut = min(cut, len(values))
    whole = accumulate(0.5, column, len(values))
    first = accumulate(0.5, column[:cut], cut) if cut else np.array([])
    rest = accumulate(float(first[-1]) if cut else 0.5, column[cut:], len(values) - cut)
    assert np.concatenate((first, rest)).tobytes() == whole.tobytes()
    assert running(running(0.5, column[:cut]), column[cut:]) == running(0.5, column) == float(whole[-1])


def test_a_number_moves_no_sum() -> None:
    assert running(1.5, 0.0) == 1.5
    assert accumulate(1.5, 0.0, 2).tolist() == [1.5, 1.5]


@given(arrays(np.int64, st.integers(0, 12), elements=st.integers(0, 9)), st.integers(1, 10))
def test_what_falls_on_one_row_is_added_up_in_the_order_given(rows_of: np.ndarray, rows: int) -> None:
    row = np.sort(rows_of)
    amount = np.linspace(0.1, 7.3, len(row)) ** 3
    wanted = [0.0] * 10
    for where, each in zip(row.tolist(), amount.tolist(), strict=True):
        wanted[where] += each
    assert on_rows(row, amount, rows).tolist() == wanted[:rows]


def test_totals_of_many_columns_are_those_of_each_alone() -> None:
    columns = [np.sin(np.arange(50) + k) * 10.0**k for k in range(5)]
    carried = [0.1 * k for k in range(5)]
    assert ends(carried, columns, 50) == [running(c, column) for c, column in zip(carried, columns, strict=True)]


@given(FLOATS)
def test_the_extent_of_a_column_is_its_lowest_and_its_highest_value(values: list[float]) -> None:
    column = np.array(values)
    assert extent(column) == (lowest(column), highest(column)) == (min(values), max(values))


def test_what_is_not_known_makes_an_extent_unknown() -> None:
    low, high = extent(np.array([1.0, np.nan, -5.0]))
    assert np.isnan(low) and np.isnan(high)


@given(st.lists(st.booleans(), max_size=12))
def test_the_first_flagged_row_is_found_or_the_length(flags: list[bool]) -> None:
    assert first_of(np.array(flags, dtype=np.bool_)) == (flags.index(True) if any(flags) else len(flags))
