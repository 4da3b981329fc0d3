"""The picture of the rooms is drawn from their contracts, and from nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops import rooms

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "architecture.md").read_text("utf-8")


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


def test_a_picture_that_is_out_of_date_is_said_and_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "ROOT", tmp_path)
    monkeypatch.setattr(rooms, "PICTURE", tmp_path / "rooms.svg")
    monkeypatch.setattr(rooms, "PAGE", tmp_path / "page.md")
    (tmp_path / "page.md").write_text(f"a\n{rooms.BEGIN}\nold\n{rooms.END}\nb\n")
    contracts = Path(__file__).resolve().parents[2] / "pyproject.toml"
    (tmp_path / "pyproject.toml").write_text(contracts.read_text())
    assert rooms.main(["--check"]) == 1
    assert rooms.main([]) == 0 and rooms.main(["--check"]) == 0
    written = (tmp_path / "page.md").read_text()
    assert "\nold\n" not in written and written.startswith("a\n") and written.endswith("\nb\n")
