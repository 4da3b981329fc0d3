"""The units under a real systemd, in a throw-away container over a copy-on-write view of this machine (root only).

The container boots once; scenario.py plays every scenario in it, and the tests here judge the facts it brought back.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from daemon.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
BOOT = ROOT / "ops" / "nspawn" / "boot.sh"
EX_UNAVAILABLE = 69
PLAYS = [
    "install",
    "notify_start_and_stop",
    "watchdog",
    "killed",
    "exit_1",
    "exit_65",
    "exit_78",
    "no_credentials",
    "sealed_secret",
    "safety_is_tried_again",
    "start_waits_for_safety",
    "flatten_stops_the_daemon",
    "uninstall",
]
RUN_MODULE = COMMANDS.get("run", "").partition(":")[0]
NO_DAEMON = (
    "'basis run' is not a command yet"
    if not RUN_MODULE or find_spec(RUN_MODULE) is None
    else "configs/paper.yaml is missing"
    if not (ROOT / "configs" / "paper.yaml").exists()
    else ""
)
SECRET = "a key that only the service may read"
Facts = dict[str, Any]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facts]:
    if os.geteuid() != 0 or shutil.which("systemd-nspawn") is None:
        pytest.skip("needs root and systemd-nspawn (apt install systemd-container)")
    work = tmp_path_factory.mktemp("nspawn")
    asked = [*PLAYS[:-1], *([] if NO_DAEMON else ["the_real_daemon"]), PLAYS[-1]]
    lay_out(work / "files", asked)
    (work / "shared").mkdir()
    binds = {
        Path(sys.base_prefix): "/opt/basisd/python",
        Path(sysconfig.get_path("purelib")): "/opt/basisd/site-packages",
        ROOT: "/opt/basisd/source",
    }
    options = [f"--bind-ro={here}:{there}" for here, there in binds.items()]
    done = subprocess.run([BOOT, work / "files", work, *options], capture_output=True, text=True, timeout=300)
    if done.returncode == EX_UNAVAILABLE:
        pytest.skip(done.stderr.strip())
    console = (work / "console.log").read_text(errors="replace")
    assert done.returncode == 0, f"{done.returncode}\n{done.stderr}\n{console[-4000:]}"
    report = work / "shared" / "facts.json"
    assert report.exists(), f"{(work / 'shared' / 'driver.log').read_text()}\n{console[-4000:]}"
    yield json.loads(report.read_text())


def lay_out(files: Path, asked: list[str]) -> None:
    """The tree that is laid over the container's root: a Python outside /home, and the driver."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    venv = files / "opt/basisd/venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "lib" / name).mkdir(parents=True)
    (venv / "lib" / name / "site-packages").symlink_to("/opt/basisd/site-packages")
    (venv / "bin/python").symlink_to(f"/opt/basisd/python/bin/{name}")
    (venv / "pyvenv.cfg").write_text("home = /opt/basisd/python/bin\ninclude-system-site-packages = false\n")
    command = "#!/opt/basisd/venv/bin/python\nfrom daemon.cli.main import main\nmain()\n"
    (venv / "bin/basis").write_text(command)
    (venv / "bin/basis").chmod(0o755)
    for point in ("python", "site-packages", "source"):
        (files / "opt/basisd" / point).mkdir()
    (files / "opt/basisd/test").mkdir()
    for script in ("service_double.py", "scenario.py"):
        shutil.copy(HERE / script, files / "opt/basisd/test" / script)
    units = files / "etc/systemd/system"
    units.mkdir(parents=True)
    (units / "scenario.target").write_text("[Unit]\nRequires=scenario.service\nAfter=scenario.service\n")
    (units / "scenario.service").write_text(
        "[Unit]\nRequires=basic.target\nAfter=basic.target systemd-journald.service\nWants=systemd-journald.service\n"
        "SuccessAction=poweroff-force\nFailureAction=poweroff-force\n"
        "[Service]\nType=oneshot\nTimeoutStartSec=110\nEnvironment=LD_LIBRARY_PATH=/opt/basisd/python/lib\n"
        "StandardOutput=file:/results/driver.log\nStandardError=file:/results/driver.log\n"
        f"ExecStart=/opt/basisd/venv/bin/python /opt/basisd/test/scenario.py {' '.join(asked)}\n"
    )


def test_install_makes_group_folders_and_units(facts: Facts) -> None:
    seen = facts["install"]
    assert seen["code"] == 0, seen["said"]
    assert seen["folders"] == {"/run/lock/basisd": "0o40770", "/var/backups/basisd": "0o40770"}
    assert seen["known"] == 0
    assert seen["again"] == 0


