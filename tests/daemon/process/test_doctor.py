"""The doctor's checks, each with something wrong for it to find."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from daemon.config.settings import PACKAGED
from daemon.process.doctor import (
    Check,
    Health,
    all_checks,
    clock,
    configuration,
    daemon_answer,
    directory,
    journals,
    latches,
    lock,
    metrics_address,
    packages,
    sync_time,
    watchdog,
)
from daemon.state.disk import RealDisk
from daemon.state.latch import ALL, Latches, Phase, requested
from daemon.state.lock import Holder, held, state_lock
from tests.daemon.control.daemons import running
from tests.daemon.journal.state import written


def by_name(checks: list[Check]) -> dict[str, Health]:
    return {check.name: check.health for check in checks}


def test_before_the_first_start_nothing_is_wrong_and_nothing_is_made(tmp_path: Path) -> None:
    state = tmp_path / "var" / "absent"
    checks = list(all_checks(state, PACKAGED / "paper.yaml", {}))
    assert Health.FAILED not in by_name(checks).values(), checks
    (found,) = [check.found for check in checks if check.name == "state"]
    assert "not there yet" in found
    assert list(tmp_path.iterdir()) == []


def test_a_place_where_no_state_can_be_made_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    for state in (tmp_path / "file", tmp_path / "file" / "state"):
        assert by_name(list(directory(state)))["state"] is Health.FAILED
    monkeypatch.setattr("os.access", lambda *_: False)
    (check,) = directory(tmp_path / "absent")
    assert check.health is Health.FAILED and "may not be written" in check.found


def test_a_lock_of_another_user_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with held(state_lock(tmp_path), Holder(pid=42, started="then"), "state"):
        pass
    assert lock(tmp_path).health is Health.OK
    monkeypatch.setattr("os.access", lambda path, mode: not (str(path).endswith("lock") and mode & os.W_OK))
    check = lock(tmp_path)
    assert check.health is Health.FAILED and "may not be written" in check.found


def test_a_sound_state_directory(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    written(RealDisk(), tmp_path)
    found = by_name(list(all_checks(tmp_path, PACKAGED / "paper.yaml", {})))
    assert [name for name, health in found.items() if health is Health.FAILED] == []
    assert found["state"] is found["journal"] is found["config"] is Health.OK


def test_a_directory_open_to_all_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    check = next(iter(directory(tmp_path)))
    assert (check.health, check.do) == (Health.WARNING, f"chmod o= {tmp_path}")


def test_the_disk_is_measured_and_left_as_it_was(tmp_path: Path) -> None:
    check = sync_time(tmp_path)
    assert "ms" in check.found
    assert list(tmp_path.iterdir()) == []
    assert sync_time(tmp_path / "absent").health is Health.FAILED


def test_every_fault_of_the_configuration_is_told() -> None:
    check = configuration(PACKAGED / "live.example.yaml", {"BASIS_DAEMON__SPEED": "2"})
    assert check.health is Health.FAILED
    assert "speed" in check.found
    assert "BASIS_LIVE_TRADING__ENABLED" in check.found


def test_a_broken_journal_fails(tmp_path: Path) -> None:
    written(RealDisk(), tmp_path)
    segment = tmp_path / "strategies" / "btc" / "journal" / "000001.journal"
    data = bytearray(segment.read_bytes())
    data[-1] ^= 1
    segment.write_bytes(data)
    found = {check.found.partition(":")[0]: check.health for check in journals(tmp_path)}
    assert found == {"daemon": Health.OK, "btc": Health.FAILED, "eth": Health.OK}


def test_a_standing_latch_is_shown(tmp_path: Path) -> None:
    assert [check.health for check in latches(tmp_path)] == [Health.OK]
    known = Latches(tmp_path)
    known.set(requested(ALL, "loss limit", at=1, uid=0))
    known.advance("btc", Phase.FLAT)
    assert [check.found for check in latches(tmp_path)] == [
        "all strategies: requested, loss limit",
        "btc: flat, loss limit",
    ]


def test_a_daemon_that_holds_the_lock_and_does_not_answer_fails(tmp_path: Path) -> None:
    assert daemon_answer(tmp_path).health is Health.OK
    with held(state_lock(tmp_path), Holder(pid=42, started="then"), "state"):
        assert daemon_answer(tmp_path).health is Health.FAILED
        assert "process 42, started then" in lock(tmp_path).found
    with running(tmp_path):
        assert "answers in" in daemon_answer(tmp_path).found


def test_packages_that_differ_from_the_lock_are_named(tmp_path: Path) -> None:
    path = tmp_path / "uv.lock"
    path.write_text('[[package]]\nname = "click"\nversion = "0.1"\n\n[[package]]\nname = "no-such"\nversion = "1"\n')
    check = packages(path)
    assert check.health is Health.WARNING
    assert check.found.startswith("click ")
    assert "locked 0.1" in check.found
    assert "no-such" not in check.found
    path.write_text("[[package")
    assert packages(path).health is Health.WARNING
    assert packages(tmp_path / "absent").health is Health.OK


@pytest.mark.parametrize(
    ("environ", "health", "told"),
    [
        ({}, Health.OK, "not under systemd"),
        ({"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "30000000"}, Health.OK, "30 s"),
        ({"NOTIFY_SOCKET": "/run/n"}, Health.WARNING, "no sign of life"),
    ],
)
def test_watchdog(environ: dict[str, str], health: Health, told: str) -> None:
    check = watchdog(environ)
    assert check.health is health
    assert told in check.found


def test_the_clock_is_asked_of_the_kernel() -> None:
    assert clock().found in ("synchronised", "not synchronised", "the kernel does not say")


def test_a_metrics_address_that_another_program_has_is_told_before_the_start(tmp_path: Path) -> None:
    file = PACKAGED / "paper.yaml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environ = {"BASIS_DAEMON__METRICS__PORT": str(port), "BASIS_STATE_DIR": str(tmp_path)}
        found = metrics_address(file, tmp_path, environ)
    assert (found.name, found.health) == ("metrics", Health.WARNING)
    assert f"127.0.0.1:{port}" in found.found
    assert "BASIS_DAEMON__METRICS__PORT" in found.do
    free = metrics_address(file, tmp_path, environ)
    assert (free.health, free.found) == (Health.OK, f"127.0.0.1:{port} is free")
    assert metrics_address(None, tmp_path, environ).health is Health.OK
    assert metrics_address(tmp_path / "none.yaml", tmp_path, environ).health is Health.OK, "another check says that"
