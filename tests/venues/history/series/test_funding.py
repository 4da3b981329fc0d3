from __future__ import annotations

from collections.abc import Iterable

import msgspec
import numpy as np
import pytest

from components.model.errors import DAT_CONFLICT, InvalidInput
from tests.venues.history.trees import HOUR_NS, at
from venues.history.files.stamps import MINUTE_NS
from venues.history.series.align import Samples
from venues.history.series.funding import Schedule, Settled
from venues.history.series.funding import settle as settle_schedule

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


def schedule(hours: Iterable[int], stated: Iterable[float] | None = None, longest: int = 8) -> Schedule:
    samples = settlements(hours)
    if stated is not None:
        samples = msgspec.structs.replace(samples, interval=np.array(list(stated), np.float64))
    return Schedule.of(samples, longest * HOUR_NS)


def missing(hours: Iterable[int], stated: Iterable[float] | None = None, longest: int = 8) -> list[int]:
    return [hour for hole in schedule(hours, stated, longest).inner_holes() for hour in hours_of(hole.stamps)]


def settle(samples: Samples, start: int, last: int, policy: str, other: Samples | None) -> Settled:
    return settle_schedule(Schedule.of(samples), start, last, policy, other)


def test_a_regular_series_has_no_holes() -> None:
    assert missing(range(0, 80, 8)) == []
    assert missing(range(0, 40, 4)) == []


def test_every_settlement_missing_from_an_eight_hour_series_is_found() -> None:
    assert missing([0, 8, 32, 40]) == [16, 24]


def test_a_shorter_regular_interval_is_honoured_where_the_series_shows_it() -> None:
    assert missing([0, 4, 8, 16, 20, 24]) == [12]
    assert missing([0, 1, 2, 7, 8, 9]) == [3, 4, 5, 6]


@pytest.mark.parametrize(
    "hours",
    [
        [*range(0, 32, 8), *range(32, 60, 4)],
        [*range(0, 32, 8), *range(32, 64, 4), *range(64, 90)],
        [*range(0, 96, 4), *range(96, 400, 8)],
    ],
)
def test_a_change_of_interval_is_no_hole(hours: list[int]) -> None:
    assert missing(hours) == []


FOUR_HOURLY = [*range(0, 48, 8), *range(48, 200, 4)]


@pytest.mark.parametrize(
    "gone",
    [
        {60},
        {100, 108},
        {100, 104},
        {hour for hour in range(80, 140) if hour % 8 == 4},
        {100, 112, 116},
    ],
    ids=["one", "close together", "neighbours", "every second one", "two stretches"],
)
def test_what_is_missing_from_a_four_hour_stretch_is_found_whatever_its_pattern(gone: set[int]) -> None:
    assert missing([hour for hour in FOUR_HOURLY if hour not in gone]) == sorted(gone)


@pytest.mark.parametrize("gone", [{52}, {48}, {100, 108}, {hour for hour in range(52, 190) if hour % 8 == 4}])
def test_the_interval_a_file_states_finds_also_what_is_missing_at_the_switch(gone: set[int]) -> None:
    kept = [hour for hour in FOUR_HOURLY if hour not in gone]

    assert missing(kept, [8.0 if hour <= 48 else 4.0 for hour in kept]) == sorted(gone)


def test_the_interval_of_the_venue_finds_every_second_one_missing_all_along() -> None:
    assert missing(range(0, 48, 8)) == []
    assert missing(range(0, 48, 8), longest=4) == [4, 12, 20, 28, 36]


def test_a_switch_that_only_the_settlements_show_is_reported() -> None:
    settled = settle_schedule(schedule(FOUR_HOURLY), START, START + 100 * HOUR_NS, "refuse", None)
    stated = schedule(FOUR_HOURLY, [8.0 if hour <= 48 else 4.0 for hour in FOUR_HOURLY])

    assert "settles every 4 h from 2024-06-03T00:00Z on" in settled.notes[0]
    assert settle_schedule(stated, START, START + 100 * HOUR_NS, "refuse", None).notes == ()


@pytest.mark.parametrize("hours", [range(1, 80, 8), range(3, 80, 4), [0, 8, 17, 24, 32]])
def test_settlements_beside_the_grid_of_the_venue_are_refused(hours: Iterable[int]) -> None:
    with pytest.raises(InvalidInput, match="beside the grid") as refused:
        schedule(hours)
    assert refused.value.code == DAT_CONFLICT


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
    four_hourly = schedule(range(0, 41, 4))

    assert four_hourly.last == 4 * HOUR_NS
    assert four_hourly.valid_start == START - 4 * HOUR_NS
    assert four_hourly.valid_end == START + 44 * HOUR_NS - MINUTE_NS
    assert four_hourly.holes_within(four_hourly.valid_start, four_hourly.valid_end) == []
