"""Recovery: makes a journal that was left anyhow one that can be gone on with, or refuses and touches nothing.

Each step may be cut by the next power cut and is then done again: copying aside before cutting, cutting before the
reserve becomes a segment, and the anchor only after everything is synced.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from daemon.journal.frames import Head
from daemon.journal.records import is_tagged
from daemon.journal.segments import SegmentWriter, make_reserve, write_anchor
from daemon.journal.walk import RESERVE_FILE, Torn, Walk, segment_name
from daemon.state.disk import AppendFile, Disk


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """A journal to go on with. `notes` say what was found; `anchor_error` that the disk takes nothing new. `resume` is
    the record at which the last epoch that needs nothing from before it begins, 0 when there is none."""

    head: Head
    resume: int
    writer: SegmentWriter
    notes: tuple[tuple[str, str], ...]
    anchor_error: OSError | None


class Resume:
    """Where reading may begin: `at` is the Manifest of the last epoch that has a Snapshot."""

    def __init__(self, at: int = 0) -> None:
        self.at = at
        self._manifest = 0

    def saw(self, sequence: int, payload: bytes) -> None:
        if is_tagged(payload, "manifest"):
            self._manifest = sequence
        elif is_tagged(payload, "snapshot") and self._manifest:
            self.at = self._manifest


def recover(disk: Disk, folder: Path, journal: str, rotate_bytes: int) -> Recovered:
    """Verifies, sets torn ends aside, takes in the reserve. Raises JournalBroken, Stop, or OSError of the disk."""
    disk.make_folder("journal.folder", folder)
    walk = Walk(disk, folder, journal)
    resume = Resume()
    for frame in walk:
        resume.saw(frame.sequence, frame.payload)
    notes = [_set_aside(disk, folder, torn) for torn in walk.torn]
    number = walk.segments[-1] if walk.segments else 1
    file = _settled(disk, folder / segment_name(number), walk) if walk.segments else None
    if walk.fork is not None:
        if file is not None:
            file.close()
            number += 1
        _adopt(disk, folder, number, walk.reserve_end)
        notes.append(("reserve.adopted", f"records {walk.fork.sequence + 1} to {walk.head.sequence} of an emergency"))
        file = disk.append("recover.reopen", folder / segment_name(number))
    disk.sync_folder("recover.entries", folder)
    first = walk.anchor.first if walk.anchor is not None else 0
    if walk.anchor is None:
        write_anchor(disk, folder, journal, walk.head, first)  # without it there is no journal
    anchor_error = None
    if walk.anchor is not None and walk.anchor.sequence != walk.head.sequence:
        try:
            write_anchor(disk, folder, journal, walk.head, first)
        except OSError as exc:
            anchor_error = exc
    writer = SegmentWriter(
        disk, folder, journal, number=number, file=file, reserve=make_reserve(disk, folder), first=first,
        rotate_bytes=rotate_bytes,
    )  # fmt: skip
    return Recovered(head=walk.head, resume=resume.at, writer=writer, notes=tuple(notes), anchor_error=anchor_error)


def _set_aside(disk: Disk, folder: Path, torn: Torn) -> tuple[str, str]:
    """Copies what is about to be cut; the same bytes are copied once, however often recovery is cut short."""
    data = disk.read(folder / torn.file, torn.offset)
    count = 1
    while True:
        name = f"torn-{torn.sequence}.bin" if count == 1 else f"torn-{torn.sequence}.{count}.bin"
        if not disk.exists(folder / name):
            disk.replace("recover.copy_torn", folder / name, data)
            break
        if disk.read(folder / name) == data:
            break
        count += 1
    return "torn", f"{torn.file} at byte {torn.offset}, record {torn.sequence}: {torn.reason}; copied to {name}, cut"


def _settled(disk: Disk, path: Path, walk: Walk) -> AppendFile:
    """The last segment without its torn end, and with all of the rest on the disk.

    A process that was killed left its last write in the cache only; after a failed sync the cache even takes for clean
    what never reached the disk. So what the anchor does not vouch for is written once more.
    """
    unproven = disk.read(path, walk.proven_end)[: walk.end - walk.proven_end]
    file = disk.append("recover.reopen", path, at=walk.proven_end)
    if unproven:
        file.write("recover.rewrite", unproven)
    if any(torn.file == path.name for torn in walk.torn):
        file.truncate("recover.cut_torn", walk.end)
    file.sync("recover.sync")
    return file


def _adopt(disk: Disk, folder: Path, number: int, size: int) -> None:
    """Turns the used part of the reserve into segment `number`."""
    data = disk.read(folder / RESERVE_FILE)[:size]
    file = disk.append("adopt.open", folder / RESERVE_FILE, at=0)
    file.write("adopt.rewrite", data)
    file.truncate("adopt.cut", size)
    file.sync("adopt.sync")
    file.close()
    disk.rename("adopt.rename", folder / RESERVE_FILE, folder / segment_name(number))
