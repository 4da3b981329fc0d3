"""A disk in memory that can lose power, lie and fail, and the place where tests kill a process.

Model. A file has the bytes that reads see and a list of writes that were not synced. A power cut keeps the synced
bytes and any of the others: sector by sector, some of them torn, in any order. An entry of a folder that was not
synced may be there or not. A sync that failed has thrown away what it should have synced, while reads still see it and
a later sync succeeds: what Linux does.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random

from daemon.state.disk import POINTS, AppendFile, Kind, checked

SECTOR = 512
KILL_AT = "BASIS_TEST_KILL_AT"


class PowerCut(Exception):
    """The machine is off."""


class _Gone:
    """In the place of a file: the name is no more."""


GONE = _Gone()


class _Node:
    """A file: what is seen, what is surely on the disk, and the changes between the two in order."""

    def __init__(self) -> None:
        self.seen = bytearray()
        self.synced = bytearray()
        self.changes: list[tuple[int, bytes | None]] = []  # (offset, data), or (size, None) for a cut

    def write(self, offset: int, data: bytes) -> None:
        _put(self.seen, offset, data)
        self.changes.append((offset, bytes(data)))

    def cut(self, size: int) -> None:
        _resize(self.seen, size)
        self.changes.append((size, None))

    def sync(self) -> None:
        for offset, data in self.changes:
            if data is None:
                _resize(self.synced, offset)
            else:
                _put(self.synced, offset, data)
        self.changes = []

    def drop(self) -> None:
        self.changes = []

    def after_power_cut(self, rng: Random) -> _Node:
        node = _Node()
        found = bytearray(self.synced)
        kept_share = rng.choice((0.0, 0.3, 0.7, 1.0))
        for offset, data in self.changes:
            if data is None:
                if rng.random() < kept_share:
                    _resize(found, offset)
                continue
            if rng.random() < 0.3:  # the size is there, the bytes may not be
                _resize(found, max(len(found), offset + len(data)))
            for begin, piece in _sectors(offset, data):
                if rng.random() < kept_share:
                    whole = len(piece) if rng.random() < 0.7 else rng.randrange(len(piece) + 1)
                    _put(found, begin, piece[:whole])
        node.seen, node.synced = found, bytearray(found)
        return node


class CrashDisk:
    """A `Disk`. `at_point` hears every moment; `lies` names points whose syncs do nothing ("*" for all)."""

    def __init__(self, *, at_point: Callable[[str], None] | None = None, lies: frozenset[str] = frozenset()) -> None:
        self.at_point = at_point
        self.lies = lies
        self.operations = 0
        self.seen: dict[Path, _Node | None] = {Path("/"): None}  # None for a folder
        self._synced: dict[Path, _Node | None] = dict(self.seen)
        self._entries: list[tuple[Path, dict[Path, _Node | None | _Gone]]] = []  # folder, what changes together
        self._half = False
        self._fail_at: dict[int, int] = {}
        self._fail_points: dict[str, int] = {}
        self._room: int | None = None
        self._is_read_only = False

    # What tests do to it

    def crash(self, rng: Random) -> CrashDisk:
        """The disk that is found when the power is back: honest, with room, nothing failing. This one stays."""
        names = dict(self._synced)
        for _, together in self._entries:
            if rng.random() < 0.5:
                _change_entries(names, together)
        disk = CrashDisk()
        survivors = {id(node): node.after_power_cut(rng) for node in names.values() if node is not None}
        disk.seen = {
            path: None if node is None else survivors[id(node)]
            for path, node in names.items()
            if all(parent in names for parent in path.parents)
        }
        disk._synced = dict(disk.seen)
        return disk

    def fill(self, room: int = 0) -> None:
        """Only `room` more bytes fit, then ENOSPC; bytes that replace others cost nothing."""
        self._room = room

    def read_only(self) -> None:
        """EROFS from now on."""
        self._is_read_only = True

    def fail_nth(self, nth: int, code: int = errno.EIO) -> None:
        """The `nth` operation from now (1 is the next) fails; a write is done by half."""
        self._fail_at[self.operations + nth] = code

    def fail_at(self, point: str, code: int = errno.EIO) -> None:
        """The next operation at a moment that begins with `point` fails."""
        self._fail_points[point] = code

    def repair(self) -> None:
        """Nothing fails any more; what was thrown away stays so."""
        self._room, self._is_read_only = None, False
        self._fail_at.clear()
        self._fail_points.clear()

    def damage(self, path: Path, offset: int, mask: int = 0xFF) -> None:
        """Changes bits of one byte, on the disk as well."""
        node = self._node(path)
        node.seen[offset] ^= mask
        node.synced = bytearray(node.seen)

    def cut(self, path: Path, size: int) -> None:
        """Takes away the end of a file, on the disk as well."""
        node = self._node(path)
        _resize(node.seen, size)
        node.synced = bytearray(node.seen)

    def contents(self) -> Mapping[Path, bytes]:
        """All files, to compare before and after."""
        return {path: bytes(node.seen) for path, node in self.seen.items() if node is not None}

    # Disk

    def append(self, point: str, path: Path, *, at: int | None = None) -> AppendFile:
        checked(point, Kind.OPEN)
        is_new = path not in self.seen
        with self.moment(f"{point}.open", changes=is_new):
            if is_new:
                self._need_room(1)
                self._enter(path, _Node())
        if is_new:
            self._sync_entries(f"{point}.folder", path.parent)
        node = self._node(path)
        return _CrashFile(self, node, len(node.seen) if at is None else at)

    def replace(self, point: str, path: Path, data: bytes) -> None:
        checked(point, Kind.REPLACE)
        scratch = path.with_name(f"{path.name}.tmp")
        node = _Node()
        try:
            with self.moment(f"{point}.write"):
                self._enter(scratch, node)
                self.fitting_write(node, 0, data)
            self._sync_node(f"{point}.sync", node)
            with self.moment(f"{point}.rename"):
                del self.seen[scratch]
                self.seen[path] = node
                self._entries.append((path.parent, {scratch: GONE, path: node}))
        except OSError:
            self.seen.pop(scratch, None)
            raise
        self._sync_entries(f"{point}.folder", path.parent)

    def rename(self, point: str, old: Path, new: Path) -> None:
        checked(point, Kind.RENAME)
        with self.moment(f"{point}.rename"):
            self.seen[new] = self.seen.pop(old)
            self._entries.append((new.parent, {old: GONE, new: self.seen[new]}))
        self._sync_entries(f"{point}.folder", new.parent)

    def unlink(self, point: str, path: Path) -> None:
        checked(point, Kind.UNLINK)
        with self.moment(f"{point}.unlink"):
            if self.seen.pop(path, None) is not None:
                self._entries.append((path.parent, {path: GONE}))
        self._sync_entries(f"{point}.folder", path.parent)

    def make_folder(self, point: str, path: Path) -> None:
        checked(point, Kind.FOLDER)
        if path in self.seen:
            return
        self.make_folder(point, path.parent)
        with self.moment(f"{point}.make"):
            self._enter(path, None)
        self._sync_entries(f"{point}.folder", path.parent)

    def sync_folder(self, point: str, path: Path) -> None:
        self._sync_entries(checked(point, Kind.SYNC_FOLDER), path)

    def read(self, path: Path, offset: int = 0, size: int | None = None) -> bytes:
        data = bytes(self._node(path).seen)
        return data[offset:] if size is None else data[offset : offset + size]

    def size(self, path: Path) -> int:
        return len(self._node(path).seen)

    def list(self, path: Path) -> tuple[str, ...]:
        return tuple(sorted(each.name for each in self.seen if each.parent == path and each != path))

    def exists(self, path: Path) -> bool:
        return path in self.seen

    def free_bytes(self, path: Path) -> int:
        return 1 << 40 if self._room is None else self._room

    @contextmanager
    def moment(self, name: str, *, changes: bool = True) -> Iterator[None]:
        """One operation: it may fail before it begins, and a write by half."""
        if self.at_point is not None:
            self.at_point(f"before:{name}")
        self.operations += 1
        code = self._fail_at.pop(self.operations, None)
        for point in [point for point in self._fail_points if name.startswith(point)]:
            code = self._fail_points.pop(point)
        self._half = code is not None and name.endswith("write")
        if code is not None and not self._half:
            if name.endswith("sync"):
                raise _SyncFailed(code, os.strerror(code))
            raise OSError(code, os.strerror(code))
        if changes and self._is_read_only:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        yield
        if self._half:
            self._half = False
            raise OSError(code or 0, os.strerror(code or 0))
        if self.at_point is not None:
            self.at_point(f"after:{name}")

    def fitting_write(self, node: _Node, offset: int, data: bytes) -> None:
        """As much as fits; half of it when the operation is to fail."""
        if self._half:
            data = data[: len(data) // 2]
        grown = offset + len(data) - len(node.seen)
        if self._room is not None and grown > self._room:
            node.write(offset, data[: len(data) - (grown - self._room)])
            self._room = 0
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self._room is not None:
            self._room -= max(grown, 0)
        node.write(offset, data)

    def _sync_node(self, name: str, node: _Node) -> None:
        try:
            with self.moment(name):
                if not self._is_lie(name):
                    node.sync()
        except _SyncFailed:
            node.drop()
            raise

    def _sync_entries(self, name: str, folder: Path) -> None:
        with self.moment(name):
            if self._is_lie(name):
                return
            for parent, together in self._entries:
                if parent == folder:
                    _change_entries(self._synced, together)
            self._entries = [entry for entry in self._entries if entry[0] != folder]

    def _is_lie(self, name: str) -> bool:
        return "*" in self.lies or name in self.lies

    def _enter(self, path: Path, node: _Node | None) -> None:
        if path.parent not in self.seen:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        self.seen[path] = node
        self._entries.append((path.parent, {path: node}))

    def _need_room(self, size: int) -> None:
        if self._room is not None and self._room < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _node(self, path: Path) -> _Node:
        node = self.seen.get(path)
        if node is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return node


class _SyncFailed(OSError):
    """What should have been synced is thrown away."""


class _CrashFile:
    def __init__(self, disk: CrashDisk, node: _Node, size: int) -> None:
        self._disk = disk
        self._node = node
        self._size = size

    @property
    def size(self) -> int:
        return self._size

    def write(self, point: str, data: bytes) -> None:
        with self._disk.moment(checked(point, Kind.WRITE)):
            self._disk.fitting_write(self._node, self._size, data)
            self._size += len(data)

    def sync(self, point: str) -> None:
        self._disk._sync_node(checked(point, Kind.SYNC), self._node)

    def truncate(self, point: str, size: int) -> None:
        with self._disk.moment(checked(point, Kind.TRUNCATE)):
            self._node.cut(size)
            self._size = size

    def close(self) -> None:
        pass


def kill_at_point(environ: Mapping[str, str] = os.environ) -> Callable[[str], None] | None:
    """For `RealDisk(at_point)` in a process under test: SIGKILL at the n-th time of a moment.

    Read from BASIS_TEST_KILL_AT, like `after:journal.write#3`; None when it is not set.
    """
    wanted = environ.get(KILL_AT)
    if not wanted:
        return None
    moment, _, nth = wanted.partition("#")
    left = int(nth or 1)
    if not any(moment.partition(":")[2].startswith(point) for point in POINTS):
        raise ValueError(f"{moment} is no moment of a point")

    def strike(name: str) -> None:
        nonlocal left
        left -= name == moment
        if name == moment and left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return strike


def _change_entries(names: dict[Path, _Node | None], together: Mapping[Path, _Node | None | _Gone]) -> None:
    for path, node in together.items():
        if isinstance(node, _Gone):
            names.pop(path, None)
        else:
            names[path] = node


def _put(into: bytearray, offset: int, data: bytes) -> None:
    if offset == len(into):
        into += data  # in place: replacing a slice at the end may copy all that comes before
        return
    _resize(into, max(len(into), offset))
    into[offset : offset + len(data)] = data


def _resize(data: bytearray, size: int) -> None:
    if size < len(data):
        del data[size:]
    else:
        data.extend(bytes(size - len(data)))


def _sectors(offset: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    end = offset + len(data)
    while offset < end:
        until = min(end, (offset // SECTOR + 1) * SECTOR)
        yield offset, data[len(data) - (end - offset) : len(data) - (end - until)]
        offset = until
