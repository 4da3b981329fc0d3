"""What happens to the units under a real systemd: the driver inside the container, run as root by scenario.service.

Each scenario is an instance of the template with a drop-in that swaps the program; everything else is the unit as it is
shipped, but for the two times named in QUICK. Facts go to /results/facts.json, judged outside by test_nspawn.py.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

DOUBLE = "/opt/basisd/venv/bin/python /opt/basisd/test/service_double.py"
UNITS = Path("/run/systemd/system")
SECRET = "a key that only the service may read"
QUICK = "RestartSec=100ms\nWatchdogSec=2"
OPERATOR = 12345
SHOWN = "ActiveState,Result,NRestarts,StatusText,ExecMainStatus,MainPID,InvocationID,WatchdogUSec"


def systemctl(*arguments: str) -> int:
    return subprocess.run(["systemctl", *arguments], capture_output=True, timeout=60).returncode


def show(unit: str) -> dict[str, str]:
    done = subprocess.run(["systemctl", "show", unit, "--property", SHOWN], capture_output=True, text=True, timeout=20)
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


def until(unit: str, what: Callable[[dict[str, str]], bool], within_s: float = 20.0) -> dict[str, str]:
    """The properties of `unit` once they fit, or the last ones when they never do."""
    deadline = time.monotonic() + within_s
    while not what(shown := show(unit)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return shown


def notes(instance: str, name: str) -> list[object]:
    path = Path("/var/lib/private/basisd", instance, f"{name}.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def prepare(instance: str, part: str = "", *, extra: str = "", safety: str = "safety") -> str:
    """Configuration, a secret and the drop-ins of one instance; returns the name of its unit."""
    Path(f"/etc/basisd/{instance}.yaml").write_text("")
    folder = Path("/etc/basisd/credentials", instance)
    folder.mkdir(parents=True, mode=0o700)
    (folder / "CEX__KEY").write_text(SECRET)
    (folder / "CEX__KEY").chmod(0o600)
    common = f"Environment=INSTANCE={instance} LD_LIBRARY_PATH=/opt/basisd/python/lib\n"
    for unit, program in (("basisd", part), ("basisd-failed", safety), ("basisd-flatten", "flatten")):
        drop_in = UNITS / f"{unit}@{instance}.service.d"
        drop_in.mkdir(parents=True)
        swap = f"ExecStart=\nExecStart={DOUBLE} {program}\n" if program else ""
        (drop_in / "test.conf").write_text(f"[Service]\n{common}{swap}{extra}\n")
    return f"basisd@{instance}.service"


def ask(instance: str, uid: int, gid: int) -> str:
    """What the service says of the caller's uid when a process with these ids calls its socket."""
    code = (
        "import os, socket, sys; uid, gid, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]; "
        "os.setgroups([]); os.setgid(gid); os.setuid(uid); s = socket.socket(socket.AF_UNIX); s.connect(path); "
        "print(s.recv(99).decode())"
    )
    path = f"/run/basisd/{instance}/control.sock"
    done = subprocess.run(
        [sys.executable, "-c", code, str(uid), str(gid), path], capture_output=True, text=True, timeout=10
    )
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


