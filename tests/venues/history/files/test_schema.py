from __future__ import annotations

import pytest

from components.model.requirements import HOUR_NS
from venues.history.files import schema
from venues.history.files.schema import Schema

ALL = [value for value in vars(schema).values() if isinstance(value, Schema)]


@pytest.mark.parametrize("each", ALL, ids=lambda each: str(each.name))
def test_every_schema_has_its_own_name_stamps_and_a_needed_value(each: Schema) -> None:
    assert [other.name for other in ALL].count(each.name) == 1
    assert each.stamps
    assert each.one_of or any(not field.optional for field in each.fields)
    assert set(each.one_of) <= {field.name for field in each.fields}


@pytest.mark.parametrize("bars", [schema.SPOT, schema.PERP, schema.POOL, schema.LST_MARKET])
def test_no_candle_is_known_at_its_own_stamp(bars: Schema) -> None:
    assert {stamp.meaning for stamp in bars.stamps} <= {"open", "close"}


def test_gas_is_two_hourly_whatever_its_rows_say() -> None:
    assert schema.GAS.step_ns == 2 * HOUR_NS


def test_only_dates_of_hand_made_tables_have_a_declared_zone() -> None:
    assert [each.name for each in ALL if each.zone] == ["benchmark"]
