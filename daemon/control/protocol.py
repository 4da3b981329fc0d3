"""The language of the control socket: one JSON request per line, one JSON answer per line.

What can be asked, and which arguments each question takes, is one table (`KINDS`) that client and server share.
Doing it is the duty of the server's handler. Nothing here waits, and no secret is ever asked for or answered.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from components.model.errors import BasisError, Fault, InvalidInput, nearest_name
from daemon.errors import OPS_MALFORMED

SOCKET = "control.sock"
MAX_REQUEST_BYTES = 64 * 1024
MAX_ANSWER_BYTES = 32 * 1024 * 1024
_LONGEST_ADDRESS = 100  # bytes; the kernel takes 107
LARGEST_AMOUNT = 1e12  # of any asset: beyond it sums lose the cents
_LONGEST_TEXT = 1000


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What one kind of request takes. `strategy`: none, one, or either. `keyed`: it must happen once only."""

    strategy: str
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    keyed: bool = False


NONE, ONE, EITHER = "none", "one", "either"
KINDS: Mapping[str, Kind] = {
    "ping": Kind(strategy=NONE),
    "status": Kind(strategy=EITHER),
    "positions": Kind(strategy=EITHER),
    "orders": Kind(strategy=EITHER),
    "events": Kind(strategy=EITHER, optional=("limit",)),
    "dump": Kind(strategy=NONE),
    "backup": Kind(strategy=NONE, required=("folder",)),
    "stop": Kind(strategy=EITHER, optional=("positions",)),
    "pause": Kind(strategy=ONE, optional=("reason",)),
    "resume": Kind(strategy=ONE),
    "emergency_stop": Kind(strategy=EITHER, required=("latch",), optional=("reason",)),
    "emergency_plan": Kind(strategy=EITHER),
    "rebalance": Kind(strategy=ONE, keyed=True),
    "deposit": Kind(strategy=ONE, required=("amount",), keyed=True),
    "withdraw": Kind(strategy=ONE, required=("amount",), optional=("at_any_cost",), keyed=True),
    "pay": Kind(strategy=ONE, keyed=True),
    "adopt": Kind(strategy=ONE, required=("venue",), keyed=True),
    "resolve": Kind(strategy=EITHER, required=("order", "as"), optional=("price", "quantity", "fee"), keyed=True),
}
URGENT = frozenset({"emergency_stop"})  # heard even where there is no place for another client
AMOUNTS = ("amount", "price", "quantity", "fee")
WORDS: Mapping[str, tuple[str, ...]] = {
    "as": ("filled", "not_sent"),
    "positions": ("hold", "close"),
    "at_any_cost": ("yes",),
}


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One thing asked. `strategy` is None for all; `key` is the idempotency key; `id` comes back with the answer."""

    kind: str
    strategy: str | None = None
    arguments: Mapping[str, str] = {}
    key: str = ""
    id: str = ""


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it. `code` is that of an error, `data` JSON, `market_now` market time (UTC ns)."""

    ok: bool
    code: str = ""
    message: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")
    market_now: int | None = None
    id: str = ""


def answer(data: object = None, *, message: str = "", market_now: int | None = None) -> Response:
    """A yes; `data` is anything msgspec can write as JSON (NaN becomes null)."""
    return Response(ok=True, message=message, data=msgspec.Raw(msgspec.json.encode(data)), market_now=market_now)


def refusal(error: BasisError) -> Response:
    """A no: the code and text of the error; `data` are its faults."""
    faults = [str(fault) for fault in error.faults] if isinstance(error, InvalidInput) else []
    return Response(ok=False, code=error.code, message=str(error), data=msgspec.Raw(msgspec.json.encode(faults)))


def encoded(message: Request | Response) -> bytes:
    """One line."""
    return msgspec.json.encode(message) + b"\n"


