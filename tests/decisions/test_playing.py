from __future__ import annotations

import numpy as np

from tests.acceptance.runs import DATA, grid, needs_data
from tests.decisions.campaigns import CAMPAIGNS, TWO
from tests.decisions.cases import Case
from tests.decisions.history import history_of
from tests.decisions.playing import Played, Refused, play, slice_of
from venues.history.loader import load


@needs_data
def test_a_cut_of_the_whole_history_is_the_market_that_loading_these_rows_gives():
    run = slice_of("usdt_market_neutral", (TWO,))
    rows = grid("2024-08-03", "2024-08-08")

    cut = history_of("usdt_market_neutral", (TWO,)).cut(rows)
    loaded = load(DATA, run.mode, rows)

    assert cut is not None
    assert np.array_equal(cut.timestamps, loaded.timestamps)
    assert cut.columns.keys() >= set(loaded.columns) - {"ethena.apy.sUSDe"}
    for name in loaded.columns.keys() & cut.columns.keys():
        assert np.array_equal(cut.columns[name], loaded.columns[name], equal_nan=True), name
    assert {name: flags.tolist() for name, flags in cut.stale.items()} == {
        name: flags.tolist() for name, flags in loaded.stale.items() if flags.any()
    }
    for name, series in loaded.funding.items():
        assert np.array_equal(cut.funding[name].at, series.at)
        assert np.array_equal(cut.funding[name].row, series.row)
        assert np.array_equal(cut.funding[name].rate, series.rate)
        assert np.array_equal(cut.funding[name].mark_usdt, series.mark_usdt)


def test_every_order_and_its_trade_is_kept_with_its_row():
    case = Case(mode="btc_basis", start="2024-03-01", end="2024-03-03", capital=100_000.0)

    played = play(case)

    assert isinstance(played, Played)
    assert sum(len(done.trades) for done in played.done) == sum(len(done.group.orders) for done in played.done) > 0
    assert all(int(played.result.timestamps[done.row]) == done.at for done in played.done)


def test_a_run_that_is_refused_says_why_and_is_no_error():
    case = Case(mode="btc_basis", start="2024-03-01", end="2024-03-03", capital=1000.0, overrides=("reserve_ratio=2",))

    played = play(case)

    assert isinstance(played, Refused)
    assert "reserve_ratio" in played.reason


def test_the_line_of_a_case_is_what_the_command_understands():
    flows = ("2024-03-02:-100",)
    case = Case(mode="btc_basis", start="2024-03-01", end="2024-03-03", capital=1e9, seed=3, flows=flows)

    line = case.command()

    assert line.startswith("basis backtest run btc_basis --start 2024-03-01 --end 2024-03-03 --capital 1000000000")
    assert "--seed 3" in line and "--flow 2024-03-02:-100" in line


@needs_data
def test_campaigns_name_hundreds_of_starts_and_all_strained_runs():
    assert sum(1 for _ in CAMPAIGNS["starts"]()) > 2000
    assert sum(1 for _ in CAMPAIGNS["stress"]()) == 320
