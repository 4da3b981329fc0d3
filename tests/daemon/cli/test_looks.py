"""How answers look: no table is wider than the terminal, no figure is cut, and what is left out is said."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from daemon.cli.output import table_of, terminal_width
from daemon.cli.positions import positions_text
from daemon.control.commands import answer
from daemon.control.shown import positions_shown
from tests.daemon.cli.calls import call
from tests.daemon.control.daemons import running
from tests.daemon.one_cell import running as cell

WORDS = ["spot", "perp", "binance", "withheld", "reconciliation", "2024-01-01", "because-of-a-long-thing"]
POSITIONS = {
    "aave_v3:aToken:aUSDT": 91_681.14, "binance:Perp:ETHUSDT": -16.5, "binance:PerpQuote:ETHUSDT": 37_936.21,
    "binance:BaseToken:USDT": 37_868.49,
}  # fmt: skip
PRICES = {"aave_v3.supply_index.USDT": 1.0362, "binance.perp.ETH": 2_285.0, "binance.spot.ETH": 2_286.0}


def figures(text: str) -> set[str]:
    return set(re.findall(r"-?\d[\d,]*\.\d+", text))


def test_no_table_is_wider_than_the_terminal_and_no_figure_is_cut() -> None:
    generator = random.Random(7)
    for _ in range(300):
        columns = generator.randint(1, 9)
        rows = [
            [
                f"{generator.uniform(-1e6, 1e6):,.{generator.randint(1, 6)}f}"
                if i % 2
                else " ".join(generator.choices(WORDS, k=generator.randint(0, 9)))
                for i in range(columns)
            ]
            for _ in range(generator.randint(1, 5))
        ]
        names = [f"name{i}" for i in range(columns)]
        for width in (60, 80, 132):
            text = table_of(names, rows, width=width)
            assert max(map(len, text.splitlines())) <= width, text
            assert figures(text) == {figure for row in rows for figure in row[1::2]}
        shown = Counter("".join(table_of(names, rows, width=80).split()))
        assert not Counter("".join("".join(cell.split()) for row in rows for cell in row)) - shown, "no letter is lost"


def test_what_a_narrow_terminal_leaves_out_is_named() -> None:
    rows = [["a", "1.5", "x" * 30, "y" * 30]]
    names = ("name", "figure", "first", "last")
    narrow = table_of(names, rows, width=50, optional=("first", "last"))
    assert "y" * 30 not in narrow and "x" * 30 in narrow
    assert "not shown: last" in narrow
    assert "not shown" not in table_of(names, rows, width=80, optional=("first", "last"))


def test_the_width_is_that_of_the_terminal_and_80_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "132")
    assert terminal_width() == 132
    monkeypatch.delenv("COLUMNS")
    monkeypatch.setattr("sys.__stdout__", None)
    assert terminal_width() == 80


def test_positions_are_told_in_money(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    observed = {**POSITIONS, "binance:Perp:ETHUSDT": -16.0}
    replica = cell("mn", positions=POSITIONS, observed=observed, prices=PRICES, timestamp=1)
    records = positions_shown([replica])
    text = positions_text(json.loads(json.dumps(records)), 80)
    assert max(map(len, text.splitlines())) <= 80
    lines = text.splitlines()
    (supplied,) = [line for line in lines if line.startswith("aave_v3")]
    assert supplied.split() == ["aave_v3", "supplied", "95,000.00", "USDT", "1.00000", "-", "95,000.00"]
    (perp,) = [line for line in lines if "short perp" in line and line.startswith("binance")]
    assert perp.split()[-3:] == ["2,285.00", "2,299.16", "233.71"]
    assert "PerpQuote" not in text
    assert "adds up to 133,102.20 USDT" in text
    assert "differs: binance says -16 ETH of ETH short perp, the book -16.5 ETH" in text

    with running(tmp_path, {"positions": answer(records)}):
        assert call("positions", "--raw", "--state", str(tmp_path)) == 0
        raw = capsys.readouterr().out
        assert call("positions", "-o", "json", "--state", str(tmp_path)) == 0
        told: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    assert "binance:PerpQuote:ETHUSDT" in raw and "95,000" not in raw
    assert {row["key"] for row in told} == POSITIONS.keys()


def test_a_latched_strategy_shows_no_position_that_is_sold() -> None:
    observed = {**dict.fromkeys(POSITIONS, 0.0), "binance:BaseToken:USDT": 133_000.0}
    replica = cell("mn", positions=POSITIONS, observed=observed, prices=PRICES, timestamp=1, equity_is_observed=True)
    text = positions_text(json.loads(json.dumps(positions_shown([replica]))), 80)
    assert "short perp" not in text and "supplied  " not in text and "differs" not in text
    assert "adds up to 133,000.00 USDT" in text
    assert "as the venues report it" in text and "basis resume" in text


@pytest.mark.parametrize("kind", ["orders", "events"])
def test_lists_fit_80_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    row = {
        "at": 1_704_067_200_000_000_000, "timestamp": 1_704_067_200_000_000_000, "strategy": "market-neutral",
        "venue": "binance", "verb": "flash_borrow", "token": "wstETH", "amount": 414.591, "price": 2_300.41,
        "state": "filled", "origin": "core", "id": "64de676a335789d36cbbc455325e", "reason": "", "status": "ok",
        "event_type": "transfer_arrived", "detail": "binance:BaseToken:ETH to wallet:BaseToken:ETH",
    }  # fmt: skip
    with running(tmp_path, {kind: answer([row, row])}):
        assert call(kind, "--state", str(tmp_path)) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert "414.59 wstETH" in out and "01-01" in out
