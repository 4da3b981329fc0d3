"""One hash for one tree of code, in journals, results and metrics."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from daemon import provenance as module
from daemon.backtest.results import summary as results_summary
from daemon.provenance import PACKAGES, ROOT, code_hash, provenance


def test_journals_and_results_name_the_code_alike() -> None:
    assert provenance()["code_hash"] == code_hash()
    assert results_summary.code_hash is code_hash
    assert len(code_hash()) == 64


def test_every_module_counts_by_name_and_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in PACKAGES:
        (tmp_path / package / "a").mkdir(parents=True)
        (tmp_path / package / "a" / "x.py").write_text("1")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    fresh = code_hash.__wrapped__
    first = fresh()
    assert fresh() == first
    (tmp_path / "daemon" / "a" / "x.py").write_text("2")
    second = fresh()
    shutil.move(tmp_path / "daemon" / "a" / "x.py", tmp_path / "daemon" / "a" / "y.py")
    third = fresh()
    (tmp_path / "daemon" / "notes.txt").write_text("no code")
    assert fresh() == third
    assert len({first, second, third}) == 3
    assert (ROOT / "daemon" / "provenance.py").is_file()
