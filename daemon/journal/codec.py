"""Bytes of journaled structs: msgpack, float64 columns as raw bytes, position keys as strings.

Mappings keep their order: sums run in it, so a value that comes back must iterate as it went in.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

import msgspec
import numpy as np

from components.model.keys import PositionKey

T = TypeVar("T")


def encode(value: object) -> bytes:
    """The same value, built in the same order, gives the same bytes in every process."""
    return _ENCODER.encode(value)


def decode(data: bytes, kind: type[T]) -> T:
    """The value back, bit for bit; msgspec.ValidationError names the field that does not fit."""
    value: T = decoder(kind).decode(data)  # type: ignore[arg-type]
    return value


@cache
def decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    """What `decode` uses, for a type that is a union; making one takes longer than decoding."""
    return msgspec.msgpack.Decoder(kind, dec_hook=_from_plain)


def _to_plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [value.dtype.str, value.tobytes()]
    if isinstance(value, PositionKey):
        return str(value)
    raise NotImplementedError(f"{type(value)} has no place in the journal")


def _from_plain(kind: type, value: Any) -> Any:
    if kind is PositionKey:
        return PositionKey(value)
    if getattr(kind, "__origin__", kind) is np.ndarray:
        dtype, data = value
        return np.frombuffer(data, dtype=dtype).copy()
    raise NotImplementedError(f"{kind} has no place in the journal")


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_to_plain)
