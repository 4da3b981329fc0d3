"""The daemon's end of the control socket. It reads, checks and answers; what a request does is up to the handler.

Whoever may open the socket (mode 0660: owner and group) may ask everything; the handler is told the uid of the peer as
the kernel knows it. A client that is slow, sends rubbish or goes away costs one connection and nothing else; whatever a
request makes the handler raise ends with that request. Nobody can crowd out an emergency stop: when all places are
taken, the client that has been silent longest makes room, and where all are being served, a late-comer is still heard
if that is what it asks for.
"""

from __future__ import annotations

import socket
import stat
import struct
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec
import structlog
import trio

from components.model.errors import BasisError, Fault, InvalidInput, Severity, Stop, catalogued
from daemon.control.commands import URGENT, Request, Response, refusal
from daemon.control.protocol import MAX_REQUEST_BYTES, address, encoded, parse_request
from daemon.errors import OPS_BUSY, OPS_FAILED, OPS_MALFORMED, OPS_REFUSED, short

OPS_SOCKET = catalogued(
    "OPS-008",
    Severity.ERROR,
    "The control socket cannot be opened",
    "Stop the other daemon, or use another state directory",
)
MODE = 0o660
BACKLOG = 1024  # clients that connect at once and wait to be taken; the system may allow fewer
log = structlog.get_logger()
_LONGEST_REASON = 300
Handler = Callable[[Request, int], Awaitable[Response]]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of process time, and how many clients at once. After `handle_s` the handler is cancelled."""

    request_s: float = 10.0
    answer_s: float = 5.0
    handle_s: float = 60.0
    connections: int = 16
    late_s: float = 1.0  # how long a late-comer has to say what it wants
    late_comers: int = 128


DEFAULT_LIMITS = Limits()


class Statistics(msgspec.Struct, frozen=True):
    connections: int
    requests: int
    refused: int
    failed: int
    evicted: int


class _Client:
    """One connection: silent since when, None while it is served."""

    def __init__(self) -> None:
        self.silent_since: float | None = trio.current_time()
        self.scope = trio.CancelScope()


class ControlServer:
    """`handler` answers checked requests. A BasisError from it is a refusal; any other error is answered as OPS-012 and
    logged, and ends nothing else."""

    def __init__(self, path: Path, handler: Handler, limits: Limits = DEFAULT_LIMITS) -> None:
        self._path = path
        self._handler = handler
        self._limits = limits
        self._clients: set[_Client] = set()
        self._late_comers = 0
        self._requests = 0
        self._refused = 0
        self._failed = 0
        self._evicted = 0

    def statistics(self) -> Statistics:
        return Statistics(
            len(self._clients) + self._late_comers, self._requests, self._refused, self._failed, self._evicted
        )

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serves until cancelled. Started once clients can connect; Stop OPS-008 when another daemon answers there."""
        listening = _bound(self._path)
        mine = self._path.stat().st_ino
        try:
            listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
            await trio.serve_listeners(self._serve, [listener], task_status=_Started(task_status))
        finally:
            with suppress(FileNotFoundError):
                if self._path.stat().st_ino == mine:
                    self._path.unlink()

    async def _serve(self, stream: trio.SocketStream) -> None:
        try:
            async with stream:
                if len(self._clients) < self._limits.connections or self._evict():
                    await self._converse(stream)
                else:
                    await self._hear_late_comer(stream)
        except Exception as error:  # the edge around a connection
            self._failed += 1
            log.error("control.connection_failed", error=short(error), exc_info=error)

    async def _converse(self, stream: trio.SocketStream) -> None:
        uid = _peer_uid(stream)
        lines = _Lines(stream, self._limits, self._limits.request_s)
        client = _Client()
        self._clients.add(client)
        try:
            while True:
                client.silent_since = trio.current_time()
                with trio.CancelScope() as client.scope:
                    line = await lines.receive()
                if client.scope.cancelled_caught:
                    await lines.send(_no(OPS_BUSY, "another client needed the place; connect again"))
                    return
                if line is None:
                    return
                client.silent_since = None
                if not await lines.send(await self._answer(line, uid)) or lines.broken:
                    return
        finally:
            self._clients.discard(client)

    def _evict(self) -> bool:
        """Lets the client go that has been silent longest; False when all are being served."""
        silent = [client for client in self._clients if client.silent_since is not None]
        if not silent:
            return False
        longest = min(silent, key=lambda client: client.silent_since or 0.0)
        self._clients.discard(longest)
        longest.scope.cancel()
        self._evicted += 1
        return True

    async def _hear_late_comer(self, stream: trio.SocketStream) -> None:
        """One request of a client for whom there is no place: done when it is urgent, refused otherwise."""
        busy = _no(OPS_BUSY, "too many clients at once; try again")
        if self._late_comers >= self._limits.late_comers:
            return
        self._late_comers += 1
        try:
            lines = _Lines(stream, self._limits, self._limits.late_s)
            line = await lines.receive()
            if isinstance(line, bytes) and _is_urgent(line):
                await lines.send(await self._answer(line, _peer_uid(stream)))
            elif line is not None:
                await lines.send(busy)
        finally:
            self._late_comers -= 1

    async def _answer(self, line: bytes | Fault, uid: int) -> Response:
        self._requests += 1
        id = ""
        try:
            if isinstance(line, Fault):
                raise InvalidInput(OPS_MALFORMED, [line])
            request = parse_request(line)
            id = request.id
            response = _no(OPS_REFUSED, f"no answer within {self._limits.handle_s:g} s; see what became of it")
            with trio.move_on_after(self._limits.handle_s):
                response = await self._handler(request, uid)
        except BasisError as error:
            response = refusal(error)
        except Exception as error:  # the edge around a request
            self._failed += 1
            what = short(error)[:_LONGEST_REASON]
            log.error("control.request_failed", error=what, exc_info=error)
            response = _no(OPS_FAILED, f"the request failed inside the daemon, which goes on: {what}")
        if not response.ok:
            self._refused += 1
        return msgspec.structs.replace(response, id=id)


