"""Old segments go only when nothing needs them, and after they were copied; a power cut on the way loses nothing."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from daemon.journal.journal import Journal
from daemon.journal.pruning import DAY_NS, Pruning, plan, prune
from daemon.journal.reader import Located, entries, verify
from daemon.journal.records import Manifest, Note, Record, Snapshot
from daemon.journal.walk import segment_name
from daemon.state.disk import POINTS, moments
from tests.daemon.journal.desk import FOLDER, NAME, opened
from tests.disks import CrashDisk, PowerCut

HERE = Located(NAME, FOLDER)
EXPORT = Path("/export")
MOMENTS = [moment for moment in moments() if moment.partition(":")[2].startswith("prune.")]


def filler(day: float, text: str = "x") -> Note:
    return Note(at=int(day * DAY_NS), kind="test", detail=text * 300)


def epoch(number: int, day: float) -> tuple[Record, Record]:
    manifest = Manifest(
        epoch=number, strategy=NAME, version="1", code_hash="", config_hash="", data_hash="", numpy="", platform="",
        config=b"", state_hash="",
    )  # fmt: skip
    snapshot = Snapshot(at=int(day * DAY_NS), last_tick=None, previous=b"", late={}, commands=(), cursors={}, booked=())
    return manifest, snapshot


def written(disk: CrashDisk, *records: Record) -> Journal:
    journal = opened(disk)
    for record in records:
        journal.append(record)
        journal.flush(0.0, anchor=True)
    journal.shut()
    return journal


def year(disk: CrashDisk) -> Journal:
    """Three epochs in segments of a few records each."""
    records: list[Record] = []
    for number, day in enumerate((0.0, 100.0, 200.0), start=1):
        records += [*epoch(number, day), *(filler(day + i) for i in range(20))]
    return written(disk, *records)


def kept(disk: CrashDisk) -> list[int]:
    return [entry.sequence for entry in entries(disk, HERE)]


def test_what_no_start_needs_and_is_old_enough_may_go() -> None:
    disk = CrashDisk()
    journal = year(disk)
    found = plan(disk, HERE, keep_days=0.0)
    assert journal.resume == 45
    assert [segment.first for segment in found.segments][0] == 1
    assert found.segments[-1].last < journal.resume
    assert found.records > 30
    assert found.reason == "a start needs record 45 and those after it; a restart moves that on"
    half = plan(disk, HERE, keep_days=150.0)
    assert 0 < half.records < found.records
    assert max(segment.until for segment in half.segments) < 69 * DAY_NS
    assert half.reason == "the others are younger than 150 days"


def test_without_a_snapshot_nothing_may_go() -> None:
    disk = CrashDisk()
    written(disk, epoch(1, 0.0)[0], *(filler(float(i)) for i in range(40)))
    found = plan(disk, HERE, keep_days=0.0)
    assert found.segments == ()
    assert found.reason == "no epoch in it begins with a snapshot yet; a restart of the daemon makes one"


def test_an_epoch_whose_start_was_cut_short_does_not_count() -> None:
    disk = CrashDisk()
    year(disk)
    before = plan(disk, HERE, keep_days=0.0)
    written(disk, epoch(4, 300.0)[0], *(filler(300.0 + i) for i in range(10)))
    assert plan(disk, HERE, keep_days=0.0).segments == before.segments


def test_the_journal_of_commands_is_kept_whole() -> None:
    assert plan(CrashDisk(), Located("daemon", FOLDER), keep_days=0.0).segments == ()


def test_a_pruned_journal_verifies_and_goes_on() -> None:
    disk = CrashDisk()
    year(disk)
    before = kept(disk)
    found = plan(disk, HERE, keep_days=0.0)
    copies = prune(disk, HERE, found, EXPORT)
    assert [copy.name for copy in copies] == [segment_name(segment.number) for segment in found.segments]
    assert kept(disk) == before[found.records :]
    told = verify(disk, HERE)
    assert (told.ok, told.first, told.sequence) == (True, found.records + 1, before[-1])
    journal = opened(disk)
    assert (journal.pruned, journal.resume) == (found.records, 45)
    assert journal.append(filler(300.0)) == before[-1] + 1
    journal.flush(0.0, anchor=True)
    journal.shut()
    assert verify(disk, HERE).ok
    assert plan(disk, HERE, keep_days=0.0).segments == ()


def test_the_copies_are_the_bytes_and_may_be_there_already() -> None:
    disk = CrashDisk()
    year(disk)
    found = plan(disk, HERE, keep_days=0.0)
    originals = {each.number: disk.read(FOLDER / segment_name(each.number)) for each in found.segments}
    disk.make_folder("prune.folder", EXPORT / NAME)
    disk.replace("prune.copy", EXPORT / NAME / segment_name(1), b"an older attempt")
    prune(disk, HERE, found, EXPORT)
    for number, data in originals.items():
        assert disk.read(EXPORT / NAME / segment_name(number)) == data


def test_a_full_disk_leaves_the_journal_as_it_was() -> None:
    disk = CrashDisk()
    year(disk)
    before = kept(disk)
    disk.fill(400)
    with pytest.raises(OSError, match="No space left"):
        prune(disk, HERE, plan(disk, HERE, keep_days=0.0), EXPORT)
    assert kept(disk) == before


def test_every_point_of_pruning_has_its_moments() -> None:
    assert {point for point in POINTS if point.startswith("prune.")} == {
        moment.partition(":")[2].rsplit(".", 1)[0] if moment.count(".") > 1 else moment.partition(":")[2]
        for moment in MOMENTS
    }


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("occurrence", [1, 2, 4])
def test_a_power_cut_on_the_way_loses_nothing(moment: str, occurrence: int) -> None:
    disk = CrashDisk()
    year(disk)
    everything = kept(disk)
    found: Pruning = plan(disk, HERE, keep_days=0.0)
    left = occurrence

    def strike(name: str) -> None:
        nonlocal left
        left -= name == moment
        if name == moment and left == 0:
            raise PowerCut

    disk.at_point = strike
    try:
        prune(disk, HERE, found, EXPORT)
        assert left > 0, "the cut came"
        return
    except PowerCut:
        pass
    for seed in range(4):
        after = disk.crash(Random(seed))
        assert verify(after, HERE).ok, seed
        here = kept(after)
        assert here == everything[len(everything) - len(here) :]
        copied = [segment for segment in found.segments if after.exists(EXPORT / NAME / segment_name(segment.number))]
        gone = everything[: len(everything) - len(here)]
        assert all(any(each.first <= sequence <= each.last for each in copied) for sequence in gone)
        prune(after, HERE, plan(after, HERE, keep_days=0.0), EXPORT)
        assert kept(after) == everything[found.records :]
        journal = opened(after)
        assert journal.resume == 45
        journal.shut()
