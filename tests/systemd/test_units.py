"""The units as files: systemd reads every line, the sandbox is as tight as promised, and they agree with each other."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from daemon.state.latch import MARKER

ROOT = Path(__file__).resolve().parents[2]
UNITS = ["basisd@", "basisd-failed@", "basisd-flatten@", "basisd-closing@"]
TIMER = ROOT / "systemd/basisd-closing@.timer"
EXPOSURE_TENTHS = 15
SYSTEM = Path("/usr/lib/systemd/system")
needs_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None or not SYSTEM.is_dir(), reason="needs systemd-analyze (apt install systemd)"
)


def path_of(unit: str) -> Path:
    return ROOT / "systemd" / f"{unit}.service"


def settings(unit: str, section: str) -> list[tuple[str, str]]:
    """The settings of one section, in order; a key may come more than once."""
    found, inside = [], False
    for line in path_of(unit).read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            inside = line == f"[{section}]"
        elif inside and line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.append((key, value))
    return found


def verify(root: Path, *units: str) -> tuple[int, str]:
    """`systemd-analyze verify` of units under `root`, with the targets of this machine's systemd."""
    command = ["systemd-analyze", "verify", "--man=no", f"--root={root}", *units]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A root with the units, systemd's own targets, and the programs that the units name."""
    root = tmp_path / "root"
    shutil.copytree(SYSTEM, root / "usr/lib/systemd/system", symlinks=True)
    (root / "lib").symlink_to("usr/lib")
    (root / "etc/systemd/system").mkdir(parents=True)
    for unit in UNITS:
        shutil.copy(path_of(unit), root / "etc/systemd/system")
    shutil.copy(TIMER, root / "etc/systemd/system")
    for program in ("opt/basisd/venv/bin/basis", "usr/bin/chown", "bin/kill"):
        (root / program).parent.mkdir(parents=True, exist_ok=True)
        (root / program).touch(0o755)
    return root


@needs_analyze
@pytest.mark.parametrize("unit", UNITS)
def test_systemd_understands_every_line_of_an_instance(installed: Path, unit: str) -> None:
    assert verify(installed, f"{unit}paper.service") == (0, "")


@needs_analyze
def test_verify_would_notice_a_misspelled_key_and_a_missing_program(installed: Path) -> None:
    unit = installed / "etc/systemd/system/basisd@.service"
    unit.write_text(unit.read_text().replace("WatchdogSec", "WatchDogSec"))
    (installed / "opt/basisd/venv/bin/basis").unlink()

    _, said = verify(installed, "basisd@paper.service")

    assert "Unknown key 'WatchDogSec'" in said
    assert "/opt/basisd/venv/bin/basis is not executable" in said


@needs_analyze
@pytest.mark.parametrize("unit", UNITS)
def test_the_exposure_is_at_most_one_and_a_half(unit: str) -> None:
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_TENTHS}", "--no-pager"]
    done = subprocess.run([*command, path_of(unit)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[-300:] + done.stderr


def test_the_times_and_codes_are_those_the_daemon_was_written_for() -> None:
    service = dict(settings("basisd@", "Service"))
    expected = {
        "Type": "notify",
        "WatchdogSec": "30",
        "TimeoutStopSec": "90",
        "Restart": "on-failure",
        "RestartPreventExitStatus": "64 65 78",
        "ExecStart": "/opt/basisd/venv/bin/basis run --config /etc/basisd/%i.yaml",
        "StateDirectory": "basisd/%i",
        "DynamicUser": "yes",
    }
    assert {key: service[key] for key in expected} == expected
    assert dict(settings("basisd@", "Unit"))["OnFailure"] == "basisd-failed@%i.service"


@pytest.mark.parametrize("unit", UNITS)
def test_state_user_and_secrets_are_the_same_for_all_units(unit: str) -> None:
    shared = ("User", "Group", "StateDirectory", "StateDirectoryMode", "LoadCredential", "EnvironmentFile", "UMask")
    mine, daemon = dict(settings(unit, "Service")), dict(settings("basisd@", "Service"))
    assert {key: mine[key] for key in shared} == {key: daemon[key] for key in shared}
    assert "-/run/lock/basisd" in mine["ReadWritePaths"].split()
    assert ("Environment", "BASIS_STATE_DIR=%S/basisd/%i") in settings(unit, "Service")


@pytest.mark.parametrize("unit", UNITS[1:])
def test_the_sandbox_differs_only_in_seeing_who_calls(unit: str) -> None:
    def sandbox(of: str) -> set[tuple[str, str]]:
        lines = settings(of, "Service")
        return set(lines[lines.index(("NoNewPrivileges", "yes")) :])

    assert sandbox(unit) ^ sandbox("basisd@") == {("PrivateUsers", "yes"), ("PrivateUsers", "no")}


def test_nothing_happens_by_hand_only_units_at_boot() -> None:
    assert [unit for unit in UNITS if settings(unit, "Install")] == ["basisd@"]


@needs_analyze
def test_systemd_understands_the_timer_of_an_instance(installed: Path) -> None:
    assert verify(installed, "basisd-closing@paper.timer") == (0, "")


def test_what_is_awaited_is_gone_on_with_and_is_no_failure() -> None:
    """6 = closing; the timer is wanted by whoever may leave something, and looks at the file that says so."""
    for unit in ("basisd-failed@", "basisd-flatten@"):
        assert "6" in dict(settings(unit, "Service"))["SuccessExitStatus"].split()
    for unit in ("basisd@", "basisd-failed@", "basisd-flatten@"):
        assert "basisd-closing@%i.timer" in dict(settings(unit, "Unit"))["Wants"].split()
    closing = dict(settings("basisd-closing@", "Service"))
    assert closing["SuccessExitStatus"].split() == ["6", "75"], "75: the daemon runs and closes by itself"
    assert "basis safety finish" in closing["ExecStart"]
    assert dict(settings("basisd-closing@", "Unit"))["ConditionPathExists"] == f"%S/basisd/%i/{MARKER}"
    assert "Conflicts" not in dict(settings("basisd-closing@", "Unit")), "it ends nobody"
    assert "OnCalendar=minutely" in TIMER.read_text()


def test_nobody_is_there_to_answer_the_flatten_unit() -> None:
    assert "--yes" in dict(settings("basisd-flatten@", "Service"))["ExecStart"].split()
