"""Results Store: one folder per run, written whole or not at all; the same run writes the same bytes.

`summary.json`, `pnl.csv`, `event_log.csv`, `balance_sheet.csv`, `config.yaml` and the pages in `plots/`. Only
`rows_per_second` differs between two runs of the same thing.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from components.model.errors import CFG_REQUEST, Fault, InvalidInput, nearest_name
from components.model.events import GENESIS, Event, SettlementBatch, canonical_bytes, chain_hash
from components.model.market import Column, Stamps
from components.pnl_monitor import PARTS
from daemon.replay import ReplayResult

SUMMARY = "summary.json"
EVENT_FIELDS = (
    "timestamp", "order", "event_type", "venue", "token", "amount", "status", "strategy", "correlation_id", "detail",
)  # fmt: skip
MONEY = ("equity", "external_flow", "residual", "unexplained")
PLAIN = ("unit_value", "drawdown", "net_delta", "ltv", "health_factor", "stale")


class ResultsStore:
    """The folder `root`, with a folder per run in it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def save(
        self,
        run_id: str,
        summary: Mapping[str, Any],
        result: ReplayResult,
        config: str,
        suffix: str,
        plots: Callable[[Path], None] | None = None,
    ) -> Path:
        """Writes one run and returns its folder; an older run of the same id is replaced."""
        folder = self.root / run_id
        draft = self.root / f".{run_id}.part"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        try:
            (draft / "pnl.csv").write_bytes(pnl_csv(result, suffix))
            (draft / "balance_sheet.csv").write_bytes(balance_sheet_csv(result, suffix))
            (draft / "event_log.csv").write_bytes(event_log_csv(result.events))
            (draft / "config.yaml").write_text(config, encoding="utf-8")
            (draft / SUMMARY).write_bytes(msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n")
            if plots is not None:
                plots(draft / "plots")
            shutil.rmtree(folder, ignore_errors=True)
            draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return folder

    def runs(self) -> list[dict[str, Any]]:
        """Summaries of all runs, by run id."""
        if not self.root.is_dir():
            return []
        files = sorted(self.root.glob(f"*/{SUMMARY}"))
        return [msgspec.json.decode(file.read_bytes()) for file in files if not file.parent.name.startswith(".")]

    def summary(self, run_id: str) -> dict[str, Any]:
        """One summary; InvalidInput(CFG-003) names the nearest run when there is none of that id."""
        file = self.root / run_id / SUMMARY
        if not file.is_file():
            known = [run["run_id"] for run in self.runs()]
            fault = Fault(
                where="run", found=run_id, expected=f"a run in {self.root}", nearest=nearest_name(run_id, known)
            )
            raise InvalidInput(CFG_REQUEST, (fault,))
        summary: dict[str, Any] = msgspec.json.decode(file.read_bytes())
        return summary


def pnl_csv(result: ReplayResult, suffix: str) -> bytes:
    """One line per row: equity, P&L of the row, its parts per step and cumulative, and what shows risk."""
    columns = result.columns
    table: dict[str, Column] = {f"equity_{suffix}": columns["equity"]}
    parts = [part for part in PARTS if part in result.parts]
    flow = columns["external_flow"]
    before = np.concatenate(((result.initial_equity,), columns["equity"][:-1]))
    table[f"pnl_{suffix}"] = columns["equity"] - before - flow
    table[f"external_flow_{suffix}"] = flow
    for part in parts:
        table[f"{part}_{suffix}"] = columns[part]
    for part in parts:
        table[f"cum_{part}_{suffix}"] = np.cumsum(columns[part])
    for name in ("residual", "unexplained"):
        table[f"{name}_{suffix}"] = columns[name]
    for name in PLAIN:
        if name in columns:
            table[name] = columns[name]
    if "reference_price" in columns:
        table["reference_price_usdt"] = columns["reference_price"]
    for name in columns:
        kind, _, venue = name.partition(".")
        if kind in ("venue_equity", "venue_pnl", "funding") and venue:
            table[f"{kind}_{venue}_{suffix}"] = columns[name]
        elif kind in ("margin_ratio", "mm_ratio") and venue:
            table[f"{kind}_{venue}"] = columns[name]
    return _csv(result.timestamps, table)


def balance_sheet_csv(result: ReplayResult, suffix: str) -> bytes:
    """One line per row: native balances by position key, and equity."""
    names = sorted(name for name in result.columns if name.startswith("balance."))
    table = {name.removeprefix("balance."): result.columns[name] for name in names}
    table[f"equity_{suffix}"] = result.columns["equity"]
    return _csv(result.timestamps, table)


def event_log_csv(events: Iterable[Event | SettlementBatch]) -> bytes:
    """One line per event in global order, with every balance after it and the hash that chains it to the one before."""
    single: list[Event] = []
    for item in events:
        single.extend(item.events() if isinstance(item, SettlementBatch) else (item,))
    keys = sorted({key for event in single for key in event.balances})
    lines = [",".join((*EVENT_FIELDS, *keys, "hash"))]
    previous = GENESIS
    stamps = iso([event.timestamp for event in single])
    for event, stamp in zip(single, stamps, strict=True):
        previous = chain_hash(previous, canonical_bytes(event))
        balances = event.balances
        lines.append(
            ",".join(
                (
                    stamp,
                    str(event.order),
                    event.event_type.value,
                    event.venue,
                    event.token,
                    "" if event.amount is None else repr(event.amount),
                    event.status,
                    event.strategy,
                    event.correlation_id,
                    _quoted(event.detail),
                    *[repr(balances[key]) if key in balances else "" for key in keys],
                    previous,
                )
            )
        )
    return ("\n".join(lines) + "\n").encode()


def iso(stamps: Iterable[int] | Stamps) -> list[str]:
    """UTC stamps to the second, to the millisecond where one of them needs it."""
    values = np.asarray(stamps, dtype=np.int64)
    unit = "s" if not (values % 1_000_000_000).any() else "ms"
    return [f"{text}Z" for text in np.datetime_as_string(values.astype("datetime64[ns]"), unit=unit).tolist()]


def _csv(timestamps: Stamps, table: Mapping[str, Column]) -> bytes:
    """Shortest decimal that reads back the same float; an absent value is an empty cell."""
    encode = msgspec.json.encode
    cells: list[list[bytes]] = [[stamp.encode() for stamp in iso(timestamps)]]
    for column in table.values():
        values = column.tolist()
        if values[0] == values[-1] and (column == column[0]).all():
            cells.append([encode(values[0])] * len(values))
            continue
        cells.append(encode(values)[1:-1].replace(b"null", b"").split(b","))
    head = ",".join(("timestamp", *table)).encode()
    return b"\n".join((head, *map(b",".join, zip(*cells, strict=True)), b""))


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\n') else text
