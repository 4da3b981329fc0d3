"""The daemon's end of the control socket. It reads, checks and answers; what a request does is up to the handler.

Whoever may open the socket (mode 0660: owner and group) may ask everything; the handler is told the uid of the peer as
the kernel knows it. A client that is slow, sends rubbish or goes away costs one connection and nothing else.
"""

from __future__ import annotations

import socket
import stat
import struct
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec
import trio

from components.model.errors import BasisError, Fault, InvalidInput, Severity, Stop, catalogued
from daemon.control.protocol import (
    MAX_REQUEST_BYTES,
    OPS_MALFORMED,
    OPS_REFUSED,
    Request,
    Response,
    address,
    encoded,
    parse_request,
    refusal,
)

OPS_SOCKET = catalogued(
    "OPS-008",
    Severity.ERROR,
    "The control socket cannot be opened",
    "Stop the other daemon, or use another state directory",
)
MODE = 0o660
Handler = Callable[[Request, int], Awaitable[Response]]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of process time, and how many clients at once. After `handle_s` the handler is cancelled."""

    request_s: float = 10.0
    answer_s: float = 5.0
    handle_s: float = 60.0
    connections: int = 16


DEFAULT_LIMITS = Limits()


class Statistics(msgspec.Struct, frozen=True):
    connections: int
    requests: int
    refused: int


class ControlServer:
    """`handler` answers checked requests. A BasisError from it is a refusal; any other error ends `run`."""

    def __init__(self, path: Path, handler: Handler, limits: Limits = DEFAULT_LIMITS) -> None:
        self._path = path
        self._handler = handler
        self._limits = limits
        self._connections = 0
        self._requests = 0
        self._refused = 0

    def statistics(self) -> Statistics:
        return Statistics(self._connections, self._requests, self._refused)

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
        uid = _peer_uid(stream)
        lines = _Lines(stream, self._limits)
        async with stream:
            if self._connections >= self._limits.connections:
                await lines.send(_no(OPS_REFUSED, "too many clients at once; try again"))
                return
            self._connections += 1
            try:
                while (line := await lines.receive()) is not None:
                    if not await lines.send(await self._answer(line, uid)) or lines.broken:
                        return
            finally:
                self._connections -= 1

    async def _answer(self, line: bytes | Fault, uid: int) -> Response:
        self._requests += 1
        try:
            if isinstance(line, Fault):
                raise InvalidInput(OPS_MALFORMED, [line])
            request = parse_request(line)
            response = _no(OPS_REFUSED, f"no answer within {self._limits.handle_s:g} s; see what became of it")
            with trio.move_on_after(self._limits.handle_s):
                response = await self._handler(request, uid)
            response = msgspec.structs.replace(response, id=request.id)
        except BasisError as error:
            response = refusal(error)
        if not response.ok:
            self._refused += 1
        return response


class _Lines:
    """Lines over a stream, with a limit on their size and on the time they take."""

    def __init__(self, stream: trio.SocketStream, limits: Limits) -> None:
        self._stream = stream
        self._limits = limits
        self._pending = b""
        self.broken = False  # what comes after a fault cannot be told apart from its rest

    async def receive(self) -> bytes | Fault | None:
        """The next line; a fault when it is too long or does not end; None when the client is done."""
        with trio.move_on_after(self._limits.request_s):
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
            return self._fault(f"no line break within {self._limits.request_s:g} s", "one line")
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
                listening.listen(64)
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


def _peer_uid(stream: trio.SocketStream) -> int:
    credentials = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])


def _no(code: str, message: str) -> Response:
    return Response(ok=False, code=code, message=f"{code}: {message}")
