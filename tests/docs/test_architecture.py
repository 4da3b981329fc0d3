"""The page of the architecture: its walks pass files that are there, and go one way."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")


def walks() -> list[list[str]]:
    """The files of each walk, in order."""
    parts = re.findall(r"<!-- walk -->\n(.*?)<!-- end of walk -->", PAGE, flags=re.DOTALL)
    return [re.findall(r"^\d+\. `([\w/.]+)`", part, flags=re.MULTILINE) for part in parts]


def test_there_are_three_walks_through_files_that_are_there() -> None:
    assert [len(walk) > 10 for walk in walks()] == [True, True, True]
    assert [file for walk in walks() for file in walk if not (ROOT / file).is_file()] == []


def test_no_walk_passes_a_file_twice() -> None:
    for walk in walks():
        assert len(set(walk)) == len(walk)
