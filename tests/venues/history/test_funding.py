from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from components.model.errors import InvalidInput
from tests.venues.history.trees import HOUR_NS, at
from venues.history.align import Samples
from venues.history.funding import holes_within, inner_holes, interval_of, settle, valid_end, valid_start
from venues.history.stamps import MINUTE_NS

START = at("2024-06-01T00")


def settlements(hours: Iterable[int], rate: float = 0.0001, name: str = "okx.funding.BTC") -> Samples:
    stamps = START + HOUR_NS * np.array(list(hours), np.int64)
    return Samples(
        name=name,
        files=(f"{name}.csv",),
        hashes=(name,),
        column="funding_rate",
        step=8 * HOUR_NS,
        at=stamps,
        value=np.full(len(stamps), rate),
    )


def hours_of(stamps: Iterable[int]) -> list[int]:
    return [(int(stamp) - START) // HOUR_NS for stamp in stamps]


def missing(hours: Iterable[int]) -> list[int]:
    return [hour for hole in inner_holes(settlements(hours).at) for hour in hours_of(hole.stamps)]


def test_a_regular_series_has_no_holes() -> None:
    assert missing(range(0, 80, 8)) == []
    assert missing(range(0, 40, 4)) == []


def test_every_settlement_missing_from_an_eight_hour_series_is_found() -> None:
    assert missing([0, 8, 32, 40]) == [16, 24]


def test_a_shorter_regular_interval_is_honoured_where_the_series_shows_it() -> None:
    assert missing([0, 4, 8, 16, 20, 24]) == [12]
    assert missing([0, 1, 2, 7, 8, 9]) == [3, 4, 5, 6]


def test_a_change_of_interval_is_no_hole() -> None:
    assert missing([0, 8, 16, 24, 28, 32, 36]) == []


def test_only_settlements_after_the_start_up_to_the_last_row_are_paid() -> None:
    settled = settle(settlements(range(0, 49, 8)), START, START + 32 * HOUR_NS, "refuse", None)

    assert hours_of(settled.at) == [8, 16, 24, 32]


def test_a_hole_inside_the_run_is_refused_with_dates_and_count() -> None:
    with pytest.raises(InvalidInput) as refused:
        settle(settlements([0, 8, 32, 40]), START, START + 40 * HOUR_NS, "refuse", None)

    assert "okx.funding.BTC.csv column funding_rate" in str(refused.value)
    assert "2 settlements missing: 2024-06-01T16:00Z…2024-06-02T00:00Z (2)" in str(refused.value)
    assert "funding_gap" in str(refused.value)


def test_a_hole_outside_the_run_does_not_matter() -> None:
    settled = settle(settlements([0, 8, 32, 40, 48]), START + 32 * HOUR_NS, START + 48 * HOUR_NS, "refuse", None)

    assert hours_of(settled.at) == [40, 48]


def test_skipping_says_how_many_and_how_much_at_most() -> None:
    settled = settle(settlements([0, 8, 32, 40], rate=-0.0003), START, START + 40 * HOUR_NS, "skip", None)

    assert hours_of(settled.at) == [8, 32, 40]
    assert "lacks 2 settlements" in settled.notes[0]
    assert "at most 2 × 0.000300 = 0.0006 of notional" in settled.notes[0]


def test_another_venue_fills_in_what_is_missing() -> None:
    other = settlements(range(0, 49, 8), 0.0007, "binance.funding.BTC")
    settled = settle(settlements([0, 8, 32, 40]), START, START + 40 * HOUR_NS, "venue:binance", other)

    assert hours_of(settled.at) == [8, 16, 24, 32, 40]
    assert settled.rate.tolist() == [0.0001, 0.0007, 0.0007, 0.0001, 0.0001]
    assert "okx.funding.BTC ← binance.funding.BTC, 2 settlements" in settled.notes[0]


def test_another_venue_also_fills_the_edges() -> None:
    other = settlements(range(0, 49, 8), 0.0007, "binance.funding.BTC")
    settled = settle(settlements([24]), START, START + 40 * HOUR_NS, "venue:binance", other)

    assert hours_of(settled.at) == [8, 16, 24, 32, 40]


@pytest.mark.parametrize("other", [None, settlements([0, 8, 16, 32, 40], name="binance.funding.BTC")])
def test_a_venue_that_lacks_them_too_is_refused(other: Samples | None) -> None:
    with pytest.raises(InvalidInput, match="binance"):
        settle(settlements([0, 8, 32, 40]), START, START + 40 * HOUR_NS, "venue:binance", other)


@pytest.mark.parametrize("policy", ["refuse", "skip"])
@pytest.mark.parametrize("hours", [(-24, 0), (32, 72)])
def test_a_run_beyond_the_series_is_refused_with_its_valid_window(policy: str, hours: tuple[int, int]) -> None:
    start, last = (START + hour * HOUR_NS for hour in hours)

    with pytest.raises(
        InvalidInput, match="earliest valid start 2024-05-31T16:00Z and the latest valid end 2024-06-03T07:59Z"
    ):
        settle(settlements(range(0, 49, 8)), start, last, policy, None)


def test_the_valid_window_reaches_one_interval_beyond_the_series() -> None:
    four_hourly = settlements(range(0, 41, 4))

    assert interval_of(four_hourly) == 4 * HOUR_NS
    assert valid_start(four_hourly) == START - 4 * HOUR_NS
    assert valid_end(four_hourly) == START + 44 * HOUR_NS - MINUTE_NS
    assert holes_within(four_hourly, valid_start(four_hourly), valid_end(four_hourly)) == []
