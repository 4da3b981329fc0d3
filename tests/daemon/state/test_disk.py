"""The disk: names of points, and one contract for the real disk and the one that crashes in tests."""

from __future__ import annotations

import ast
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from daemon.state import disk as disk_module
from daemon.state.disk import POINTS, Disk, Kind, RealDisk, moments
from tests.disks import CrashDisk

REPOSITORY = Path(__file__).resolve().parents[3]
WRITING = {
    "write": Kind.WRITE,
    "sync": Kind.SYNC,
    "truncate": Kind.TRUNCATE,
    "append": Kind.OPEN,
    "replace": Kind.REPLACE,
    "rename": Kind.RENAME,
    "unlink": Kind.UNLINK,
    "make_folder": Kind.FOLDER,
    "sync_folder": Kind.SYNC_FOLDER,
}
SYNCED_BY_HAND = {
    "daemon/state/disk.py": "this is the port",
    "daemon/state/latch.py": "the command line sets a latch without a daemon",
    "daemon/process/doctor.py": "measures how long a sync takes",
    "venues/paper/store.py": "a venue's own books: another company's disk, which the daemon never reads",
    "daemon/state/copy.py": "copies out of and into a state directory that nobody runs on",
}


class Use:
    """One call of a disk or a file of one."""

    def __init__(self, path: Path, call: ast.Call, method: str) -> None:
        self.where = f"{path.relative_to(REPOSITORY)}:{call.lineno}"
        first = call.args[0] if call.args else None
        self.point = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None
        self.kind = WRITING[method]


def uses() -> Iterator[Use]:
    """Calls on what is named like a disk, or like a file that a disk opened, outside the port itself."""
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WRITING:
                receiver = ast.unparse(node.func.value).rpartition(".")[2].lstrip("_")
                is_point = node.args and isinstance(node.args[0], ast.Constant) and node.args[0].value in POINTS
                if receiver == "disk" or is_point:
                    yield Use(path, node, node.func.attr)


def sources() -> list[Path]:
    found = [path for package in ("components", "venues", "daemon") for path in (REPOSITORY / package).rglob("*.py")]
    return sorted(path for path in found if path != Path(disk_module.__file__))


def test_every_write_has_a_registered_name_of_its_kind() -> None:
    found = list(uses())
    assert len(found) > 10
    wrong = [f"{use.where}: {use.point}" for use in found if use.point is None or POINTS.get(use.point) is not use.kind]
    assert wrong == []


