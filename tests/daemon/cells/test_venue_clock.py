"""A venue's clock against ours: the shortest round trip counts, and a step shows at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.cells.venue_clock import VenueClock

MS = 1_000_000


def test_before_any_answer_nothing_is_known() -> None:
    assert VenueClock().surely_off_ms() is None


def test_what_fits_into_half_a_round_trip_is_no_offset() -> None:
    clock = VenueClock()
    clock.heard(0, 90 * MS, 100 * MS)  # 40 ms from the middle of a trip of 100
    assert clock.surely_off_ms() == 0.0


def test_the_shortest_trip_counts() -> None:
    clock = VenueClock()
    clock.heard(0, 700 * MS, 400 * MS)
    clock.heard(1000 * MS, 1610 * MS, 1020 * MS)
    clock.heard(2000 * MS, 2900 * MS, 2900 * MS)
    best = clock.best
    assert best is not None and (best.offset_ms, best.error_ms) == (600.0, 10.0)
    assert clock.surely_off_ms() == 590.0


def test_a_clock_that_steps_is_believed_at_the_first_answer_that_says_so() -> None:
    clock = VenueClock()
    for second in range(9):
        clock.heard(second * 1000 * MS, (second * 1000 + 5) * MS, (second * 1000 + 10) * MS)
    assert clock.surely_off_ms() == 0.0
    clock.heard(20_000 * MS, 14_050 * MS, 20_100 * MS)
    assert clock.surely_off_ms() == pytest.approx(-5950.0)


@given(
    offset=st.integers(-10_000, 10_000),
    trips=st.lists(st.tuples(st.integers(0, 3000), st.floats(0.0, 1.0)), min_size=1, max_size=30),
)
def test_it_never_claims_more_than_is_true(offset: int, trips: list[tuple[int, float]]) -> None:
    clock = VenueClock()
    for number, (trip, part) in enumerate(trips):
        asked = number * 10_000 * MS
        clock.heard(asked, asked + int(trip * part) * MS + offset * MS, asked + trip * MS)
    sure = clock.surely_off_ms()
    assert sure is not None and abs(sure) <= abs(offset) + 1e-6 and sure * offset >= 0.0