def test_uninstall_is_refused_while_a_daemon_runs_and_keeps_the_state(facts: Facts) -> None:
    seen = facts["uninstall"]
    assert (seen["refused"], "basisd@calm.service" in seen["said"]) == (1, True), seen["said"]
    assert seen["still"]["ActiveState"] == "active"
    assert seen["code"] == 0, seen["said"]
    assert (seen["state"], seen["configuration"], seen["unit"]) == (True, True, False)


def test_start_is_done_when_the_daemon_says_ready(facts: Facts) -> None:
    seen = facts["notify_start_and_stop"]
    assert seen["start_code"] == 0
    assert (seen["started"]["ActiveState"], seen["started"]["StatusText"]) == ("active", "trading on nothing")
    assert seen["started"]["WatchdogUSec"] == "30s"


def test_reload_is_told_to_the_daemon(facts: Facts) -> None:
    seen = facts["notify_start_and_stop"]
    assert (seen["reload_code"], seen["reloaded"]["StatusText"]) == (0, "reloaded")
    assert seen["reloaded"]["InvocationID"] == seen["started"]["InvocationID"]


def test_stop_is_sigterm_and_not_a_failure(facts: Facts) -> None:
    seen = facts["notify_start_and_stop"]
    assert seen["stops"] == ["SIGTERM"]
    assert (seen["stopped"]["ActiveState"], seen["stopped"]["Result"]) == ("inactive", "success")
    assert seen["safety"] == []


def test_a_secret_is_readable_only_inside(facts: Facts) -> None:
    inside = facts["notify_start_and_stop"]["starts"][0]
    assert inside["credentials"] == {"basis_CEX__KEY": SECRET}
    assert inside["credential_modes"] == ["0o400"]
    assert inside["read_source"] == "PermissionError:13"
    assert SECRET not in str(inside["environment"])


def test_a_secret_may_lie_on_the_disk_encrypted(facts: Facts) -> None:
    seen = facts["sealed_secret"]
    assert seen["code"] == 0, seen["said"]
    assert seen["starts"][0]["credentials"] == {"basis_CEX__KEY": SECRET}
    assert SECRET not in seen["on_disk"]


def test_the_sandbox_holds(facts: Facts) -> None:
    inside = facts["notify_start_and_stop"]["starts"][0]
    assert {name: inside[name] for name in ("write_etc", "write_program", "read_home", "netlink", "writable_code")} == {
        "write_etc": "OSError:30",
        "write_program": "OSError:30",
        "read_home": "PermissionError:13",
        "netlink": "OSError:97",
        "writable_code": "PermissionError:1",
    }
    assert {inside[name] for name in ("cache", "write_tmp", "inet", "backup")} == {"ok"}
    assert inside["uid"] >= 61184 and inside["others"] == 1


def test_state_survives_and_what_root_left_there_is_handed_over(facts: Facts) -> None:
    seen = facts["notify_start_and_stop"]
    first, second = seen["starts"]
    assert first["environment"]["BASIS_STATE_DIR"] == "/var/lib/basisd/calm"
    assert (first["state"], second["state"]) == ([], ["left_by_root", "starts.jsonl", "stops.jsonl"])
    assert second["left_by_root"] == "ok"
    assert seen["owner"] == [first["uid"], first["uid"]]


def test_a_folder_that_root_restored_is_taken_over(facts: Facts) -> None:
    seen = facts["notify_start_and_stop"]
    assert seen["restored_code"] == 0
    assert seen["restored"]["state"] == seen["starts"][1]["state"]
    assert seen["restored"]["left_by_root"] == "ok"


def test_the_socket_is_for_root_and_the_group_and_sees_who_calls(facts: Facts) -> None:
    callers = facts["notify_start_and_stop"]["callers"]
    assert (callers["root"], callers["member"]) == ("0", "12345")
    assert callers["other"].startswith("PermissionError")


def test_instances_with_users_of_their_own_share_the_account_locks(facts: Facts) -> None:
    calm = facts["notify_start_and_stop"]["starts"][0]
    waits = facts["start_waits_for_safety"]["starts"][0]
    assert calm["uid"] != waits["uid"]
    assert (calm["account_lock"], waits["account_lock"]) == ("ok", "ok")


def test_a_hung_daemon_leaves_its_stack_and_is_started_again(facts: Facts) -> None:
    seen = facts["watchdog"]
    assert (seen["after"]["ActiveState"], seen["after"]["NRestarts"]) == ("active", "1")
    assert "Watchdog timeout" in seen["log"] and "status=6/ABRT" in seen["log"]
    assert 'service_double.py", line' in seen["log"]
    assert (seen["starts"], seen["safety"]) == (2, 0)


