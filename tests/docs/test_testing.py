"""The page of the tests: every suite has its seconds, their sum fits, and a skip nobody agreed to fails a run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.suites import Allowance, Overview, agreed_skips

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "testing.md"
IN_ALL_S = 14 * 60 * 2


def test_every_folder_of_tests_has_its_seconds() -> None:
    folders = {path.name for path in (ROOT / "tests").iterdir() if any(path.rglob("test_*.py"))}
    assert folders == {suite.split("/")[0] for suite in Allowance.of_page(PAGE).seconds}


def test_the_seconds_of_all_suites_fit_into_fourteen_minutes_on_two_cores() -> None:
    assert sum(Allowance.of_page(PAGE).seconds.values()) <= IN_ALL_S


def test_every_agreed_skip_says_why() -> None:
    lines = (ROOT / "tests" / "agreed-skips.txt").read_text().splitlines()
    assert all("#" in line for line in lines if line.strip())


def test_a_test_counts_for_the_innermost_suite_that_has_a_line() -> None:
    overview = Overview(Allowance({"venues": 100, "venues/history": 20}), None)
    overview.hear("tests/venues/history/files/test_a.py::test_x", 2.0, skipped=False)
    overview.hear("tests/venues/test_b.py::test_y", 3.0, skipped=False)
    assert overview.taken == {"venues/history": 2.0, "venues": 3.0}
    assert overview.table()[0].startswith("venues ") and "of  100 s" in overview.table()[0]


def test_a_suite_over_its_seconds_is_marked() -> None:
    overview = Overview(Allowance({"ops": 1}), None)
    overview.hear("tests/ops/test_a.py::test_x", 2.0, skipped=False)
    assert "more than allowed" in overview.table()[0]


def test_a_skip_is_agreed_to_by_pattern_only(tmp_path: Path) -> None:
    listed = tmp_path / "agreed.txt"
    listed.write_text("# why\ntests/ops/*::test_x  # needs a tool\n")
    overview = Overview(Allowance({}), agreed_skips(listed))
    overview.hear("tests/ops/test_a.py::test_x", 0.1, skipped=True)
    overview.hear("tests/ops/test_a.py::test_y", 0.1, skipped=True)
    assert overview.unexpected == ["tests/ops/test_a.py::test_y"]


def test_a_run_fails_when_a_test_was_skipped_that_no_line_names(tmp_path: Path) -> None:
    root = tmp_path / "project"
    (root / "tests").mkdir(parents=True)
    (root / "docs").mkdir()
    (root / "docs" / "testing.md").write_text("")
    for name in ("conftest.py", "suites.py", "__init__.py"):
        (root / "tests" / name).write_text((ROOT / "tests" / name).read_text())
    (root / "tests" / "test_skips.py").write_text(
        'import pytest\n\n\ndef test_left_out():\n    pytest.skip("no")\n\n\ndef test_held():\n    pass\n'
    )
    (root / "some.txt").write_text("tests/test_skips.py::test_left_out  # for want of it\n")
    (root / "none.txt").write_text("")
    codes = []
    for file in ("some.txt", "none.txt"):
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--agreed-skips", file, "tests"],
            cwd=root, capture_output=True, text=True,
        )  # fmt: skip
        codes.append(done.returncode)
    assert codes == [0, 1]
    assert "tests/test_skips.py::test_left_out" in done.stdout
