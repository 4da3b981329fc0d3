"""The checks of `basis doctor`: each looks at one thing, changes nothing that stays, and says what to do about it."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import stat
import statistics
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from enum import StrEnum
from importlib import metadata
from pathlib import Path

import msgspec

from components.model.errors import BasisError, InvalidInput
from daemon.control.client import ask, socket_of
from daemon.control.commands import Request
from daemon.state.latch import ALL, LATCH_FILE, Latches
from daemon.state.lock import holder_of, state_lock

LEAST_PYTHON = (3, 11)
LEAST_FREE_BYTES = 1 << 30
SLOW_SYNC_MS = 20.0
SYNCS = 20
PROBE_S = 2.0
_PACKAGE = Path(__file__).resolve().parents[2]
_TIMEX_BYTES = 512  # struct timex is smaller everywhere
_CLOCK_NOT_SYNCHRONISED = 5


class Health(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class Check(msgspec.Struct, frozen=True):
    """What was looked at, how it stands, what was found, and what to do (empty while all is well)."""

    name: str
    health: Health
    found: str
    do: str = ""


def all_checks(state: Path, config: Path | None, environ: Mapping[str, str]) -> Iterator[Check]:
    """Every check, one after another; none of them raises."""
    yield python()
    yield packages()
    yield configuration(config, environ)
    yield from directory(state)
    yield lock(state)
    yield daemon_answer(state)
    yield metrics_address(config, state, environ)
    yield from latches(state)
    yield from journals(state)
    yield watchdog(environ)
    yield clock()


def python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < LEAST_PYTHON:
        return Check("python", Health.FAILED, version, "install Python 3.11 or newer")
    return Check("python", Health.OK, version)


def packages(lock_file: Path = _PACKAGE / "uv.lock") -> Check:
    """Installed packages are those of the lock."""
    locked: dict[str, list[str]] = {}  # a package may have one version per Python
    try:
        for entry in tomllib.loads(lock_file.read_text(encoding="utf-8"))["package"]:
            locked.setdefault(entry["name"], []).append(entry.get("version", ""))
    except FileNotFoundError:
        return Check("packages", Health.OK, "installed without a lock file beside it")
    except (OSError, ValueError, KeyError) as exc:
        return Check("packages", Health.WARNING, f"{lock_file} cannot be read: {exc}", "restore the file")
    drifted = []
    for name, wanted in sorted(locked.items()):
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # for another platform, or for development
        if found not in wanted and any(wanted):
            drifted.append(f"{name} {found}, locked {' or '.join(wanted)}")
    if drifted:
        return Check("packages", Health.WARNING, "; ".join(drifted), "install again from the lock: uv sync --locked")
    return Check("packages", Health.OK, "as locked")


def configuration(path: Path | None, environ: Mapping[str, str]) -> Check:
    if path is None:
        return Check("config", Health.OK, "not looked at", "name the daemon file with --config")
    from daemon.config.daemon_file import load_daemon

    try:
        config = load_daemon(path, environ=environ)
    except InvalidInput as invalid:
        return Check("config", Health.FAILED, "; ".join(map(str, invalid.faults)), "correct every fault listed")
    names = ", ".join(entry.id for entry in config.strategies)
    return Check(
        "config", Health.OK, f"{config.execution_mode}, {config.environment}: {names}; {config.config_hash[:12]}"
    )


def directory(state: Path) -> Iterator[Check]:
    """The state directory is ours, closed to others, has room, and its disk is fast enough."""
    if not state.exists() and not state.is_symlink():
        yield not_there_yet(state)
        return
    if not state.is_dir():
        yield Check("state", Health.FAILED, f"{state} is no directory", "move it away, or name another with --state")
        return
    mode = stat.S_IMODE(state.stat().st_mode)
    if not os.access(state, os.R_OK | os.W_OK | os.X_OK):
        yield Check("state", Health.FAILED, f"{state} cannot be written ({mode:o})", "run this as the daemon's user")
        return
    if mode & 0o007:
        yield Check("state", Health.WARNING, f"{state} is open to everybody ({mode:o})", f"chmod o= {state}")
    else:
        yield Check("state", Health.OK, f"{state} ({mode:o})")
    free = shutil.disk_usage(state).free
    room = f"{free / (1 << 30):.1f} GiB free"
    if free < LEAST_FREE_BYTES:
        yield Check("disk", Health.WARNING, room, "make room, or prune behind a checkpoint after a backup")
    else:
        yield Check("disk", Health.OK, room)
    yield sync_time(state)


def not_there_yet(state: Path) -> Check:
    """Before the first start there is no state directory: that is no fault as long as it can be made."""
    place = next(path for path in (state, *state.absolute().parents) if path.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        found = f"no directory {state}, and {place} may not be written to"
        return Check("state", Health.FAILED, found, "run this as the daemon's user, or name another with --state")
    return Check("state", Health.OK, f"{state} is not there yet: the first start makes it")


def sync_time(state: Path) -> Check:
    """How long the disk takes to make 4 KiB durable; every order waits for that once."""
    path = state / f".doctor.{os.getpid()}"
    taken = []
    try:
        with path.open("wb", buffering=0) as file:
            for _ in range(SYNCS):
                began = time.perf_counter()
                file.write(bytes(4096))
                os.fdatasync(file.fileno())
                taken.append(1000.0 * (time.perf_counter() - began))
    except OSError as exc:
        return Check("fsync", Health.FAILED, f"writing failed: {exc}", "the daemon cannot trade on this disk")
    finally:
        path.unlink(missing_ok=True)
    median, worst = statistics.median(taken), max(taken)
    found = f"median {median:.2f} ms, worst {worst:.2f} ms of {SYNCS}"
    if median > SLOW_SYNC_MS:
        return Check("fsync", Health.WARNING, found, "put the state directory on a faster disk")
    return Check("fsync", Health.OK, found)


def lock(state: Path) -> Check:
    """Who owns the state directory; a lock that may not be written means that no daemon of this user could start."""
    path = state_lock(state)
    try:
        holder = holder_of(path)
    except PermissionError:
        return Check("lock", Health.FAILED, f"{path} may not be read", "run this as the daemon's user")
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        found = f"{path} may not be written by this user"
        return Check("lock", Health.FAILED, found, "run this as the daemon's user, or make the file its own: chown")
    if holder is None:
        return Check("lock", Health.OK, "free: no daemon is running here")
    return Check("lock", Health.OK, f"held by process {holder.pid}, started {holder.started}")


def daemon_answer(state: Path) -> Check:
    """A daemon that holds the lock answers at its socket."""
    try:
        running = holder_of(state_lock(state)) is not None
    except PermissionError:
        running = True
    path = socket_of(state)
    try:
        began = time.perf_counter()
        said = msgspec.json.decode(ask(path, Request(kind="ping")).data)
    except BasisError as error:
        if not running:
            return Check("socket", Health.OK, "nobody listens: no daemon is running here")
        return Check("socket", Health.FAILED, f"{error.message} ({path})", error.hint)
    unwell = said.get("unwell", []) if isinstance(said, dict) else []
    if unwell:
        return Check("socket", Health.WARNING, f"answers; {'; '.join(unwell)}", "see its log, and 'basis status'")
    return Check("socket", Health.OK, f"answers in {1000.0 * (time.perf_counter() - began):.1f} ms")


def metrics_address(path: Path | None, state: Path, environ: Mapping[str, str]) -> Check:
    """Whether the address of the metrics is this daemon's: where another program listens, its figures are taken for
    ours."""
    from daemon.config.daemon_file import load_daemon

    if path is None:
        return Check("metrics", Health.OK, "not looked at", "name the daemon file with --config")
    try:
        where = load_daemon(path, environ=environ).metrics
        running = holder_of(state_lock(state)) is not None
    except (BasisError, OSError):
        return Check("metrics", Health.OK, "not looked at: the configuration or the lock cannot be read")
    address = f"{where.host}:{where.port}"
    if running:
        return Check("metrics", Health.OK, f"{address}: the daemon says how they stand, see socket")
    try:
        with socket.create_connection((where.host, where.port), timeout=PROBE_S):
            pass
    except OSError:
        return Check("metrics", Health.OK, f"{address} is free")
    do = "end what listens there (ss -ltnp), or start with another metrics.port (BASIS_DAEMON__METRICS__PORT)"
    return Check("metrics", Health.WARNING, f"another program listens at {address} already", do)


def latches(state: Path) -> Iterator[Check]:
    """A standing latch is no fault, but nobody should overlook it."""
    known = Latches(state)
    scopes = [ALL, *sorted(path.parent.name for path in (state / "strategies").glob(f"*/{LATCH_FILE}"))]
    standing = [latch for scope in scopes if (latch := known.own(scope)) is not None]
    for latch in standing:
        name = "all strategies" if latch.scope == ALL else latch.scope
        found = f"{name}: {latch.phase}, {latch.reason}"
        yield Check("latch", Health.WARNING, found, "look at positions, then 'basis resume' each strategy")
    if not standing:
        yield Check("latch", Health.OK, "none")


def journals(state: Path) -> Iterator[Check]:
    """Each journal verifies from its first record to its head, and the head is not behind the anchor."""
    from daemon.journal import reader
    from daemon.state.disk import RealDisk

    disk = RealDisk()
    try:
        found = [reader.verify(disk, located) for located in reader.journals(disk, state)]
    except OSError as exc:
        yield Check("journal", Health.FAILED, f"cannot be read: {exc}", "run this as the daemon's user")
        return
    if not found:
        yield Check("journal", Health.OK, "none yet")
    for journal in found:
        if journal.ok:
            many = "record" if journal.records == 1 else "records"
            head = f"{journal.records:,} {many}, head {journal.sequence:,} {journal.hash[:12]}"
            yield Check("journal", Health.OK, f"{journal.journal}: {head}")
        else:
            broken = f"{journal.journal}: {journal.reason}"
            yield Check("journal", Health.FAILED, broken, "leave the files as they are; see 'basis audit verify'")


def watchdog(environ: Mapping[str, str]) -> Check:
    socket, period = environ.get("NOTIFY_SOCKET"), environ.get("WATCHDOG_USEC")
    if not socket:
        return Check("watchdog", Health.OK, "not under systemd: nobody restarts a stuck daemon")
    if not (period and period.isdigit()):
        return Check("watchdog", Health.WARNING, "systemd waits for no sign of life", "set WatchdogSec= in the unit")
    return Check("watchdog", Health.OK, f"systemd waits {int(period) / 1e6:g} s for a sign of life")


def clock() -> Check:
    """Whether the kernel believes its clock to be synchronised."""
    answer = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    if answer == _CLOCK_NOT_SYNCHRONISED:
        return Check("clock", Health.WARNING, "not synchronised", "run chrony or systemd-timesyncd before trading live")
    if answer < 0:
        return Check("clock", Health.WARNING, "the kernel does not say", "check the clock by hand")
    return Check("clock", Health.OK, "synchronised")
