"""Copies of a state directory: made, verified, put back.

A copy may be made while the daemon runs: what belongs to it is settled in one moment (`snapshot`), and copied after it.
Files only grow or are replaced whole, and anchors are read before the segments they vouch for, so a copy is a state
that a crash could have left; recovery does the rest. Left out is what means nothing elsewhere: the lock, sockets, the
index (it is derived) and half-written files.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from math import inf
from pathlib import Path

import msgspec

from components.model.errors import Fault, InvalidInput, Severity, Stop, catalogued
from daemon.state.lock import STATE_LOCK, Holder, held, state_lock

OPS_BACKUP = catalogued(
    "OPS-010",
    Severity.ERROR,
    "The copy of the state is not usable",
    "Use another backup or another place; what was there is unchanged",
)
CONTENTS = "backup.json"
_LEFT_OUT = (STATE_LOCK, *(f"index.sqlite{suffix}" for suffix in ("", "-journal", "-wal", "-shm")), CONTENTS)
_HALF = (".new", ".tmp")
_FIRST = ("anchor", "epoch")
_BLOCK = 1 << 20
_HELD = 1 << 20  # files up to this size are read at once, unless they only grow
_GROWING = (".journal", ".ledger")
_SYNC_EVERY = 16 << 20


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What a copy is made of: size and SHA-256 (hex) by path, and when it was made (ISO 8601, UTC)."""

    made: str
    files: Mapping[str, tuple[int, str]]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(size for size, _ in self.files.values())


class Pace:
    """How fast bytes are read and written; `copied` hears of each block, and may end the copy by raising."""

    def __init__(self, *, bytes_per_s: float = inf, copied: Callable[[int], None] = lambda count: None) -> None:
        self._bytes_per_s = bytes_per_s
        self._copied = copied
        self._due = time.monotonic()

    def took(self, count: int) -> None:
        self._copied(count)
        self._due = max(self._due, time.monotonic() - 0.1) + count / self._bytes_per_s
        ahead = self._due - time.monotonic()
        if ahead > 0.0:
            time.sleep(ahead)


class Snapshot:
    """A state directory as it was at one moment: each file open and measured, or its bytes where it is replaced whole.

    What is appended later is not read, and a file that is replaced later is still the one that was opened.
    """

    def __init__(self, state: Path, target: Path, until: ExitStack) -> None:
        self._target = target
        self._files: list[tuple[Path, int, bytes | int, int]] = []  # name, mode, bytes or descriptor, size
        for name in _files(state):
            descriptor = os.open(state / name, os.O_RDONLY | os.O_CLOEXEC)
            until.callback(os.close, descriptor)
            found = os.fstat(descriptor)
            is_small = found.st_size <= _HELD and name.suffix not in _GROWING
            source: bytes | int = os.pread(descriptor, found.st_size, 0) if is_small else descriptor
            self._files.append((name, stat.S_IMODE(found.st_mode), source, found.st_size))

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(size for _, _, _, size in self._files)

    def copy(self, *, made: str, pace: Pace | None = None) -> Contents:
        """Writes it to its target. Stop OPS-010 leaves no list of contents."""
        pace = pace or Pace()
        try:
            files = {
                str(name): self._copied(name, mode, source, size, pace) for name, mode, source, size in self._files
            }
            contents = Contents(made=made, files=dict(sorted(files.items())))
            # Its list of contents is what makes a copy one; it comes last.
            _write(self._target / CONTENTS, msgspec.json.encode(contents, order="deterministic"))
        except OSError as exc:
            raise Stop(OPS_BACKUP, f"copying failed: {exc}", place=str(self._target)) from exc
        return contents

    def _copied(self, name: Path, mode: int, source: bytes | int, size: int, pace: Pace) -> tuple[int, str]:
        target = self._target / name
        if isinstance(source, bytes):
            _write(target, source)
            digest = sha256(source)
            pace.took(len(source))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            digest, at, synced = sha256(), 0, 0
            with target.open("wb") as writer:
                while at < size:
                    block = os.pread(source, min(_BLOCK, size - at), at)
                    if not block:
                        raise OSError(f"{name} has become shorter while it was copied")
                    writer.write(block)
                    digest.update(block)
                    at += len(block)
                    if at - synced >= _SYNC_EVERY:  # so that the journal's own syncs never wait for gigabytes of ours
                        writer.flush()
                        os.fdatasync(writer.fileno())
                        synced = at
                    pace.took(len(block))
                writer.flush()
                os.fsync(writer.fileno())
        target.chmod(mode)
        return size, digest.hexdigest()


