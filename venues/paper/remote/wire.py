"""How a client talks to simulated venues in another process: one call per connection, length-prefixed msgpack.

`METHODS` is the whole protocol: what can be called, with what, and what comes back. Every call carries the caller's
market time, which is the only clock the venues have.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from typing import Any

import msgspec
import trio

from components.model.errors import BasisError, Refuse, Severity, catalogued
from components.model.keys import PositionKey
from components.model.orders import OrderGroup, Trade, Verb
from venues.interfaces import (
    NotSent,
    OrderReport,
    OutcomeUnknown,
    PositionsReport,
    RestingOrder,
    SentOrder,
    SettledPage,
    Unavailable,
)
from venues.paper.codec import decode, encode
from venues.paper.door.faults import Fault, FaultReport
from venues.paper.truth import Truth

SIM_NOT_UNDERSTOOD = catalogued(
    "SIM-004",
    Severity.ERROR,
    "The process of the simulated venues did not understand a call",
    "Run both ends from the same version, with the account named in the server's configuration",
)
LENGTH = Struct(">I")
LONGEST = 1 << 28  # bytes of one frame


class Method(msgspec.Struct, frozen=True):
    """Types of the arguments and of the answer."""

    takes: tuple[Any, ...]
    gives: Any


METHODS: Mapping[str, Method] = {
    # of a door: VenueClient
    "submit": Method((OrderGroup,), tuple[Trade, ...]),
    "query": Method((SentOrder,), OrderReport),
    "cancel": Method((SentOrder,), OrderReport),
    "cancel_resting": Method((RestingOrder,), None),
    "open_orders": Method((), tuple[RestingOrder, ...]),
    "positions": Method((), PositionsReport),
    "marks": Method((), dict[str, float]),
    "settled": Method((int,), SettledPage),
    "foreign": Method((int,), SettledPage),
    # of an account
    "doors": Method((), tuple[str, ...]),
    "advance_to": Method((int,), int),
    "deposit": Method((str, float, int), None),
    "withdrawal": Method((str, float, int), None),
    "truth": Method((), Truth),
    "foreign_trade": Method((str, str, Verb, str, float, int), Trade),
    "foreign_order": Method((str, PositionKey, float), None),
    "foreign_transfer": Method((str, PositionKey | None, PositionKey | None, float, int), None),
    "add_fault": Method((Fault,), None),
    "heal": Method((), None),
    "fault_report": Method((), FaultReport),
}
OF_A_DOOR = frozenset(
    {"submit", "query", "cancel", "cancel_resting", "open_orders", "positions", "marks", "settled", "foreign"}
)


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request. `door` is empty for a method of the account; `now` is market time, UTC ns."""

    account: str
    door: str
    method: str
    now: int
    arguments: tuple[bytes, ...]  # each as msgpack of its type


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """An error, to be raised again at the other end: those of the interface as themselves, others as Refuse."""

    kind: str
    code: str
    message: str
    retry_after_s: float | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    value: bytes = b""  # msgpack of the type the method gives
    failure: Failure | None = None


def call_of(frame: bytes) -> tuple[Call, tuple[Any, ...]]:
    """The call in a frame and its arguments; msgspec.ValidationError or DecodeError when it is none of ours."""
    call = decode(frame, Call)
    method = METHODS.get(call.method)
    if method is None or len(method.takes) != len(call.arguments):
        raise msgspec.ValidationError(f"no method {call.method!r} with {len(call.arguments)} arguments")
    return call, tuple(decode(data, kind) for data, kind in zip(call.arguments, method.takes, strict=True))


def failure_of(error: BasisError) -> Failure:
    retry = error.retry_after_s if isinstance(error, NotSent | Unavailable) else None
    return Failure(kind=type(error).__name__, code=error.code, message=error.message, retry_after_s=retry)


def not_understood(why: str) -> Answer:
    return Answer(failure=Failure(kind="Refuse", code=SIM_NOT_UNDERSTOOD, message=why))


def raised(failure: Failure, venue: str) -> BasisError:
    """The error that the other end raised."""
    match failure.kind:
        case "NotSent":
            return NotSent(failure.message, retry_after_s=failure.retry_after_s, venue=venue)
        case "OutcomeUnknown":
            return OutcomeUnknown(failure.message, venue=venue)
        case "Unavailable":
            return Unavailable(failure.message, retry_after_s=failure.retry_after_s, venue=venue)
        case _:
            return Refuse(failure.code, failure.message, venue=venue)


def value_of(answer: Answer, method: str) -> Any:
    """What the other end answered."""
    return decode(answer.value, METHODS[method].gives)


async def send(stream: trio.abc.SendStream, message: Call | Answer) -> None:
    payload = encode(message)
    await stream.send_all(LENGTH.pack(len(payload)) + payload)


async def receive(stream: trio.abc.ReceiveStream) -> bytes | None:
    """One frame; None when the other end closed before it was whole, or it is longer than any frame of ours."""
    head = await _exactly(stream, LENGTH.size)
    if head is None:
        return None
    (length,) = LENGTH.unpack(head)
    return await _exactly(stream, length) if length <= LONGEST else None


async def _exactly(stream: trio.abc.ReceiveStream, count: int) -> bytes | None:
    data = bytearray()
    while len(data) < count:
        more = await stream.receive_some(count - len(data))
        if not more:
            return None
        data += more
    return bytes(data)