def script(name: str, *arguments: str) -> tuple[int, str]:
    command = ["sh", f"/opt/basisd/source/ops/{name}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def install() -> dict[str, object]:
    arguments = ("fresh", "--no-venv", "--python", "/opt/basisd/venv/bin/python")
    code, said = script("install.sh", *arguments)
    again, _ = script("install.sh", *arguments)
    folders = {path: oct(os.stat(path).st_mode) for path in ("/run/lock/basisd", "/var/backups/basisd")}
    known = systemctl("cat", "basisd@fresh.service")
    return {"code": code, "said": said, "again": again, "folders": folders, "known": known}


def uninstall() -> dict[str, object]:
    systemctl("start", "basisd@calm.service")
    refused, said = script("uninstall.sh")
    still = show("basisd@calm.service")
    systemctl("stop", "basisd@calm.service")
    code, more = script("uninstall.sh")
    return {
        "refused": refused,
        "said": said + more,
        "still": still,
        "code": code,
        "state": Path("/var/lib/private/basisd/calm/starts.jsonl").exists(),
        "configuration": Path("/etc/basisd/calm.yaml").exists(),
        "unit": Path("/etc/systemd/system/basisd@.service").exists(),
    }


def notify_start_and_stop() -> dict[str, object]:
    unit = prepare("calm", "obedient")
    began = time.monotonic()
    code = systemctl("start", unit)
    facts: dict[str, object] = {"start_code": code, "start_s": time.monotonic() - began, "started": show(unit)}
    gid = int(next(line.split(":")[2] for line in Path("/etc/group").read_text().splitlines() if line[:7] == "basisd:"))
    facts["callers"] = {"root": ask("calm", 0, 0), "member": ask("calm", OPERATOR, gid), "other": ask("calm", 7, 7)}
    facts["reload_code"] = systemctl("reload", unit)
    facts["reloaded"] = until(unit, lambda now: now["StatusText"] == "reloaded")
    began = time.monotonic()
    facts["stop_code"] = systemctl("stop", unit)
    facts |= {"stop_s": time.monotonic() - began, "stopped": show(unit), "stops": notes("calm", "stops")}
    # What root leaves in the state folder belongs to the service at the next start.
    left = Path("/var/lib/basisd/calm/left_by_root")
    left.write_text("a restored file")
    left.chmod(0o600)
    systemctl("start", unit)
    facts["owner"] = [left.stat().st_uid, left.parent.stat().st_uid]
    systemctl("stop", unit)
    facts |= {"starts": notes("calm", "starts"), "safety": notes("calm", "safety")}
    # As operating.md restores a backup: the old folder out of the way, root's copy in its place.
    state = Path("/var/lib/private/basisd/calm")
    state.rename("/root/broken")
    shutil.copytree("/root/broken", state)
    facts["restored_code"] = systemctl("start", unit)
    systemctl("stop", unit)
    return facts | {"restored": notes("calm", "starts")[-1]}


def watchdog() -> dict[str, object]:
    unit = prepare("hang", "hang-once", extra=QUICK)
    began = time.monotonic()
    systemctl("start", unit)
    after = until(unit, lambda now: now["NRestarts"] == "1" and now["ActiveState"] == "active")
    facts: dict[str, object] = {"after": after, "seconds": time.monotonic() - began}
    log = subprocess.run(["journalctl", "--unit", unit, "--output=cat"], capture_output=True, text=True, timeout=20)
    facts["log"] = log.stdout[-4000:]
    systemctl("stop", unit)
    return facts | {"starts": len(notes("hang", "starts")), "safety": len(notes("hang", "safety"))}


def killed() -> dict[str, object]:
    unit = prepare("killed", "obedient", extra=QUICK)
    systemctl("start", unit)
    os.kill(int(show(unit)["MainPID"]), signal.SIGKILL)
    after = until(unit, lambda now: now["NRestarts"] == "1" and now["ActiveState"] == "active")
    systemctl("stop", unit)
    return {"after": after, "starts": len(notes("killed", "starts")), "safety": len(notes("killed", "safety"))}


def exits(code: int) -> dict[str, object]:
    """A program that ends with `code` at every start, until the unit gives up."""
    name = f"exit{code}"
    unit = prepare(name, f"exit {code}", extra=QUICK)
    systemctl("start", unit)
    after = until(unit, lambda now: now["ActiveState"] == "failed")
    until(f"basisd-failed@{name}.service", lambda _: bool(notes(name, "safety_ends")), within_s=5)
    time.sleep(0.5)  # a second OnFailure, or one more start, would come in this time
    return {
        "after": after,
        "still": show(unit),
        "starts": len(notes(name, "starts")),
        "safety": notes(name, "safety"),
        "safety_unit": show(f"basisd-failed@{name}.service"),
    }


def no_credentials() -> dict[str, object]:
    unit = prepare("bare", "obedient", extra=QUICK)
    (Path("/etc/basisd/credentials/bare") / "CEX__KEY").unlink()
    empty_code = systemctl("start", unit)
    systemctl("stop", unit)
    empty = notes("bare", "starts")
    Path("/etc/basisd/credentials/bare").rmdir()
    code = systemctl("start", unit)
    return {
        "empty_code": empty_code,
        "empty": empty,
        "code": code,
        "starts": notes("bare", "starts"),
        "unit": show(unit),
    }


def sealed_secret() -> dict[str, object]:
    """A secret that lies on the disk encrypted with the key of this machine, as operating.md does it."""
    folder = Path("/etc/basisd/credentials/sealed")
    sealed = f"LoadCredential=\nLoadCredentialEncrypted=basis:{folder}"
    unit = prepare("sealed", "obedient", extra=sealed)
    command = ["systemd-creds", "encrypt", "--with-key=host", "--name=basis_CEX__KEY", "-", f"{folder}/CEX__KEY"]
    done = subprocess.run(command, input=SECRET, capture_output=True, text=True, timeout=30)
    code = systemctl("start", unit)
    systemctl("stop", unit)
    on_disk = (folder / "CEX__KEY").read_text(errors="replace")
    return {"said": done.stderr, "code": code, "on_disk": on_disk, "starts": notes("sealed", "starts")}


def safety_is_tried_again() -> dict[str, object]:
    """The safety unit fails once, and once more it is started by hand while the daemon is still failed."""
    unit = prepare("again", "exit 78", extra="RestartSec=100ms", safety="safety-retried")
    systemctl("start", unit)
    until(unit, lambda _: bool(notes("again", "safety_ends")))
    safety = until("basisd-failed@again.service", lambda now: now["ActiveState"] == "inactive")
    by_itself = notes("again", "safety")
    code = systemctl("start", "basisd-failed@again.service")
    return {"safety": by_itself, "unit": safety, "code": code, "by_hand": notes("again", "safety")[len(by_itself) :]}


def start_waits_for_safety() -> dict[str, object]:
    unit = prepare("waits", "obedient", safety="safety-slow")
    systemctl("start", "--no-block", "basisd-failed@waits.service")
    until("basisd-failed@waits.service", lambda _: bool(notes("waits", "safety")))
    code = systemctl("start", unit)
    systemctl("stop", unit)
    by_hand = notes("waits", "safety")
    return {"code": code, "starts": notes("waits", "starts"), "ends": notes("waits", "safety_ends"), "by_hand": by_hand}


def flatten_stops_the_daemon() -> dict[str, object]:
    unit = prepare("flat", "obedient")
    systemctl("start", unit)
    code = systemctl("start", "basisd-flatten@flat.service")
    facts = {"code": code, "daemon": show(unit), "stops": notes("flat", "stops"), "flatten": notes("flat", "flatten")}
    return facts | {"starts": notes("flat", "starts"), "safety": notes("flat", "safety")}


def the_real_daemon() -> dict[str, object]:
    """`basis run` as the unit starts it: no swapped program, only where this test keeps the source."""
    unit = prepare("real", extra="Environment=PYTHONPATH=/opt/basisd/source\n")
    Path("/etc/basisd/real.yaml").write_text(Path("/opt/basisd/source/configs/paper.yaml").read_text())
    facts: dict[str, object] = {"start_code": systemctl("start", unit), "started": show(unit)}
    command = ["/opt/basisd/venv/bin/basis", "status", "--state", "/var/lib/basisd/real"]
    environment = os.environ | {"PYTHONPATH": "/opt/basisd/source", "LD_LIBRARY_PATH": "/opt/basisd/python/lib"}
    status = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment)
    facts["status"] = [status.returncode, status.stdout[-4000:], status.stderr[-4000:]]
    if facts["start_code"] == 0:
        os.kill(int(show(unit)["MainPID"]), signal.SIGKILL)
        facts["after_kill"] = until(unit, lambda now: now["NRestarts"] == "1" and now["ActiveState"] == "active", 60)
    began = time.monotonic()
    facts["stop_code"] = systemctl("stop", unit)
    facts |= {"stop_s": time.monotonic() - began, "stopped": show(unit)}
    log = subprocess.run(["journalctl", "--unit", unit, "--output=cat"], capture_output=True, text=True, timeout=20)
    return facts | {"log": log.stdout[-8000:]}


def main(*asked: str) -> int:
    plays: dict[str, Callable[[], dict[str, object]]] = {
        "install": install,
        "notify_start_and_stop": notify_start_and_stop,
        "watchdog": watchdog,
        "killed": killed,
        "exit_1": lambda: exits(1),
        "exit_65": lambda: exits(65),
        "exit_78": lambda: exits(78),
        "no_credentials": no_credentials,
        "sealed_secret": sealed_secret,
        "safety_is_tried_again": safety_is_tried_again,
        "start_waits_for_safety": start_waits_for_safety,
        "flatten_stops_the_daemon": flatten_stops_the_daemon,
        "the_real_daemon": the_real_daemon,
        "uninstall": uninstall,
    }
    facts: dict[str, object] = {}
    for name in asked:
        began = time.monotonic()
        facts[name] = plays[name]() | {"took_s": round(time.monotonic() - began, 2)}
        Path("/results/facts.json").write_text(json.dumps(facts, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
