"""The other end of the control socket: asks one thing and waits for the answer, for at most some seconds.

Plain blocking sockets: the command line must start fast and needs no event loop.
"""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import msgspec

from components.model.errors import InvalidInput, Refuse, Retry, Severity, catalogued
from daemon.control.commands import Request, Response, request_faults
from daemon.control.protocol import MAX_ANSWER_BYTES, SOCKET, address, encoded
from daemon.errors import OPS_MALFORMED
from daemon.state.lock import holder_of, state_lock

OPS_NOT_RUNNING = catalogued(
    "OPS-001",
    Severity.ERROR,
    "The daemon is not running",
    "Start it with 'basis run', or name its state directory with --state",
)
OPS_NO_ANSWER = catalogued(
    "OPS-002",
    Severity.ERROR,
    "The daemon does not answer",
    "Whether it did what was asked is not known: ask again with the same --key; see its log and 'basis doctor'",
)
OPS_NOT_ALLOWED = catalogued(
    "OPS-006", Severity.ERROR, "You may not talk to the daemon", "Run this as its user, or as a member of its group"
)
TIMEOUT_S = 5.0
_CONNECT_AGAIN_S = 0.02


def socket_of(state: Path) -> Path:
    """Where the daemon of a state directory listens: as its lock says, else in the state directory."""
    try:
        holder = holder_of(state_lock(state))
    except PermissionError:
        holder = None
    return Path(holder.socket) if holder is not None and holder.socket else state / SOCKET


def ask(path: Path, request: Request, *, timeout_s: float = TIMEOUT_S) -> Response:
    """The answer to one request.

    Errors: InvalidInput OPS-003 before anything is sent, OPS-001 when nobody listens, OPS-006 when the socket is not
    ours to open, OPS-002 when there is no whole answer in time.
    """
    faults = tuple(request_faults(request))
    if faults:
        raise InvalidInput(OPS_MALFORMED, faults)
    request = request if request.id else msgspec.structs.replace(request, id=f"{os.getpid()}")
    deadline = time.monotonic() + timeout_s
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as connection:
        connection.settimeout(timeout_s)
        _connect(connection, path, deadline)
        try:
            connection.sendall(encoded(request))
            line = _line(connection, deadline)
        except TimeoutError as exc:
            raise Retry(OPS_NO_ANSWER, f"no answer within {timeout_s:g} s", socket=str(path)) from exc
        except OSError as exc:
            raise Retry(OPS_NO_ANSWER, f"the connection broke: {exc.strerror}", socket=str(path)) from exc
    try:
        response = msgspec.json.decode(line, type=Response)
    except msgspec.DecodeError as exc:
        found = "the connection ended" if not line else f"the answer cannot be read: {exc}"
        raise Retry(OPS_NO_ANSWER, found, socket=str(path)) from exc
    # The raw data would keep the whole line alive and unusable once it is gone; a copy owns its bytes.
    return msgspec.structs.replace(response, data=response.data.copy())


def _connect(connection: socket.socket, path: Path, deadline: float) -> None:
    try:
        with address(path) as name:
            while True:
                try:
                    connection.connect(name)
                    return
                except BlockingIOError:  # more clients wait than the daemon has taken yet
                    if time.monotonic() >= deadline:
                        raise TimeoutError from None
                    time.sleep(_CONNECT_AGAIN_S)
    except PermissionError as exc:
        raise Refuse(OPS_NOT_ALLOWED, "the control socket is not yours to open", socket=str(path)) from exc
    except TimeoutError as exc:
        raise Retry(OPS_NO_ANSWER, "nobody took the connection in time", socket=str(path)) from exc
    except OSError as exc:
        raise Retry(OPS_NOT_RUNNING, "nobody listens at the control socket", socket=str(path)) from exc


def _line(connection: socket.socket, deadline: float) -> bytes:
    """Everything up to a line break; empty when the connection ends before it."""
    parts: list[bytes] = []
    size = 0
    while size <= MAX_ANSWER_BYTES:
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        part = connection.recv(1 << 16)
        if not part:
            return b""
        parts.append(part)
        size += len(part)
        if part.endswith(b"\n"):
            return b"".join(parts)
    return b""
