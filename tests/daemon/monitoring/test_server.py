"""Requests as bytes over loopback, and what comes back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from components.model.errors import InvalidInput
from daemon.config.secrets import Secret
from daemon.monitoring.health import Health
from daemon.monitoring.metrics import Metrics
from daemon.monitoring.server import HEAD_LIMIT, MetricsServer, Rejected, parse_head, read_token
from daemon.replica import CellState
from tests.daemon.one_cell import HandClock, running

TOKEN = Secret("token-0123456789abcdef")
Ask = Callable[..., Awaitable[tuple[int, str, bytes]]]


class Desk:
    """A server on a free port, and a client that speaks bytes."""

    def __init__(self, **settings: object) -> None:
        self.clock = HandClock()
        self.metrics = Metrics(now=self.clock)
        self.health = Health(self.clock)
        self.server = MetricsServer(self.metrics, self.health, **settings)  # type: ignore[arg-type]
        self.port = 0

    def run(self, play: Callable[[Desk], Awaitable[None]]) -> None:
        async def main() -> None:
            with trio.fail_after(10):
                async with trio.open_nursery() as nursery:
                    _, self.port = await nursery.start(self.server.serve, "127.0.0.1", 0)
                    await play(self)
                    nursery.cancel_scope.cancel()

        trio.run(main)

    async def send(self, request: bytes) -> tuple[int, str, bytes]:
        """Status, head and body of the answer."""
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        async with stream:
            await stream.send_all(request)
            received = b"".join([chunk async for chunk in stream])
        head, _, body = received.partition(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}\r\n".encode() in head + b"\r\n"
        return int(head.split()[1]), head.decode(), body

    async def get(self, path: str, *headers: str, method: str = "GET") -> tuple[int, str, bytes]:
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
        return await self.send(("\r\n".join(lines) + "\r\n\r\n").encode())


def test_metrics_are_served_on_loopback_without_a_token() -> None:
    async def play(desk: Desk) -> None:
        desk.metrics.publish(running())
        code, head, body = await desk.get("/metrics?x=1")
        assert code == 200 and b'basis_equity_usd{share_class="USDT",strategy="btc"} 101000.0' in body
        assert "Content-Type: text/plain; version=0.0.4" in head and "Connection: close" in head
        _, _, body = await desk.get("/metrics")
        assert b'basis_http_requests_total{code="200",method="GET",route="/metrics"} 1.0' in body

    Desk().run(play)


def test_with_a_token_metrics_ask_for_it_and_health_does_not() -> None:
    async def play(desk: Desk) -> None:
        for headers in ([], ["Authorization: Bearer wrong"], ["Authorization: Basic " + TOKEN.reveal()]):
            code, head, body = await desk.get("/metrics", *headers)
            assert code == 401 and 'WWW-Authenticate: Bearer realm="metrics"' in head and b"basis_" not in body
        code, _, body = await desk.get("/metrics", f"authorization: bearer {TOKEN.reveal()}")
        assert code == 200 and b"basis_http_requests_total" in body and TOKEN.reveal().encode() not in body
        assert (await desk.get("/health"))[0] == (await desk.get("/ready"))[0] == 200

    Desk(token=TOKEN).run(play)


def test_health_and_readiness_say_yes_or_no_and_no_more() -> None:
    async def play(desk: Desk) -> None:
        desk.health.publish(running("secret-strategy", state=CellState.FAILED, reason="secret-reason"))
        assert await _said(desk, "/health") == (200, b"ok\n")
        assert await _said(desk, "/ready") == (503, b"unavailable\n")
        desk.health.loop_lag(9.0)
        assert await _said(desk, "/health") == (503, b"unavailable\n")

    Desk().run(play)


async def _said(desk: Desk, path: str) -> tuple[int, bytes]:
    code, head, body = await desk.get(path)
    assert "secret" not in head
    return code, body


def test_other_paths_and_methods_are_refused() -> None:
    async def play(desk: Desk) -> None:
        assert (await desk.get("/"))[0] == (await desk.get("/metrics/"))[0] == (await desk.get("/%6detrics"))[0] == 404
        for method in ("POST", "HEAD", "DELETE", "OPTIONS"):
            code, head, _ = await desk.get("/metrics", method=method)
            assert code == 405 and "Allow: GET" in head
        body = desk.metrics.render()
        assert b'route="other"' in body and b"%6d" not in body and b'method="DELETE"' not in body

    Desk().run(play)


@pytest.mark.parametrize(
    ("head", "code"),
    [
        (b"GET /metrics HTTP/1.1", 400),  # no Host
        (b"GET /metrics HTTP/2.0\r\nHost: x", 400),
        (b"GET metrics HTTP/1.1\r\nHost: x", 400),
        (b"GET http://x/metrics HTTP/1.1\r\nHost: x", 400),
        (b"GET  /metrics HTTP/1.1\r\nHost: x", 400),
        (b"get /metrics HTTP/1.1\r\nHost: x", 400),
        (b"GET /m\x00 HTTP/1.1\r\nHost: x", 400),
        (b"GET /metrics HTTP/1.1\nHost: x", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nHost: y", 400),
        (b"GET /metrics HTTP/1.1\r\nHost : x", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\n folded", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nX: a\x07b", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nX: a\nInjected: b", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5", 413),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0, 5", 413),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked", 413),
        (b"GET /" + b"a" * 1100 + b" HTTP/1.1\r\nHost: x", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: x" + b"".join(b"\r\nX%d: y" % n for n in range(70)), 431),
        (b"", 400),
    ],
)
def test_an_odd_head_is_rejected(head: bytes, code: int) -> None:
    with pytest.raises(Rejected) as caught:
        parse_head(head)
    assert caught.value.code == code


def test_a_plain_head_is_read() -> None:
    request = parse_head(b"GET /metrics?a=b HTTP/1.1\r\nHost: localhost:1\r\nAccept:  */* \r\nX-Empty:")
    assert (request.method, request.path) == ("GET", "/metrics")
    assert request.headers == {"host": "localhost:1", "accept": "*/*", "x-empty": ""}
    assert parse_head(b"GET /health HTTP/1.0").headers == {}


def test_a_request_may_come_in_pieces_and_must_come_to_an_end() -> None:
    async def play(desk: Desk) -> None:
        stream = await trio.open_tcp_stream("127.0.0.1", desk.port)
        async with stream:
            for piece in (b"GET /hea", b"lth HTTP/1.1\r\nHost: x\r", b"\n\r", b"\n"):
                await stream.send_all(piece)
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
        assert (await desk.send(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * (HEAD_LIMIT - 20)))[0] in (408, 431)
        assert (await desk.send(b"GET /health HTTP/1.1\r\nHost:"))[0] == 408

    Desk(head_timeout_s=0.05).run(play)


def test_too_many_connections_are_turned_away() -> None:
    async def play(desk: Desk) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", desk.port) as first:
            await first.send_all(b"GET /health HTTP/1.1\r\n")
            while desk.server.statistics()["open"] < 1:
                await trio.lowlevel.checkpoint()
            code, head, _ = await desk.get("/health")
            assert code == 503 and "Retry-After: 1" in head and desk.server.turned_away == 1
            await first.send_all(b"Host: x\r\n\r\n")
            assert (await first.receive_some()).startswith(b"HTTP/1.1 200")
        while desk.server.statistics()["open"]:
            await trio.lowlevel.checkpoint()
        assert (await desk.get("/health"))[0] == 200

    Desk(connections=1).run(play)


def test_a_peer_that_leaves_in_the_middle_harms_nobody() -> None:
    async def play(desk: Desk) -> None:
        for part in (b"", b"GET /metrics HTTP/1.1\r\nHo", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"):
            stream = await trio.open_tcp_stream("127.0.0.1", desk.port)
            await stream.send_all(part)
            await stream.aclose()
        assert (await desk.get("/health"))[0] == 200

    Desk().run(play)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.org"])
def test_without_a_token_only_loopback_is_served(host: str) -> None:
    desk = Desk()
    with pytest.raises(InvalidInput, match="or a token file"):
        trio.run(desk.server.serve, host, 0)


def test_a_token_file_holds_one_token(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(TOKEN.reveal() + "\n")
    assert read_token(path) == TOKEN
    for text in ("", "short", "two words that are long enough", "é" * 20):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InvalidInput) as caught:
            read_token(path)
        assert text == "" or text not in str(caught.value)
    with pytest.raises(InvalidInput, match="FileNotFoundError"):
        read_token(tmp_path / "absent")
