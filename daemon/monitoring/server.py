"""A small HTTP/1.1 server for what watches the daemon: `GET /metrics`, `GET /health`, `GET /ready`.

One request per connection, parsed strictly: what is not plainly right is refused and the connection closed. `/metrics`
asks for a bearer token when there is one, and without one only loopback addresses are served. `/health` and `/ready`
tell nothing but yes or no. Nothing here changes anything.
"""

from __future__ import annotations

import errno
import hmac
import ipaddress
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

import msgspec
import structlog
import trio

from components.model.errors import CFG_INVALID, Fault, InvalidInput, Retry, Severity, catalogued
from daemon.config.secrets import Secret
from daemon.errors import short
from daemon.monitoring.health import Health
from daemon.monitoring.metrics import CONTENT_TYPE, Metrics

log = structlog.get_logger()
OPS_METRICS = catalogued(
    "OPS-014",
    Severity.ERROR,
    "The metrics address cannot be opened",
    "It is tried again; end what listens there, or start with another metrics.port (BASIS_DAEMON__METRICS__PORT)",
)
HEAD_LIMIT = 8192  # bytes
HEADER_LIMIT = 64
HEAD_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 10.0
LINGER_S = 0.2
CONNECTIONS = 16

_REQUEST_LINE = re.compile(rb"([A-Z]{1,16}) (/[\x21-\x7e]{0,1023}) HTTP/1\.([01])")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}):[ \t]*([\x20-\x7e\t]*?)[ \t]*")
_REASONS = {
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed",
    408: "Request Timeout", 413: "Content Too Large", 431: "Request Header Fields Too Large",
    500: "Internal Server Error", 503: "Service Unavailable",
}  # fmt: skip
_ROUTES = ("/metrics", "/health", "/ready")


class Request(msgspec.Struct, frozen=True):
    """A request without a body; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]


class Answer(msgspec.Struct, frozen=True):
    code: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


class Rejected(Exception):
    """The bytes are no request we take; `code` is the HTTP status."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(code, _REASONS[code])


def parse_head(head: bytes) -> Request:
    """The request in the bytes before the empty line; `Rejected` when anything about them is odd."""
    first, *lines = head.split(b"\r\n")
    line = _REQUEST_LINE.fullmatch(first)
    if line is None:
        raise Rejected(400)
    if len(lines) > HEADER_LIMIT:
        raise Rejected(431)
    headers: dict[str, str] = {}
    for text in lines:
        match = _HEADER.fullmatch(text)
        name = match[1].decode().lower() if match else ""
        if match is None or name in headers:
            raise Rejected(400)
        headers[name] = match[2].decode()
    if line[3] == b"1" and not headers.get("host"):
        raise Rejected(400)
    if "transfer-encoding" in headers or headers.get("content-length", "0") != "0":
        raise Rejected(413)
    return Request(line[1].decode(), line[2].decode().partition("?")[0], headers)


def read_token(path: Path) -> Secret:
    """The bearer token in a file; InvalidInput when there is none that could be sent."""
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise _invalid(str(path), type(exc).__name__, "a readable file with the metrics token") from exc
    if not re.fullmatch(r"[\x21-\x7e]{16,512}", token):
        raise _invalid(str(path), f"{len(token)} characters", "one token of 16 to 512 printable characters")
    return Secret(token)


