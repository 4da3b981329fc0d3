"""A backtest from request to folder, on the embedded market."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import pytest

from components.model.errors import CFG_REQUEST, InvalidInput
from daemon.backtest.request import RequestTexts, parse_request
from daemon.backtest.results.store import ResultsStore
from daemon.backtest.run import RunOutcome, cache_folder, funding_hours, run_backtest
from daemon.config.settings import load_run

MODES = {
    "pure_lending": "100000",
    "btc_basis": "100000",
    "eth_basis": "100000",
    "eth_staking_only": "50",
    "eth_leveraged": "50",
    "usdt_market_neutral_no_leverage": "100000",
    "usdt_market_neutral": "100000",
}


def backtest(folder: Path, mode: str = "btc_basis", *, charts: bool = False, **texts: Any) -> RunOutcome:
    known = {"start": "2024-06-01", "end": "2024-06-15", "capital": MODES[mode]}
    request = parse_request(RequestTexts(mode=mode, **(known | texts)), {})
    return run_backtest(request, ResultsStore(folder), charts=charts, environ={})


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_fills_a_folder_that_agrees_with_itself(tmp_path: Path, mode: str) -> None:
    outcome = backtest(tmp_path, mode, charts=True)

    summary, suffix = outcome.summary, "eth" if mode in ("eth_staking_only", "eth_leveraged") else "usd"
    rows, events = rows_of(outcome.folder / "pnl.csv"), rows_of(outcome.folder / "event_log.csv")
    assert len(rows) == summary.rows == 14 * 24 + 1
    assert float(rows[-1][f"equity_{suffix}"]) == summary.final_equity
    assert float(rows[-1][f"cum_pnl_{suffix}"]) == pytest.approx(summary.pnl, abs=1e-9 * summary.initial_capital)
    for part, value in summary.parts.items():
        assert float(rows[-1][f"cum_{part}_{suffix}"]) == pytest.approx(value, rel=1e-9, abs=1e-12)
    assert [int(event["order"]) for event in events] == list(range(summary.events))
    assert events[-1]["hash"] == summary.last_event_hash
    assert (outcome.folder / "plots" / "index.html").is_file()


def test_the_last_balances_of_the_log_are_those_of_the_balance_sheet(tmp_path: Path) -> None:
    outcome = backtest(tmp_path, "usdt_market_neutral")

    sheet = rows_of(outcome.folder / "balance_sheet.csv")[-1]
    last = rows_of(outcome.folder / "event_log.csv")[-1]
    for key, balance in last.items():
        if key.startswith("balance.") and key in sheet:
            assert float(sheet[key]) == float(balance), key


def test_the_same_request_is_the_same_run_wherever_it_is_put(tmp_path: Path) -> None:
    one, other = backtest(tmp_path / "one"), backtest(tmp_path / "other", window_rows=7)

    assert one.summary.run_id == other.summary.run_id
    assert one.summary.run_id.startswith("btc_basis-20240601-20240615-")
    for name in ("pnl.csv", "event_log.csv", "balance_sheet.csv", "config.yaml"):
        assert (one.folder / name).read_bytes() == (other.folder / name).read_bytes()


@pytest.mark.parametrize(
    "texts",
    [
        {"capital": "100001"},
        {"end": "2024-06-16"},
        {"step": "2h"},
        {"seed": "8"},
        {"scenario": "crash"},
        {"flows": ("2024-06-10:+1",)},
        {"close_at_end": True},
        {"overrides": ("reserve_ratio=0.06",)},
    ],
    ids=str,
)
def test_another_request_is_another_run(tmp_path: Path, texts: dict[str, Any]) -> None:
    assert backtest(tmp_path, **texts).summary.run_id != backtest(tmp_path).summary.run_id


def test_progress_is_told_up_to_the_last_row(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    request = parse_request(RequestTexts(mode="btc_basis", start="2024-06-01", end="2024-06-15", capital="1e5"), {})

    def tell(row: int, rows: int) -> None:
        told.append((row, rows))

    run_backtest(request, ResultsStore(tmp_path), charts=False, progress=tell, environ={})

    assert told[-1] == (337, 337)
    assert told == sorted(told)


def test_a_folder_without_data_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as refused:
        backtest(tmp_path / "results", data=str(tmp_path / "absent"))

    assert refused.value.code != CFG_REQUEST
    assert os.listdir(tmp_path) == []


def test_an_invalid_configuration_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="hedge_allocation"):
        backtest(tmp_path / "results", overrides=("hedge_allocation={binance: 0.5, bybit: 0.4}",))

    assert os.listdir(tmp_path) == []


def test_without_a_home_nothing_is_cached() -> None:
    assert cache_folder({}) is None
    assert cache_folder({"HOME": "/h", "XDG_CACHE_HOME": "/c"}) == Path("/c/basisd/columns")


def test_the_venues_of_a_run_say_how_often_they_settle() -> None:
    run = load_run("btc_basis", environ={})
    hours = funding_hours(run)

    assert {name: hours[name] for name in ("binance.funding.BTC", "okx.funding.BTC")} == {
        "binance.funding.BTC": 8.0,
        "okx.funding.BTC": 8.0,
    }
    assert not any(".spot." in name for name in hours)
