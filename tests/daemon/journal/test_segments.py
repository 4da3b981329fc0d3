"""The writing side: what goes to which file, and errors that come back as values."""

from __future__ import annotations

import errno

import msgspec

from daemon.journal.frames import SEGMENT_BYTES, chained, frame_bytes, genesis
from daemon.journal.segments import RESERVE_BYTES, Batch, SegmentWriter, Target, make_reserve
from daemon.journal.walk import ANCHOR_FILE, RESERVE_FILE, Anchor
from tests.daemon.journal.desk import FOLDER, NAME
from tests.disks import CrashDisk

FIRST = FOLDER / "000001.journal"


def batch(**changes: object) -> Batch:
    head = chained(genesis(NAME), b"payload", 1)
    data = frame_bytes(head, b"payload", version=1, durable=0)
    plain = Batch(target=Target.SEGMENT, previous=genesis(NAME), head=head, data=data, records=1, anchor=False)
    return msgspec.structs.replace(plain, **changes)


def writer(disk: CrashDisk) -> SegmentWriter:
    disk.make_folder("journal.folder", FOLDER)
    reserve = make_reserve(disk, FOLDER)
    return SegmentWriter(disk, FOLDER, NAME, number=1, file=None, reserve=reserve, first=0, rotate_bytes=100)


def test_a_segment_begins_with_its_header() -> None:
    disk = CrashDisk()
    assert writer(disk).perform(batch()).data_error is None
    assert disk.size(FIRST) == SEGMENT_BYTES + len(batch().data)


def test_the_anchor_is_written_after_the_data_are_synced() -> None:
    heard: list[str] = []
    disk = CrashDisk()
    target = writer(disk)
    disk.at_point = heard.append
    target.perform(batch(anchor=True))
    after = [moment for moment in heard if moment.startswith("after:")]
    assert after.index("after:journal.sync") < after.index("after:anchor.replace.write")
    anchor = msgspec.json.decode(disk.read(FOLDER / ANCHOR_FILE), type=Anchor)
    assert anchor == Anchor(journal=NAME, sequence=1, hash=batch().head.hash)


def test_errors_come_back_as_values_and_tell_data_from_anchor() -> None:
    disk = CrashDisk()
    target = writer(disk)
    disk.fail_at("anchor.replace", errno.ENOSPC)
    written = target.perform(batch(anchor=True))
    assert written.data_error is None
    assert written.anchor_error is not None and written.anchor_error.errno == errno.ENOSPC
    disk.fail_at("journal.write", errno.EROFS)
    written = target.perform(batch(anchor=True))
    assert written.data_error is not None and written.data_error.errno == errno.EROFS


def test_the_reserve_is_written_in_place_and_shrinks() -> None:
    disk = CrashDisk()
    target = writer(disk)
    disk.fill()
    assert target.reserve_left == RESERVE_BYTES
    assert target.perform(batch(target=Target.RESERVE)).data_error is None
    assert target.reserve_left == RESERVE_BYTES - SEGMENT_BYTES - len(batch().data)
    assert disk.size(FOLDER / RESERVE_FILE) == RESERVE_BYTES


def test_without_room_there_is_no_reserve() -> None:
    disk = CrashDisk()
    disk.make_folder("journal.folder", FOLDER)
    disk.fill(room=1000)
    assert make_reserve(disk, FOLDER) is None
    assert disk.list(FOLDER) == ()
    disk.repair()
    assert make_reserve(disk, FOLDER) is not None


def test_an_unused_reserve_is_kept_and_a_used_one_made_anew() -> None:
    disk = CrashDisk()
    target = writer(disk)
    node = disk.seen[FOLDER / RESERVE_FILE]
    make_reserve(disk, FOLDER)
    assert disk.seen[FOLDER / RESERVE_FILE] is node
    target.perform(batch(target=Target.RESERVE))
    make_reserve(disk, FOLDER)
    assert disk.read(FOLDER / RESERVE_FILE) == bytes(RESERVE_BYTES)
