"""The journal: sequence and chain, recovery, poison, reserve."""

from __future__ import annotations

import errno
from random import Random

import pytest

from components.model.errors import Refuse, Stop
from daemon.exits import Exit, exit_of
from daemon.journal import journal as journal_module
from daemon.journal.errors import (
    EVT_NEWER,
    EVT_TOO_LARGE,
    EVT_UNAVAILABLE,
    JournalBroken,
    JournalClosed,
    JournalPoisoned,
    ReserveSpent,
)  # fmt: skip
from daemon.journal.frames import chained, genesis
from daemon.journal.journal import Journal
from daemon.journal.records import Note
from daemon.journal.segments import RESERVE_BYTES
from tests.daemon.journal.desk import FOLDER, NAME, note, opened, ours, wide
from tests.disks import CrashDisk

LAST = FOLDER / "000001.journal"


def written(disk: CrashDisk, *texts: str) -> Journal:
    """A journal that was closed in order."""
    journal = opened(disk)
    for text in texts:
        journal.append(note(text))
        journal.flush(0.0)
    journal.flush(5.0, anchor=True)
    journal.shut()
    return journal


def test_records_come_back_in_order_with_their_sequences() -> None:
    disk = CrashDisk()
    journal = opened(disk)
    assert [journal.append(note(text)) for text in "abc"] == [1, 2, 3]
    assert journal.pending == 3
    assert list(journal.records()) == []  # nothing is durable yet

    journal.flush(0.0)

    assert list(journal.records()) == [(1, note("a")), (2, note("b")), (3, note("c"))]
    assert list(opened(disk).records(after=2)) == [(3, note("c"))]


def test_the_head_is_the_chain_over_all_records() -> None:
    journal = opened(CrashDisk())
    assert journal.head == genesis(NAME)
    journal.append(note("a"))
    first = journal.head
    journal.append(note("b"))
    assert first.sequence == 1 and first.hash != genesis(NAME).hash
    assert journal.head.sequence == 2 and len(journal.head.hash) == 64
    payload = journal_module.encode(note("b"))
    assert journal.head == chained(first, payload, journal_module.VERSION)


def test_segments_rotate_by_size_and_are_one_chain() -> None:
    disk = CrashDisk()
    journal = opened(disk)
    records = [wide(f"{number}") for number in range(12)]
    for record in records:
        journal.append(record)
        journal.flush(0.0)

    assert journal.statistics().segment >= 3
    assert ours(opened(disk)) == records
    assert [record for _, record in opened(disk).records(after=7)] == records[7:]


def test_the_anchor_follows_within_a_second_and_not_with_every_commit() -> None:
    disk = CrashDisk()
    journal = opened(disk)
    anchored = []
    for tenth in range(30):
        journal.append(note(f"{tenth}"))
        journal.flush(tenth / 10)
        anchored.append(journal.statistics().anchored)
        assert journal.anchor_due_at is None or journal.anchor_due_at <= tenth / 10 + 1.0
    behind = [durable + 1 - sequence for durable, sequence in enumerate(anchored)]
    assert max(behind) <= 10
    assert 2 <= len(set(anchored) - {0}) <= 5


def test_what_a_killed_process_wrote_and_did_not_sync_is_kept_when_it_verifies() -> None:
    disk = CrashDisk(lies=frozenset({"journal.sync"}))
    journal = opened(disk)
    journal.append(note("in the cache"))
    journal.flush(0.0)  # not synced: the process dies here, the machine does not

    disk.lies = frozenset()
    opened(disk)

    assert ours(opened(disk.crash(Random(1)))) == [note("in the cache")]


def test_a_torn_end_is_copied_aside_noted_and_cut() -> None:
    disk = CrashDisk()
    written(disk, "a", "b")
    journal = opened(disk)
    journal.append(note("c"))
    journal.flush(0.0)
    whole = disk.read(LAST)
    disk.cut(LAST, len(whole) - 3)

    journal = opened(disk)

    (kept_a, kept_b, told) = [record for _, record in journal.records()]
    assert [kept_a, kept_b] == [note("a"), note("b")]
    assert isinstance(told, Note) and told.kind == "torn" and told.at == 7
    assert "000001.journal" in told.detail and "record 3" in told.detail and "torn-3.bin" in told.detail
    torn = disk.read(FOLDER / "torn-3.bin")
    assert torn and whole[:-3].endswith(torn)
    assert journal.pending == 0
    assert opened(disk).head == journal.head  # and there is nothing more to tell