def parse_request(line: bytes) -> Request:
    """The request in a line; InvalidInput OPS-003 with all its faults."""
    try:
        plain = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise InvalidInput(OPS_MALFORMED, [Fault(where="request", found=str(exc), expected="one JSON object")]) from exc
    if not isinstance(plain, dict):
        raise InvalidInput(
            OPS_MALFORMED, [Fault(where="request", found=type(plain).__name__, expected="one JSON object")]
        )
    faults = [*_misfits(plain)]
    if not faults:
        request = msgspec.convert(plain, Request)
        faults += request_faults(request)
    if faults:
        raise InvalidInput(OPS_MALFORMED, faults)
    return request


def request_faults(request: Request) -> Iterator[Fault]:
    """What is wrong with a request by `KINDS`; the client looks before it sends, the server before it acts."""
    kind = KINDS.get(request.kind)
    if kind is None:
        yield _fault("kind", repr(request.kind), f"one of {', '.join(KINDS)}", nearest_name(request.kind, KINDS))
        return
    if kind.strategy == ONE and not request.strategy:
        yield _fault("strategy", "nothing", "the id of a strategy")
    if kind.strategy == NONE and request.strategy is not None:
        yield _fault("strategy", repr(request.strategy), f"nothing: {request.kind} is about the daemon")
    known = (*kind.required, *kind.optional)
    for name in kind.required:
        if not request.arguments.get(name):
            yield _fault(f"arguments.{name}", "nothing", "a value")
    for name, text in sorted(request.arguments.items()):
        if name not in known:
            expected = f"one of {', '.join(known)}" if known else "no arguments"
            yield _fault(f"arguments.{name}", "an unknown argument", expected, nearest_name(name, known))
        elif len(text) > _LONGEST_TEXT:
            yield _fault(f"arguments.{name}", f"{len(text)} characters", f"at most {_LONGEST_TEXT}")
        elif name in AMOUNTS and text and not is_amount(text):
            yield _fault(f"arguments.{name}", repr(text), f"a number above 0, at most {LARGEST_AMOUNT:g}")
        elif name in WORDS and text and text not in WORDS[name]:
            yield _fault(
                f"arguments.{name}", repr(text), f"one of {', '.join(WORDS[name])}", nearest_name(text, WORDS[name])
            )
        elif name == "limit" and not (text.isascii() and text.isdigit() and 0 < int(text) <= 10_000):
            yield _fault(f"arguments.{name}", repr(text), "a whole number from 1 to 10000")
    if request.arguments.get("as") == "not_sent":
        for name in ("price", "quantity", "fee"):
            if name in request.arguments:
                yield _fault(f"arguments.{name}", repr(request.arguments[name]), "nothing: the order was not sent")
    if kind.keyed and not request.key:
        yield _fault("key", "nothing", f"an idempotency key: {request.kind} must happen once")


def is_amount(text: str) -> bool:
    """A number somebody can be asked to move: above 0, and no larger than anything there is."""
    try:
        value = float(text)
    except ValueError:
        return False
    return 0.0 < value <= LARGEST_AMOUNT


@contextmanager
def address(path: Path) -> Iterator[str]:
    """What to bind or connect to for a socket at `path`; long names, which the kernel refuses, go by their folder."""
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _misfits(plain: Mapping[object, object]) -> Iterator[Fault]:
    """Fields that are unknown or of the wrong type."""
    known = Request.__struct_fields__
    for name, value in plain.items():
        if name not in known:
            yield _fault(str(name), "an unknown field", f"one of {', '.join(known)}", nearest_name(str(name), known))
        elif name == "arguments":
            if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
                yield _fault("arguments", repr(value)[:80], "a map of name: text")
        elif not isinstance(value, str) and not (name == "strategy" and value is None):
            yield _fault(str(name), repr(value)[:80], "a text")
        elif isinstance(value, str) and len(value) > _LONGEST_TEXT:
            yield _fault(str(name), f"{len(value)} characters", f"at most {_LONGEST_TEXT}")
    if "kind" not in plain:
        yield _fault("kind", "nothing", f"one of {', '.join(KINDS)}")


def _fault(where: str, found: str, expected: str, nearest: str | None = None) -> Fault:
    return Fault(where=where, found=found, expected=expected, nearest=nearest)
