"""The language of the control socket: one JSON request per line, one JSON answer per line.

Nothing here waits, and no secret is ever asked for or answered.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from components.model.errors import Fault, InvalidInput, nearest_name
from daemon.control.commands import KINDS, LONGEST_TEXT, Request, Response, fault, request_faults
from daemon.errors import OPS_MALFORMED

SOCKET = "control.sock"
MAX_REQUEST_BYTES = 64 * 1024
MAX_ANSWER_BYTES = 32 * 1024 * 1024
_LONGEST_ADDRESS = 100  # bytes; the kernel takes 107


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
            yield fault(str(name), "an unknown field", f"one of {', '.join(known)}", nearest_name(str(name), known))
        elif name == "arguments":
            if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
                yield fault("arguments", repr(value)[:80], "a map of name: text")
        elif not isinstance(value, str) and not (name == "strategy" and value is None):
            yield fault(str(name), repr(value)[:80], "a text")
        elif isinstance(value, str) and len(value) > LONGEST_TEXT:
            yield fault(str(name), f"{len(value)} characters", f"at most {LONGEST_TEXT}")
    if "kind" not in plain:
        yield fault("kind", "nothing", f"one of {', '.join(KINDS)}")