def test_a_killed_daemon_is_started_again(facts: Facts) -> None:
    seen = facts["killed"]
    assert (seen["after"]["ActiveState"], seen["after"]["NRestarts"]) == ("active", "1")
    assert (seen["starts"], seen["safety"]) == (2, 0)


def test_a_crash_loop_ends_after_five_starts_and_is_made_safe_once(facts: Facts) -> None:
    seen = facts["exit_1"]
    assert (seen["after"]["ActiveState"], seen["still"]["ActiveState"], seen["starts"]) == ("failed", "failed", 5)
    assert len(seen["safety"]) == 1
    assert seen["safety_unit"]["Result"] == "success"


@pytest.mark.parametrize("code", [65, 78])
def test_what_a_start_cannot_mend_is_not_started_again(facts: Facts, code: int) -> None:
    seen = facts[f"exit_{code}"]
    assert (seen["still"]["ActiveState"], seen["still"]["NRestarts"], seen["starts"]) == ("failed", "0", 1)
    assert len(seen["safety"]) == 1


@pytest.mark.parametrize("code", [1, 65, 78])
def test_the_safety_unit_knows_why_and_sees_the_same_state_and_secrets(facts: Facts, code: int) -> None:
    seen = facts[f"exit_{code}"]
    (safety,) = seen["safety"]
    told = {name: value for name, value in safety["environment"].items() if name.startswith("MONITOR_")}
    assert told == {
        "MONITOR_SERVICE_RESULT": "exit-code",
        "MONITOR_EXIT_CODE": "exited",
        "MONITOR_EXIT_STATUS": str(code),
        "MONITOR_INVOCATION_ID": seen["still"]["InvocationID"],
        "MONITOR_UNIT": f"basisd@exit{code}.service",
    }
    assert "starts.jsonl" in safety["state"]
    assert safety["credentials"] == {"basis_CEX__KEY": SECRET}


def test_the_safety_unit_is_tried_again_and_still_knows_why(facts: Facts) -> None:
    seen = facts["safety_is_tried_again"]
    assert (seen["unit"]["NRestarts"], seen["unit"]["Result"]) == ("1", "success")
    assert [run["environment"]["MONITOR_EXIT_STATUS"] for run in seen["safety"]] == ["78", "78"]
    # The variables describe the daemon's last run, whoever started this unit.
    assert [run["environment"]["MONITOR_EXIT_STATUS"] for run in seen["by_hand"]] == ["78"]


def test_without_a_credentials_folder_nothing_starts_and_an_empty_one_is_enough(facts: Facts) -> None:
    seen = facts["no_credentials"]
    assert (seen["empty_code"], len(seen["empty"]), seen["empty"][0]["credentials"]) == (0, 1, {})
    assert (seen["code"], len(seen["starts"])) == (1, 1)
    assert (seen["unit"]["ActiveState"], seen["unit"]["NRestarts"]) == ("inactive", "0")


def test_a_start_waits_until_the_safety_unit_is_done(facts: Facts) -> None:
    seen = facts["start_waits_for_safety"]
    assert seen["code"] == 0
    assert seen["starts"][0]["at"] >= seen["ends"][0]
    told = seen["by_hand"][0]["environment"]
    assert told.get("MONITOR_SERVICE_RESULT", "success") == "success" and "MONITOR_EXIT_STATUS" not in told


def test_flatten_first_stops_the_daemon(facts: Facts) -> None:
    seen = facts["flatten_stops_the_daemon"]
    assert (seen["code"], seen["daemon"]["ActiveState"], seen["stops"]) == (0, "inactive", ["SIGTERM"])
    (flatten,) = seen["flatten"]
    assert "stops.jsonl" in flatten["state"]
    assert flatten["uid"] == seen["starts"][0]["uid"]
    assert flatten["credentials"] == {"basis_CEX__KEY": SECRET}
    assert seen["safety"] == []


@pytest.mark.skipif(bool(NO_DAEMON), reason=NO_DAEMON)
def test_the_real_daemon_starts_answers_survives_a_kill_and_stops(facts: Facts) -> None:
    seen = facts["the_real_daemon"]
    assert (seen["start_code"], seen["started"]["ActiveState"]) == (0, "active"), seen["log"]
    assert seen["started"]["StatusText"]
    assert seen["status"][0] == 0, seen["status"]
    assert (seen["after_kill"]["ActiveState"], seen["after_kill"]["NRestarts"]) == ("active", "1"), seen["log"]
    assert (seen["stop_code"], seen["stopped"]["ActiveState"], seen["stopped"]["Result"]) == (0, "inactive", "success")
    assert seen["stop_s"] < 25
