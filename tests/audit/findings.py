"""Where published books differ from the accounts made again."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.audit.books import BALANCE, Books, Column
from tests.audit.recompute import PARTS, Recomputation, drawdowns, fundings

TOLERANCE = 1e-9  # of equity


def differences(books: Books) -> Iterator[str]:
    """One line per table, column and rule that does not hold; none for true books."""
    accounts = Recomputation(books).accounts()
    scale = max(float(np.abs(accounts.equity).max()), float(books.summary["initial_capital"]))
    close = TOLERANCE * scale
    yield from _differs("equity", books.pnl["equity"], accounts.equity, close)
    yield from _differs("equity of the balance sheet", _first(books.sheet, "equity"), accounts.equity, close)
    for key, native in accounts.held.items():
        shown = books.sheet.get(BALANCE + key, np.zeros(books.rows))
        yield from _differs(key, shown, native, TOLERANCE * max(1.0, float(np.abs(native).max())))
    for part in PARTS:
        shown = books.pnl.get(part)
        if shown is None:
            shown = np.zeros(books.rows)
            if abs(float(accounts.parts[part].sum())) > close and "residual" in books.pnl:
                continue  # a part that the mode does not enable is in the residual
        yield from _differs(part, shown, accounts.parts[part], close)
    yield from _differs("external_flow", books.pnl["external_flow"], accounts.flow, close)
    yield from _differs("unit_value", books.pnl["unit_value"], accounts.unit_value, 1e-9)
    yield from _differs("drawdown", books.pnl["drawdown"], drawdowns(accounts.unit_value), 1e-9)
    step = np.diff(accounts.equity, prepend=float(books.summary["initial_capital"]))
    explained = sum(accounts.parts.values(), np.zeros(books.rows)) + accounts.flow
    yield from _differs("change of equity", explained, step, close)
    for entry, owed in fundings(books):
        if abs(entry.amount - owed) > close:
            yield f"funding of {entry.venue} on row {entry.row}: {entry.amount!r}, should be {owed!r}"
    yield from _headline(books, accounts.unit_value, accounts.equity, accounts.flow)


def _headline(books: Books, units: Column, equity: Column, flow: Column) -> Iterator[str]:
    summary = books.summary
    filled = ("trade", "atomic_step", "transfer_sent", "withdrawal_paid")
    kinds = [entry.kind for entry in books.entries]
    expected = {
        "final_equity": float(equity[-1]),
        "total_return": float(units[-1]) - 1.0,
        "max_drawdown": float(drawdowns(units).max()),
        "external_flows": float(flow.sum()),
        "trades": float(sum(kind in filled for kind in kinds)),
        "rejected": float(kinds.count("order_rejected")),
        "liquidations": float(kinds.count("liquidation")),
        "pnl": float(equity[-1]) - float(summary["initial_capital"]) - float(flow.sum()),
    }
    for name, value in expected.items():
        if abs(float(summary[name]) - value) > TOLERANCE * max(1.0, abs(value), float(equity.max())):
            yield f"summary {name}: {summary[name]!r}, should be {value!r}"


def _differs(name: str, shown: Column, made: Column, allowed: float) -> Iterator[str]:
    away = np.abs(shown - made)
    if not (away <= allowed).all():
        row = int(np.nanargmax(np.where(np.isnan(away), np.inf, away)))
        yield f"{name} on row {row}: {float(shown[row])!r}, should be {float(made[row])!r}"


def _first(table: dict[str, Column], prefix: str) -> Column:
    return next(column for name, column in table.items() if name.startswith(prefix))
