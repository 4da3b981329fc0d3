"""The disk: what must survive a power cut is written through here, at points that have names.

Each name in `POINTS` is one place in the code, and using another is an error: tests cut the power before and after
every moment of every point. Errors are OSError, as the system gives them; who writes decides what they mean. Calls
block; in the daemon they run in the committer's thread or before anything else does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Protocol


class Kind(StrEnum):
    """What may happen at a point."""

    WRITE = "write"
    SYNC = "sync"
    TRUNCATE = "truncate"
    OPEN = "open"
    REPLACE = "replace"
    RENAME = "rename"
    UNLINK = "unlink"
    FOLDER = "folder"
    SYNC_FOLDER = "sync_folder"


POINTS: Mapping[str, Kind] = MappingProxyType(
    {
        "journal.folder": Kind.FOLDER,
        "journal.segment": Kind.OPEN,
        "journal.write": Kind.WRITE,
        "journal.sync": Kind.SYNC,
        "anchor.replace": Kind.REPLACE,
        "epoch.replace": Kind.REPLACE,
        "reserve.make": Kind.REPLACE,
        "reserve.open": Kind.OPEN,
        "reserve.write": Kind.WRITE,
        "reserve.sync": Kind.SYNC,
        "recover.reopen": Kind.OPEN,
        "recover.copy_torn": Kind.REPLACE,
        "recover.cut_torn": Kind.TRUNCATE,
        "recover.rewrite": Kind.WRITE,
        "recover.sync": Kind.SYNC,
        "recover.entries": Kind.SYNC_FOLDER,
        "adopt.open": Kind.OPEN,
        "adopt.rewrite": Kind.WRITE,
        "adopt.cut": Kind.TRUNCATE,
        "adopt.sync": Kind.SYNC,
        "adopt.rename": Kind.RENAME,
        "prune.folder": Kind.FOLDER,
        "prune.copy": Kind.REPLACE,
        "prune.anchor": Kind.REPLACE,
        "prune.remove": Kind.UNLINK,
    }
)
"""Every point of the package by name. A new durable write gets a new line here."""

_INSIDE: Mapping[Kind, tuple[str, ...]] = {
    Kind.WRITE: ("",),
    Kind.SYNC: ("",),
    Kind.TRUNCATE: ("",),
    Kind.OPEN: (".open", ".folder"),
    Kind.REPLACE: (".write", ".sync", ".rename", ".folder"),
    Kind.RENAME: (".rename", ".folder"),
    Kind.UNLINK: (".unlink", ".folder"),
    Kind.FOLDER: (".make", ".folder"),
    Kind.SYNC_FOLDER: ("",),
}


def moments() -> tuple[str, ...]:
    """All that `at_point` can be told, like `before:journal.sync` or `after:anchor.replace.rename`."""
    return tuple(
        f"{when}:{point}{inside}"
        for point, kind in POINTS.items()
        for inside in _INSIDE[kind]
        for when in ("before", "after")
    )


def checked(point: str, kind: Kind) -> str:
    """The point, if it has a name and is of this kind; ValueError otherwise. Each `Disk` asks first."""
    if POINTS.get(point) is not kind:
        raise ValueError(f"{point!r} is no point of kind {kind}: name it in daemon.state.disk.POINTS")
    return point


class AppendFile(Protocol):
    """A file that is written from one place onward by one owner."""

    @property
    def size(self) -> int:
        """Bytes before the place where the next write goes."""
        ...

    def write(self, point: str, data: bytes) -> None:
        """Writes all of `data`; after an error some of it may be there."""
        ...

    def sync(self, point: str) -> None:
        """What was written survives a power cut (fdatasync). After an error nobody knows, and asking again lies."""
        ...

    def truncate(self, point: str, size: int) -> None:
        """Cuts the file; the next write goes to its end."""
        ...

    def close(self) -> None: ...


class Disk(Protocol):
    """Files and folders. What is created, replaced, renamed or removed here is durable as an entry at return."""

    def append(self, point: str, path: Path, *, at: int | None = None) -> AppendFile:
        """Opens a file for writing at its end or at byte `at`; creates it when it is not there."""
        ...

    def replace(self, point: str, path: Path, data: bytes) -> None:
        """The old bytes or the new ones, never half of them, and the new ones at return."""
        ...

    def rename(self, point: str, old: Path, new: Path) -> None:
        """Within one folder."""
        ...

    def unlink(self, point: str, path: Path) -> None:
        """The file is gone; one that is not there is no error."""
        ...

    def make_folder(self, point: str, path: Path) -> None:
        """The folder and those above it are there."""
        ...

    def sync_folder(self, point: str, path: Path) -> None:
        """Entries made before, perhaps by a process that was killed, are durable."""
        ...

    def read(self, path: Path, offset: int = 0, size: int | None = None) -> bytes:
        """Bytes from `offset` on, all or at most `size`; FileNotFoundError when there is no file."""
        ...

    def size(self, path: Path) -> int: ...

    def list(self, path: Path) -> tuple[str, ...]:
        """Names in a folder, sorted; none when there is no folder."""
        ...

    def exists(self, path: Path) -> bool: ...

    def free_bytes(self, path: Path) -> int:
        """Bytes that an ordinary user may still write."""
        ...


class RealDisk:
    """The machine's disk. `at_point` hears every moment; tests end the process there."""

    def __init__(self, at_point: Callable[[str], None] | None = None) -> None:
        self._at_point = at_point

    def append(self, point: str, path: Path, *, at: int | None = None) -> AppendFile:
        checked(point, Kind.OPEN)
        is_new = not path.exists()
        with self.moment(f"{point}.open"):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
        if is_new:
            self._sync_folder(f"{point}.folder", path.parent)
        return _RealFile(self, descriptor, os.fstat(descriptor).st_size if at is None else at)

    def replace(self, point: str, path: Path, data: bytes) -> None:
        checked(point, Kind.REPLACE)
        scratch = path.with_name(f"{path.name}.tmp")
        try:
            descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
            try:
                with self.moment(f"{point}.write"):
                    _write_all(descriptor, data, 0)
                with self.moment(f"{point}.sync"):
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
            with self.moment(f"{point}.rename"):
                scratch.replace(path)
        except OSError:
            with suppress(OSError):
                scratch.unlink()
            raise
        self._sync_folder(f"{point}.folder", path.parent)

    def rename(self, point: str, old: Path, new: Path) -> None:
        checked(point, Kind.RENAME)
        with self.moment(f"{point}.rename"):
            old.rename(new)
        self._sync_folder(f"{point}.folder", new.parent)

    def unlink(self, point: str, path: Path) -> None:
        checked(point, Kind.UNLINK)
        with self.moment(f"{point}.unlink"):
            path.unlink(missing_ok=True)
        self._sync_folder(f"{point}.folder", path.parent)

    def make_folder(self, point: str, path: Path) -> None:
        checked(point, Kind.FOLDER)
        if path.is_dir():
            return
        if path.parent != path:
            self.make_folder(point, path.parent)
        with self.moment(f"{point}.make"):
            path.mkdir(mode=0o750, exist_ok=True)
        self._sync_folder(f"{point}.folder", path.parent)

    def sync_folder(self, point: str, path: Path) -> None:
        self._sync_folder(checked(point, Kind.SYNC_FOLDER), path)

    def read(self, path: Path, offset: int = 0, size: int | None = None) -> bytes:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(-1 if size is None else size)

    def size(self, path: Path) -> int:
        return path.stat().st_size

    def list(self, path: Path) -> tuple[str, ...]:
        return tuple(sorted(os.listdir(path))) if path.is_dir() else ()

    def exists(self, path: Path) -> bool:
        return path.exists()

    def free_bytes(self, path: Path) -> int:
        figures = os.statvfs(path)
        return figures.f_bavail * figures.f_frsize

    @contextmanager
    def moment(self, name: str) -> Iterator[None]:
        """Tells `at_point` before and after; not after an error."""
        if self._at_point is not None:
            self._at_point(f"before:{name}")
        yield
        if self._at_point is not None:
            self._at_point(f"after:{name}")

    def _sync_folder(self, name: str, path: Path) -> None:
        with self.moment(name):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


class _RealFile:
    def __init__(self, disk: RealDisk, descriptor: int, size: int) -> None:
        self._disk = disk
        self._descriptor = descriptor
        self._size = size

    @property
    def size(self) -> int:
        return self._size

    def write(self, point: str, data: bytes) -> None:
        with self._disk.moment(checked(point, Kind.WRITE)):
            _write_all(self._descriptor, data, self._size)
            self._size += len(data)

    def sync(self, point: str) -> None:
        with self._disk.moment(checked(point, Kind.SYNC)):
            os.fdatasync(self._descriptor)

    def truncate(self, point: str, size: int) -> None:
        with self._disk.moment(checked(point, Kind.TRUNCATE)):
            os.ftruncate(self._descriptor, size)
            self._size = size

    def close(self) -> None:
        os.close(self._descriptor)


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    left = memoryview(data)
    while left:
        done = os.pwrite(descriptor, left, offset)
        left, offset = left[done:], offset + done
