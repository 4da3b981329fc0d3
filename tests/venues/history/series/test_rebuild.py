from __future__ import annotations

import msgspec
import numpy as np
import pytest

from components.model.errors import DAT_UNREADABLE, InvalidInput
from components.model.market import Column
from tests.venues.history.trees import DAY_NS, HOUR_NS, at, grown, hourly
from venues.history.series.align import Samples, align
from venues.history.series.rebuild import completed_days, daily_growth, refuse_implausible, slashings

START = at("2024-06-01T00")


def published(values: list[float] | Column, first_hour: int = 0) -> Samples:
    """Hourly rows as published."""
    stamps = START + HOUR_NS * np.arange(first_hour, first_hour + len(values), dtype=np.int64)
    return Samples(
        name="etherfi.ratio.weETH",
        files=("oracle.csv",),
        hashes=("h",),
        column="oracle_price_eth",
        step=HOUR_NS,
        at=stamps,
        value=np.array(values, np.float64),
    )


def test_only_midnights_are_believed() -> None:
    days = completed_days(published(hourly(1.0, 49, 0.001), first_hour=1))

    assert days.at.tolist() == [START + DAY_NS, START + 2 * DAY_NS]
    assert days.step == DAY_NS


def test_between_midnights_a_value_grows_by_what_the_last_completed_days_allow() -> None:
    days = completed_days(published(hourly(1.0, 73, 0.001)))
    rows = START + HOUR_NS * np.array([0, 12, 24, 36, 48, 60, 72])
    aligned = align(days, rows, 2.0)
    first, second, third = 1.0, 1.024, 1.048

    assert aligned.values[[0, 2, 4, 6]].tolist() == days.value.tolist()
    assert aligned.values[1] == first
    assert aligned.values[3] == pytest.approx(second * (1.0 + 0.75 * (second / first - 1.0) / 2.0), rel=1e-15)
    assert aligned.values[5] == pytest.approx(third * (1.0 + 0.75 * (third / second - 1.0) / 2.0), rel=1e-15)


def test_a_rebuilt_source_never_falls_because_a_day_earned_less_than_the_ones_before() -> None:
    daily = np.array([1.0, 1.0001, 1.0002, 1.0002, 1.00025, 1.0012])  # a day that earned nothing
    samples = published([1.0])
    days = completed_days(msgspec.structs.replace(samples, at=START + DAY_NS * np.arange(6), value=daily, step=DAY_NS))

    shown = align(days, START + HOUR_NS * np.arange(121), 2.0).values

    assert (np.diff(shown) >= 0.0).all()
    assert shown[72] > daily[3] and shown[120] == daily[5]  # held, and caught up
    assert (np.abs(shown[::24] - daily) < 1e-4).all()


def test_a_spike_of_one_day_is_not_carried_into_the_next() -> None:
    daily = np.array([1.0, 1.0001, 1.0021, 1.0022, 1.0023])
    samples = msgspec.structs.replace(published([1.0]), at=START + DAY_NS * np.arange(5), value=daily, step=DAY_NS)

    shown = align(completed_days(samples), START + HOUR_NS * np.arange(97), 2.0).values

    assert (np.diff(shown) >= 0.0).all()
    assert shown[::24].tolist() == daily.tolist()
    assert shown[71] - shown[48] < 1e-4


def test_a_source_that_has_really_fallen_is_shown_to_have() -> None:
    daily = np.array([1.0, 1.001, 0.95, 0.951])
    days = completed_days(
        msgspec.structs.replace(published([1.0]), at=START + DAY_NS * np.arange(4), value=daily, step=DAY_NS)
    )

    assert align(days, START + DAY_NS * np.arange(4), 2.0).values.tolist() == daily.tolist()


def test_no_hour_knows_the_next_midnight() -> None:
    source = np.array(hourly(1.0, 73, 0.001))
    changed = source.copy()
    changed[25:] += 0.5
    rows = START + HOUR_NS * np.arange(25)

    before = align(completed_days(published(source)), rows, 2.0).values
    after = align(completed_days(published(changed)), rows, 2.0).values

    assert before.tobytes() == after.tobytes()


def test_growth_over_a_missing_day_is_per_day() -> None:
    growth = daily_growth(START + DAY_NS * np.array([0, 2, 3]), np.array([1.0, 1.02, 1.02]))

    assert growth.tolist() == pytest.approx([0.0, 0.01, 0.0])


def test_a_source_without_midnights_cannot_be_rebuilt() -> None:
    with pytest.raises(InvalidInput, match="no row at 00:00 UTC"):
        completed_days(published([1.0, 1.1], first_hour=1))


def test_a_ratio_may_fall_by_less_than_a_tenth_of_a_basis_point() -> None:
    refuse_implausible(published([1.0, 1.0 - 9e-6, 1.0]), "ratio")

    with pytest.raises(InvalidInput, match="1 falls, first at 2024-06-01T01:00Z") as refused:
        refuse_implausible(published([1.0, 1.0 - 2e-5, 1.0]), "ratio")
    assert refused.value.code == DAT_UNREADABLE


def test_an_index_never_falls() -> None:
    with pytest.raises(InvalidInput, match="never falls"):
        refuse_implausible(published([1.0, 1.0 - 1e-9]), "index")


def test_a_one_day_rate_spike_of_an_index_is_kept() -> None:
    refuse_implausible(published(np.repeat([1.0, 1.0011], 24)), "index")


@pytest.mark.parametrize("per_day", [0.0008, -0.0002])
def test_a_staking_yield_outside_the_bounds_is_refused(per_day: float) -> None:
    stamps = START + DAY_NS * np.arange(3, dtype=np.int64)
    days = msgspec.structs.replace(published([1.0]), at=stamps, value=np.array(grown(1.0, 3, per_day)))

    with pytest.raises(InvalidInput, match="per year"):
        refuse_implausible(days, "ratio")


@pytest.mark.parametrize("offset", [7, -9, 599, 0])
def test_a_block_near_midnight_is_that_midnights_snapshot_and_known_at_its_stamp(offset: int) -> None:
    stamps = START + DAY_NS * np.arange(1, 5, dtype=np.int64) + offset * 10**9
    days = completed_days(msgspec.structs.replace(published([1.0]), at=stamps, value=np.array(grown(1.0, 4, 1e-4))))

    assert days.at.tolist() == stamps.tolist()
    assert days.growth is not None
    assert days.growth[1:] == pytest.approx([0.75e-4] * 3)


def test_of_rows_around_a_midnight_the_one_at_it_is_taken() -> None:
    minutes = np.array([-5, 0, 5, 1435, 1445], np.int64) * 60 * 10**9
    days = completed_days(msgspec.structs.replace(published([1.0]), at=START + minutes, value=np.arange(1.0, 6.0)))

    assert days.value.tolist() == [2.0, 5.0]


def test_a_slashing_is_believed_once_and_does_not_go_on() -> None:
    values = np.array(grown(1.05, 60, 7e-5))
    values[30:] *= 0.94
    stamps = START + DAY_NS * np.arange(60, dtype=np.int64)
    days = msgspec.structs.replace(published([1.0]), at=stamps, value=values)
    refuse_implausible(days, "ratio")
    rebuilt = completed_days(days)

    assert ["falls by 5.99" in note for note in slashings(days)] == [True]
    assert rebuilt.growth is not None
    assert rebuilt.growth[30] == 0.0
    values[33:] /= 0.94
    with pytest.raises(InvalidInput, match="1 falls"):
        refuse_implausible(msgspec.structs.replace(days, value=values), "ratio")
