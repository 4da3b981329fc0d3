"""Each decision is a page that stands in the index, and is short enough to be read."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "decisions"
LONGEST_WORDS = 900  # half a page, and its tables
PAGES = {path.name: path.read_text("utf-8") for path in sorted(FOLDER.glob("[0-9]*.md"))}


def test_the_index_names_each_page_by_its_title() -> None:
    listed = re.findall(r"^- (\d{4}) \[(.*)\]\((.*)\)$", (FOLDER / "README.md").read_text("utf-8"), flags=re.MULTILINE)
    titles = [(name[:4], text.partition("\n")[0].removeprefix("# "), name) for name, text in PAGES.items()]
    assert sorted(listed) == titles


def test_no_number_is_used_twice() -> None:
    assert len({name[:4] for name in PAGES}) == len(PAGES)


def test_a_page_is_short() -> None:
    assert {name: n for name, text in PAGES.items() if (n := len(text.split())) > LONGEST_WORDS} == {}
