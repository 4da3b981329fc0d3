"""Tells systemd how the daemon is: ready, status, reloading, stopping, alive.

One datagram per message to the socket in NOTIFY_SOCKET. Without one nothing is sent. Nothing here raises: a daemon does
not stop trading because nobody listens.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping

_MICROSECONDS = 1_000_000


class Notifier:
    def __init__(
        self,
        environ: Mapping[str, str] = os.environ,
        *,
        pid: int | None = None,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address if address.startswith("/") else ""
        self._monotonic_ns = monotonic_ns
        self.watchdog_s = _watchdog_s(environ, os.getpid() if pid is None else pid)
        self.sent = 0
        self.failed = 0

    @property
    def enabled(self) -> bool:
        return bool(self._address)

    @property
    def feed_every_s(self) -> float | None:
        """How often to feed: half the time the watchdog waits; None when there is no watchdog."""
        return None if self.watchdog_s is None else self.watchdog_s / 2

    def statistics(self) -> Mapping[str, int]:
        return {"sent": self.sent, "failed": self.failed}

    def ready(self, status: str = "") -> bool:
        return self._send("READY=1", f"MAINPID={os.getpid()}", *_status(status))

    def status(self, text: str) -> bool:
        return self._send(*_status(text))

    def reloading(self) -> bool:
        """To be followed by `ready` when the reload is over, whether it was taken or refused."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={self._monotonic_ns() // 1000}")

    def stopping(self, status: str = "") -> bool:
        return self._send("STOPPING=1", *_status(status))

    def feed(self) -> bool:
        """Feeds the watchdog; does nothing when there is none."""
        return self.watchdog_s is not None and self._send("WATCHDOG=1")

    def extend(self, seconds: float) -> bool:
        """Asks for more time to start or stop."""
        return self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * _MICROSECONDS)}")

    def _send(self, *lines: str) -> bool:
        """Whether the message went out. Never waits: a full socket is a failure like any other."""
        if not self._address:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.sendto("\n".join(lines).encode(), self._address)
        except (OSError, ValueError):
            self.failed += 1
            return False
        self.sent += 1
        return True


def _status(text: str) -> tuple[str, ...]:
    """One line: a newline would begin another field."""
    return (f"STATUS={' '.join(text.split())}",) if text else ()


def _watchdog_s(environ: Mapping[str, str], pid: int) -> float | None:
    """Seconds after which systemd takes a silent daemon for dead; None when it does not watch this process."""
    interval, watched = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not (interval.isascii() and interval.isdigit()) or int(interval) == 0:
        return None
    if watched and watched != str(pid):
        return None
    return int(interval) / _MICROSECONDS


__all__ = ["Notifier"]
