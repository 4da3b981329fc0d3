"""Copies of a state directory: made, verified, put back.

A copy may be made while the daemon runs. Files only grow or are replaced whole, and anchors are copied before the
segments they vouch for, so a copy is a state that a crash could have left; recovery does the rest. Left out is what
means nothing elsewhere: the lock, sockets, the index (it is derived) and half-written files.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path

import msgspec

from components.model.errors import Fault, InvalidInput, Severity, Stop, catalogued
from daemon.lock import STATE_LOCK, Holder, held, state_lock

OPS_BACKUP = catalogued(
    "OPS-010",
    Severity.ERROR,
    "The copy of the state is not usable",
    "Use another backup or another place; what was there is unchanged",
)
CONTENTS = "backup.json"
_LEFT_OUT = (STATE_LOCK, "index.sqlite", "index.sqlite-wal", "index.sqlite-shm", CONTENTS)
_FIRST = ("anchor", "epoch")
_BLOCK = 1 << 20


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What a copy is made of: size and SHA-256 (hex) by path, and when it was made (ISO 8601, UTC)."""

    made: str
    files: Mapping[str, tuple[int, str]]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(size for size, _ in self.files.values())


def copy_state(state: Path, target: Path, *, made: str) -> Contents:
    """Copies `state` to `target`, a folder that is empty or not there. Stop OPS-010 leaves no list of contents."""
    if not state.is_dir():
        raise Stop(OPS_BACKUP, "there is no such state directory", state=str(state))
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Stop(OPS_BACKUP, "the place of the copy is not empty", place=str(target))
    if target.resolve().is_relative_to(state.resolve()):
        raise Stop(OPS_BACKUP, "the place of the copy is inside the state directory", place=str(target))
    try:
        files = {str(path): _copied(state / path, target / path) for path in _files(state)}
        contents = Contents(made=made, files=dict(sorted(files.items())))
        # Its list of contents is what makes a copy one; it comes last.
        _write(target / CONTENTS, msgspec.json.encode(contents, order="deterministic"))
    except OSError as exc:
        raise Stop(OPS_BACKUP, f"copying failed: {exc}", place=str(target)) from exc
    return contents


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
        if stat.S_ISREG(path.lstat().st_mode) and not (is_top and path.name in _LEFT_OUT):
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
