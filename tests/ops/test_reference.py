"""The generated pages say what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.model.errors import CATALOGUE
from components.model.slices import ModeSlice
from ops import reference


@pytest.mark.parametrize("name", ["configuration.md", "errors.md"])
def test_page_is_up_to_date(name: str) -> None:
    written = (reference.FOLDER / name).read_text(encoding="utf-8")
    assert written == reference.pages()[name], "run: python -m ops.reference"


def test_every_key_of_a_mode_and_every_error_is_explained() -> None:
    pages = reference.pages()
    for key in ModeSlice.__struct_fields__:
        assert f"| `{key}` |" in pages["configuration.md"]
    for code in CATALOGUE:
        assert f"`{code}`" in pages["errors.md"]
    for line in pages["configuration.md"].splitlines():
        assert not line.startswith("| `") or line.split(" | ")[-1].strip(" |"), f"no meaning: {line}"


def test_check_finds_a_stale_page_and_leaves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "FOLDER", tmp_path / "reference")
    assert reference.main(["--check"]) == 1
    assert not (tmp_path / "reference").exists()
    assert reference.main([]) == 0
    assert reference.main(["--check"]) == 0
    (tmp_path / "reference" / "errors.md").write_text("old")
    assert reference.main(["--check"]) == 1
    assert (tmp_path / "reference" / "errors.md").read_text() == "old"
