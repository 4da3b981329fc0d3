"""`basis run` as an operator starts it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import yaml

from components.model.errors import BasisError
from daemon.config.settings import PACKAGED
from daemon.control.client import ask
from daemon.control.commands import Request
from daemon.control.protocol import SOCKET

ROOT = Path(__file__).resolve().parents[2]
BASIS = [sys.executable, "-c", "from daemon.cli.main import main; main()"]


def daemon_file(folder: Path, **changes: Any) -> Path:
    """The packaged daemon file with a free metrics port and JSON logs, `changes` on top by dotted path."""
    content = yaml.safe_load((PACKAGED / "paper.yaml").read_text())
    content["market"]["start"] = str(content["market"]["start"])
    content["metrics"]["port"] = 0
    content["log"]["format"] = "json"
    content["limits"] |= {"order_grace_s": 2, "unknown_budget_s": 1, "leg_deadline_s": 2}
    for path, value in changes.items():
        *sections, key = path.split("__")
        part = content
        for section in sections:
            part = part[int(section)] if section.isdigit() else part[section]
        part[key] = value
    path = folder / "daemon.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


class Daemon:
    """Context manager around one `basis run`."""

    def __init__(
        self,
        folder: Path,
        config: Path,
        *,
        speed: float = 600.0,
        environ: dict[str, str] | None = None,
        out: int | None = None,
        err: int | None = None,
        cwd: Path = ROOT,
        under: tuple[str, ...] = (),
    ) -> None:
        """`out` and `err` are descriptors to write to, in the place of a pipe that is read and the file `log`; `under`
        is a program that starts it."""
        self.state = folder / "state"
        self.log = folder / "log"
        command = [*under, *BASIS, "run", "--config", str(config), "--state", str(self.state), "--speed", str(speed)]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=cwd,
                stdout=subprocess.PIPE if out is None else out,
                stderr=log if err is None else err,
                env={**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})},
            )
        self.told: list[str] = []

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def ready(self, within_s: float = 20.0) -> str:
        """The line `ready`, with the strategies' ids."""
        assert self.process.stdout is not None
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            there, _, _ = select.select([self.process.stdout], [], [], 0.2)
            line = self.process.stdout.readline().decode() if there else ""
            self.told.append(line)
            if line.startswith("ready"):
                return line.strip()
            if there and not line:
                break
        raise AssertionError(f"not ready: {self.log.read_text()[-2000:]}")

    def up(self, within_s: float = 60.0) -> dict[str, Any]:
        """Replicas once every strategy has decided, for a daemon whose output nobody reads."""
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            assert self.process.poll() is None, "it has ended"
            with suppress(BasisError):
                replicas = {each["strategy"]: each for each in self.ask("status")}
                if replicas and all(each["ticks"] > 1 for each in replicas.values()):
                    return replicas
            time.sleep(0.2)
        raise AssertionError("not up")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self, within_s: float = 20.0) -> int:
        """The exit code; stdout is read to its end meanwhile."""
        out, _ = self.process.communicate(timeout=within_s)
        self.told.append(out.decode())
        return self.process.returncode

    def ask(self, kind: str, strategy: str | None = None, *, key: str = "", **words: str) -> Any:
        response = ask(self.state / SOCKET, Request(kind=kind, strategy=strategy, arguments=words, key=key))
        assert response.ok, response.message
        return msgspec.json.decode(response.data)

    def wait_for(self, what: Any, within_s: float = 30.0) -> dict[str, Any]:
        """Replicas by strategy, once `what(replicas)` is true."""
        until = time.monotonic() + within_s
        while True:
            replicas = {each["strategy"]: each for each in self.ask("status")}
            if what(replicas):
                return replicas
            shown = {k: (v["state"], v["reason"], v["ticks"]) for k, v in replicas.items()}
            assert time.monotonic() < until, (shown, self.log.read_text()[-1500:])
            time.sleep(0.1)

    def logged(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


def basis(*words: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
    """One command, as a person types it."""
    return subprocess.run([*BASIS, *words], cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)
