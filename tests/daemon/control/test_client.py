"""The blocking client: what it says when nobody, somebody slow, or somebody strange is at the other end."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from components.model.errors import BasisError, InvalidInput, Retry
from daemon.control.client import OPS_NO_ANSWER, OPS_NOT_RUNNING, ask, socket_of
from daemon.control.commands import Request, answer
from daemon.control.protocol import encoded
from daemon.state.lock import Holder, held, state_lock
from tests.daemon.control.daemons import running

PING = Request(kind="ping")


def test_an_answer_of_some_megabytes_arrives_whole(tmp_path: Path) -> None:
    rows = [{"n": i, "text": "x" * 100} for i in range(20_000)]
    with running(tmp_path, {"events": answer(rows, market_now=5)}):
        response = ask(socket_of(tmp_path), Request(kind="events", arguments={"limit": "10"}))
    assert msgspec.json.decode(response.data) == rows
    assert response.market_now == 5


@pytest.mark.parametrize("is_stale", [False, True])
def test_nobody_there(tmp_path: Path, is_stale: bool) -> None:
    path = tmp_path / "control.sock"
    if is_stale:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
    with pytest.raises(BasisError) as caught:
        ask(path, PING)
    assert caught.value.code == OPS_NOT_RUNNING
    assert "basis run" in str(caught.value)


def test_who_finds_a_crowd_waits_for_a_place(tmp_path: Path) -> None:
    """The backlog is full when it comes; a place is free a moment later, and for the next one never."""
    path = tmp_path / "c.sock"
    with socket.socket(socket.AF_UNIX) as listening, ExitStack() as crowd:
        listening.bind(str(path))
        listening.listen(0)
        first = crowd.enter_context(socket.socket(socket.AF_UNIX))
        first.connect(str(path))

        def takes() -> None:
            time.sleep(0.2)
            listening.accept()[0].close()
            taken, _ = listening.accept()
            taken.recv(1 << 16)
            taken.sendall(encoded(answer("here")))
            taken.close()

        thread = threading.Thread(target=takes)
        thread.start()
        assert ask(path, Request(kind="ping"), timeout_s=5.0).ok
        thread.join()
        crowd.enter_context(socket.socket(socket.AF_UNIX)).connect(str(path))
        with pytest.raises(Retry, match="OPS-002: nobody took the connection in time"):
            ask(path, Request(kind="ping"), timeout_s=0.3)


def test_silence_ends_in_time(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        began = time.monotonic()
        with pytest.raises(BasisError) as caught:
            ask(path, PING, timeout_s=0.1)
    assert caught.value.code == OPS_NO_ANSWER
    assert time.monotonic() - began < 2.0


@pytest.mark.parametrize("said", [b"", b"half an ans", b"hello\n", b'{"ok": 1}\n'])
def test_what_cannot_be_read_is_no_answer(tmp_path: Path, said: bytes) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as strange:
        strange.bind(str(path))
        strange.listen()

        def talk() -> None:
            connection, _ = strange.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(said)

        thread = threading.Thread(target=talk)
        thread.start()
        with pytest.raises(BasisError) as caught:
            ask(path, PING, timeout_s=2.0)
        thread.join()
    assert caught.value.code == OPS_NO_ANSWER


def test_a_malformed_request_is_not_sent(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        with pytest.raises(InvalidInput):
            ask(socket_of(tmp_path), Request(kind="deposit", strategy="a", arguments={"amount": "nan"}, key="k"))
        assert daemon.asked == []


def test_the_lock_says_where_the_socket_is(tmp_path: Path) -> None:
    assert socket_of(tmp_path) == tmp_path / "control.sock"
    with held(state_lock(tmp_path), Holder(pid=1, started="now", socket="/run/basisd/c.sock"), "state"):
        assert socket_of(tmp_path) == Path("/run/basisd/c.sock")
    assert socket_of(tmp_path) == tmp_path / "control.sock"
