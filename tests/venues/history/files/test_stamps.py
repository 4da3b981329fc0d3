from __future__ import annotations

import numpy as np
import pytest

from tests.venues.history.trees import HOUR_NS, at
from venues.history.files.cells import BadCell
from venues.history.files.stamps import MINUTE_NS, SECOND_NS, iso, parse_stamp, parse_stamps, snapped, usual_step

NOON = 1_717_243_200 * SECOND_NS


@pytest.mark.parametrize(
    "text",
    [
        "2024-06-01T12:00:00Z",
        "2024-06-01 12:00:00+00:00",
        "2024-06-01T12:00:00+00:00Z",
        "2024-06-01T12:00:00.000Z",
        "2024-06-01 12:00:00 UTC",
        "2024-06-01T12:00:00.000+0000",
        "20240601T120000Z",
        "2024-06-01 14:00:00+02:00",
        "1717243200",
        "1717243200.0",
        "1717243200000",
        "1717243200000000",
        "1717243200000000000",
    ],
)
def test_every_published_format_means_the_same_instant(text: str) -> None:
    assert parse_stamp(text) == NOON


def test_a_column_of_whole_numbers_is_epoch_time() -> None:
    assert parse_stamps(np.array([1_717_243_200, 1_717_243_201])).tolist() == [NOON, NOON + SECOND_NS]


def test_a_stamp_without_a_zone_is_refused_unless_one_is_declared() -> None:
    with pytest.raises(BadCell, match="zone") as refused:
        parse_stamps(["2024-06-01T12:00:00Z", "2024-06-01T13:00:00"])

    assert refused.value.row == 2
    assert parse_stamp("2024-06-01", zone="UTC") == at("2024-06-01T00")
    assert parse_stamp("2024-06-01T14:00", zone="Europe/Berlin") == NOON


def test_no_stamp_at_all_is_refused() -> None:
    with pytest.raises(BadCell, match="timestamp"):
        parse_stamp("soon")


def test_jitter_is_snapped_and_a_real_offset_is_not() -> None:
    jittered = np.array([NOON + 47_000_000, NOON - 1_000_000, NOON + 20 * SECOND_NS])

    assert snapped(jittered, SECOND_NS).tolist() == [NOON, NOON, NOON + 20 * SECOND_NS]
    assert snapped(jittered, MINUTE_NS // 2).tolist() == [NOON, NOON, NOON]


def test_the_usual_step_ignores_gaps_order_and_repeats() -> None:
    stamps = NOON + HOUR_NS * np.array([5, 0, 1, 1, 2, 3, 9])

    assert usual_step(stamps) == HOUR_NS
    assert usual_step(np.array([NOON])) is None


def test_a_stamp_is_shown_in_utc() -> None:
    assert iso(NOON) == "2024-06-01T12:00Z"
    assert iso(NOON + SECOND_NS) == "2024-06-01T12:00:01Z"
