"""A results folder as an auditor reads it: tables of floats, events with the balances after them, and the market.

Nothing here computes; the market is made or loaded again from what `config.yaml` says was asked for.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import yaml

from components.model.market import Market
from daemon.backtest.request import RequestTexts, parse_request
from daemon.backtest.run import load_market
from daemon.config.settings import load_run

Column = np.ndarray[tuple[int], np.dtype[np.float64]]
BALANCE = "balance."


class Entry(msgspec.Struct, frozen=True):
    """One line of the event log: which row of the run it belongs to, what it is, and the balances after it."""

    row: int
    at: int
    kind: str
    venue: str
    token: str
    amount: float
    balances: dict[str, float]
    status: str = ""
    detail: str = ""


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """Everything published of one run; `in_eth` when figures are in ETH."""

    summary: dict[str, Any]
    config: dict[str, Any]
    pnl: dict[str, Column]
    sheet: dict[str, Column]
    entries: list[Entry]
    market: Market
    in_eth: bool

    @property
    def rows(self) -> int:
        return len(self.market.timestamps)


def read(folder: Path) -> Books:
    """The books in a results folder."""
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    market = _market(config["request"])
    suffix = config["share_class"]["column_suffix"]
    return Books(
        summary=summary,
        config=config,
        pnl={name.removesuffix(f"_{suffix}"): column for name, column in _table(folder / "pnl.csv").items()},
        sheet=_table(folder / "balance_sheet.csv"),
        entries=_entries(folder / "event_log.csv", market),
        market=market,
        in_eth=suffix == "eth",
    )


def _market(asked: dict[str, Any]) -> Market:
    embedded = "seed" in asked
    texts = RequestTexts(
        mode=asked["mode"],
        start=asked["start"],
        end=asked["end"],
        capital=str(asked["capital"]),
        step=f"{round(asked['step_seconds'])}s",
        data=None if embedded else asked["data"],
        seed=str(asked["seed"]) if embedded else None,
        scenario=asked["scenario"] if embedded else None,
        overrides=asked["overrides"],
    )
    request = parse_request(texts, environ={})
    return load_market(request, load_run(request.mode, overrides=request.overrides, environ={}), environ={})


def _table(path: Path) -> dict[str, Column]:
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    columns = zip(*lines[1:], strict=True)
    return {
        name: np.array([float(cell) if cell else np.nan for cell in cells])
        for name, cells in zip(lines[0], columns, strict=True)
        if name != "timestamp"
    }


def _entries(path: Path, market: Market) -> list[Entry]:
    out = []
    with path.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            at = int(np.datetime64(line["timestamp"].removesuffix("Z"), "ns").astype(np.int64))
            row = min(int(np.searchsorted(market.timestamps, at)), len(market.timestamps) - 1)
            balances = {
                name.removeprefix(BALANCE): float(cell) for name, cell in line.items() if name.startswith(BALANCE)
            }
            amount = float(line["amount"]) if line["amount"] else 0.0
            out.append(
                Entry(
                    row,
                    at,
                    line["event_type"],
                    line["venue"],
                    line["token"],
                    amount,
                    balances,
                    line["status"],
                    line["detail"],
                )
            )
    return out