class MetricsServer:
    """Serves one `Metrics` and one `Health`. `now` returns process time in seconds."""

    def __init__(
        self,
        metrics: Metrics,
        health: Health,
        *,
        now: Callable[[], float] = trio.current_time,
        token: Secret | None = None,
        connections: int = CONNECTIONS,
        head_timeout_s: float = HEAD_TIMEOUT_S,
    ) -> None:
        self._metrics = metrics
        self._health = health
        self._now = now
        self._token = token
        self._connections = connections
        self._head_timeout_s = head_timeout_s
        self._open = 0
        self.turned_away = 0
        self.failed = 0
        self._error = ""

    def statistics(self) -> Mapping[str, int]:
        return {"open": self._open, "turned_away": self.turned_away, "failed": self.failed}

    async def serve(
        self,
        host: str = "127.0.0.1",
        port: int = 9464,
        *,
        task_status: trio.TaskStatus[tuple[str, int]] = trio.TASK_STATUS_IGNORED,
    ) -> NoReturn:
        """Serves until cancelled; reports the address when it listens (port 0 = any free one).

        InvalidInput when the address is not loopback and there is no token; Retry OPS-014 when it cannot be opened.
        """
        if self._token is None and not _is_loopback(host):
            raise _invalid("metrics address", host, "127.0.0.1 or ::1, or a token file for /metrics")
        try:
            listeners = await trio.open_tcp_listeners(port, host=host)
        except OSError as exc:
            taken = exc.errno == errno.EADDRINUSE
            why = "another program listens there, and whoever scrapes it sees that one" if taken else str(exc)
            raise Retry(OPS_METRICS, f"{host}:{port}: {why}") from exc
        address = listeners[0].socket.getsockname()
        async with trio.open_nursery() as nursery:
            await nursery.start(trio.serve_listeners, self.answer, listeners)
            task_status.started((address[0], address[1]))
        raise AssertionError("serve_listeners does not return")

    async def answer(self, stream: trio.SocketStream) -> None:
        """One connection: one request, one answer, closed. A peer that leaves is no error."""
        self._open += 1
        started = self._now()
        request: Request | None = None
        try:
            async with stream:
                if self._open > self._connections:
                    self.turned_away += 1
                    answer = Answer(503, headers=(("Retry-After", "1"),))
                else:
                    try:
                        request = await self._read(stream)
                        answer = await self._respond(request)
                    except Rejected as rejected:
                        answer = Answer(rejected.code)
                    except trio.BrokenResourceError:
                        raise
                    except Exception as error:  # the edge around a request
                        self._failed(error)
                        answer = Answer(500)
                with trio.move_on_after(ANSWER_TIMEOUT_S):
                    await stream.send_all(_written(answer))
                    if request is None:
                        await _let_go(stream)
                route = request.path if request and request.path in _ROUTES else "other"
                method = "GET" if request and request.method == "GET" else "other"
                self._metrics.http(route, method, answer.code, self._now() - started)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return
        finally:
            self._open -= 1

    def _failed(self, error: Exception) -> None:
        text = short(error)
        self.failed += 1
        if text != self._error:
            log.error("metrics.request_failed", error=text, exc_info=error)
        self._error = text

    async def _read(self, stream: trio.abc.Stream) -> Request:
        received = bytearray()
        with trio.move_on_after(self._head_timeout_s):
            while b"\r\n\r\n" not in received:
                if len(received) > HEAD_LIMIT:
                    raise Rejected(431)
                chunk = await stream.receive_some(HEAD_LIMIT)
                if not chunk:
                    raise Rejected(400)
                received += chunk
            head = bytes(received[: received.index(b"\r\n\r\n")])
            if len(head) > HEAD_LIMIT:
                raise Rejected(431)
            return parse_head(head)
        raise Rejected(408)

    async def _respond(self, request: Request) -> Answer:
        if request.path not in _ROUTES:
            return Answer(404)
        if request.method != "GET":
            return Answer(405, headers=(("Allow", "GET"),))
        if request.path == "/health":
            return _yes_or_no(bool(self._health.liveness()))
        if request.path == "/ready":
            return _yes_or_no(bool(self._health.readiness()))
        if not self._may_read(request):
            return Answer(401, headers=(("WWW-Authenticate", 'Bearer realm="metrics"'),))
        return Answer(200, await trio.to_thread.run_sync(self._metrics.render), CONTENT_TYPE)

    def _may_read(self, request: Request) -> bool:
        if self._token is None:
            return True
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.strip(), self._token.reveal())


async def _let_go(stream: trio.SocketStream) -> None:
    """Takes in what still comes of a request that was not read: closing on it would reset the answer away."""
    await stream.send_eof()
    with trio.move_on_after(LINGER_S):
        for _ in range(4):
            if not await stream.receive_some(HEAD_LIMIT):
                break


def _written(answer: Answer) -> bytes:
    body = answer.body or f"{_REASONS[answer.code]}\n".encode()
    headers = [
        ("Content-Type", answer.content_type), ("Content-Length", str(len(body))), ("Connection", "close"),
        ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"), *answer.headers,
    ]  # fmt: skip
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {answer.code} {_REASONS[answer.code]}\r\n{lines}\r\n".encode() + body


def _yes_or_no(yes: bool) -> Answer:
    return Answer(200, b"ok\n") if yes else Answer(503, b"unavailable\n")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _invalid(where: str, found: str, expected: str) -> InvalidInput:
    return InvalidInput(CFG_INVALID, [Fault(where=where, found=found, expected=expected)])


__all__ = ["Answer", "MetricsServer", "Rejected", "Request", "parse_head", "read_token"]
