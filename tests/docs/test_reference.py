"""The generated pages say what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.model.errors import CATALOGUE
from components.model.slices import ModeSlice
from daemon import docs_reference


@pytest.mark.parametrize("name", ["configuration.md", "errors.md"])
def test_page_is_up_to_date(name: str) -> None:
    written = (docs_reference.FOLDER / name).read_text(encoding="utf-8")
    assert written == docs_reference.pages()[name], "run: python -m daemon.docs_reference"


def test_every_key_of_a_mode_and_every_error_is_explained() -> None:
    pages = docs_reference.pages()
    for key in ModeSlice.__struct_fields__:
        assert f"| `{key}` |" in pages["configuration.md"]
    for code in CATALOGUE:
        assert f"`{code}`" in pages["errors.md"]
    for line in pages["configuration.md"].splitlines():
        assert not line.startswith("| `") or line.split(" | ")[-1].strip(" |"), f"no meaning: {line}"


def test_check_finds_a_stale_page_and_leaves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docs_reference, "FOLDER", tmp_path / "reference")
    assert docs_reference.main(["--check"]) == 1
    assert not (tmp_path / "reference").exists()
    assert docs_reference.main([]) == 0
    assert docs_reference.main(["--check"]) == 0
    (tmp_path / "reference" / "errors.md").write_text("old")
    assert docs_reference.main(["--check"]) == 1
    assert (tmp_path / "reference" / "errors.md").read_text() == "old"