def test_two_different_torn_ends_at_one_place_are_both_kept() -> None:
    disk = CrashDisk()
    written(disk, "a")
    for text in ("second", "other"):
        journal = opened(disk)
        size = disk.size(LAST)
        journal.append(note(text))
        journal.flush(0.0)
        disk.cut(LAST, disk.size(LAST) - 1)
        # As if recovery had been cut short after copying: it copies again.
        disk.fail_at("recover.cut_torn")
        with pytest.raises(Stop):
            opened(disk)
        disk.cut(LAST, size)
    assert {"torn-2.bin", "torn-2.2.bin"} <= set(disk.list(FOLDER))


def test_a_journal_cut_below_its_anchor_is_refused_and_left_alone() -> None:
    disk = CrashDisk()
    written(disk, "a", "b", "c")
    disk.cut(LAST, disk.size(LAST) - 1)
    before = disk.contents()

    with pytest.raises(JournalBroken) as caught:
        opened(disk)

    error = caught.value
    assert exit_of(error) is Exit.DAMAGED
    assert (error.segment, error.sequence, error.journal) == ("000001.journal", 3, NAME)
    assert 0 < error.offset < disk.size(LAST)
    assert disk.contents() == before


def test_a_break_that_a_later_record_proves_to_be_damage_is_refused_even_above_the_anchor() -> None:
    disk = CrashDisk()
    journal = opened(disk)
    sizes = []
    for text in "abc":
        journal.append(note(text))
        journal.flush(0.0)  # three syncs, no anchor in between
        sizes.append(disk.size(LAST))
    disk.damage(LAST, sizes[0] + 70)
    before = disk.contents()

    with pytest.raises(JournalBroken, match="breaks at record 2"):
        opened(disk)
    assert disk.contents() == before


@pytest.mark.parametrize("gone", ["anchor", "000002.journal", "000001.journal"])
def test_a_missing_file_is_a_break(gone: str) -> None:
    disk = CrashDisk()
    journal = opened(disk)
    for number in range(12):
        journal.append(wide(f"{number}"))
        journal.flush(0.0)
    journal.shut()
    assert "000003.journal" in disk.list(FOLDER)
    del disk.seen[FOLDER / gone]
    with pytest.raises(JournalBroken):
        opened(disk)


def test_a_journal_of_another_strategy_is_refused() -> None:
    disk = CrashDisk()
    written(disk, "a")
    with pytest.raises(JournalBroken, match="of journal 'one'"):
        Journal.open(FOLDER, disk, name="two", now=lambda: 0)


def test_records_of_a_later_version_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = CrashDisk()
    monkeypatch.setattr(journal_module, "VERSION", 2)
    written(disk, "a")
    with pytest.raises(Stop) as caught:
        opened(disk)
    assert caught.value.code == EVT_NEWER


def test_a_record_that_this_version_cannot_decode_is_refused_when_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = CrashDisk()
    monkeypatch.setattr(journal_module, "encode", lambda record: b"\x81\xa4type\xa6future")
    written(disk, "a")
    monkeypatch.undo()
    with pytest.raises(Stop) as caught:
        list(opened(disk).records())
    assert caught.value.code == EVT_NEWER


def test_a_record_that_is_too_large_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "MAX_PAYLOAD", 100)
    journal = opened(CrashDisk())
    with pytest.raises(Refuse) as caught:
        journal.append(wide("a"))
    assert caught.value.code == EVT_TOO_LARGE
    assert journal.append(note("b")) == 1


def test_a_failed_sync_poisons_for_good() -> None:
    disk = CrashDisk()
    journal = opened(disk)
    journal.append(note("a"))
    journal.flush(0.0)
    disk.fail_at("journal.sync")
    journal.append(note("b"))

    with pytest.raises(JournalPoisoned, match="Input/output error"):
        journal.flush(0.1)

    disk.repair()
    assert journal.poisoned and "Input/output error" in journal.reason
    assert journal.pending == 0 and journal.statistics().lost == 1
    before = disk.operations
    with pytest.raises(JournalPoisoned):
        journal.append(note("c"))
    assert journal.take(9.0, anchor=True) is None
    assert disk.operations == before  # the descriptor is never asked again
    assert [record for _, record in journal.records()] == [note("a")]


