"""How often settlements follow each other; what is missing because of it is in test_funding."""

from __future__ import annotations

import numpy as np
import pytest

from components.model.errors import InvalidInput
from tests.venues.history.trees import HOUR_NS, at
from venues.history.series.intervals import Change, changes, expected_intervals, refuse_off_grid

START = at("2024-06-01T00")


def hours(values: list[int], stated: list[float] | None = None, longest: int = 8) -> list[int]:
    stamps = START + HOUR_NS * np.array(values, np.int64)
    said = None if stated is None else np.array(stated)
    return (expected_intervals(stamps, said, longest * HOUR_NS) // HOUR_NS).tolist()


def test_eight_hours_shorten_to_four_and_to_one() -> None:
    stamps = [*range(0, 33, 8), *range(36, 61, 4), *range(61, 70)]

    assert hours(stamps) == [8] * 4 + [4] * 7 + [1] * 9


def test_a_longer_interval_is_believed_when_it_lasts() -> None:
    week = [*range(0, 48, 4), *range(48, 400, 8)]

    assert hours(week)[-30:] == [8] * 30
    assert set(hours([*range(0, 48, 4), *range(48, 100, 8)])) == {4}


def test_what_the_file_states_is_believed_row_by_row() -> None:
    assert hours([0, 8, 16, 24], [8, 8, 4, float("nan")]) == [8, 4, 8]


def test_a_venue_with_another_longest_interval() -> None:
    assert hours([0, 12, 24], longest=12) == [12, 12]
    assert hours([0, 8, 16], longest=4) == [4, 4]
    assert hours([0, 1, 2], longest=1) == [1, 1]


def test_a_change_has_its_place() -> None:
    stamps = START + HOUR_NS * np.array([*range(0, 41, 8), 44, 48], np.int64)
    found = changes(stamps, expected_intervals(stamps, None, 8 * HOUR_NS))

    assert found == [Change(START + 40 * HOUR_NS, 8 * HOUR_NS, 4 * HOUR_NS)]


@pytest.mark.parametrize("shift", [1, 7])
def test_a_shifted_series_is_refused_with_the_hours_of_the_venue(shift: int) -> None:
    stamps = START + HOUR_NS * np.arange(shift, 90, 8, dtype=np.int64)

    with pytest.raises(InvalidInput, match=r"every 8 h at 00:00, 08:00, 16:00 UTC"):
        refuse_off_grid("x.csv column rate", stamps, expected_intervals(stamps, None, 8 * HOUR_NS))
