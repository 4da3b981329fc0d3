"""One owner: an advisory lock (flock) on a file, with the name of its holder inside for whoever comes second.

The kernel releases the lock when its holder dies, however it dies, so a lock is never stale; what is written in the
file only means something while the lock is held. Locked are the state directory, and each account that is traded live.
Of a state directory the folder itself is locked first: who removes the lock file takes nothing from its holder.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
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
SAFETY = "safety"  # brings the accounts to safety, and must not be disturbed
DISK_S = 2.0  # that a disk may take to take a name
_TRIES = 8
_BETWEEN_TRIES_S = 0.01


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a lock: process id, when it started (ISO 8601, UTC), where its control socket is, if it has one, and
    what it does, where that matters to others (`SAFETY`)."""

    pid: int
    started: str
    socket: str = ""
    doing: str = ""


UNKNOWN = Holder(pid=0, started="unknown")


@contextmanager
def held(path: Path, holder: Holder, what: str) -> Iterator[None]:
    """Holds the lock inside the block; Stop OPS-007 names the other holder. `what` says in words what is locked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as opened:
        if path.name == STATE_LOCK:
            folder = _opened(path.parent, os.O_RDONLY | os.O_DIRECTORY, opened)
            if not _locked(folder):
                raise _owned(what, holder_of(path) or UNKNOWN, path)
        lock = _lock_file(path, opened)
        if not _locked(lock):
            raise _owned(what, _read(lock), path)
        # A disk that takes nothing, or hangs: the lock is held all the same, its holder has no name.
        naming = threading.Thread(target=_name, args=(path, holder), daemon=True)
        naming.start()
        naming.join(DISK_S)
        yield


def holder_of(path: Path) -> Holder | None:
    """Who holds the lock now; None when nobody does. A holder that has not yet written its name is `UNKNOWN`."""
    with ExitStack() as opened:
        try:
            lock = _opened(path, os.O_RDONLY, opened)
        except (FileNotFoundError, NotADirectoryError):
            pass
        else:
            if _is_held(lock):
                return _read(lock)
        if path.name != STATE_LOCK:
            return None
        try:
            folder = _opened(path.parent, os.O_RDONLY | os.O_DIRECTORY, opened)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not _is_held(folder):
            return None
        return Holder(pid=_pid_by_kernel(folder), started=UNKNOWN.started)  # its lock file is gone, or is another


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


@contextmanager
def accounts_held(
    environ: Mapping[str, str], environment: str, accounts: Iterable[str], holder: Holder
) -> Iterator[None]:
    """Holds the locks of these live accounts inside the block: a wallet has one writer, whatever the state directory.
    Stop OPS-007 names the account and its other holder; then none is held."""
    with ExitStack() as owned:
        for account in sorted(set(accounts)):
            owned.enter_context(held(account_lock(environ, environment, account), holder, f"the account {account}"))
        yield


def _opened(path: Path, flags: int, until: ExitStack) -> int:
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o644)
    until.callback(os.close, descriptor)
    return descriptor


def _lock_file(path: Path, until: ExitStack) -> int:
    """To be locked, which takes no writing where it is there already: its disk may hang, or be read-only."""
    with suppress(FileNotFoundError):
        return _opened(path, os.O_RDONLY, until)
    return _opened(path, os.O_RDWR | os.O_CREAT, until)


def _name(path: Path, holder: Holder) -> None:
    """Writes who holds the lock, which must be held."""
    with suppress(OSError):
        lock = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.ftruncate(lock, 0)
            os.pwrite(lock, msgspec.json.encode(holder), 0)
        finally:
            os.close(lock)


def _owned(what: str, other: Holder, path: Path) -> Stop:
    pid = other.pid or "unknown"
    return Stop(OPS_LOCKED, f"{what} is owned by process {pid}, started {other.started}", lock=str(path))


def _is_held(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(lock, fcntl.LOCK_UN)
    return False


def _pid_by_kernel(lock: int) -> int:
    """Who holds a flock, as the kernel lists it; 0 when it does not say (it is in another pid namespace)."""
    found = os.fstat(lock)
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return 0
    for line in lines:
        _, kind, _, access, pid, where, *_ = line.replace("-> ", "").split()
        if (kind, access, where) == ("FLOCK", "WRITE", place):
            return max(int(pid), 0)
    return 0


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