def test_an_anchor_that_fails_poisons_after_the_data_are_durable() -> None:
    disk = CrashDisk()
    journal = opened(disk)
    journal.append(note("a"))
    journal.flush(0.0)
    disk.fail_at("anchor.replace")
    journal.append(note("b"))
    with pytest.raises(JournalPoisoned, match="anchor"):
        journal.flush(2.0)
    assert journal.durable.sequence == 2


def test_emergency_records_fit_on_a_full_disk_and_join_the_chain_later() -> None:
    disk = CrashDisk()
    journal = opened(disk)
    journal.append(note("a"))
    journal.flush(0.0)
    disk.fill(room=10)
    journal.append(note("lost"))
    with pytest.raises(JournalPoisoned, match="No space left"):
        journal.flush(0.1)

    assert journal.append_emergency(note("closing")) == 2
    journal.flush(0.2)
    journal.append_emergency(note("flat"))
    journal.flush(3.0)
    assert ours(journal) == [note("a"), note("closing"), note("flat")]
    with pytest.raises(JournalPoisoned):
        journal.append(note("ordinary"))
    journal.shut()

    disk.repair()
    again = opened(disk)
    assert ours(again) == [note("a"), note("closing"), note("flat")]
    kinds = [record.kind for _, record in again.records() if isinstance(record, Note) and record.kind != "test"]
    assert kinds == ["torn", "reserve.adopted"]
    assert again.statistics().reserve_left == RESERVE_BYTES
    again.append(note("goes on"))
    again.flush(4.0)
    assert ours(opened(disk))[-1] == note("goes on")


def test_what_was_appended_while_a_failing_batch_was_under_way_is_given_up_with_it() -> None:
    disk = CrashDisk()
    journal = opened(disk)
    journal.append(note("first"))
    batch = journal.take(0.0)
    assert batch is not None
    journal.append(note("second"))
    disk.fail_at("journal.write", errno.ENOSPC)
    journal.wrote(batch, journal.perform(batch), 0.0)

    assert (journal.pending, journal.statistics().lost) == (0, 2)
    journal.append_emergency(note("closing"))
    journal.flush(0.0)
    assert ours(journal) == ours(opened(disk)) == [note("closing")]


def test_a_healthy_journal_takes_emergency_records_as_any_others() -> None:
    journal = opened(CrashDisk())
    journal.append_emergency(note("a"))
    journal.flush(0.0)
    assert journal.statistics().reserve_left == RESERVE_BYTES
    assert ours(journal) == [note("a")]


def test_the_reserve_is_used_after_a_restart_on_a_disk_that_is_still_full() -> None:
    disk = CrashDisk()
    journal = opened(disk)
    journal.append(note("a"))
    journal.flush(0.0)
    journal.shut()  # killed: the anchor is behind, and has no room
    disk.fill()

    journal = opened(disk)
    assert journal.poisoned
    journal.append_emergency(note("closing"))
    journal.flush(0.0)
    disk.repair()
    assert ours(opened(disk)) == [note("a"), note("closing")]


def test_a_reserve_that_is_full_says_so() -> None:
    disk = CrashDisk()
    journal = opened(disk)
    disk.fill()
    journal.append(note("a"))
    with pytest.raises(JournalPoisoned):
        journal.flush(0.0)
    with pytest.raises(ReserveSpent):
        for _ in range(RESERVE_BYTES // 100):
            journal.append_emergency(note("x" * 40))
    journal.flush(1.0)
    assert 0 <= journal.statistics().reserve_left < 500


def test_a_reserve_that_fails_is_not_asked_again() -> None:
    disk = CrashDisk()
    journal = opened(disk)
    for point in ("journal.write", "reserve.sync"):
        disk.fail_at(point)
        journal.append_emergency(note("a"))
        with pytest.raises(JournalPoisoned):
            journal.flush(0.0)
    with pytest.raises(ReserveSpent):
        journal.append_emergency(note("b"))


def test_a_closed_journal_takes_nothing() -> None:
    journal = opened(CrashDisk())
    journal.shut()
    journal.shut()
    for append in (journal.append, journal.append_emergency):
        with pytest.raises(JournalClosed):
            append(note("a"))


@pytest.mark.parametrize("code", [errno.EROFS, errno.ENOSPC, errno.EIO])
def test_a_disk_that_takes_nothing_refuses_a_new_journal(code: int) -> None:
    disk = CrashDisk()
    disk.fail_at("anchor.replace", code)
    with pytest.raises(Stop) as caught:
        opened(disk)
    assert caught.value.code == EVT_UNAVAILABLE
    disk.repair()
    assert opened(disk).head.sequence == 0
