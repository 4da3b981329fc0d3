"""What systemd hears, over a real datagram socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.process.notify import Notifier


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(2)
        yield sock


def to(sock: socket.socket, **environ: str) -> Notifier:
    return Notifier({"NOTIFY_SOCKET": sock.getsockname(), **environ}, monotonic_ns=lambda: 5_000_111)


def test_a_life_is_told_in_order(systemd: socket.socket) -> None:
    notifier = to(systemd, WATCHDOG_USEC="30000000")
    assert notifier.ready("3 strategies\nrunning") and notifier.status("btc: paused") and notifier.feed()
    assert notifier.reloading() and notifier.ready() and notifier.stopping("2 orders in flight") and notifier.extend(5)
    heard = [systemd.recv(4096).decode() for _ in range(7)]
    ready = f"READY=1\nMAINPID={os.getpid()}"
    assert heard == [
        f"{ready}\nSTATUS=3 strategies running",
        "STATUS=btc: paused",
        "WATCHDOG=1",
        "RELOADING=1\nMONOTONIC_USEC=5000",
        ready,
        "STOPPING=1\nSTATUS=2 orders in flight",
        "EXTEND_TIMEOUT_USEC=5000000",
    ]
    assert notifier.statistics() == {"sent": 7, "failed": 0}


def test_an_abstract_address_begins_with_an_at_sign() -> None:
    name = f"basisd-notify-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name)
        sock.settimeout(2)
        assert Notifier({"NOTIFY_SOCKET": "@" + name}).status("here")
        assert sock.recv(100) == b"STATUS=here"


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}])
def test_without_a_socket_nothing_is_sent_and_nothing_fails(environ: dict[str, str]) -> None:
    notifier = Notifier(environ)
    assert not notifier.enabled and not notifier.ready() and not notifier.status("x")
    assert notifier.statistics() == {"sent": 0, "failed": 0}


def test_a_socket_that_is_gone_full_or_absurd_never_raises(systemd: socket.socket, tmp_path: Path) -> None:
    gone = Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    absurd = Notifier({"NOTIFY_SOCKET": "/" + "x" * 200})
    assert not gone.ready() and not absurd.ready() and gone.failed == absurd.failed == 1
    full = to(systemd)
    while full.status("x" * 1000):
        assert full.sent < 100_000
    assert full.failed == 1


@pytest.mark.parametrize(
    ("environ", "every_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "77"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "78"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_PID": "77"}, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_it_asks(environ: dict[str, str], every_s: float | None) -> None:
    assert Notifier(environ, pid=77).feed_every_s == every_s


def test_a_watchdog_of_another_process_is_not_fed(systemd: socket.socket) -> None:
    notifier = to(systemd, WATCHDOG_USEC="1000000", WATCHDOG_PID="1")
    assert not notifier.feed() and notifier.sent == 0
