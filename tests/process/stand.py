"""A venue process that survives, and daemons that come and go on one state directory."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import trio

from daemon.control.client import ask
from daemon.control.commands import Request
from daemon.control.protocol import SOCKET
from daemon.journal.reader import journals, verify
from daemon.recorded.proof import Result, prove
from daemon.state.disk import RealDisk
from tests.process.daemon_under_test import configured, venues_file
from venues.paper.door.faults import Fault
from venues.paper.remote.client import RemoteAccount
from venues.paper.truth import Truth

ROOT = Path(__file__).resolve().parents[2]
READY_S = 20.0


class Still:
    """A clock that tells the venues nothing."""

    def now(self) -> int:
        return 0

    async def sleep_until(self, at: int) -> None:
        await trio.lowlevel.checkpoint()


class Stand:
    """Context manager: everything it started is gone at its end."""

    def __init__(
        self, folder: Path, *, ids: tuple[str, ...] = ("btc-basis",), speed: float = 1200.0, latency: float = 0.002
    ) -> None:
        self.state = folder / "state"
        self.ids = ids
        self.speed = speed
        self._latency = latency
        self._socket = str(folder / "venues.sock")
        self._file = folder / "venues.config"
        self.venues: subprocess.Popen[bytes] | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder / "log"
        self.address: tuple[str, int] | None = None

    def __enter__(self) -> Stand:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        from tests.process import daemon_under_test

        daemon_under_test.SLOW = msgspec.structs.replace(daemon_under_test.SLOW, latency_s=self._latency)
        venues_file(self._file, configured(self.state, self.speed, self.ids))
        command = [
            sys.executable,
            "-m",
            "venues.paper.remote.server",
            "--socket",
            self._socket,
            "--config",
            str(self._file),
        ]
        self.venues = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + READY_S
        while not Path(self._socket).exists():
            assert time.monotonic() < until, "the venue process does not come up"
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        self._retire()
        if self.venues is not None:
            self.venues.kill()
            self.venues.wait()

    def start(self, *, kill_at: str = "", environ: dict[str, str] | None = None) -> bool:
        """Starts a daemon; False when it died before it was ready."""
        command = [
            sys.executable, "-m", "tests.process.daemon_under_test",
            str(self.state), self._socket, str(self.speed), ",".join(self.ids),
        ]  # fmt: skip
        words = {
            **os.environ,
            "STAND_LATENCY_S": str(self._latency),
            **(environ or {}),
            **({"BASIS_TEST_KILL_AT": kill_at} if kill_at else {}),
        }
        self._retire()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, env=words)
        line = self._line(READY_S)
        if line.startswith("ready"):
            host, port = re.findall(r"[0-9.]+", line)
            self.address = (host, int(port))
        return line.startswith("ready")

    def _retire(self) -> None:
        """The daemon before this one: gone, and its pipe closed."""
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()
            if self.process.stdout is not None:
                self.process.stdout.close()

    def _line(self, within_s: float) -> str:
        assert self.process is not None and self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], within_s)
        return self.process.stdout.readline().decode() if ready else ""

    def died(self, within_s: float) -> bool:
        """Waits for the end by its own hand."""
        assert self.process is not None
        try:
            return self.process.wait(within_s) == -signal.SIGKILL
        except subprocess.TimeoutExpired:
            return False

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self, within_s: float = 20.0) -> tuple[int, str]:
        """SIGTERM; the exit code and the last line."""
        assert self.process is not None and self.process.stdout is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(within_s)
        return code, self.process.stdout.read().decode().strip()

    def ask(self, kind: str, strategy: str | None = None, *, key: str = "", **words: str) -> Any:
        response = ask(self.state / SOCKET, Request(kind=kind, strategy=strategy, arguments=words, key=key))
        assert response.ok, response.message
        return msgspec.json.decode(response.data)

    def wait_for(self, what: Any, within_s: float = 15.0) -> Any:
        """Polls status until `what(replicas by strategy)` is true; the replicas."""
        until = time.monotonic() + within_s
        while True:
            replicas = {each["strategy"]: each for each in self.ask("status")}
            if what(replicas):
                return replicas
            assert time.monotonic() < until, {k: (v["state"], v["reason"], v["withheld"]) for k, v in replicas.items()}
            time.sleep(0.1)

    def truth(self, strategy: str) -> Truth:
        async def question() -> Truth:
            return await RemoteAccount(self._socket, strategy, Still()).truth()

        return trio.run(question)

    def fault(self, strategy: str, fault: Fault) -> None:
        async def add() -> None:
            await RemoteAccount(self._socket, strategy, Still()).add_fault(fault)

        trio.run(add)

    def proofs(self) -> dict[str, Result]:
        """Every journal verified, every recorded run repeated."""
        disk = RealDisk()
        for journal in journals(disk, self.state):
            found = verify(disk, journal)
            assert found.ok, (journal.name, found.reason)
        return {name: prove(self.state / "strategies" / name / "journal") for name in self.ids}