class _Lines:
    """Lines over a stream, with a limit on their size and on the time they take."""

    def __init__(self, stream: trio.SocketStream, limits: Limits, request_s: float) -> None:
        self._stream = stream
        self._limits = limits
        self._request_s = request_s
        self._pending = b""
        self.broken = False  # what comes after a fault cannot be told apart from its rest

    async def receive(self) -> bytes | Fault | None:
        """The next line; a fault when it is too long or does not end; None when the client is done."""
        with trio.move_on_after(self._request_s):
            while b"\n" not in self._pending:
                if len(self._pending) > MAX_REQUEST_BYTES:
                    return self._fault(f"more than {MAX_REQUEST_BYTES} bytes", "a shorter request")
                try:
                    received = await self._stream.receive_some(MAX_REQUEST_BYTES)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    return None
                if not received:
                    return self._fault("an end without a line break", "one line") if self._pending else None
                self._pending += received
            line, _, self._pending = self._pending.partition(b"\n")
            return line if len(line) <= MAX_REQUEST_BYTES else self._fault(f"{len(line)} bytes", "a shorter request")
        if self._pending:
            return self._fault(f"no line break within {self._request_s:g} s", "one line")
        return None

    async def send(self, response: Response) -> bool:
        """False when the client does not take it."""
        with trio.move_on_after(self._limits.answer_s):
            try:
                await self._stream.send_all(encoded(response))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return False
            return True
        return False

    def _fault(self, found: str, expected: str) -> Fault:
        self.broken = True
        return Fault(where="request", found=found, expected=expected)


class _Started(trio.TaskStatus[object]):
    """Says "started" without the listeners."""

    def __init__(self, status: trio.TaskStatus[None]) -> None:
        self._status = status

    def started(self, value: object = None) -> None:
        self._status.started()


def _bound(path: Path) -> socket.socket:
    """A listening socket at `path`, with its mode set before anybody can connect."""
    with ExitStack() as unless_it_works:
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        unless_it_works.enter_context(listening)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _make_room(path)
            with address(path) as name:
                listening.bind(name)
                path.chmod(MODE)
                listening.listen(BACKLOG)
        except OSError as exc:
            raise Stop(OPS_SOCKET, f"{exc.strerror or exc}", socket=str(path)) from exc
        unless_it_works.pop_all()
    return listening


def _make_room(path: Path) -> None:
    """Removes a socket nobody answers at; Stop when somebody does, or when it is no socket."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise Stop(OPS_SOCKET, "there is a file that is no socket", socket=str(path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, address(path) as name:
        try:
            probe.connect(name)
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
    raise Stop(OPS_SOCKET, "another daemon answers there", socket=str(path))


def _is_urgent(line: bytes) -> bool:
    try:
        return parse_request(line).kind in URGENT
    except BasisError:
        return False


def _peer_uid(stream: trio.SocketStream) -> int:
    credentials = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])


def _no(code: str, message: str) -> Response:
    return Response(ok=False, code=code, message=f"{code}: {message}")
