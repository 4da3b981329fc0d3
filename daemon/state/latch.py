"""The emergency latch: files that say "close, and stay closed until an operator says resume", across any restart.

`state/EMERGENCY_STOP` stands for all strategies, `state/strategies/<id>/EMERGENCY_STOP` for one. The command line
writes them before it asks the daemon, so a daemon that does not answer still closes when it starts. Progress is kept
per strategy: under a latch for all, each gets a file of its own with the same id as soon as its phase advances.

An unreadable latch counts as a latch, a file that is not there does not, whatever kept it from being opened (no
descriptors left). Only `release` (that is, `basis resume`) takes one away.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from contextlib import suppress
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

import msgspec

from components.model.awaited import Awaited

LATCH_FILE = "EMERGENCY_STOP"
MARKER = "CLOSING"  # a file in the state directory while something is awaited: what the timer unit looks at
ALL = "*"
UNREADABLE = "unreadable latch"
UNOPENED = "unopened"  # id of a latch whose file is there, or may be, and cannot be opened

Replace = Callable[[Path, bytes], None]
Remove = Callable[[Path], None]


class Phase(StrEnum):
    REQUESTED = "requested"
    CLOSING = "closing"
    FLAT = "flat"
    FAILED = "failed"


class Latch(msgspec.Struct, frozen=True, kw_only=True):
    """One emergency stop. `scope` is a strategy or `ALL`, `at` UTC ns, `released` who has been resumed since, `awaited`
    what closing waited for when it was last looked at."""

    scope: str
    reason: str
    phase: Phase = Phase.REQUESTED
    at: int
    uid: int
    id: str
    released: tuple[str, ...] = ()
    awaited: tuple[Awaited, ...] = ()

    @property
    def is_closed(self) -> bool:
        """Nothing is left to close; the strategy only waits for `resume`."""
        return self.phase is Phase.FLAT


def requested(scope: str, reason: str, *, at: int, uid: int) -> Latch:
    """A new latch; its id is a hash of what it says."""
    digest = sha256(f"{scope}\n{reason}\n{at}\n{uid}".encode()).hexdigest()
    return Latch(scope=scope, reason=reason, at=at, uid=uid, id=digest[:16])


class Latches:
    """The latches of one state directory. Only this class writes them.

    `replace` writes a file so that after its return the new bytes, and before it the old ones, survive a power cut;
    `remove` likewise. OSError leaves what was there.
    """

    def __init__(self, state: Path, replace: Replace | None = None, remove: Remove | None = None) -> None:
        self._state = state
        self._replace = replace or replace_durably
        self._remove = remove or remove_durably

    def path(self, scope: str) -> Path:
        return self._state / LATCH_FILE if scope == ALL else self._state / "strategies" / scope / LATCH_FILE

    def of(self, strategy: str) -> Latch | None:
        """The latch a strategy stands under, None when it may run.

        A latch for all wins over an own one with another id: it is the newer request, and asks to close again.
        """
        own, everything = self.own(strategy), self.of_all()
        if everything is None or strategy in everything.released or (own is not None and own.id == everything.id):
            return own
        return everything

    def of_all(self) -> Latch | None:
        """The latch for all strategies, as it was set."""
        return self._read(ALL)

    def own(self, strategy: str) -> Latch | None:
        """The strategy's own latch: one that was set for it, or its progress under the latch for all."""
        return self._read(strategy)

    def under_way(self, scope: str, strategies: Collection[str]) -> Latch | None:
        """The latch that is being carried out already for all that a new request would ask for; None when somebody
        stands under none (one that was resumed meanwhile), or is to be closed again (flat, or failed)."""
        standing = [self.of(name) for name in (strategies if scope == ALL else (scope,))]
        if any(latch is None or latch.phase is Phase.FAILED for latch in standing):
            return None
        if all(latch is None or latch.is_closed for latch in standing):
            return None
        return self.of_all() if scope == ALL else standing[0]

    def set(self, latch: Latch) -> None:
        """Writes a latch in the place of its scope; one that stood there is replaced and closing starts anew."""
        self._write(latch.scope, latch)

    def advance(self, strategy: str, phase: Phase, awaited: tuple[Awaited, ...] = ()) -> Latch:
        """Notes how far closing one strategy is, and what it waits for; ValueError when it stands under no latch."""
        standing = self.of(strategy)
        if standing is None:
            raise ValueError(f"{strategy} is not latched")
        advanced = msgspec.structs.replace(standing, scope=strategy, phase=phase, released=(), awaited=awaited)
        self._write(strategy, advanced)
        return advanced

    def release(self, strategy: str, strategies: Collection[str]) -> Latch | None:
        """Takes the latch off one strategy and returns it; the last of `strategies` also ends the latch for all."""
        standing = self.of(strategy)
        everything = self.of_all()
        if everything is not None:
            released = tuple(sorted({*everything.released, strategy}))
            if set(strategies) <= set(released):
                self._erase(ALL)
            else:
                self._write(ALL, msgspec.structs.replace(everything, released=released))
        # Last, so that a crash in between leaves the strategy latched.
        self._erase(strategy)
        return standing

    def on_disk(self, scope: str) -> Latch | None:
        """What the file of a scope says, whatever is remembered."""
        return Latches._read(self, scope)

    def _erase(self, scope: str) -> None:
        self._remove(self.path(scope))

    def _write(self, scope: str, latch: Latch) -> None:
        path = self.path(scope)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._replace(path, msgspec.json.encode(latch) + b"\n")

    def _read(self, scope: str) -> Latch | None:
        path = self.path(scope)
        try:
            return msgspec.json.decode(path.read_bytes(), type=Latch)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except msgspec.DecodeError:
            return Latch(scope=scope, reason=UNREADABLE, at=0, uid=-1, id=f"unreadable-{_version(path)}")
        except OSError:
            return None if is_absent(path) else Latch(scope=scope, reason=UNREADABLE, at=0, uid=-1, id=UNOPENED)


def _version(path: Path) -> str:
    """Tells two files of one name apart: who writes another one asks for another stop."""
    try:
        found = path.stat()
    except OSError:
        return "0"
    return f"{found.st_mtime_ns:x}-{found.st_ino:x}"


def is_absent(path: Path) -> bool:
    """Whether nothing of that name is there for sure; asking takes no descriptor."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def mark(state: Path, is_closing: bool) -> None:
    """Tells the timer unit whether there is anything to go on with; a disk that takes nothing tells nobody."""
    with suppress(OSError):
        if is_closing:
            (state / MARKER).touch()
        else:
            (state / MARKER).unlink(missing_ok=True)


def replace_durably(path: Path, data: bytes) -> None:
    """Old bytes or new bytes, never half of them, and the new ones on disk at return."""
    scratch = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with scratch.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        with suppress(FileNotFoundError):
            scratch.unlink()
    _sync_folder(path.parent)


def remove_durably(path: Path) -> None:
    """The file is gone from the disk at return; one that is not there is no error."""
    with suppress(FileNotFoundError):
        path.unlink()
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
