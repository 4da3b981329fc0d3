"""The command line as people use it: what it answers, what it refuses, and that a refusal leaves nothing behind."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from components.model.events import GENESIS
from tests.acceptance.runs import DATA, needs_data
from tests.daemon.cli.calls import call

RUN = ["backtest", "run", "btc_basis", "--start", "2024-01-01", "--end", "2024-02-01", "--capital", "100000"]
KEYS = (
    *("run_id", "mode", "share_class", "start", "end", "initial_capital", "final_equity", "total_return"),
    *("annualised_return", "parts", "external_flows", "residual_max", "max_drawdown", "sharpe", "trades"),
    *("liquidations", "min_health_factor", "min_margin_ratio", "rows", "rows_per_second", "hashes", "out"),
)


def changed(words: list[str], option: str, value: str) -> list[str]:
    out = list(words)
    out[out.index(option) + 1] = value
    return out


BAD = [
    (changed(RUN, "--capital", "-5"), 2, "--capital"),
    (changed(RUN, "--capital", "nan"), 2, "--capital"),
    (changed(RUN, "--capital", "50"), 78, "found 50 USDT, expected at least"),
    (changed(RUN, "--end", "2023-01-01"), 2, "--end"),
    (changed(RUN, "--start", "soon"), 2, "--start"),
    ([*RUN[:2], "btc_bassis", *RUN[3:]], 4, "btc_basis"),
    ([*RUN, "--flow", "2025-01-01:+5"], 2, "--flow"),
    ([*RUN, "--flow", "2024-01-01:+5"], 2, "--flow"),
    ([*RUN, "--set", "risk.dleta.warning=1"], 78, "risk.delta.warning"),
    ([*RUN, "--set", "hedge_allocation={binance: 0.5, bybit: 0.4}"], 78, "hedge_allocation"),
    ([*RUN, "--set", "reserve_ratio=.nan"], 78, "reserve_ratio"),
    ([*RUN, "--set", "venues.binance.initial_margin_rate=0.001"], 78, "initial_margin_rate"),
    (["backtest", "run", "eth_leveraged", *RUN[3:], "--set", "hedge_allocation={binance: 1.0}"], 78, "hedge"),
    (["backtest", "run", "eth_staking_only", *RUN[3:], "--set", "rewards_mode=base_eigen"], 78, "rewards_mode"),
    ([*RUN, "--set", "data_requirements=['binance.spot.BTC@+1h']"], 78, "DAT-004"),
    ([*RUN, "--data", "no-such-folder"], 78, "no-such-folder"),
]


@pytest.mark.parametrize(("words", "code", "named"), BAD)
def test_bad_input_is_named_and_leaves_nothing(
    words: list[str], code: int, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*words, "--out", str(tmp_path / "results")) == code
    told = capsys.readouterr()
    assert named in told.err
    assert "Traceback" not in told.err
    assert told.out == ""
    assert not list(tmp_path.rglob("*.csv"))
    assert not list(tmp_path.rglob("summary.json"))


def test_all_faults_of_a_request_are_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = changed(changed([*RUN[:2], "nothing", *RUN[3:]], "--capital", "0"), "--end", "2020-01-01")
    assert call(*words, "--out", str(tmp_path)) == 2
    told = capsys.readouterr().err
    assert all(word in told for word in ("mode", "--capital", "--end"))


@needs_data
def test_a_window_outside_the_data_names_the_file_and_the_dates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = changed(changed(RUN, "--start", "2024-08-01"), "--end", "2024-08-15")
    assert call(*words, "--data", str(DATA), "--out", str(tmp_path)) == 78
    told = capsys.readouterr().err
    assert "okx_BTCUSDT_funding_rates" in told
    assert "2024-08-01" in told


def test_json_is_the_summary_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*RUN, "--out", str(tmp_path), "--no-charts", "-o", "json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [key for key in KEYS if key not in told] == []
    assert told == json.loads((tmp_path / told["run_id"] / "summary.json").read_text(encoding="utf-8"))
    assert told["residual_max"] <= 1e-9


def test_a_run_is_reproducible_to_the_byte(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for out in ("a", "b"):
        assert call(*RUN, "--out", str(tmp_path / out), "--no-charts", "-o", "json") == 0
    capsys.readouterr()
    for name in ("pnl.csv", "event_log.csv", "balance_sheet.csv", "config.yaml"):
        first, second = sorted(tmp_path.glob(f"*/*/{name}"))
        assert first.read_bytes() == second.read_bytes()


def test_the_tables_agree_with_the_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*RUN, "--out", str(tmp_path), "--no-charts", "-o", "json") == 0
    summary = json.loads(capsys.readouterr().out)
    folder = tmp_path / summary["run_id"]
    with (folder / "pnl.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == summary["rows"]
    assert float(rows[-1]["equity_usd"]) == summary["final_equity"]
    gained = sum(float(row["funding_usd"]) for row in rows)
    assert gained == pytest.approx(summary["parts"]["funding"], rel=1e-12)
    with (folder / "event_log.csv").open(encoding="utf-8") as file:
        events = list(csv.DictReader(file))
    assert [int(event["order"]) for event in events] == list(range(len(events)))
    assert GENESIS not in {event["hash"] for event in events}


def test_pages_open_offline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*RUN, "--out", str(tmp_path)) == 0
    assert "charts" in capsys.readouterr().out
    pages = sorted(tmp_path.glob("*/plots/*.html"))
    assert {"index.html", "margin-ratios.html", "delta-neutrality.html"} <= {page.name for page in pages}
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert 'src="http' not in text
        assert "plotly.min.js" in text


def test_runs_are_listed_shown_and_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for capital in ("100000", "200000"):
        words = changed(RUN, "--capital", capital)
        assert call(*words, "--out", str(tmp_path), "--no-charts", "-o", "json") == 0
    capsys.readouterr()
    assert call("backtest", "list", "--out", str(tmp_path), "-o", "json") == 0
    runs = [run["run_id"] for run in json.loads(capsys.readouterr().out)]
    assert len(runs) == 2
    assert call("backtest", "show", runs[0], "--out", str(tmp_path)) == 0
    assert call("backtest", "compare", *runs, "--out", str(tmp_path)) == 0
    capsys.readouterr()
    assert call("backtest", "show", runs[0][:-1], "--out", str(tmp_path)) != 0
    assert runs[0] in capsys.readouterr().err
