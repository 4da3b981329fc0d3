"""The control server against clients that behave and clients that do not, over real sockets."""

from __future__ import annotations

import os
import socket
import sqlite3
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing

from components.model.errors import Refuse, Stop
from daemon.control.commands import Request, Response, answer
from daemon.control.protocol import MAX_REQUEST_BYTES, address, encoded
from daemon.control.server import OPS_SOCKET, ControlServer, Limits
from daemon.errors import OPS_BUSY, OPS_FAILED, OPS_MALFORMED, OPS_REFUSED, short

PING = encoded(Request(kind="ping", id="p"))


async def echo(request: Request, uid: int) -> Response:
    return answer([request.kind, uid])


@asynccontextmanager
async def serving(
    path: Path, handler: Callable[[Request, int], Awaitable[Response]] = echo, **limits: float
) -> AsyncIterator[ControlServer]:
    """A server at `path` for five seconds at most."""
    server = ControlServer(path, handler, msgspec.convert(limits, Limits))
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run)
            yield server
            nursery.cancel_scope.cancel()


async def answers(stream: trio.SocketStream, count: int = 1) -> list[Response]:
    received = b""
    while received.count(b"\n") < count:
        part = await stream.receive_some()
        if not part:
            break
        received += part
    return [msgspec.json.decode(line, type=Response) for line in received.splitlines()]


async def connect(path: Path) -> trio.SocketStream:
    return await trio.open_unix_socket(str(path))


