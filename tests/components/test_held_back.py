"""Held back: when a measure that a plan left outside its band fires again, and when it is forgotten."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.held_back import NEVER, Band, Held, Why, after, asked_at_once, first_row

HOURS = np.arange(8, dtype=np.int64)


def band(*values: float, step: float = 0.1, share: float = 0.0) -> Band:
    """Between 0.5 and 2; the rest of the window is at 1."""
    return Band("x", np.array([*values, *[1.0] * (8 - len(values))]), 0.5, 2.0, step, share)


def held(value: float | None = None, again_at: int = NEVER) -> Held:
    return Held(value, again_at, Why.DONE)


def test_what_is_not_held_back_fires_where_it_leaves_its_band() -> None:
    assert first_row(band(1.0, 0.4), None, HOURS) == 1
    assert first_row(band(1.0, 2.1), None, HOURS) == 1
    assert first_row(band(0.5, 2.0), None, HOURS) == 8
    assert first_row(Band("x", 0.4, 0.5, 2.0), None, HOURS) == 0


def test_what_is_held_back_fires_when_it_is_worse_by_a_step_either_way() -> None:
    assert first_row(band(0.4, 0.35, 0.29), held(0.4), HOURS) == 2
    assert first_row(band(2.2, 2.29, 2.31), held(2.2), HOURS) == 2
    assert first_row(band(0.4, 0.31, 0.29, step=0.0, share=0.25), held(0.4), HOURS) == 2


def test_what_it_was_left_at_is_read_on_the_first_row() -> None:
    assert first_row(band(0.4, 0.35, 0.29), held(None), HOURS) == 2
    assert first_row(band(0.2, 0.2, 0.11, 0.09), held(None), HOURS) == 3


def test_back_in_its_band_it_is_as_if_nothing_had_been() -> None:
    assert first_row(band(0.4, 1.0, 0.45), held(0.4), HOURS) == 2
    assert first_row(band(1.0, 0.45), held(None), HOURS) == 1


def test_at_the_edge_of_its_band_it_is_not_forgotten() -> None:
    assert first_row(band(0.4, 0.54, 0.45, 0.4), held(0.4), HOURS) == 8
    assert first_row(band(0.4, 0.55, 0.45, 0.4), held(0.4), HOURS) == 2
    assert after(band(0.4, 0.54), held(0.4), 2) == held(0.4)
    assert after(band(0.54), held(None), 1) is None  # cured by its plan, if only just


def test_what_nothing_could_be_done_about_is_asked_again_in_time() -> None:
    assert first_row(band(*[0.4] * 8), held(0.4, again_at=5), HOURS) == 5
    assert first_row(band(0.4, 0.4), held(0.4, again_at=5), HOURS) == 8  # by then it is back


def test_new_means_ask_at_once() -> None:
    waiting = asked_at_once({"x": held(0.4)})
    assert first_row(band(*[0.4] * 8), waiting["x"], HOURS) == 0


def test_after_some_rows_it_is_known_what_it_was_left_at_or_forgotten() -> None:
    assert after(band(0.4, 0.3), held(None), 1) == Held(0.4, NEVER, Why.DONE, told=True)
    assert after(band(0.4, 0.3), held(0.4), 2) == held(0.4)
    assert after(band(0.4, 0.3), held(0.4), 3) is None


def lives(values: list[float], cuts: list[int]) -> list[int]:
    """Rows on which the measure fires, walked over in pieces as the core does; a plan changes nothing."""
    fired, start, i = [], 0, 0
    state: Held | None = None
    while start < len(values):
        piece = np.array(values[start : start + cuts[i % len(cuts)]])
        here, stamps = Band("x", piece, 0.5, 2.0, 0.1), np.arange(start, start + len(piece), dtype=np.int64)
        row = first_row(here, state, stamps)
        rows = min(row + 1, len(piece))
        state = None if state is None else after(here, state, rows)
        if row < len(piece):
            fired.append(start + row)
            state = Held(None, start + row + 4, Why.TOO_SMALL)
        start, i = start + rows, i + 1
    return fired


@given(
    st.lists(st.sampled_from([0.1, 0.25, 0.3, 0.4, 0.45, 1.0, 2.05, 2.5]), min_size=1, max_size=30),
    st.lists(st.integers(min_value=1, max_value=6), min_size=1, max_size=30),
)
def test_what_fires_does_not_depend_on_how_rows_are_cut(values: list[float], cuts: list[int]) -> None:
    assert lives(values, cuts) == lives(values, [len(values)])


def test_a_measure_that_stays_does_not_fire_on_every_row() -> None:
    assert lives([0.4] * 12, [12]) == [0, 4, 8]


@pytest.mark.parametrize("value", [0.4, 2.5])
def test_a_number_is_a_column_of_it(value: float) -> None:
    for each in (held(value), held(None), held(value, again_at=3)):
        number, column = Band("x", value, 0.5, 2.0, 0.1), Band("x", np.full(8, value), 0.5, 2.0, 0.1)
        assert first_row(number, each, HOURS) == first_row(column, each, HOURS)
        assert after(number, each, 3) == after(column, each, 3)


@given(
    st.lists(st.sampled_from([0.2, 0.39, 0.4, 0.5, 0.55, 1.0, 1.8, 2.0, 2.1, 2.5]), min_size=8, max_size=8),
    st.one_of(st.none(), st.builds(held, st.sampled_from([None, 0.4, 2.1]), st.sampled_from([3, NEVER]))),
    st.integers(1, 8),
)
def test_extremes_that_are_known_and_numbers_that_stand_for_all_rows_change_nothing(
    values: list[float], back: Held | None, rows: int
) -> None:
    plain, known = band(*values), band(*values)
    known = Band("x", known.column, 0.5, 2.0, 0.1, extent=(min(values), max(values)))
    alike, number = band(*[values[0]] * 8), Band("x", values[0], 0.5, 2.0, 0.1)
    for one, other in ((plain, known), (alike, number)):
        assert first_row(one, back, HOURS) == first_row(other, back, HOURS)
        if back is not None:
            assert after(one, back, rows) == after(other, back, rows)


@given(st.lists(st.sampled_from([0.2, 0.4, 0.5, 0.55, 1.0, 1.8, 2.0, 2.1, 2.5]), min_size=8, max_size=8))
def test_what_is_held_back_fires_as_one_who_looks_at_each_row_would_say(values: list[float]) -> None:
    """Held at 0.4 with a step of 0.1; forgotten a tenth of the limit inside 0.5..2, and then it fires outside."""
    forgotten, wanted = False, 8
    for row, value in enumerate(values):
        forgotten = forgotten or 0.55 <= value <= 1.8
        if value < 0.4 - 0.1 or (forgotten and not 0.5 <= value <= 2.0):
            wanted = row
            break
    assert first_row(band(*values), held(0.4), HOURS) == wanted
