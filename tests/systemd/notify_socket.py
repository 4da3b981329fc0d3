"""The service manager's end of sd_notify: a datagram socket that a process under test finds in NOTIFY_SOCKET.

    with NotifySocket() as manager:
        process = subprocess.Popen([...], env=os.environ | manager.environment(watchdog_s=2))
        ready = manager.wait_for("READY", "1", within_s=20)
        assert ready["STATUS"].startswith("trading")

Datagrams keep their order, so waiting for one message collects those before it in `messages`. Nothing polls: a wait
ends when the message is there or its time is over.
"""

from __future__ import annotations

import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

LARGEST = 65536
Message = dict[str, str]


class Silence(AssertionError):
    """The message did not come in time; says what came instead."""


class NotifySocket:
    """Bound at construction; `close` (or the end of the with block) removes it. `abstract` binds an @ address."""

    def __init__(self, *, abstract: bool = False) -> None:
        # Not below tmp_path: an address of this family has 107 bytes at most, and pytest's folders have long names.
        self._folder = Path(tempfile.mkdtemp(prefix="notify-"))
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = str(self._folder / "socket")
        self._socket.bind(f"\0{path}" if abstract else path)
        self.address = f"@{path}" if abstract else path
        self.messages: list[Message] = []

    def __enter__(self) -> NotifySocket:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()
        shutil.rmtree(self._folder)

    def environment(self, *, watchdog_s: float | None = None) -> dict[str, str]:
        """What systemd adds to the environment of a Type=notify service, but for WATCHDOG_PID, which is optional."""
        watchdog = {} if watchdog_s is None else {"WATCHDOG_USEC": str(round(watchdog_s * 1e6))}
        return {"NOTIFY_SOCKET": self.address} | watchdog

    def receive(self, within_s: float) -> Message | None:
        """The next message, or None when none came."""
        self._socket.settimeout(max(within_s, 1e-6))
        try:
            data = self._socket.recv(LARGEST)
        except TimeoutError:
            return None
        message = parse(data.decode())
        self.messages.append(message)
        return message

    def wait_for(self, key: str, value: str | None = None, *, within_s: float) -> Message:
        """The next message that has `key` (with this value); Silence with everything heard when it does not come."""
        for message in self._until(time.monotonic() + within_s):
            if key in message and value in (None, message[key]):
                return message
        wanted = key if value is None else f"{key}={value}"
        raise Silence(f"no {wanted} within {within_s} s; heard {self.messages}")

    def collect(self, seconds: float) -> list[Message]:
        """Every message that comes in this time."""
        return list(self._until(time.monotonic() + seconds))

    def _until(self, deadline: float) -> Iterator[Message]:
        while (left := deadline - time.monotonic()) > 0:
            message = self.receive(left)
            if message is None:
                return
            yield message


def parse(text: str) -> Message:
    """`READY=1\\nSTATUS=a=b` as {"READY": "1", "STATUS": "a=b"}; a line without = is an error, as it means nothing."""
    pairs = [line.partition("=") for line in text.splitlines() if line]
    for key, equals, _ in pairs:
        if not equals:
            raise ValueError(f"{key!r} in {text!r} is no KEY=VALUE")
    return {key: value for key, _, value in pairs}
