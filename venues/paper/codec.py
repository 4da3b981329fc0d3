"""How a simulated account is written: msgpack, position keys as strings; the same value gives the same bytes."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from components.model.keys import PositionKey

T = TypeVar("T")


def encode(value: object) -> bytes:
    """The value as bytes."""
    return _ENCODER.encode(value)


def decode(data: bytes, kind: type[T]) -> T:
    """The value back, bit for bit; msgspec.ValidationError names the field that does not fit."""
    return msgspec.msgpack.decode(data, type=kind, dec_hook=_from_plain)


def _to_plain(value: Any) -> Any:
    if isinstance(value, PositionKey):
        return str(value)
    raise NotImplementedError(f"{type(value)} cannot be written")


def _from_plain(kind: type, value: Any) -> Any:
    if kind is PositionKey:
        return PositionKey(value)
    raise NotImplementedError(f"{kind} cannot be read")


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_to_plain)
