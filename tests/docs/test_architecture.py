"""The page of the architecture: its picture is the contracts', and its walks go one way."""

from __future__ import annotations

import re
from pathlib import Path

from ops import rooms

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")


def walks() -> list[list[str]]:
    """The files of each walk, in order."""
    parts = re.findall(r"<!-- walk -->\n(.*?)<!-- end of walk -->", PAGE, flags=re.DOTALL)
    return [re.findall(r"^\d+\. `([\w/.]+)`", part, flags=re.MULTILINE) for part in parts]


def test_picture_and_table_are_drawn_from_the_contracts_of_now() -> None:
    assert rooms.main(["--check"]) == 0, "run: python -m ops.rooms"


def test_every_room_is_in_the_picture_and_in_the_table() -> None:
    layers, known = rooms.rooms()
    text = rooms.picture(layers, known)
    assert all(f">{name}</text>" in text for layer in layers for name in layer)
    assert {name for layer in layers for name in layer} >= set(known)
    assert all(f"| `{name}` |" in PAGE for name in known)


def test_only_arrows_are_drawn_that_no_longer_way_implies() -> None:
    known = {
        "a": rooms.Room("a", "", ("daemon.b", "daemon.c.one", "components.model")),
        "b": rooms.Room("b", "", ("daemon.c",)),
        "c": rooms.Room("c", "", ()),
    }
    assert rooms.arrows(known) == [("a", "b"), ("b", "c")]


def test_there_are_three_walks_through_files_that_are_there() -> None:
    assert [len(walk) > 10 for walk in walks()] == [True, True, True]
    assert [file for walk in walks() for file in walk if not (ROOT / file).is_file()] == []


def test_no_walk_passes_a_file_twice() -> None:
    for walk in walks():
        assert len(set(walk)) == len(walk)
