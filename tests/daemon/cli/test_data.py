"""`basis data`: a generated folder covers what it was made for, and a folder with defects is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.daemon.cli.calls import call

SPAN = ["--start", "2024-01-01", "--end", "2024-03-01"]


def test_a_generated_folder_is_covered_and_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "market"
    assert call("data", "generate", str(folder), *SPAN) == 0
    inside = ["--start", "2024-01-05", "--end", "2024-02-20"]
    for mode in ("btc_basis", "usdt_market_neutral", "pure_lending"):
        assert call("data", "coverage", mode, "--data", str(folder), *inside) == 0
        words = ["backtest", "run", mode, *inside, "--capital", "10000", "--data", str(folder), "--no-charts"]
        assert call(*words, "--out", str(tmp_path / "results")) == 0
    assert "made" in capsys.readouterr().out
    assert len(list((tmp_path / "results").glob("*/summary.json"))) == 3


def test_conflicting_funding_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "market"
    assert call("data", "generate", str(folder), *SPAN, "--defects", "conflicting_funding") == 0
    capsys.readouterr()
    code = call("data", "coverage", "btc_basis", "--data", str(folder), "--start", "2024-01-05", "--end", "2024-02-20")
    assert code == 78
    assert "funding_rate" in "".join(capsys.readouterr())


def test_a_folder_with_something_in_it_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep", encoding="utf-8")
    assert call("data", "generate", str(tmp_path), *SPAN) != 0
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_coverage_outside_the_span_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "market"
    assert call("data", "generate", str(folder), *SPAN) == 0
    code = call("data", "coverage", "btc_basis", "--data", str(folder), "--start", "2023-01-05", "--end", "2024-02-20")
    assert code == 78
    assert "binance_BTCUSDT_spot" in "".join(capsys.readouterr())
