"""One owner: an advisory lock (flock) on a file, with the name of its holder inside for whoever comes second.

The kernel releases the lock when its holder dies, however it dies, so a lock is never stale; what is written in the
file only means something while the lock is held. Locked are the state directory, and each account that is traded live.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from components.model.errors import Severity, Stop, catalogued

OPS_LOCKED = catalogued(
    "OPS-007",
    Severity.ERROR,
    "Another process owns this",
    "Stop the process named ('basis stop'), or use another state directory or account",
)
STATE_LOCK = "lock"
_TRIES = 8
_BETWEEN_TRIES_S = 0.01


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a lock: process id, when it started (ISO 8601, UTC), and where its control socket is, if it has one."""

    pid: int
    started: str
    socket: str = ""


UNKNOWN = Holder(pid=0, started="unknown")


@contextmanager
def held(path: Path, holder: Holder, what: str) -> Iterator[None]:
    """Holds the lock inside the block; Stop OPS-007 names the other holder. `what` says in words what is locked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if not _locked(lock):
            other = _read(lock)
            pid = other.pid or "unknown"
            raise Stop(OPS_LOCKED, f"{what} is owned by process {pid}, started {other.started}", lock=str(path))
        os.ftruncate(lock, 0)
        os.pwrite(lock, msgspec.json.encode(holder), 0)
        yield
    finally:
        os.close(lock)


def holder_of(path: Path) -> Holder | None:
    """Who holds the lock now; None when nobody does. A holder that has not yet written its name is `UNKNOWN`."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(lock)
    else:
        return None
    finally:
        os.close(lock)


def state_lock(state: Path) -> Path:
    """The lock file of a state directory."""
    return state / STATE_LOCK


def account_lock(environ: Mapping[str, str], environment: str, account: str) -> Path:
    """The lock file of a live account, in a place that all daemons of this user share whatever their state directory.

    systemd's RUNTIME_DIRECTORY (to be shared between instances), else XDG_RUNTIME_DIR, else /tmp.
    """
    runtime = environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    if not runtime and environ.get("XDG_RUNTIME_DIR"):
        runtime = f"{environ['XDG_RUNTIME_DIR']}/basisd"
    return Path(runtime or f"/tmp/basisd-{os.getuid()}") / "accounts" / f"{environment}.{account}.lock"


def _locked(lock: int) -> bool:
    # Somebody who looks (`holder_of`) holds the lock for a moment; a second owner keeps it.
    for _ in range(_TRIES):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_BETWEEN_TRIES_S)
        else:
            return True
    return False


def _read(lock: int) -> Holder:
    try:
        return msgspec.json.decode(os.pread(lock, 4096, 0), type=Holder)
    except msgspec.DecodeError:
        return UNKNOWN