async def test_requests_on_one_connection_are_answered_in_order_with_the_uid_of_the_peer(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    async with serving(path) as server:
        async with await connect(path) as stream:
            await stream.send_all(PING + encoded(Request(kind="dump", id="d")))
            first, second = await answers(stream, 2)
            assert (first.ok, first.id, msgspec.json.decode(first.data)) == (True, "p", ["ping", os.getuid()])
            assert (second.id, msgspec.json.decode(second.data)) == ("d", ["dump", os.getuid()])
        assert server.statistics().requests == 2


async def test_the_socket_is_for_owner_and_group_and_goes_with_the_server(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    async with serving(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert not path.exists()


async def test_a_path_longer_than_the_kernel_takes(tmp_path: Path) -> None:
    folder = tmp_path / ("a" * 90) / ("b" * 90)
    path = folder / "c.sock"
    async with serving(path):
        with address(path) as name:
            stream = await trio.open_unix_socket(name)
        async with stream:
            await stream.send_all(PING)
            assert (await answers(stream))[0].ok


async def test_a_line_in_pieces_is_one_request(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    async with serving(path), await connect(path) as stream:
        for i in range(0, len(PING), 5):
            await stream.send_all(PING[i : i + 5])
            await trio.testing.wait_all_tasks_blocked()
        assert (await answers(stream))[0].id == "p"


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (b"rubbish\n", "expected one JSON object"),
        (b"x" * (MAX_REQUEST_BYTES + 2), "expected a shorter request"),
        (b'{"kind": "ping"}', "no line break within 0.1 s"),
    ],
)
async def test_rubbish_costs_one_answer_and_the_next_client_is_served(tmp_path: Path, sent: bytes, told: str) -> None:
    path = tmp_path / "c.sock"
    async with serving(path, request_s=0.1) as server:
        async with await connect(path) as stream:
            await stream.send_all(sent)
            (response,) = await answers(stream)
            assert (response.ok, response.code) == (False, OPS_MALFORMED)
            assert told in response.message
        async with await connect(path) as stream:
            await stream.send_all(PING)
            assert (await answers(stream))[0].ok
        assert server.statistics().refused == 1


async def test_a_refusal_of_the_handler_is_an_answer(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"

    async def refuses(request: Request, uid: int) -> Response:
        raise Refuse(OPS_REFUSED, "it is closing")

    async with serving(path, refuses), await connect(path) as stream:
        await stream.send_all(PING)
        (response,) = await answers(stream)
        assert (response.ok, response.code) == (False, OPS_REFUSED)
        assert "it is closing" in response.message


async def test_a_handler_that_never_ends_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"

    async def hangs(request: Request, uid: int) -> Response:
        await trio.sleep_forever()
        raise AssertionError

    async with serving(path, hangs, handle_s=0.05), await connect(path) as stream:
        await stream.send_all(PING)
        (response,) = await answers(stream)
        assert (response.ok, response.code, response.id) == (False, OPS_REFUSED, "p")


async def test_a_handler_goes_on_when_its_client_has_left(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    gone, done = trio.Event(), trio.Event()

    async def slow(request: Request, uid: int) -> Response:
        await gone.wait()
        done.set()
        return answer("x" * 1_000_000)

    async with serving(path, slow):
        async with await connect(path) as stream:
            await stream.send_all(PING)
            await trio.testing.wait_all_tasks_blocked()
        gone.set()
        await done.wait()
        async with await connect(path) as stream:
            await stream.send_all(PING)
            assert (await answers(stream))[0].ok


STOP = encoded(Request(kind="emergency_stop", arguments={"latch": "l"}, key="l", id="e"))


async def test_the_client_that_is_silent_longest_makes_room_for_the_next(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    async with serving(path, connections=2) as server:
        async with await connect(path) as first, await connect(path) as second:
            for stream in (first, second):
                await stream.send_all(PING)
                assert (await answers(stream))[0].ok
            async with await connect(path) as third:
                await third.send_all(PING)
                assert (await answers(third))[0].ok
                (told,) = await answers(first)
                assert told.code == OPS_BUSY
            await second.send_all(PING)
            assert (await answers(second))[0].ok
        assert server.statistics().evicted == 1


@pytest.mark.parametrize("idle", [16, 500])
async def test_idle_connections_never_keep_an_emergency_stop_out(idle: int, tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    async with serving(path), AsyncExitStack() as stack:
        for _ in range(idle):
            await stack.enter_async_context(await connect(path))
        stream = await stack.enter_async_context(await connect(path))
        await stream.send_all(STOP)
        assert (await answers(stream))[0].ok


async def test_an_emergency_stop_is_heard_while_every_place_is_served_and_nothing_else_is(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    asked: list[str] = []

    async def slow(request: Request, uid: int) -> Response:
        asked.append(request.kind)
        if request.kind == "ping":
            await trio.sleep_forever()
        return answer(request.kind)

    async with serving(path, slow, connections=2, late_s=0.1), AsyncExitStack() as stack:
        for _ in range(2):
            busy = await stack.enter_async_context(await connect(path))
            await busy.send_all(PING)
        while len(asked) < 2:
            await trio.sleep(0.001)
        for sent, code in ((STOP, ""), (PING, OPS_BUSY), (b"rubbish\n", OPS_BUSY)):
            stream = await stack.enter_async_context(await connect(path))
            await stream.send_all(sent)
            assert (await answers(stream))[0].code == code
        silent = await stack.enter_async_context(await connect(path))
        assert await answers(silent) == []
    assert asked == ["ping", "ping", "emergency_stop"]


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(13, "Permission denied"),
        OSError(36, "File name too long"),
        sqlite3.OperationalError("database is locked"),
        RecursionError("maximum recursion depth exceeded"),
        ExceptionGroup("two", [ValueError("a"), KeyError("b")]),
    ],
)
async def test_whatever_a_request_raises_ends_with_that_request(error: Exception, tmp_path: Path) -> None:
    path = tmp_path / "c.sock"

    async def fails(request: Request, uid: int) -> Response:
        if request.kind == "dump":
            raise error
        return answer(request.kind)

    async with serving(path, fails) as server:
        async with await connect(path) as stream:
            await stream.send_all(encoded(Request(kind="dump", id="d")) + PING)
            first, second = await answers(stream, 2)
            assert (first.ok, first.code, first.id) == (False, OPS_FAILED, "d")
            assert short(error) in first.message and "goes on" in first.message
            assert second.ok
        assert server.statistics().failed == 1


async def test_two_thousand_brackets_are_one_malformed_request(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    async with serving(path), await connect(path) as stream:
        await stream.send_all(b"[" * 2000 + b"]" * 2000 + b"\n" + PING)
        first, second = await answers(stream, 2)
        assert (first.ok, first.code) == (False, OPS_MALFORMED)
        assert second.ok


async def test_a_socket_nobody_answers_at_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with serving(path), await connect(path) as stream:
        await stream.send_all(PING)
        assert (await answers(stream))[0].ok


async def test_a_socket_somebody_answers_at_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    async with serving(path):
        with pytest.raises(Stop) as caught:
            await ControlServer(path, echo).run()
        assert caught.value.code == OPS_SOCKET
        async with await connect(path) as stream:
            await stream.send_all(PING)
            assert (await answers(stream))[0].ok


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    path.write_text("mine")
    with pytest.raises(Stop) as caught:
        trio.run(ControlServer(path, echo).run)
    assert caught.value.code == OPS_SOCKET
    assert path.read_text() == "mine"
