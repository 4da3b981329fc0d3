from __future__ import annotations

import numpy as np
import pytest

from components.model.requirements import HOUR_NS
from tests.venues.history.trees import at
from venues.history.coverage import Need, covered_by, report_of, window_faults
from venues.history.series.align import Samples

START = at("2024-06-01T00")


def samples(hours: list[int], name: str = "x.spot.BTC") -> Samples:
    stamps = START + HOUR_NS * np.array(hours, np.int64)
    value = np.ones(len(hours))
    return Samples(name=name, files=("x.csv",), hashes=(), column="close", step=HOUR_NS, at=stamps, value=value)


def need(first: int, last: int, *, fresh: bool = True) -> Need:
    return Need(START + first * HOUR_NS, START + last * HOUR_NS, fresh)


def test_a_gap_inside_the_run_is_tolerated() -> None:
    assert window_faults(samples([0, 1, 9, 10]), need(0, 10), 2.0) == ()


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        (-1, 10, ["first known 2024-06-01T00:00Z", "earliest valid start 2024-06-01T00:00Z"]),
        (
            5,
            10,
            ["nothing known between 2024-06-01T01:00Z and 2024-06-01T09:00Z", "next valid start 2024-06-01T09:00Z"],
        ),
        (0, 13, ["last known 2024-06-01T10:00Z", "latest valid end 2024-06-01T10:00Z"]),
    ],
)
def test_a_run_outside_is_refused_with_file_column_and_dates(first: int, last: int, said: list[str]) -> None:
    (fault,) = window_faults(samples([0, 1, 9, 10]), need(first, last), 2.0)

    assert fault.where == "x.csv column close"
    assert all(words in str(fault) for words in said)


def test_a_run_may_end_before_the_next_bar_of_a_price_is_due() -> None:
    assert window_faults(samples([0, 1]), need(0, 1), 2.0) == ()
    assert window_faults(samples([0, 1]), need(0, 2), 2.0)


def test_what_need_not_be_fresh_must_still_be_known() -> None:
    assert window_faults(samples([0, 1, 9, 10]), need(5, 10, fresh=False), 2.0) == ()
    assert window_faults(samples([0, 1, 9, 10]), need(-1, 10, fresh=False), 2.0)


def test_a_start_after_the_last_value_is_one_fault() -> None:
    assert len(window_faults(samples([0, 1]), need(20, 30), 2.0)) == 1


def test_the_window_of_a_report_is_what_all_series_share() -> None:
    short, long = covered_by("a", samples([4, 5]), 2.0), covered_by("b", samples([0, 9]), 2.0)
    report = report_of("data", None, (short, long), ())

    assert (report.earliest_start, report.latest_end) == (START + 4 * HOUR_NS, START + 5 * HOUR_NS)
    assert report.covered


def test_series_that_never_meet_share_no_window() -> None:
    report = report_of("data", None, (covered_by("a", samples([0]), 2.0), covered_by("b", samples([9]), 2.0)), ())

    assert (report.earliest_start, report.latest_end) == (None, None)


def test_an_entry_says_what_the_file_holds() -> None:
    entry = covered_by("x.spot.BTC", samples([0, 1, 4]), 2.0)

    assert (entry.rows, entry.step, entry.files, entry.column) == (3, HOUR_NS, ("x.csv",), "close")
    assert [gap.missing for gap in entry.gaps] == [2]
