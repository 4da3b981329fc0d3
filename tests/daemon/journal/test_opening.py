"""Power cuts, failing operations and damage, everywhere: nothing acknowledged is lost, nothing damaged is believed."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.model.errors import Stop
from daemon.journal.errors import JournalBroken, JournalPoisoned
from daemon.journal.frames import FRAME_BYTES, SEGMENT_BYTES, parse, segment_base
from daemon.journal.journal import Journal
from daemon.journal.records import Record
from daemon.journal.walk import ANCHOR_FILE
from daemon.state.disk import POINTS, Kind, RealDisk, moments
from tests.daemon.journal.desk import FOLDER, NAME, Scenario, note, opened, ours, wide
from tests.disks import KILL_AT, CrashDisk, PowerCut, kill_at_point

SEEDS = 4


class Lights:
    """Cuts the power at the n-th moment, and remembers which moments there were."""

    def __init__(self, out_at: int) -> None:
        self.left = out_at
        self.heard: list[str] = []

    def __call__(self, moment: str) -> None:
        self.heard.append(moment)
        self.left -= 1
        if self.left == 0:
            raise PowerCut(moment)


class Worsening:
    """From the n-th moment on the disk is full, but for a few bytes, or read-only."""

    def __init__(self, disk: CrashDisk, limit: str, begins_at: int) -> None:
        self.disk = disk
        self.limit = limit
        self.begins_at = self.left = begins_at

    def __call__(self, moment: str) -> None:
        self.left -= 1
        if self.left == 0 and self.limit == "full":
            self.disk.fill(room=self.begins_at % 7 * 40)
        elif self.left == 0:
            self.disk.read_only()


def played(disk: CrashDisk) -> Scenario:
    """The scenario as far as it gets."""
    scenario = Scenario()
    with suppress(PowerCut, Stop):
        scenario.play(disk)
    return scenario


@cache
def length() -> int:
    """Moments of the undisturbed scenario."""
    lights = Lights(0)
    scenario = played(CrashDisk(at_point=lights))
    assert scenario.acknowledged == scenario.sent and scenario.steps == 8
    return len(lights.heard)


@cache
def operations() -> int:
    """Operations of the undisturbed scenario."""
    disk = CrashDisk()
    played(disk)
    return disk.operations


def verdict(scenario: Scenario, disk: CrashDisk) -> str:
    """Opens the journal and says what became of it: kept, lost, or why it was refused."""
    try:
        found = ours(opened(disk))
    except Stop as refusal:
        return str(refusal)
    sure, last = scenario.acknowledged, scenario.emergency
    if found[: len(sure)] != sure or (last and found[-len(last) :] != last):
        return f"lost: found {len(found)} of {len(sure)} and {len(last)}"
    return "kept" if _is_part_of(found, [*scenario.sent, *last]) else f"invented: {found}"


def _is_part_of(found: list[Record], sent: list[Record]) -> bool:
    """In order, with gaps only where an emergency followed what was given up."""
    rest = iter(sent)
    return all(any(record == other for other in rest) for record in found)


def test_a_power_cut_at_any_moment_loses_nothing_acknowledged() -> None:
    for out_at in range(1, length() + 1):
        disk = CrashDisk(at_point=Lights(out_at))
        scenario = played(disk)
        for seed in range(SEEDS):
            after = disk.crash(Random(f"{out_at} {seed}"))
            assert verdict(scenario, after) == "kept", f"cut at moment {out_at}, seed {seed}"


def test_a_power_cut_while_recovering_from_one_loses_nothing_either() -> None:
    for out_at in range(3, length(), 5):
        disk = CrashDisk(at_point=Lights(out_at))
        scenario = played(disk)
        for again_at in range(1, 14):
            after = disk.crash(Random(f"{out_at} {again_at}"))
            after.at_point = Lights(again_at)
            try:
                opened(after)
            except PowerCut:
                assert verdict(scenario, after.crash(Random(again_at))) == "kept", f"{out_at}, {again_at}"


def test_after_recovery_the_journal_goes_on_and_survives_the_next_cut() -> None:
    for out_at in range(1, length(), 3):
        disk = CrashDisk(at_point=Lights(out_at))
        scenario = played(disk)
        after = disk.crash(Random(out_at))
        journal = opened(after)
        before = ours(journal)
        journal.append(note("after"))
        journal.flush(0.0)
        assert ours(opened(after.crash(Random(out_at)))) == [*before, note("after")]
        assert before[: len(scenario.acknowledged)] == scenario.acknowledged


@pytest.mark.parametrize("lie", ["*", "journal.sync", "journal.segment.folder", "anchor.replace.sync"])
def test_the_campaign_notices_a_sync_that_is_left_out(lie: str) -> None:
    verdicts = set()
    for out_at in range(1, length() + 1):
        disk = CrashDisk(at_point=Lights(out_at), lies=frozenset({lie}))
        scenario = played(disk)
        verdicts |= {verdict(scenario, disk.crash(Random(f"{out_at} {seed}"))) for seed in range(SEEDS)}
        if len(verdicts - {"kept"}) > 2:
            break
    assert verdicts != {"kept"}


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EROFS])
def test_any_operation_may_fail_and_nothing_acknowledged_is_lost(code: int) -> None:
    poisoned = 0
    for nth in range(1, operations() + 1):
        disk = CrashDisk()
        disk.fail_nth(nth, code)
        scenario = played(disk)
        poisoned += scenario.acknowledged != scenario.sent
        for seed in range(SEEDS):
            assert verdict(scenario, disk.crash(Random(f"{nth} {seed}"))) == "kept", f"operation {nth}, seed {seed}"
        disk.repair()
        assert verdict(scenario, disk) == "kept", f"operation {nth}, restarted"
        # What the restart showed is on the disk now, even where a failed sync had thrown it away.
        shown = ours(opened(disk))
        assert ours(opened(disk.crash(Random(nth)))) == shown, f"operation {nth}, restarted, then cut"
    assert poisoned > 10


@pytest.mark.parametrize("limit", ["full", "read_only"])
def test_a_disk_that_stays_full_or_read_only_loses_nothing_acknowledged(limit: str) -> None:
    emergencies = 0
    for out_at in range(1, length() + 1, 2):
        disk = CrashDisk()
        disk.at_point = Worsening(disk, limit, out_at)
        scenario = played(disk)
        emergencies += len(scenario.emergency)
        assert verdict(scenario, disk.crash(Random(out_at))) == "kept", f"from moment {out_at}"
    assert emergencies > 0 or limit == "read_only"


@cache
def closed() -> tuple[tuple[Path, bytes], ...]:
    """Files of a journal that was closed in order, of several segments."""
    disk = CrashDisk()
    journal = opened(disk)
    for number in range(9):
        journal.append(wide(f"{number}"))
        journal.append(note(f"{number}"))
        journal.flush(number / 10)
    journal.flush(5.0, anchor=True)
    journal.shut()
    assert len(disk.list(FOLDER)) >= 5
    return tuple(sorted(disk.contents().items()))


def reopened() -> CrashDisk:
    """A disk with those files."""
    disk = CrashDisk()
    opened(disk).shut()
    for path, data in closed():
        file = disk.append("recover.reopen", path, at=0)
        file.truncate("recover.cut_torn", 0)
        file.write("recover.rewrite", data)
        file.sync("recover.sync")
    return disk


def record_at(path: Path, offset: int) -> int:
    """The sequence of the record that holds a byte; the first of the segment for its header."""
    data = dict(closed())[path]
    base = segment_base(data, NAME)
    assert not isinstance(base, str)
    sequence = base.sequence + 1
    for frame in parse(data, SEGMENT_BYTES, base):
        if frame.offset <= offset:
            sequence = frame.sequence
    return sequence


@settings(max_examples=300, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found_at_its_record(where: float, bit: int) -> None:
    segments = [(path, at) for path, data in closed() if path.name.startswith("0") for at in range(len(data))]
    path, offset = segments[int(where * len(segments))]
    disk = reopened()
    disk.damage(path, offset, 1 << bit)
    before = disk.contents()

    with pytest.raises(JournalBroken) as caught:
        opened(disk)

    assert (caught.value.segment, caught.value.sequence) == (path.name, record_at(path, offset))
    assert "cut short, the anchor" not in caught.value.reason
    assert caught.value.offset <= offset < caught.value.offset + FRAME_BYTES + 400
    assert disk.contents() == before


@settings(max_examples=100, deadline=None)
@given(left=st.floats(0, 1, exclude_max=True))
def test_a_journal_cut_anywhere_below_its_anchor_is_found(left: float) -> None:
    path, data = [item for item in closed() if item[0].name.startswith("0")][-1]
    disk = reopened()
    disk.cut(path, int(left * len(data)))
    with pytest.raises(JournalBroken):
        opened(disk)


def test_a_flipped_bit_in_the_anchor_is_found_or_changes_nothing() -> None:
    path = FOLDER / ANCHOR_FILE
    size = len(dict(closed())[path])
    found = 0
    for offset in range(size):
        disk = reopened()
        disk.damage(path, offset, 0x04)
        try:
            assert opened(disk).head.sequence == 18
        except JournalBroken:
            found += 1
    assert found >= size - 12  # the name of a key, or white space


def test_recovery_that_is_cut_short_copies_the_same_torn_end_once() -> None:
    disk = CrashDisk()
    journal = opened(disk)
    journal.append(note("a"))
    journal.flush(0.0)
    disk.cut(FOLDER / "000001.journal", disk.size(FOLDER / "000001.journal") - 1)
    for _ in range(3):
        disk.fail_at("recover.cut_torn")
        with pytest.raises(Stop):
            opened(disk)
    opened(disk)
    assert [name for name in disk.list(FOLDER) if name.startswith("torn")] == ["torn-1.bin"]


def test_damage_in_the_last_batch_of_a_killed_process_is_set_aside_and_told() -> None:
    """Nothing on the disk proves that the last batch was acknowledged: this alone cannot be told from a torn write."""
    disk = CrashDisk()
    journal = opened(disk)
    for text in "ab":
        journal.append(note(text))
        journal.flush(0.0)
    disk.damage(FOLDER / "000001.journal", disk.size(FOLDER / "000001.journal") - 1)
    again = opened(disk)
    assert ours(again) == [note("a")]
    assert "torn-2.bin" in disk.list(FOLDER)


def test_every_moment_of_every_point_of_the_journal_is_in_a_campaign() -> None:
    heard: set[str] = set()
    for prepare in (None, "torn", "emergency"):
        lights = Lights(0)
        disk = CrashDisk(at_point=lights)
        journal = opened(disk)
        journal.append(note("a"))
        journal.flush(0.0)
        if prepare == "torn":
            journal.append(note("b"))
            journal.flush(0.1)
            disk.cut(FOLDER / "000001.journal", disk.size(FOLDER / "000001.journal") - 2)
        if prepare == "emergency":
            disk.fail_at("journal.sync")
            journal.append(note("b"))
            with pytest.raises(JournalPoisoned):
                journal.flush(0.1)
            journal.append_emergency(note("c"))
            journal.flush(0.2)
        opened(disk)
        heard |= set(lights.heard)
    # These open what recovery has found there, so the folder has nothing new to sync.
    never = {f"{point}.open.folder" for point in ("adopt", "reserve")} | {"recover.reopen.folder"}
    expected = {moment for moment in moments() if moment.partition(":")[2] not in never}
    assert {moment for moment in expected if _is_of_the_journal(moment)} <= heard


def _is_of_the_journal(moment: str) -> bool:
    return moment.partition(":")[2].split(".")[0] in {"journal", "anchor", "reserve", "recover", "adopt"}


# A process that is killed keeps its page cache: these prove order and idempotence, not syncing.


def test_a_process_killed_at_any_point_is_recovered(tmp_path: Path) -> None:
    states = 0
    for index, moment in enumerate(_moments_of_a_life(tmp_path)):
        folder = tmp_path / f"{index}"
        acknowledged = _killed_at(folder, moment)
        journal = Journal.open(folder / "journal", RealDisk(), name=NAME, now=lambda: 0, rotate_bytes=700)
        found = [record.detail for record in ours(journal)]  # type: ignore[union-attr]
        assert found[: len(acknowledged)] == acknowledged, moment
        assert found == [f"{number}" for number in range(len(found))], moment
        journal.shut()
        states += 1
    assert states > 40


def _moments_of_a_life(tmp_path: Path) -> list[str]:
    heard: list[str] = []
    _life(tmp_path / "undisturbed", RealDisk(heard.append), lambda text: None)
    counts: dict[str, int] = {}
    out = []
    for moment in heard:
        counts[moment] = counts.get(moment, 0) + 1
        if counts[moment] in (1, 3):
            out.append(f"{moment}#{counts[moment]}")
    return out


def _life(folder: Path, disk: RealDisk, told: Callable[[str], object]) -> None:
    number = 0
    for _ in range(2):
        journal = Journal.open(folder / "journal", disk, name=NAME, now=lambda: 0, rotate_bytes=700)
        for _ in range(6):
            journal.append(note(f"{number}"))
            journal.flush(number * 0.5)
            told(f"{number}")
            number += 1
        journal.flush(99.0, anchor=True)
        journal.shut()


def _killed_at(folder: Path, moment: str) -> list[str]:
    """Lives in a child that is killed there; what it had acknowledged by then."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            disk = RealDisk(kill_at_point({KILL_AT: moment}))
            _life(folder, disk, lambda text: os.write(writer, f"{text}\n".encode()))
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        acknowledged = pipe.read().split()
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, moment
    return acknowledged


def test_a_moment_that_does_not_exist_is_refused() -> None:
    assert kill_at_point({}) is None
    with pytest.raises(ValueError, match="no moment"):
        kill_at_point({KILL_AT: "after:nowhere#1"})
    assert Kind.SYNC in POINTS.values()