def test_every_registered_name_is_used() -> None:
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in sources())
    said = {node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert set(POINTS) - said == set()


def test_nobody_syncs_past_the_port() -> None:
    names = {"fsync", "fdatasync", "sync_file_range"}
    found = {
        str(path.relative_to(REPOSITORY))
        for path in [*sources(), Path(disk_module.__file__)]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in names
    }
    assert found <= set(SYNCED_BY_HAND)


def test_moments_are_all_that_the_hook_can_hear() -> None:
    assert len(moments()) == len(set(moments()))
    assert {"before:journal.write", "after:anchor.replace.rename", "before:journal.segment.folder"} <= set(moments())


@pytest.fixture(params=["real", "crash"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Disk, Path]:
    """A disk and an empty folder on it."""
    if request.param == "real":
        return RealDisk(), tmp_path
    disk = CrashDisk()
    disk.make_folder("journal.folder", Path("/folder"))
    return disk, Path("/folder")


def test_a_name_that_is_not_registered_or_of_another_kind_raises(place: tuple[Disk, Path]) -> None:
    disk, folder = place
    file = disk.append("journal.segment", folder / "file")
    for attempt in (
        lambda: disk.append("journal.nowhere", folder / "other"),
        lambda: disk.append("journal.write", folder / "other"),
        lambda: disk.replace("journal.write", folder / "other", b""),
        lambda: disk.rename("journal.write", folder / "file", folder / "other"),
        lambda: disk.unlink("journal.write", folder / "file"),
        lambda: disk.make_folder("journal.write", folder / "other"),
        lambda: disk.sync_folder("journal.write", folder),
        lambda: file.write("journal.sync", b"x"),
        lambda: file.sync("journal.write"),
        lambda: file.truncate("journal.write", 0),
    ):
        with pytest.raises(ValueError, match="name it in"):
            attempt()
    file.close()
    assert (disk.list(folder), disk.size(folder / "file")) == (("file",), 0)


def test_appending_goes_on_where_the_file_ends_or_where_it_is_told(place: tuple[Disk, Path]) -> None:
    disk, folder = place
    path = folder / "file"
    file = disk.append("journal.segment", path)
    file.write("journal.write", b"hello")
    file.sync("journal.sync")
    file.close()
    file = disk.append("journal.segment", path)
    assert file.size == 5
    file.write("journal.write", b" world")
    assert file.size == 11
    file.truncate("recover.cut_torn", 7)
    file.write("journal.write", b"!")
    file.close()
    assert disk.read(path) == b"hello w!"
    file = disk.append("reserve.open", path, at=1)
    file.write("reserve.write", b"EL")
    file.close()
    assert (disk.read(path), disk.read(path, 1, 3), disk.size(path)) == (b"hELlo w!", b"ELl", 8)


def test_replacing_renaming_removing(place: tuple[Disk, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    disk, folder = place
    disk.replace("anchor.replace", folder / "a", b"old")
    disk.replace("anchor.replace", folder / "a", b"new")
    disk.rename("adopt.rename", folder / "a", folder / "b")
    assert disk.list(folder) == ("b",)
    assert disk.read(folder / "b") == b"new"
    monkeypatch.setattr(disk_module, "POINTS", {"test.unlink": Kind.UNLINK})
    for _ in range(2):
        disk.unlink("test.unlink", folder / "b")
    assert disk.list(folder) == () and not disk.exists(folder / "b")
    with pytest.raises(FileNotFoundError):
        disk.read(folder / "b")


def test_folders_are_made_with_those_above(place: tuple[Disk, Path]) -> None:
    disk, folder = place
    for _ in range(2):
        disk.make_folder("journal.folder", folder / "x" / "y")
    disk.sync_folder("recover.entries", folder / "x")
    assert disk.list(folder / "x") == ("y",)
    assert disk.list(folder / "nowhere") == ()
    assert disk.free_bytes(folder) > 0


def test_the_hook_hears_the_same_on_both_disks(tmp_path: Path) -> None:
    heard: list[list[str]] = []
    for make, folder in ((RealDisk, tmp_path / "f"), (CrashDisk, Path("/f"))):
        heard.append([])
        disk = make(at_point=heard[-1].append)
        disk.make_folder("journal.folder", folder)
        file = disk.append("journal.segment", folder / "a")
        file.write("journal.write", b"x")
        file.sync("journal.sync")
        file.truncate("adopt.cut", 0)
        file.close()
        disk.append("journal.segment", folder / "a").close()
        disk.replace("anchor.replace", folder / "b", b"")
        disk.rename("adopt.rename", folder / "b", folder / "c")
        disk.sync_folder("recover.entries", folder)
    assert heard[0] == heard[1]
    assert set(heard[0]) <= set(moments())


def test_a_replacement_that_fails_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = RealDisk()
    disk.replace("anchor.replace", tmp_path / "a", b"old")

    def failing(descriptor: int) -> None:
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="no"):
        disk.replace("anchor.replace", tmp_path / "a", b"new")
    assert disk.list(tmp_path) == ("a",)
    assert disk.read(tmp_path / "a") == b"old"


def test_a_long_write_is_finished_when_the_system_takes_it_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: pwrite(fd, data[:3], offset))
    file = RealDisk().append("journal.segment", tmp_path / "a")
    file.write("journal.write", b"0123456789")
    file.close()
    assert (tmp_path / "a").read_bytes() == b"0123456789"


def test_real_syncs_reach_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    monkeypatch.setattr(os, "fdatasync", lambda fd: called.append("data"))
    monkeypatch.setattr(os, "fsync", lambda fd: called.append("file or folder"))
    disk = RealDisk()
    file = disk.append("journal.segment", tmp_path / "a")
    assert called == ["file or folder"]
    file.sync("journal.sync")
    file.close()
    assert called == ["file or folder", "data"]
    disk.replace("anchor.replace", tmp_path / "b", b"")
    assert called[2:] == ["file or folder"] * 2


# The disk of the crash tests has to be as cruel as it claims.


def after_crashes(disk: CrashDisk, path: Path) -> set[bytes | None]:
    found = (disk.crash(Random(seed)) for seed in range(200))
    return {each.read(path) if each.exists(path) else None for each in found}


def test_what_was_synced_survives_and_what_was_not_may_be_lost_torn_or_reordered() -> None:
    disk, path = CrashDisk(), Path("/a")
    file = disk.append("journal.segment", path)
    file.write("journal.write", b"s" * 600)
    file.sync("journal.sync")
    file.write("journal.write", b"1" * 1000)
    file.write("journal.write", b"2" * 1000)
    found = after_crashes(disk, path)
    assert all(data is not None and data.startswith(b"s" * 600) for data in found)
    tails = {(data or b"")[600:] for data in found}
    assert b"" in tails and b"1" * 1000 + b"2" * 1000 in tails
    assert any(b"2" in tail and b"1" not in tail for tail in tails)  # reordered
    assert any(tail and len(tail) % 100 and (600 + len(tail)) % 512 for tail in tails)  # torn inside a sector
    assert len(tails) > 20


def test_entries_that_were_not_synced_may_vanish() -> None:
    lying = CrashDisk(lies=frozenset({"journal.segment.folder", "anchor.replace.folder"}))
    file = lying.append("journal.segment", Path("/a"))
    file.write("journal.write", b"x")
    file.sync("journal.sync")
    lying.replace("anchor.replace", Path("/b"), b"new")
    assert after_crashes(lying, Path("/a")) == {b"x", None}
    assert after_crashes(lying, Path("/b")) == {b"new", None}


def test_a_failed_sync_throws_away_what_reads_still_show() -> None:
    disk, path = CrashDisk(), Path("/a")
    file = disk.append("journal.segment", path)
    file.write("journal.write", b"x")
    disk.fail_at("journal.sync")
    with pytest.raises(OSError, match="Input/output"):
        file.sync("journal.sync")
    file.sync("journal.sync")  # and this one lies
    assert disk.read(path) == b"x"
    assert after_crashes(disk, path) == {b""}


def test_full_read_only_and_failing() -> None:
    disk, path = CrashDisk(), Path("/a")
    file = disk.append("journal.segment", path)
    disk.fill(room=3)
    with pytest.raises(OSError, match="No space") as caught:
        file.write("journal.write", b"12345")
    assert caught.value.errno == errno.ENOSPC and disk.read(path) == b"123"
    disk.append("reserve.open", path, at=0).write("reserve.write", b"abc")  # replaces, and needs no room
    disk.repair()
    disk.read_only()
    for attempt in (lambda: file.write("journal.write", b"x"), lambda: disk.replace("anchor.replace", path, b"")):
        with pytest.raises(OSError, match="Read-only"):
            attempt()
    disk.repair()
    disk.fail_nth(2)
    file.truncate("adopt.cut", 0)
    with pytest.raises(OSError, match="Input/output"):
        file.write("journal.write", b"1234")
    assert disk.read(path) == b"12"