@contextmanager
def snapshot(state: Path, target: Path) -> Iterator[Snapshot]:
    """Settles what a copy of `state` in `target`, a folder that is empty or not there, consists of: takes no longer
    than opening the files. Stop OPS-010 when there can be no copy."""
    if not state.is_dir():
        raise Stop(OPS_BACKUP, "there is no such state directory", state=str(state))
    with ExitStack() as until:
        try:
            if target.exists() and (not target.is_dir() or any(target.iterdir())):
                raise Stop(OPS_BACKUP, "the place of the copy is not empty", place=str(target))
            if target.resolve().is_relative_to(state.resolve()):
                raise Stop(OPS_BACKUP, "the place of the copy is inside the state directory", place=str(target))
            taken = Snapshot(state, target, until)
        except (OSError, RuntimeError) as exc:
            raise Stop(OPS_BACKUP, f"copying failed: {exc}", place=str(target)) from exc
        yield taken


def copy_state(state: Path, target: Path, *, made: str) -> Contents:
    """Copies `state` to `target`, all in one go. Errors as those of `snapshot` and `Snapshot.copy`."""
    with snapshot(state, target) as taken:
        return taken.copy(made=made)


def verify_copy(copy: Path) -> Contents:
    """The contents of a copy that is whole; InvalidInput OPS-010 with every file that differs, is absent or is new."""
    try:
        contents = msgspec.json.decode((copy / CONTENTS).read_bytes(), type=Contents)
    except FileNotFoundError as exc:
        what = "no such file" if copy.is_dir() else "no such folder"
        fault = Fault(where=str(copy / CONTENTS), found=what, expected="the contents of a backup", absent=True)
        raise InvalidInput(OPS_BACKUP, [fault]) from exc
    except (OSError, msgspec.DecodeError) as exc:
        fault = Fault(where=str(copy / CONTENTS), found=str(exc), expected="the contents of a backup")
        raise InvalidInput(OPS_BACKUP, [fault]) from exc
    there = {str(path) for path in _files(copy)}
    faults = [
        Fault(where=name, found="a file", expected="no file: it is not in the contents")
        for name in sorted(there - contents.files.keys())
    ]
    for name, (size, digest) in sorted(contents.files.items()):
        found = _measured(copy / name) if name in there else None
        if found is None:
            faults.append(Fault(where=name, found="no file", expected=f"{size} bytes"))
        elif found != (size, digest):
            faults.append(
                Fault(where=name, found=f"{found[0]} bytes, {found[1][:12]}…", expected=f"{size} bytes, {digest[:12]}…")
            )
    if faults:
        raise InvalidInput(OPS_BACKUP, faults)
    return contents


def restore_state(copy: Path, state: Path, *, holder: Holder) -> Contents:
    """Puts a verified copy into `state`, which must be empty or not there, and checks what was written.

    Stop OPS-007 when a daemon owns the place, OPS-010 when there is something in it.
    """
    contents = verify_copy(copy)
    with held(state_lock(state), holder, f"state directory {state}"):
        if any(path.name != STATE_LOCK for path in state.iterdir()):
            raise Stop(OPS_BACKUP, "the state directory is not empty; move it away first", state=str(state))
        try:
            for name in contents.files:
                _copied(copy / name, state / name)
            _write(state / CONTENTS, (copy / CONTENTS).read_bytes())
        except OSError as exc:
            raise Stop(OPS_BACKUP, f"copying failed: {exc}", state=str(state)) from exc
        verify_copy(state)
        (state / CONTENTS).unlink()
    return contents


def _files(folder: Path) -> Iterator[Path]:
    """Regular files worth keeping, relative to `folder`, anchors first."""
    found = []
    for path in folder.rglob("*"):
        relative = path.relative_to(folder)
        is_top = len(relative.parts) == 1
        if path.suffix in _HALF or (is_top and path.name in _LEFT_OUT):
            continue
        if stat.S_ISREG(path.lstat().st_mode):
            found.append(relative)
    return iter(sorted(found, key=lambda path: (path.name not in _FIRST, str(path))))


def _copied(source: Path, target: Path) -> tuple[int, str]:
    """Copies the bytes there are now; their number and hash."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = sha256(), 0
    with source.open("rb") as reader, target.open("wb") as writer:
        while block := reader.read(_BLOCK):
            writer.write(block)
            digest.update(block)
            size += len(block)
        writer.flush()
        os.fsync(writer.fileno())
    shutil.copymode(source, target)
    return size, digest.hexdigest()


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _measured(path: Path) -> tuple[int, str]:
    digest, size = sha256(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return size, digest.hexdigest()
