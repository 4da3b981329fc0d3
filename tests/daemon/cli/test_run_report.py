"""A run in words and tables: exit value beside book value, what made it, the same figures wherever they are read."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import msgspec
import pytest

from daemon.backtest.results.summary import Summary
from daemon.cli import run_report
from tests.daemon.cli.calls import call
from tests.daemon.handmade import finished

WORDS = ["backtest", "run", "btc_basis", "--start", "2024-01-01", "--end", "2024-01-15", "--capital", "100000"]


def summary(**changes: object) -> Summary:
    return msgspec.structs.replace(finished().summary, **changes)


def test_the_headline_says_what_selling_leaves_beside_book_value() -> None:
    run = summary(
        total_return=0.05, final_equity=105_000.0, liquidation_value=103_000.0, rows=8_761, step_seconds=3600.0
    )
    first = run_report.in_words(run, charts=False).splitlines()[0]
    assert "made 5.00 % at book value" in first and "3.00 % if sold at the end" in first
    assert re.search(r"if sold now +103,000\.00 USDT", run_report.in_words(run, charts=False))
    for text in (run_report.listed([run]), run_report.compared([run]), run_report.one(run)):
        assert "5.00 %" in text and "3.00 %" in text


def test_a_run_of_hours_is_not_told_as_a_yearly_rate() -> None:
    short = summary(annualised_return=None, too_short=True)
    assert "too short to annualise" in run_report.in_words(short, charts=False)
    assert "too short to annualise" in run_report.compared([short])
    assert "12.00 % a year" in run_report.in_words(summary(annualised_return=0.12, too_short=False), charts=False)


def test_what_the_mode_is_expected_to_earn_stands_beside_the_result() -> None:
    known = summary(annualised_return=0.12, too_short=False, target_apy=0.08)
    assert "(12.00 % a year, 8.00 % expected)" in run_report.in_words(known, charts=False)
    assert run_report.shown(known)["target_apy"] == "8.00 %"
    assert run_report.shown(summary(target_apy=None))["target_apy"] == "-"


def test_a_stop_and_what_it_left_cannot_be_missed() -> None:
    run = summary(
        stopped_at="2024-11-14T03:00:00Z",
        stopped_because="drawdown above 10 %",
        left_open=("wallet:BaseToken:ETH",),
        divergence_max=9.0,
        divergence_at="2024-11-06T00:00:00Z",
        rejected=2_530,
    )
    said = run_report.in_words(run, charts=False)
    for text in ("STOPPED at 2024-11-14 03:00: drawdown above 10 %", "wallet:BaseToken:ETH", "900.00 %", "2,530"):
        assert text in said
    assert "STOPPED" in run_report.listed([run]) and "drawdown above 10 %" in run_report.compared([run])


def test_sentences_take_the_width_of_the_terminal_not_that_of_the_figures() -> None:
    skipped = ("2024-01-01T01:00:00Z binance_to_wallet: would cost more than 100 bp of what it moves",)
    lines = run_report.in_words(summary(skipped=skipped), charts=False, width=100).splitlines()
    assert f"  left out: {skipped[0]}" in lines
    assert any("largest fall" in line and "lowest margin ratio" in line for line in lines)


def test_list_and_compare_say_which_dates_market_and_settings_made_a_run() -> None:
    plain = summary(run_id="one", market="embedded market, seed 7, scenario calm")
    changed = summary(run_id="two", market="data folder x", overrides=("reserve_ratio=0.1", "max_ltv=0.9"))
    for width in (80, 200):
        listed, beside = run_report.listed([plain, changed], width), run_report.compared([plain, changed], width)
        for text in (listed, beside):
            assert max(map(len, text.splitlines())) <= width
            for word in ("one", "two", "seed 7, calm", "data folder x", "reserve_ratio=0.1", plain.start[:10]):
                assert word in text, (width, word)
    assert run_report.listed([]) == "nothing there"


def test_what_is_said_of_a_run_fits_80_columns() -> None:
    run = summary(
        overrides=("stake_allocation=0.6", "margin_ratio_band={low: 0.33, high: 1.32}", "hedge_allocation={okx: 1}"),
        stopped_at="2024-11-14T03:00:00Z",
        stopped_because="a reason that goes on for longer than any terminal is wide, as reasons sometimes do",
        skipped=("2024-11-06T12:00:00Z no venue has margin for the hedge of 100.0% of what is long, and so on",),
        out="results/short",
    )
    text = run_report.in_words(run, charts=True, width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert "hedge_allocation={okx: 1}" in " ".join(text.split())


def test_sentences_are_as_wide_as_the_terminal_and_flows_are_told_each_way() -> None:
    run = summary(sharpe=1.5, min_margin_ratio=0.49, external_flows=-9_000.0, paid_in=21_000.0, paid_out=30_000.0)
    lines = run_report.in_words(run, charts=False, width=80).splitlines()
    assert any("largest fall" in line and "lowest margin ratio 0.49" in line for line in lines)
    assert any(re.fullmatch(r" +paid in +21,000\.00 USDT", line) for line in lines)
    assert any(re.fullmatch(r" +paid out +-30,000\.00 USDT", line) for line in lines)


def test_many_runs_are_compared_within_80_columns() -> None:
    runs = [summary(run_id=f"run-{i}") for i in range(7)]
    text = run_report.compared(runs, 80)
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("final_equity") == 4  # two beside each other
    assert "G  run-6" in text


def test_terminal_json_csv_and_charts_of_a_run_have_the_same_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*WORDS, "--set", "reserve_ratio=0.1", "--out", str(tmp_path)) == 0
    said = capsys.readouterr().out
    (folder,) = tmp_path.iterdir()
    told = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert told["overrides"] == ["reserve_ratio=0.1"]
    assert call("backtest", "show", folder.name, "--out", str(tmp_path), "-o", "csv") == 0
    (flat,) = csv.DictReader(capsys.readouterr().out.splitlines())
    assert call("backtest", "list", "--out", str(tmp_path), "-o", "json") == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert listed == told
    assert call("backtest", "show", folder.name, "--out", str(tmp_path)) == 0
    shown = capsys.readouterr().out
    index = (folder / "plots/index.html").read_text(encoding="utf-8")
    with (folder / "pnl.csv").open(encoding="utf-8") as file:
        last = list(csv.DictReader(file))[-1]

    assert float(flat["final_equity"]) == told["final_equity"] == float(last["equity_usd"])
    for name in ("final_equity", "liquidation_value"):
        figure = f"{told[name]:,.2f}"
        assert figure in said and figure in shown and figure in index, name
    part = f"{told['parts']['funding']:+,.2f}"
    assert part in said and float(flat["parts.funding"]) == told["parts"]["funding"]
    drawn = re.search(r'"type":"waterfall".*?"y":\[(.*?)\]', index)
    assert drawn is not None
    assert float(drawn[1].split(",")[-1]) == pytest.approx(told["pnl"], rel=1e-6)
    fall = f"{100 * told['max_drawdown']:.2f} %"
    assert fall in said and fall in shown and fall in index
