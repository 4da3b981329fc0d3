"""How a simulated account is written: every value comes back, the same value as the same bytes."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.model.keys import PositionKey, base_token, perp
from venues.paper.codec import decode, encode


class Kept(msgspec.Struct, frozen=True):
    key: PositionKey
    changes: dict[PositionKey, float]


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_amounts_come_back_bit_for_bit(one: float, other: float) -> None:
    value = Kept(perp("okx", "BTC"), {base_token("okx", "USDT"): one, perp("okx", "BTC"): other})
    back = decode(encode(value), Kept)
    assert back == value
    assert [math.copysign(1.0, amount) for amount in back.changes.values()] == [
        math.copysign(1.0, amount) for amount in (one, other)
    ]
    assert encode(back) == encode(value)


def test_keys_are_keys_again() -> None:
    back = decode(encode(Kept(base_token("okx", "BTC"), {})), Kept)
    assert isinstance(back.key, PositionKey) and back.key.venue == "okx"


@pytest.mark.parametrize("value", [object(), {1, 2, object()}])
def test_what_has_no_form_is_not_written(value: object) -> None:
    with pytest.raises((NotImplementedError, TypeError)):
        encode(value)


def test_a_field_that_does_not_fit_is_named() -> None:
    with pytest.raises(msgspec.ValidationError, match="changes"):
        decode(msgspec.msgpack.encode({"key": "okx:BaseToken:BTC", "changes": 5}), Kept)
