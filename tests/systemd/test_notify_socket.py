"""The listening end hears what a process says, in order, and says what it heard instead."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.systemd.notify_socket import NotifySocket, Silence, parse

DOUBLE = Path(__file__).with_name("service_double.py")


def say(address: str, *texts: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect("\0" + address[1:] if address.startswith("@") else address)
        for text in texts:
            channel.send(text.encode())


@pytest.mark.parametrize("abstract", [False, True])
def test_messages_arrive_whole_and_in_order(abstract: bool) -> None:
    with NotifySocket(abstract=abstract) as manager:
        say(manager.address, "READY=1\nSTATUS=a=b", "WATCHDOG=1")

        assert manager.wait_for("WATCHDOG", within_s=5) == {"WATCHDOG": "1"}
        assert manager.messages == [{"READY": "1", "STATUS": "a=b"}, {"WATCHDOG": "1"}]
        assert manager.environment(watchdog_s=1.5) == {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "1500000"}


def test_silence_names_what_was_wanted_and_what_was_heard() -> None:
    with NotifySocket() as manager:
        say(manager.address, "READY=0")

        with pytest.raises(Silence, match=r"no READY=1 within 0.05 s; heard \[{'READY': '0'}\]"):
            manager.wait_for("READY", "1", within_s=0.05)
        assert manager.receive(0.01) is None


def test_the_address_is_gone_after_the_block() -> None:
    with NotifySocket() as manager:
        assert Path(manager.address).exists()
    assert not Path(manager.address).parent.exists()


def test_a_line_without_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match="READY"):
        parse("STATUS=x\nREADY")


def test_a_service_is_followed_from_ready_to_stopping(tmp_path: Path) -> None:
    with NotifySocket() as manager:
        folders = {"STATE_DIRECTORY": str(tmp_path), "RUNTIME_DIRECTORY": str(Path(manager.address).parent)}
        environment = dict(os.environ) | folders | manager.environment(watchdog_s=0.1)
        process = subprocess.Popen([sys.executable, DOUBLE, "bare"], env=environment)
        try:
            ready = manager.wait_for("READY", "1", within_s=20)
            assert ready == {"READY": "1", "STATUS": "trading on nothing", "MAINPID": str(process.pid)}
            manager.wait_for("WATCHDOG", within_s=5)
            manager.wait_for("WATCHDOG", within_s=5)
            process.send_signal(signal.SIGHUP)
            assert int(manager.wait_for("RELOADING", "1", within_s=5)["MONOTONIC_USEC"]) > 0
            manager.wait_for("READY", "1", within_s=5)
            process.send_signal(signal.SIGTERM)
            manager.wait_for("STOPPING", "1", within_s=5)
            assert process.wait(timeout=5) == 0
        finally:
            process.kill()
            process.wait()
