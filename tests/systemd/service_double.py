"""A stand-in for the daemon inside a unit: speaks sd_notify, and says in its state folder what it can see and do.

Only the standard library, no project module: service_double.py PART, run by the interpreter of the unit.

    obedient        ready, feeds the watchdog, reloads on SIGHUP, ends on SIGTERM
    bare            the same outside any unit: looks at nothing and tries nothing
    hang-once       the first run stops feeding after READY=1; the next ones are obedient
    exit CODE       ends with CODE before it is ready
    safety          the safety unit: notes why it was started
    safety-slow     the same, taking two seconds
    safety-retried  the same, failing the first time
    flatten         the unit that closes everything: notes what the daemon had done by then
"""

from __future__ import annotations

import faulthandler
import fcntl
import json
import mmap
import os
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

STATE = Path(os.environ.get("STATE_DIRECTORY", "."))


def notify(message: str) -> None:
    """Sends one message to the service manager; an address that begins with @ is in the abstract namespace."""
    address = os.environ["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect("\0" + address[1:] if address.startswith("@") else address)
        channel.sendall(message.encode())


def note(name: str, fact: object) -> int:
    """Adds one JSON line to a file of the state folder; returns how many there are now."""
    path = STATE / f"{name}.jsonl"
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(fact) + "\n")
    return len(path.read_text(encoding="utf-8").splitlines())


def attempt(act: Callable[[], object]) -> str:
    """`ok`, or the error by name and number."""
    try:
        act()
    except OSError as exc:
        return f"{type(exc).__name__}:{exc.errno}"
    return "ok"


def lock_account() -> None:
    """Takes the lock of an account that other instances, which have other users, take as well."""
    descriptor = os.open("/run/lock/basisd/account.lock", os.O_RDWR | os.O_CREAT)
    if os.fstat(descriptor).st_uid == os.getuid():
        os.fchmod(descriptor, 0o660)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def sight() -> dict[str, object]:
    """What a process of this unit sees and may do."""
    credentials = Path(os.environ["CREDENTIALS_DIRECTORY"])
    return {
        "uid": os.getuid(),
        "groups": os.getgroups(),
        "environment": {k: v for k, v in os.environ.items() if k.startswith(("BASIS_", "MONITOR_", "XDG_", "PYTHON"))},
        "credentials": {path.name: path.read_text() for path in sorted(credentials.iterdir())},
        "credential_modes": sorted(oct(path.stat().st_mode & 0o777) for path in credentials.iterdir()),
        "state": sorted(path.name for path in STATE.iterdir()),
        "left_by_root": attempt(lambda: (STATE / "left_by_root").read_bytes()),
        "cache": attempt(lambda: (Path(os.environ["XDG_CACHE_HOME"]) / "x").write_text("")),
        "backup": attempt(lambda: Path("/var/backups/basisd", os.environ["INSTANCE"]).mkdir(exist_ok=True)),
        "write_etc": attempt(lambda: Path("/etc/basisd/x").write_text("")),
        "write_program": attempt(lambda: Path("/opt/basisd/x").write_text("")),
        "write_tmp": attempt(lambda: Path("/tmp/x").write_text("")),
        "read_source": attempt(lambda: os.listdir(f"/etc/basisd/credentials/{os.environ['INSTANCE']}")),
        "read_home": attempt(lambda: os.listdir("/root")),
        "netlink": attempt(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)),
        "inet": attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()),
        "writable_code": attempt(lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)),
        "account_lock": attempt(lock_account),
        "others": sum(name.isdigit() for name in os.listdir("/proc")),
    }


def serve(listener: socket.socket) -> None:
    """Tells a caller the uid that SO_PEERCRED gives for it."""
    caller, _ = listener.accept()
    with caller:
        _, uid, _ = struct.unpack("3i", caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        caller.sendall(str(uid).encode())


def obedient() -> int:
    wanted: list[int] = []
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda got, _frame: wanted.append(got))
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    path = Path(os.environ["RUNTIME_DIRECTORY"], "control.sock")
    listener.bind(str(path))
    path.chmod(0o660)
    listener.listen()
    half_s = int(os.environ["WATCHDOG_USEC"]) / 2e6
    notify(f"READY=1\nSTATUS=trading on nothing\nMAINPID={os.getpid()}")
    while True:
        while wanted:
            if wanted.pop(0) == signal.SIGTERM:
                notify("STOPPING=1")
                note("stops", "SIGTERM")
                return 0
            notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
            notify("READY=1\nSTATUS=reloaded")
        notify("WATCHDOG=1")
        # A signal handler only appends; the wait is cut into pieces that are short against every limit.
        if select.select([listener], [], [], min(half_s, 0.1))[0]:
            serve(listener)


def main(part: str, *arguments: str) -> int:
    faulthandler.enable()
    if part.startswith("safety"):
        runs = note("safety", sight() | {"at": time.time()})
        time.sleep(2 if part == "safety-slow" else 0)
        if part == "safety-retried" and runs == 1:
            return 1
        note("safety_ends", time.time())
        return 0
    if part == "flatten":
        note("flatten", sight())
        return 0
    if part == "bare":
        return obedient()
    starts = note("starts", sight() | {"at": time.time()})
    if part == "exit":
        return int(arguments[0])
    if part == "hang-once" and starts == 1:
        notify("READY=1\nSTATUS=about to hang")
        time.sleep(3600)
    return obedient()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
