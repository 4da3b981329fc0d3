"""What people may ask the daemon for, and which arguments each takes: one table that every door to it shares.

A door (the socket, later HTTP) brings a request and takes back an answer; doing it is the duty of the operator.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from components.model.errors import BasisError, Fault, InvalidInput, nearest_name

LARGEST_AMOUNT = 1e12  # of any asset: beyond it sums lose the cents
LONGEST_TEXT = 1000


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


def request_faults(request: Request) -> Iterator[Fault]:
    """What is wrong with a request by `KINDS`; the client looks before it sends, the server before it acts."""
    kind = KINDS.get(request.kind)
    if kind is None:
        yield fault("kind", repr(request.kind), f"one of {', '.join(KINDS)}", nearest_name(request.kind, KINDS))
        return
    if kind.strategy == ONE and not request.strategy:
        yield fault("strategy", "nothing", "the id of a strategy")
    if kind.strategy == NONE and request.strategy is not None:
        yield fault("strategy", repr(request.strategy), f"nothing: {request.kind} is about the daemon")
    known = (*kind.required, *kind.optional)
    for name in kind.required:
        if not request.arguments.get(name):
            yield fault(f"arguments.{name}", "nothing", "a value")
    for name, text in sorted(request.arguments.items()):
        if name not in known:
            expected = f"one of {', '.join(known)}" if known else "no arguments"
            yield fault(f"arguments.{name}", "an unknown argument", expected, nearest_name(name, known))
        elif len(text) > LONGEST_TEXT:
            yield fault(f"arguments.{name}", f"{len(text)} characters", f"at most {LONGEST_TEXT}")
        elif name in AMOUNTS and text and not is_amount(text):
            yield fault(f"arguments.{name}", repr(text), f"a number above 0, at most {LARGEST_AMOUNT:g}")
        elif name in WORDS and text and text not in WORDS[name]:
            yield fault(
                f"arguments.{name}", repr(text), f"one of {', '.join(WORDS[name])}", nearest_name(text, WORDS[name])
            )
        elif name == "limit" and not (text.isascii() and text.isdigit() and 0 < int(text) <= 10_000):
            yield fault(f"arguments.{name}", repr(text), "a whole number from 1 to 10000")
    if request.arguments.get("as") == "not_sent":
        for name in ("price", "quantity", "fee"):
            if name in request.arguments:
                yield fault(f"arguments.{name}", repr(request.arguments[name]), "nothing: the order was not sent")
    if kind.keyed and not request.key:
        yield fault("key", "nothing", f"an idempotency key: {request.kind} must happen once")


def is_amount(text: str) -> bool:
    """A number somebody can be asked to move: above 0, and no larger than anything there is."""
    try:
        value = float(text)
    except ValueError:
        return False
    return 0.0 < value <= LARGEST_AMOUNT


def fault(where: str, found: str, expected: str, nearest: str | None = None) -> Fault:
    return Fault(where=where, found=found, expected=expected, nearest=nearest)
