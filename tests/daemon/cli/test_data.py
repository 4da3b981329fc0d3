"""`basis data`: a generated folder covers what it was made for, and a folder with defects is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.daemon.cli.calls import call

SPAN = ["--start", "2024-01-01", "--end", "2024-03-01"]
SHORT = ["--start", "2024-01-01", "--end", "2024-01-20"]


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


OWN = [
    ("2024-01-01", "2024-01-20", "1h"),
    ("2024-01-01T05:30Z", "2024-01-04T08:30Z", "15m"),
    ("2024-01-01T05:00Z", "2024-01-01T08:00Z", "1h"),
    ("2024-01-01T03:00Z", "2024-03-01T03:00Z", "1d"),
    ("2024-01-01", "2024-03-01", "8h"),
]


@pytest.mark.parametrize(("start", "end", "step"), OWN, ids=["hours", "quarters", "three hours", "days at 3", "8 h"])
def test_a_generated_folder_is_replayed_over_its_own_dates(tmp_path: Path, start: str, end: str, step: str) -> None:
    folder, span = tmp_path / "market", ["--start", start, "--end", end, "--step", step]
    assert call("data", "generate", str(folder), *span) == 0
    for mode in ("btc_basis", "usdt_market_neutral", "eth_leveraged", "pure_lending", "eth_staking_only"):
        assert call("data", "coverage", mode, "--data", str(folder), *span) == 0
    words = ["backtest", "run", "usdt_market_neutral", *span, "--capital", "100000", "--data", str(folder)]
    assert call(*words, "--no-charts", "--out", str(tmp_path / "results")) == 0


@pytest.mark.parametrize("scenario", ["crash", "squeeze", "depeg", "oracle_drop", "borrow_spike", "funding_negative"])
def test_every_stress_is_believed_when_it_is_read_back(tmp_path: Path, scenario: str) -> None:
    folder = tmp_path / "market"
    assert call("data", "generate", str(folder), *SHORT, "--scenario", scenario) == 0
    assert call("data", "coverage", "usdt_market_neutral", "--data", str(folder), *SHORT) == 0


@pytest.mark.parametrize("step", ["7m", "90m", "45s"])
def test_a_step_beside_the_hour_is_refused_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], step: str
) -> None:
    span = ["--start", "2024-01-01", "--end", "2024-01-03"]
    code = call("data", "generate", str(tmp_path / "market"), *span, "--step", step)
    said = capsys.readouterr().err

    assert code == (0 if step == "45s" else 2)
    assert step == "45s" or "a step that divides an hour" in said
    assert (tmp_path / "market").exists() == (step == "45s")


def test_a_place_that_cannot_be_written_is_refused_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    for folder in (tmp_path / "file" / "market", Path("/proc/market"), Path("/sys/market")):
        assert call("data", "generate", str(folder), "--start", "2024-01-01", "--end", "2024-01-03") == 2
        said = capsys.readouterr().err
        assert "a place that can be written to" in said or "a new folder" in said
        assert "Traceback" not in said


def test_coverage_lists_the_files_it_does_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "market"
    assert call("data", "generate", str(folder), *SHORT) == 0
    (folder / "market_data" / "spot_prices" / "btc_usd" / "binance_BTCUSDT.xlsx").write_bytes(b"x")
    capsys.readouterr()
    assert call("data", "coverage", "pure_lending", "--data", str(folder)) == 0

    assert "not read: market_data/spot_prices/btc_usd/binance_BTCUSDT.xlsx: not a form that is read" in (
        capsys.readouterr().out
    )


def test_a_missing_series_is_never_said_to_be_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "market"
    assert call("data", "generate", str(folder), *SHORT) == 0
    for path in folder.glob("market_data/spot_prices/btc_usd/bybit*"):
        path.unlink()
    capsys.readouterr()
    assert call("data", "coverage", "btc_basis", "--data", str(folder)) == 78
    said = capsys.readouterr()

    assert "All series" not in said.out + said.err
    assert "Not to be had: bybit.spot.BTC; the others" in said.out
    assert "did you mean" not in said.err


@pytest.mark.parametrize("words", [("data", "coverage", "btc_basis"), ("backtest", "run", "btc_basis")])
def test_a_zone_that_is_none_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    span = ["--start", "2024-01-01", "--end", "2024-01-03", "--data", str(tmp_path), "--timezone", "Mars"]
    capital = ["--capital", "1000"] if words[0] == "backtest" else []
    assert call(*words, *span, *capital) == 2

    assert "a zone like UTC" in capsys.readouterr().err


def test_coverage_shows_how_far_rows_lie_apart_and_what_they_are_worth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A gas price is written every hour and sampled every two."""
    folder = tmp_path / "market"
    assert call("data", "generate", str(folder), "--start", "2024-05-01", "--end", "2024-05-12") == 0
    capsys.readouterr()
    assert call("data", "coverage", "btc_basis", "--data", str(folder), "-o", "json") == 0
    series = {each["series"]: each for each in json.loads(capsys.readouterr().out)["series"]}
    gas, spot = series["ethereum.gas_price.gwei"], series["binance.spot.BTC"]
    assert (gas["step"], gas["resolution"], gas["rows"]) == ("1 h", "2 h", 11 * 24 + 1)
    assert (spot["step"], spot["resolution"]) == ("1 h", "1 h")
    assert series["okx.funding.BTC"]["step"] == "8 h"
