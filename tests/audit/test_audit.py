"""The books of every mode agree with accounts made again by other formulas, and a falsified book does not."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from daemon.backtest.request import RequestTexts, parse_request
from daemon.backtest.results.store import ResultsStore
from daemon.backtest.run import run_backtest
from tests.acceptance.runs import DATA, MODES, needs_data
from tests.audit.books import Books, read
from tests.audit.findings import differences

replace = msgspec.structs.replace
TWO = "hedge_allocation={binance: 0.6, bybit: 0.4}"
FLOWS = ("2024-06-04T08:00:{}", "2024-06-04T08:00:{}", "2024-06-09T05:00:-{}")


def books_of(folder: Path, mode: str, *overrides: str, **more: object) -> Books:
    capital = 50.0 if mode.startswith("eth_s") or mode == "eth_leveraged" else 100_000.0
    flows = tuple(text.format(f"+{capital / 5:g}" if "-" not in text[13:] else f"{capital / 4:g}") for text in FLOWS)
    known = {"start": "2024-06-01", "end": "2024-06-15", "capital": str(capital), "flows": flows}
    texts = RequestTexts(mode=mode, overrides=overrides, **(known | more))  # type: ignore[arg-type]
    return read(run_backtest(parse_request(texts, {}), ResultsStore(folder), charts=False, environ={}).folder)


@pytest.mark.parametrize("mode", MODES)
def test_the_books_of_a_mode_are_true(tmp_path: Path, mode: str) -> None:
    assert list(differences(books_of(tmp_path, mode))) == []


@pytest.mark.parametrize(
    ("mode", "overrides", "scenario"),
    [
        ("btc_basis", ("collateral=unified",), "crash"),
        ("eth_basis", ("initial_location=wallet",), "squeeze"),
        ("eth_leveraged", ("rebalance=never",), "oracle_drop"),
        ("usdt_market_neutral", ("initial_location=wallet", "exit_path=queue"), "depeg"),
        ("usdt_market_neutral_no_leverage", ("lst_type=weETH", "rewards_mode=base_eigen"), "squeeze"),
    ],
)
def test_the_books_of_a_run_under_strain_are_true(
    tmp_path: Path, mode: str, overrides: tuple[str, ...], scenario: str
) -> None:
    assert list(differences(books_of(tmp_path, mode, *overrides, scenario=scenario, end="2024-08-15"))) == []


@pytest.mark.parametrize("bound", [50, 100_000], ids=["waits", "at any cost"])
def test_the_books_of_a_withdrawal_in_a_depeg_are_true(tmp_path: Path, bound: float) -> None:
    more = {"start": "2024-03-01", "end": "2024-04-15", "flows": ("2024-03-20:-9",), "capital": "30", "seed": "3"}
    books = books_of(tmp_path, "eth_leveraged", f"cost_bounds.withdrawal={bound}", scenario="depeg", **more)
    assert float(books.summary["withdrawal_costs"]) > (0.1 if bound > 50 else 0.0)
    assert list(differences(books)) == []


@needs_data
@pytest.mark.parametrize("mode", ["eth_basis", "usdt_market_neutral"])
def test_the_books_of_real_history_are_true(tmp_path: Path, mode: str) -> None:
    assert list(differences(books_of(tmp_path, mode, TWO, data=str(DATA)))) == []


@pytest.fixture(scope="module")
def true_books(tmp_path_factory: pytest.TempPathFactory) -> Books:
    return books_of(tmp_path_factory.mktemp("books"), "usdt_market_neutral")


@pytest.mark.parametrize(
    "name", ["equity", "funding", "basis", "delta", "borrow_costs", "staking_yield_oracle", "transaction_costs",
             "unit_value", "drawdown", "external_flow"],
)  # fmt: skip
def test_a_false_column_is_seen(true_books: Books, name: str) -> None:
    column = true_books.pnl[name].copy()
    column[200] += 1e-6 * (1.0 if name in ("unit_value", "drawdown") else 100_000.0)

    found = list(differences(replace(true_books, pnl=true_books.pnl | {name: column})))

    assert [line.split(" on ")[0] for line in found] == [name]


def test_a_false_balance_an_event_and_a_headline_are_seen(true_books: Books) -> None:
    quotes = next(name for name in true_books.sheet if "PerpQuote" in name)
    paid = next(i for i, entry in enumerate(true_books.entries) if entry.kind == "funding")
    entries = list(true_books.entries)
    entries[paid] = replace(entries[paid], amount=entries[paid].amount + 1.0)

    sheet = replace(true_books, sheet=true_books.sheet | {quotes: true_books.sheet[quotes] + np.float64(1.0)})
    headline = replace(true_books, summary=true_books.summary | {"trades": true_books.summary["trades"] + 1})

    assert any("PerpQuote" in line for line in differences(sheet))
    assert any(line.startswith("funding of") for line in differences(replace(true_books, entries=entries)))
    assert any(line.startswith("summary trades") for line in differences(headline))
