"""A walk over a journal's files, of which some are not as they should be."""

from __future__ import annotations

import msgspec
import pytest

from daemon.journal.errors import JournalBroken, JournalPoisoned
from daemon.journal.frames import SEGMENT_BYTES
from daemon.journal.journal import Journal
from daemon.journal.segments import RESERVE_BYTES
from daemon.journal.walk import ANCHOR_FILE, RESERVE_FILE, Anchor, Place, Walk, segment_name
from tests.daemon.journal.desk import FOLDER, NAME, note, opened, wide
from tests.disks import CrashDisk

RESERVE = FOLDER / RESERVE_FILE


def walked(disk: CrashDisk, **options: object) -> tuple[Walk, list[int]]:
    walk = Walk(disk, FOLDER, NAME, **options)  # type: ignore[arg-type]
    return walk, [frame.sequence for frame in walk]


def long(disk: CrashDisk) -> Journal:
    """Twelve records in several segments."""
    journal = opened(disk)
    for number in range(12):
        journal.append(wide(f"{number}"))
        journal.flush(0.0)
    return journal


def in_reserve(disk: CrashDisk, *batches: str) -> None:
    """One durable record, then a poisoned journal with these in its reserve."""
    journal = opened(disk)
    journal.append(note("a"))
    journal.flush(0.0)
    disk.fail_at("journal.sync")
    journal.append(note("given up"))
    with pytest.raises(JournalPoisoned):
        journal.flush(0.1)
    for text in batches:
        journal.append_emergency(note(text))
        journal.flush(0.2)


def test_an_empty_folder_is_an_empty_journal() -> None:
    walk, sequences = walked(CrashDisk())
    assert (walk.anchor, walk.segments, sequences) == (None, (), [])


def test_a_walk_tells_how_far_the_journal_goes() -> None:
    disk = CrashDisk()
    journal = long(disk)
    walk, sequences = walked(disk)
    assert sequences == list(range(1, 13)) and walk.records == 12
    assert walk.head == journal.head
    assert walk.end == disk.size(FOLDER / segment_name(walk.segments[-1]))


def test_a_walk_goes_on_from_the_place_of_a_frame() -> None:
    disk = CrashDisk()
    long(disk)
    for after in range(12):
        walk, sequences = walked(disk, after=after)
        assert sequences == list(range(after + 1, 13))
        place = next_place(disk, after)
        assert walked(disk, start=place)[1] == sequences
    assert walked(disk, after=12)[1] == []


def next_place(disk: CrashDisk, after: int) -> Place:
    walk = Walk(disk, FOLDER, NAME, after=after)
    next(iter(walk))
    return walk.place


def test_a_rotation_anchors_what_lies_behind_it() -> None:
    disk = CrashDisk()
    long(disk)  # at one instant: no anchor was due by time
    anchor = msgspec.json.decode(disk.read(FOLDER / ANCHOR_FILE), type=Anchor)
    last = segment_name(walked(disk)[0].segments[-1])
    assert anchor.sequence > 0
    del disk.seen[FOLDER / last]
    assert walked(disk)[0].head.sequence == anchor.sequence


def test_segments_that_were_swapped_do_not_continue_one_another() -> None:
    disk = CrashDisk()
    long(disk)
    second, third = FOLDER / segment_name(2), FOLDER / segment_name(3)
    disk.seen[second], disk.seen[third] = disk.seen[third], disk.seen[second]
    with pytest.raises(JournalBroken, match="does not continue"):
        walked(disk)


def test_an_older_copy_of_a_journal_is_below_its_anchor() -> None:
    disk = CrashDisk()
    journal = opened(disk)
    journal.append(note("a"))
    journal.flush(0.0)
    old = disk.size(FOLDER / segment_name(1))
    journal.append(note("b"))
    journal.flush(5.0, anchor=True)
    disk.cut(FOLDER / segment_name(1), old)
    with pytest.raises(JournalBroken, match="anchor says that record 2 was durable") as caught:
        walked(disk)
    assert (caught.value.sequence, caught.value.offset) == (2, old)


def test_a_journal_written_anew_is_not_what_the_anchor_names() -> None:
    disk, other = CrashDisk(), CrashDisk()
    for each, text in ((disk, "a"), (other, "b")):
        journal = opened(each)
        journal.append(note(text))
        journal.flush(5.0, anchor=True)
    disk.seen[FOLDER / segment_name(1)] = other.seen[FOLDER / segment_name(1)]
    with pytest.raises(JournalBroken, match="not the record that the anchor names"):
        walked(disk)


def test_oldest_segments_may_go_only_when_the_anchor_says_so() -> None:
    disk = CrashDisk()
    journal = long(disk)
    del disk.seen[FOLDER / segment_name(1)]
    with pytest.raises(JournalBroken, match="records before are missing"):
        walked(disk)

    first = next_place(disk, 11).head.sequence  # anything behind the first segment will do
    anchor = msgspec.json.decode(disk.read(FOLDER / ANCHOR_FILE), type=Anchor)
    disk.replace(
        "anchor.replace", FOLDER / ANCHOR_FILE, msgspec.json.encode(msgspec.structs.replace(anchor, first=first))
    )
    walk, sequences = walked(disk)
    assert walk.first.sequence == sequences[0] - 1 > 0
    assert walk.head == journal.head


def test_the_reserve_goes_on_from_the_last_durable_record() -> None:
    disk = CrashDisk()
    in_reserve(disk, "b", "c")
    walk, sequences = walked(disk)
    assert sequences == [1, 2, 3]
    assert walk.fork is not None and walk.fork.sequence == 1
    assert [torn.file for torn in walk.torn] == [segment_name(1)]


def test_a_reserve_torn_at_its_first_write_was_never_acknowledged() -> None:
    disk = CrashDisk()
    in_reserve(disk, "b")
    disk.damage(RESERVE, 3)
    walk, sequences = walked(disk)
    assert sequences == [1, 2]  # the record that was given up is whole, and nothing stands against it
    assert [(torn.file, torn.offset) for torn in walk.torn] == [(RESERVE_FILE, 0)]
    opened(disk)
    assert disk.read(RESERVE) == bytes(RESERVE_BYTES)


@pytest.mark.parametrize("offset", [3, SEGMENT_BYTES + 70])
def test_damage_in_a_reserve_with_later_records_is_a_break(offset: int) -> None:
    disk = CrashDisk()
    in_reserve(disk, "b", "c")
    disk.damage(RESERVE, offset)
    with pytest.raises(JournalBroken) as caught:
        walked(disk)
    assert caught.value.segment == RESERVE_FILE


def test_a_reserve_without_the_record_that_it_follows_is_a_break() -> None:
    disk = CrashDisk()
    in_reserve(disk, "b")
    disk.cut(FOLDER / segment_name(1), SEGMENT_BYTES)
    with pytest.raises(JournalBroken, match="goes on after record 1, which is not there"):
        walked(disk)
