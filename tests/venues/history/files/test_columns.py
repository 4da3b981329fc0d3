from __future__ import annotations

import pytest

from venues.history.files.columns import ambiguous_names, ambiguous_values, columns_of, missing_columns, stamp_column
from venues.history.files.read import Sheet, canonical
from venues.history.files.schema import FUNDING, PERP, RESERVE, SPOT


def sheet(**columns: list[str]) -> Sheet:
    return Sheet(columns, max(map(len, columns.values())))


def names(*columns: str) -> dict[str, str]:
    return {canonical(column): column for column in columns}


@pytest.mark.parametrize("heading", ["funding_rate", "fundingRate", "Funding Rate", "FUNDING-RATE"])
def test_a_heading_is_known_in_any_spelling(heading: str) -> None:
    assert columns_of(FUNDING.fields[0], names(heading)) == [heading]


def test_the_stamp_of_a_bar_is_when_it_opened_where_both_are_given() -> None:
    stamp, name = stamp_column(PERP, names("Close time", "Open time"))

    assert stamp is not None
    assert (name, stamp.meaning) == ("Open time", "open")
    assert stamp_column(PERP, names("close")) == (None, "")


def test_every_missing_column_is_named_with_what_would_do() -> None:
    faults = missing_columns("x.csv", PERP, sheet(opened=["1"]), {field.name: [] for field in PERP.fields})

    assert [fault.where for fault in faults] == [f"x.csv column {name}" for name in ("close", "high", "low", "open")]
    assert faults[0].expected == "close or close_price or c"
    assert faults[3].nearest == "opened"


def test_of_the_indices_of_a_reserve_one_is_enough() -> None:
    found = {"supply_index": ["liquidityIndex"], "borrow_index": []}

    assert missing_columns("x.csv", RESERVE, sheet(liquidityIndex=["1"]), found) == []
    assert len(missing_columns("x.csv", RESERVE, sheet(a=["1"]), dict.fromkeys(found, []))) == 1


def test_names_that_differ_in_nothing_but_case_are_one_name_twice() -> None:
    assert [fault.found for fault in ambiguous_names("x.csv", sheet(close=["1"], CLOSE=["1"]), {"close"})] == [
        "close and CLOSE"
    ]


def test_a_settled_rate_beside_a_forecast_is_no_contradiction_and_two_prices_are() -> None:
    rates = sheet(real_funding_rate=["0.1"], funding_rate=["0.2"])
    prices = sheet(close=["1", "2"], price=["1", "3"])

    assert ambiguous_values("x", FUNDING, rates, {"rate": list(rates.columns), "interval": []}) == []
    found = {field.name: [] for field in SPOT.fields} | {"close": ["close", "price"]}
    assert [fault.found for fault in ambiguous_values("x", SPOT, prices, found)] == ["2 and 3 in row 2"]
