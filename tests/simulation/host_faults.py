"""Faults of the host and of other people's hands, as data; what each does, and what shows that it was noticed.

Those between us and a venue are in `venues.paper.door.faults`; here is what happens to disk, process, clock, feed and
account. `campaign` spreads all kinds over a stretch of time; the same seed gives the same list.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from random import Random

import msgspec

from daemon.state.disk import AppendFile
from tests.disks import CrashDisk

NO_ROOM = 1 << 20  # free bytes of a disk that is nearly full
OFFSET_MS = 5000.0

KINDS: Mapping[str, str] = {
    "disk_full": "no write fits below strategies/: journals are poisoned, cells start again until there is room",
    "disk_low": "little room is left: nothing that adds risk leaves",
    "sync_error": "one strategy's next fdatasync fails: its journal is poisoned, the others go on",
    "write_error": "one strategy's next write fails by half",
    "pause": "the whole process stands still for a minute",
    "suspend": "the whole process does not run for longer than any step may take: nobody is stuck because of that",
    "reader_fails": "metrics raise at whatever they are told, for a while",
    "restart": "one cell is stopped cleanly and started again",
    "cut": "one cell is cut at its next effect and started again",
    "crash": "the core of one cell raises at its next step",
    "clock_step": "the clock is 5 s off for a while",
    "feed_mute": "one strategy is told no rows for a while",
    "foreign_trade": "somebody else trades on one account",
    "foreign_transfer": "somebody else takes coins out of one account",
    "foreign_order": "an order of somebody else rests on one account for a while",
    "airdrop": "tokens that nobody has a price of come into one account, and coins of another asset",
    "emergency": "one strategy is stopped, flattened and latched",
    "reload": "limits are reloaded",
}
LASTING = ("disk_full", "disk_low", "clock_step", "feed_mute", "reader_fails", "foreign_order")
HANDS = ("foreign_trade", "foreign_transfer")


class HostFault(msgspec.Struct, frozen=True, kw_only=True):
    """`kind` at `after_s` of virtual time from the start, for `duration_s` where it lasts."""

    kind: str
    strategy: str
    after_s: float
    duration_s: float = 0.0


def campaign(
    seed: int, strategies: tuple[str, ...], first_s: float, last_s: float, count: int
) -> tuple[HostFault, ...]:
    """`count` faults in time order, every kind in turn and strategies by lot."""
    draw, kinds = Random(seed), []
    out = []
    for _ in range(count):
        kinds = kinds or draw.sample(sorted(KINDS), len(KINDS))
        kind = kinds.pop()
        out.append(
            HostFault(
                kind=kind,
                strategy=draw.choice(sorted(strategies)),
                after_s=round(draw.uniform(first_s, last_s), 3),
                duration_s=round(draw.uniform(130.0, 260.0), 3) if kind in LASTING else 0.0,
            )
        )
    return tuple(sorted(out, key=lambda fault: (fault.after_s, fault.kind)))


class HostDisk(CrashDisk):
    """A disk on which single strategies fail, which may be full below strategies/, and may say that it is low."""

    def __init__(self) -> None:
        super().__init__()
        self.is_low = False
        self.is_full = False
        self._failing: dict[tuple[str, str], None] = {}

    def fail_next(self, strategy: str, operation: str) -> None:
        """The next `sync` or `write` in a strategy's journal fails."""
        self._failing[(strategy, operation)] = None

    def free_bytes(self, path: Path) -> int:
        return NO_ROOM if self.is_low else super().free_bytes(path)

    def repair(self) -> None:
        super().repair()
        self.is_low = self.is_full = False
        self._failing.clear()

    def need_room(self, path: Path) -> None:
        """ENOSPC when the disk of the strategies is full."""
        if self.is_full and "strategies" in path.parts:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def replace(self, point: str, path: Path, data: bytes) -> None:
        self.need_room(path)
        super().replace(point, path, data)

    def make_folder(self, point: str, path: Path) -> None:
        if path not in self.seen:
            self.need_room(path)
        super().make_folder(point, path)

    def append(self, point: str, path: Path, *, at: int | None = None) -> AppendFile:
        if path not in self.seen:
            self.need_room(path)
        return _Watched(super().append(point, path, at=at), self, path)

    def strike(self, path: Path, operation: str) -> bool:
        """Whether this operation is to fail; it does once."""
        hit = next((each for each in self._failing if each[0] in path.parts and each[1] == operation), None)
        if hit is not None:
            del self._failing[hit]
        return hit is not None


class _Watched:
    def __init__(self, file: AppendFile, disk: HostDisk, path: Path) -> None:
        self._file = file
        self._disk = disk
        self._path = path

    @property
    def size(self) -> int:
        return self._file.size

    def write(self, point: str, data: bytes) -> None:
        if not point.startswith("reserve."):  # what is there already is only written over
            self._need_room(point, data)
        if self._disk.strike(self._path, "write"):
            self._file.write(point, data[: len(data) // 2])
            raise OSError(errno.EIO, "the write failed by half")
        self._file.write(point, data)

    def _need_room(self, point: str, data: bytes) -> None:
        try:
            self._disk.need_room(self._path)
        except OSError:
            self._file.write(point, data[: len(data) // 3])
            raise

    def sync(self, point: str) -> None:
        if self._disk.strike(self._path, "sync"):
            self._disk.fail_at(point)
        self._file.sync(point)

    def truncate(self, point: str, size: int) -> None:
        self._file.truncate(point, size)

    def close(self) -> None:
        self._file.close()
