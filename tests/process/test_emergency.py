"""An emergency stop of the real process: at the speed of real venues, with nobody to hear it, and through a crowd."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from daemon.control.protocol import SOCKET
from daemon.state.latch import Latches, Phase
from tests.process.real import BASIS, ROOT, Daemon, basis, daemon_file

ALL = ("lending", "btc-basis", "eth-leveraged", "market-neutral")
NEUTRAL = "market-neutral"


def phases(state: Path) -> dict[str, str]:
    latches = Latches(state)
    return {name: latch.phase.value for name in ALL if (latch := latches.of(name)) is not None}


def wait_for_flat(state: Path, within_s: float) -> None:
    until = time.monotonic() + within_s
    while phases(state) != dict.fromkeys(ALL, "flat"):
        assert time.monotonic() < until, {name: Latches(state).of(name) for name in ALL}
        time.sleep(0.2)


def test_at_the_speed_of_real_venues_it_is_closing_and_says_what_it_awaits(tmp_path: Path) -> None:
    config = daemon_file(tmp_path)
    state = tmp_path / "state"
    with Daemon(tmp_path, config, speed=1.0) as daemon:
        daemon.ready()
        daemon.wait_for(lambda all: all[NEUTRAL]["trades"] >= 4, 90.0)
        plan = basis("emergency-stop", NEUTRAL, "--plan", "--state", str(state), "-o", "json")
        assert {row["verb"] for row in json.loads(plan.stdout)} >= {"transfer", "spot", "perp"}, (
            "not the first group only"
        )
        told = basis("emergency-stop", "--reason", "a test", "--state", str(state))
        assert told.returncode == 0
        assert f"{NEUTRAL} awaits" in told.stdout and "transit:BaseToken:ETH" in told.stdout
        until = time.monotonic() + 120.0
        while phases(state)["lending"] != "flat":
            assert time.monotonic() < until, "a transaction takes two blocks of twelve seconds"
            time.sleep(0.5)
        assert phases(state)[NEUTRAL] == "closing", "its coins travel for twenty minutes, and its shorts stand"
        replica = daemon.ask("status", NEUTRAL)[0]
        assert replica["phase"] == "closing"
        assert {each["kind"] for each in replica["awaited"]} == {"position", "transfer"}
        refused = basis("resume", NEUTRAL, "--yes", "--state", str(state))
        assert refused.returncode == 5 and "awaits" in refused.stderr
        os.kill(daemon.process.pid, signal.SIGKILL)
        daemon.process.wait()
    flatten = basis(
        "safety",
        "flatten",
        NEUTRAL,
        "--yes",
        "--wait",
        "0",
        "--config",
        str(config),
        "--state",
        str(state),
        "-o",
        "json",
    )
    assert flatten.returncode == 6, flatten.stderr
    (finding,) = [each for each in json.loads(flatten.stdout) if each["strategy"] == NEUTRAL]
    assert finding["action"] == "closing"
    assert any(each["kind"] == "transfer" for each in finding["awaited"])
    assert (state / "CLOSING").exists()


@contextmanager
def unheard(folder: Path, speed: float) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon whose standard output is closed and whose standard error takes nothing."""
    read, write = os.pipe()
    command = [*BASIS, "run", "--config", str(daemon_file(folder)), "--state", str(folder / "state")]
    with open("/dev/full", "wb") as full:
        process = subprocess.Popen([*command, "--speed", str(speed)], cwd=ROOT, stdout=write, stderr=full)
    os.close(write)
    os.close(read)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("way", ["command", pytest.param("signal", marks=pytest.mark.slow)])
def test_nobody_hears_it_and_it_closes_all_the_same(tmp_path: Path, way: str) -> None:
    state = tmp_path / "state"
    with unheard(tmp_path, 600.0) as process:
        until = time.monotonic() + 60.0
        while True:
            status = basis("status", "--state", str(state), "-o", "json")
            if status.returncode == 0 and all(each["trades"] for each in json.loads(status.stdout)):
                break
            assert time.monotonic() < until and process.poll() is None
            time.sleep(0.5)
        if way == "command":
            assert basis("emergency-stop", "--state", str(state)).returncode == 0
        else:
            process.send_signal(signal.SIGUSR1)
        wait_for_flat(state, 90.0)
        assert process.poll() is None
        held = json.loads(basis("positions", "--state", str(state), "-o", "json").stdout)
        assert not any("Perp" in each["key"] and each["observed"] for each in held)


def test_idle_connections_do_not_keep_it_from_closing(tmp_path: Path) -> None:
    state = tmp_path / "state"
    crowd: list[socket.socket] = []
    with Daemon(tmp_path, daemon_file(tmp_path)) as daemon:
        daemon.ready()
        daemon.wait_for(lambda all: all["btc-basis"]["trades"] >= 6)
        try:
            for _ in range(64):
                idle = socket.socket(socket.AF_UNIX)
                idle.settimeout(1.0)
                crowd.append(idle)
                with suppress(OSError):
                    idle.connect(str(state / SOCKET))
            told = basis("emergency-stop", "btc-basis", "--state", str(state))
            assert told.returncode == 0, told.stderr
            until = time.monotonic() + 60.0
            while (latch := Latches(state).of("btc-basis")) is None or latch.phase is not Phase.FLAT:
                assert time.monotonic() < until, latch
                time.sleep(0.2)
        finally:
            for idle in crowd:
                idle.close()
