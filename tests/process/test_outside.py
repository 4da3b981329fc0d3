"""What lies outside of the daemon and may fail any time: who reads its output, its clock, its clients, its files.

None of it ends the process, freezes it, or sells anything.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from components.model.orders import OrderState
from daemon.control.client import ask
from daemon.control.commands import Request
from daemon.control.protocol import SOCKET
from daemon.journal.journal import record_of
from daemon.journal.records import Outcome
from daemon.journal.walk import Walk
from daemon.state.disk import RealDisk
from tests.process.real import Daemon, basis, daemon_file
from tests.process.stand import Stand
from venues.paper.door.faults import Fault

BTC = "btc-basis"


@contextmanager
def sinks(kind: str, tmp_path: Path) -> Iterator[tuple[int, int]]:
    """Descriptors for stdout and stderr whose reader is as said."""
    with ExitStack() as stack:
        if kind == "full":
            descriptor = os.open("/dev/full", os.O_WRONLY)
        elif kind == "terminal gone":
            leader, descriptor = os.openpty()
            stack.callback(os.close, leader)
        else:
            read, descriptor = os.pipe()
            if kind == "gone":
                os.close(read)
            else:
                stack.callback(os.close, read)
        stack.callback(os.close, descriptor)
        yield descriptor, descriptor


def moves_on(daemon: Daemon, ticks: int = 3) -> None:
    before = {each["strategy"]: each["ticks"] for each in daemon.ask("status")}
    daemon.wait_for(lambda all: all[BTC]["ticks"] >= before[BTC] + ticks)


@pytest.mark.parametrize("kind", ["stopped", "gone", "full", "terminal gone"])
def test_whoever_reads_its_output_cannot_stop_it(kind: str, tmp_path: Path) -> None:
    """It trades, answers, closes in an emergency and ends on SIGTERM. At the speed of a day in two minutes the
    narrator alone fills a pipe."""
    config = daemon_file(tmp_path, log__level="debug")
    with sinks(kind, tmp_path) as (out, err), Daemon(tmp_path, config, out=out, err=err) as daemon:
        daemon.up()
        moves_on(daemon, 30)
        assert basis("status", "--state", str(daemon.state)).returncode == 0
        shown = {each["name"]: each for each in daemon.ask("dump")["components"]}
        if kind in ("gone", "full"):
            assert shown["stdout"]["level"] == "degraded" and "lines lost" in shown["stdout"]["reason"]
        done = basis("emergency-stop", BTC, "--state", str(daemon.state), "--reason", "nobody reads")
        assert done.returncode == 0, done.stderr
        daemon.wait_for(lambda all: all[BTC]["phase"] == "flat", 60.0)
        moves_on_others(daemon)
        began = time.monotonic()
        daemon.signal(signal.SIGTERM)
        assert daemon.process.wait(20.0) == 0
        assert time.monotonic() - began < 20.0


def moves_on_others(daemon: Daemon) -> None:
    before = {each["strategy"]: each["ticks"] for each in daemon.ask("status")}
    daemon.wait_for(lambda all: all["lending"]["ticks"] > before["lending"] + 2)


def test_a_stopped_terminal_that_reads_again_is_told_what_it_missed(tmp_path: Path) -> None:
    config = daemon_file(tmp_path, log__level="debug")
    read, write = os.pipe()
    with Daemon(tmp_path, config, out=write, err=write) as daemon:
        os.close(write)
        daemon.up()
        moves_on(daemon, 10)
        os.set_blocking(read, False)
        text = b""
        until = time.monotonic() + 20.0
        while b"ready " not in text:
            assert time.monotonic() < until
            try:
                text += os.read(read, 1 << 20)
            except BlockingIOError:
                time.sleep(0.05)
        daemon.signal(signal.SIGTERM)
        os.set_blocking(read, True)
        while chunk := os.read(read, 1 << 20):
            text += chunk
        os.close(read)
        assert daemon.process.wait(20.0) == 0
    assert b"daemon.stopped" in text, "the last words of a stream that is read are waited for"


@pytest.mark.parametrize(
    ("speed", "stopped_s", "budget_s"),
    [
        (60.0, 14.0, 5.0),
        pytest.param(60.0, 45.0, 30.0, marks=pytest.mark.slow),
        pytest.param(1.0, 160.0, 30.0, marks=pytest.mark.slow),
    ],
)
def test_a_suspended_process_wakes_looks_and_goes_on(
    speed: float, stopped_s: float, budget_s: float, tmp_path: Path
) -> None:
    """Stopped for much longer than two intervals and the budget of a step."""
    config = daemon_file(tmp_path, limits__step_budget_s=budget_s)
    with Daemon(tmp_path, config, speed=speed) as daemon:
        daemon.ready(60.0)
        before = daemon.wait_for(lambda all: all[BTC]["ticks"] >= (3 if speed > 1.0 else 1), 90.0)
        daemon.signal(signal.SIGSTOP)
        time.sleep(stopped_s)
        daemon.signal(signal.SIGCONT)
        time.sleep(6.0)  # the guard has looked; it tells of it for a minute, and at speed 1 a row takes as long
        shown = {each["name"]: each for each in daemon.ask("dump")["components"]}
        assert "did not run for" in shown["process"]["reason"]
        after = daemon.wait_for(lambda all: all[BTC]["ticks"] > before[BTC]["ticks"], 90.0)
        for name, each in after.items():
            assert each["state"] == "running", (name, each["reason"])
            assert not (daemon.state / "strategies" / name / "EMERGENCY_STOP").exists()
        suspended = [line for line in daemon.logged() if line["event"] == "process.suspended"]
        assert len(suspended) == 1 and suspended[0]["seconds"] == pytest.approx(stopped_s, abs=8.0)
        assert not [line for line in daemon.logged() if line["event"] in ("cell.stuck", "emergency.requested")]
        daemon.signal(signal.SIGTERM)
        assert daemon.end() == 0


def test_a_suspend_in_the_middle_of_an_order_leaves_its_patience_as_it_was(tmp_path: Path) -> None:
    """Daemon and venues are frozen for 8 s, as a host is, and the venues answer a second after the daemon wakes. An
    order may take 3 s, and cannot be asked after."""
    with Stand(tmp_path, latency=0.7) as stand:
        assert stand.start()
        assert stand.process is not None
        for venue in ("binance", "bybit", "okx"):
            unasked: dict[str, float | str] = {"endpoint": "query"}
            stand.fault(BTC, Fault(kind="black_hole", venue=venue, at=0, duration_s=1e10, parameters=unasked))
        folder = stand.state / "strategies" / BTC / "journal"
        until = time.monotonic() + 60.0
        while not any(b"\xa6intent" in segment.read_bytes() for segment in folder.glob("*.journal")):
            assert time.monotonic() < until
            time.sleep(0.02)
        assert stand.venues is not None
        frozen = (stand.process, stand.venues)
        for process in frozen:
            process.send_signal(signal.SIGSTOP)
        time.sleep(8.0)
        for process in frozen:
            process.send_signal(signal.SIGCONT)
            time.sleep(1.0)
        stand.wait_for(lambda all: all[BTC]["ticks"] > 1 and all[BTC]["trades"] > 1, 60.0)
        assert stand.stop()[0] == 0
        records = [record_of(BTC, frame) for frame in Walk(RealDisk(), folder, BTC)]
        outcomes = [record for record in records if isinstance(record, Outcome)]
        assert outcomes and not [each for each in outcomes if each.state == OrderState.UNKNOWN]


@contextmanager
def idle_clients(path: Path, count: int) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(count):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(path))
        yield


def test_a_client_of_any_kind_costs_its_own_request_and_nothing_else(tmp_path: Path) -> None:
    """Odd requests are answered, idle clients are let go, and an emergency stop comes through them all."""
    config = daemon_file(tmp_path)
    with Daemon(tmp_path, config) as daemon:
        daemon.ready(60.0)
        path = daemon.state / SOCKET
        locked = tmp_path / "locked"
        locked.mkdir()
        (locked / "inner").write_text("a file, no folder")
        loop = tmp_path / "loop"
        loop.symlink_to(loop)
        for folder in (str(locked / "inner" / "copy"), "/proc/1/nowhere/copy", str(tmp_path / ("n" * 300)),
                       str(loop / "copy"), "\0", "a\0b"):  # fmt: skip
            response = ask(path, Request(kind="backup", arguments={"folder": folder}), timeout_s=20.0)
            assert not response.ok and response.code, folder
        for name in ("n" * 300, "\0", "../..", "\udc80".encode("utf-8", "replace").decode()):
            assert not ask(path, Request(kind="status", strategy=name)).ok
        for sent in (
            b"[" * 2000 + b"]" * 2000,
            b'{"kind":' * 1500,
            b"\xff\xfe",
            b"null",
            b'{"kind": 1e999}',
            b"\0" * 50,
        ):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
                client.sendall(sent + b"\n")
                client.settimeout(10.0)
                assert b'"ok":false' in client.recv(1 << 16)
        moves_on(daemon)
        with idle_clients(path, 500):
            assert daemon.ask("ping")
            began = time.monotonic()
            done = basis("emergency-stop", "--state", str(daemon.state), "--reason", "crowded")
            assert done.returncode == 0, done.stderr
            assert time.monotonic() - began < 15.0
            daemon.wait_for(lambda all: all[BTC]["state"] == "latched", 20.0)
        daemon.signal(signal.SIGTERM)
        assert daemon.end() == 0


def unquoted(config: Path) -> None:
    config.write_text(config.read_text() + "\nmetrics: {{ port }}\n")


def looped(config: Path) -> None:
    config.unlink()
    config.symlink_to(config)


def gone(config: Path) -> None:
    config.unlink()


def a_folder(config: Path) -> None:
    config.unlink()
    config.mkdir()


def binary(config: Path) -> None:
    config.write_bytes(os.urandom(4096))


def deep(config: Path) -> None:
    config.write_text("a: " + "[" * 5000 + "]" * 5000)


def test_a_reload_that_cannot_be_read_leaves_the_old_configuration(tmp_path: Path) -> None:
    """Whatever became of the file, and of the working directory: the next reload, of a good file, is taken."""
    home = tmp_path / "home"
    home.mkdir()
    config = daemon_file(tmp_path)
    good = config.read_text()
    with Daemon(tmp_path, config, cwd=home) as daemon:
        daemon.ready(60.0)
        shutil.rmtree(home)
        spoilers: list[Callable[[Path], None]] = [unquoted, looped, gone, a_folder, binary, deep]
        for count, spoil in enumerate(spoilers, 1):
            spoil(config)
            daemon.signal(signal.SIGHUP)
            refused = wait_logged(daemon, "config.refused", count)
            assert refused[-1]["error"], spoil.__name__
            _remove(config)
            config.write_text(good)
        daemon.signal(signal.SIGHUP)
        wait_logged(daemon, "config.reload", len(spoilers) + 1)
        moves_on(daemon)
        daemon.signal(signal.SIGTERM)
        assert daemon.end() == 0


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def wait_logged(daemon: Daemon, event: str, count: int, within_s: float = 20.0) -> list[dict[str, Any]]:
    until = time.monotonic() + within_s
    while True:
        lines = [line for line in daemon.logged() if line["event"] == event]
        if len(lines) >= count:
            return lines
        assert daemon.process.poll() is None, daemon.log.read_text()[-2000:]
        assert time.monotonic() < until, (event, count, daemon.log.read_text()[-2000:])
        time.sleep(0.1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP, signal.SIGUSR2])
def test_a_signal_in_the_first_second_is_carried_out(number: signal.Signals, tmp_path: Path) -> None:
    config = daemon_file(tmp_path)
    with Daemon(tmp_path, config) as daemon:
        assert daemon.process.stdout is not None
        daemon.process.stdout.readline()  # the first thing it says, before anything heavy is imported
        daemon.signal(number)
        if number is signal.SIGTERM:
            assert daemon.end(30.0) == 0
            assert "ready" not in "".join(daemon.told)
            return
        daemon.ready(60.0)
        if number is signal.SIGUSR1:
            assert (daemon.state / "EMERGENCY_STOP").exists()
            daemon.wait_for(lambda all: all[BTC]["state"] == "latched")
        elif number is signal.SIGHUP:
            wait_logged(daemon, "config.reload", 1)
        else:
            wait_logged(daemon, "daemon.dump", 1)
        daemon.signal(signal.SIGTERM)
        assert daemon.end() == 0


def test_as_process_one_it_hears_a_signal_before_it_is_up(tmp_path: Path) -> None:
    """As process 1 of a container a signal without a handler is lost, and SIGKILL would follow."""
    config = daemon_file(tmp_path)
    with Daemon(tmp_path, config, under=("unshare", "--map-root-user", "--pid", "--fork", "--kill-child")) as daemon:
        assert daemon.process.stdout is not None
        assert b"basisd starts" in daemon.process.stdout.readline()
        (one,) = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children").read_text().split()
        os.kill(int(one), signal.SIGTERM)
        assert daemon.end(30.0) == 0
        assert "ready" not in "".join(daemon.told)


def test_json_of_status_can_be_read_while_nobody_reads_the_log(tmp_path: Path) -> None:
    """A full stderr does not reach into answers."""
    config = daemon_file(tmp_path)
    sink = os.open("/dev/full", os.O_WRONLY)
    try:
        with Daemon(tmp_path, config, err=sink) as daemon:
            daemon.ready(60.0)
            done = basis("status", "--state", str(daemon.state), "-o", "json")
            assert msgspec.json.decode(done.stdout)
            daemon.signal(signal.SIGTERM)
            assert daemon.end() == 0
    finally:
        os.close(sink)


def test_a_metrics_port_that_is_taken_is_said_where_people_look_and_once_in_the_log(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        config = daemon_file(tmp_path, metrics__port=other.getsockname()[1])
        with Daemon(tmp_path, config) as daemon:
            daemon.ready(60.0)
            moves_on(daemon)
            for words in (("status",), ("doctor", "--config", str(config))):
                done = basis(*words, "--state", str(daemon.state))
                said = " ".join((done.stdout + done.stderr).split())
                assert address in said and "another program listens there" in said and "metrics.port" in said
            time.sleep(6.0)
            told = [line for line in daemon.logged() if line.get("service") == "metrics"]
            assert [line["event"] for line in told][:1] == ["service.crashed"] and len(told) <= 3
            assert address in told[0]["error"] and "exception" not in told[0]
            daemon.signal(signal.SIGTERM)
            assert daemon.end() == 0
