"""The per-row tables: exact numbers, empty cells, and the same bytes however they are encoded."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from daemon.backtest.results.tables import Table, balance_table, cells, iso_stamps, pnl_table, quoted
from tests.daemon.handmade import CASH, SHORT, finished, stamps


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def written(table: Table, folder: Path) -> list[dict[str, str]]:
    table.write(folder / "table.csv")
    return read(folder / "table.csv")


@given(arrays(np.float64, st.integers(1, 60), elements=st.sampled_from([0.0, -0.0, 0.1, 1 / 3, 1e-300, 5e20, np.nan])))
def test_a_cell_reads_back_as_the_very_number(values: np.ndarray) -> None:
    back = [float(cell) if cell else np.nan for cell in cells(values)]

    np.testing.assert_array_equal(back, values)
    assert b"-0.0" not in cells(values)


def test_runs_of_equal_values_give_the_same_cells_as_one_by_one() -> None:
    steps = np.repeat([1.5, np.nan, 0.1 + 0.2], 50)

    assert cells(steps) == [cell for value in steps for cell in cells(np.array([value]))]


def test_infinity_is_an_empty_cell() -> None:
    assert cells(np.array([np.inf, 1.0, -np.inf])) == [b"", b"1.0", b""]


def test_stamps_have_the_decimals_they_need() -> None:
    assert iso_stamps(stamps(2)) == [b"2024-06-01T00:00:00Z", b"2024-06-01T01:00:00Z"]
    assert iso_stamps(stamps(1) + 47_000_000) == [b"2024-06-01T00:00:00.047Z"]


@pytest.mark.parametrize(
    ("text", "cell"), [("a", "a"), ("a,b", '"a,b"'), ('say "x"', '"say ""x"""'), ("a\nb", '"a\nb"')]
)
def test_a_text_that_would_break_the_table_is_quoted(text: str, cell: str) -> None:
    assert quoted(text) == cell


def test_a_column_that_never_changes_has_its_value_on_every_row(tmp_path: Path) -> None:
    table = Table(stamps(20_000))
    table.add("same", np.full(20_000, 0.3))
    table.add("absent", np.full(20_000, np.nan))
    table.add("row", np.arange(20_000.0))

    rows = written(table, tmp_path)

    assert {(row["same"], row["absent"]) for row in rows} == {("0.3", "")}
    assert [float(row["row"]) for row in rows] == list(range(20_000))


def test_money_carries_its_currency_and_ratios_do_not(tmp_path: Path) -> None:
    run = finished()

    names = list(written(pnl_table(run.result, run.benchmarks, "usd"), tmp_path)[0])

    assert names[:5] == ["timestamp", "equity_usd", "pnl_usd", "cum_pnl_usd", "external_flow_usd"]
    for name in ("funding_usd", "cum_funding_usd", "residual_usd", "unexplained_usd", "venue_equity_binance_usd"):
        assert name in names
    for name in ("venue_pnl_binance_usd", "funding_binance_usd", "benchmark_eth_hold_usd"):
        assert name in names
    for name in ("unit_value", "drawdown", "net_delta", "margin_ratio_binance"):
        assert name in names
    assert not [name for name in names if name.startswith("balance")]


def test_profit_is_the_change_of_equity_and_adds_up_to_the_parts(tmp_path: Path) -> None:
    run = finished()

    rows = written(pnl_table(run.result, {}, "usd"), tmp_path)

    for row in rows:
        parts = float(row["cum_funding_usd"]) + float(row["cum_transaction_costs_usd"])
        assert float(row["cum_pnl_usd"]) == pytest.approx(parts, abs=1e-9)
        assert float(row["cum_pnl_usd"]) == pytest.approx(float(row["equity_usd"]) - 1_000.0, abs=1e-9)


def test_a_deposit_is_not_profit(tmp_path: Path) -> None:
    rows = 10
    flow = np.zeros(rows)
    flow[4] = 500.0
    run = finished(rows, external_flow=flow, equity=1_000.0 + np.cumsum(flow))

    table = written(pnl_table(run.result, {}, "usd"), tmp_path)

    assert {float(row["pnl_usd"]) for row in table} == {0.0}


def test_the_balance_sheet_has_a_column_per_position(tmp_path: Path) -> None:
    rows = written(balance_table(finished().result, "usd"), tmp_path)

    assert list(rows[0]) == ["timestamp", "equity_usd", f"balance.{CASH}", f"balance.{SHORT}"]
    assert rows[0][f"balance.{SHORT}"] == "-1.0"
