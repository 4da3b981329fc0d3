"""A value that was journaled comes back bit for bit, and the same value gives the same bytes."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Mapping
from math import inf, nan

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.model.keys import PositionKey, base_token, perp
from components.ports import Settlements
from daemon.journal.codec import decode, encode
from tests.builders import cash, settled

SIGNALLING = struct.unpack("<d", struct.pack("<Q", 0x7FF0DEADBEEF0001))[0]


def bits(value: float) -> int:
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


@pytest.mark.parametrize("value", [nan, -nan, inf, -inf, -0.0, 0.0, 5e-324, 0.1 + 0.2, 1e308, SIGNALLING])
def test_odd_floats_survive_to_the_bit(value: float) -> None:
    assert bits(decode(encode({"x": value}), dict[str, float])["x"]) == bits(value)


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_every_float_survives_to_the_bit(value: float) -> None:
    assert bits(decode(encode(value), float)) == bits(value)


def test_a_whole_number_in_a_float_s_place_stays_a_float() -> None:
    assert type(decode(encode({"x": 3.0}), dict[str, float])["x"]) is float


@pytest.mark.parametrize(
    "column",
    [
        np.array([1.0, nan, -0.0, inf]),
        np.array([2**62, -1], dtype=np.int64),
        np.array([True, False]),
        np.array([], dtype=np.float64),
    ],
    ids=["float", "int", "bool", "empty"],
)
def test_columns_keep_type_and_bytes_and_can_be_written_to(column: npt.NDArray[np.float64]) -> None:
    class Box(msgspec.Struct):
        column: npt.NDArray[np.float64]

    found = decode(encode(Box(column)), Box).column
    assert found.dtype == column.dtype and found.tobytes() == column.tobytes()
    assert found.flags.writeable and found.flags.owndata


def test_position_keys_come_back_as_keys_that_know_their_parts() -> None:
    book = {perp("okx", "BTC"): -1.5, base_token("binance", "USDT"): 2.0}
    found = decode(encode(book), dict[PositionKey, float])
    assert found == book
    assert [key.venue for key in found] == ["okx", "binance"], "in the order in which they went in"


def test_mappings_keep_their_order() -> None:
    """Sums of floats run in it."""
    names = ("z", "a", "m")
    assert tuple(decode(encode(dict.fromkeys(names, 1.0)), dict[str, float])) == names
    assert encode({"a": 1, "b": 2}) != encode({"b": 2, "a": 1})


def test_settlements_come_back_whole() -> None:
    told = settled(1, flows=(cash("binance:BaseToken:USDT", [0, 0], [0.1, nan]),))
    found = decode(encode(told), Settlements)
    assert encode(found) == encode(told)
    assert found.cash[0].amount.tobytes() == told.cash[0].amount.tobytes()


def test_the_same_value_gives_the_same_bytes_in_every_process() -> None:
    program = (
        "from daemon.journal.codec import encode; from components.model.keys import base_token; import numpy as np;"
        "print(encode({base_token('okx', 'USDT'): np.arange(3.0), base_token('a', 'B'): float('nan')}).hex())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        ).stdout
        for seed in ("1", "2")
    }
    assert found == {encode({base_token("okx", "USDT"): np.arange(3.0), base_token("a", "B"): nan}).hex() + "\n"}


@pytest.mark.parametrize("value", [object(), len], ids=["object", "function"])
def test_what_has_no_place_in_the_journal_is_refused(value: object) -> None:
    with pytest.raises(NotImplementedError, match="no place in the journal"):
        encode({"x": value})


def test_a_field_that_does_not_fit_is_named() -> None:
    class Old(msgspec.Struct):
        amount: str

    class New(msgspec.Struct):
        amount: float

    with pytest.raises(msgspec.ValidationError, match=r"\$.amount"):
        decode(encode(Old("much")), New)


@given(st.dictionaries(st.text(), st.floats(allow_nan=False), max_size=5))
def test_what_comes_back_is_encoded_to_the_same_bytes(value: Mapping[str, float]) -> None:
    assert encode(decode(encode(value), dict[str, float])) == encode(value)
