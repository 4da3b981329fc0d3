"""`basis positions`: what is held, in underlying units and money, strategy by strategy."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from daemon.cli.console import looked_at, plain, state_option
from daemon.cli.output import csv_of, emit, json_of, money, output_option, table_of, terminal_width, text_of

RAW = ("strategy", "key", "expected", "observed")
COLUMNS = ("venue", "holding", "amount", "price", "entry", "value")
LEGEND = (
    "value: what it adds to equity at book value. Of a perp that is its unrealised profit since `entry`, the average "
    "price paid; supplied and owed amounts are with interest. --raw shows the keys and balances of the book."
)


@click.command()
@click.argument("strategy", required=False)
@click.option("--raw", is_flag=True, help="Position keys and native balances, as the book keeps them.")
@state_option
@output_option
def positions(strategy: str | None, raw: bool, state: Path, output: str) -> None:
    """Show what is held and what it is worth, as expected, and where a venue says otherwise.

    Amounts are in underlying units. A perp is one row: size, mark price, average entry, unrealised profit.
    """
    records = plain(looked_at(state, "positions", strategy)) or []
    if raw:
        emit([{name: record.get(name) for name in RAW} for record in records], output)
    elif output == "json":
        click.echo(json_of(records))
    elif output == "csv":
        click.echo(csv_of(records), nl=False)
    else:
        click.echo(positions_text(records))


def positions_text(records: Sequence[Mapping[str, Any]], width: int | None = None) -> str:
    """A table per strategy, with its sum and where venues differ, and what the columns mean."""
    shown = [record for record in records if not record.get("part_of") and not _is_nothing(record)]
    if not shown:
        return "nothing there"
    parts = [_of_one(name, list(rows), width) for name, rows in groupby(shown, key=lambda record: record["strategy"])]
    return "\n\n".join([*parts, textwrap.fill(LEGEND, width or terminal_width(), break_on_hyphens=False)])


def _of_one(strategy: str, records: Sequence[Mapping[str, Any]], width: int | None) -> str:
    rows = [[_cell(record, name) for name in COLUMNS] for record in records]
    values = [record.get("value") for record in records]
    known = [value for value in values if value is not None]
    lines = [strategy, table_of(COLUMNS, rows, width=width)]
    if known:
        currency = next((record["currency"] for record in records if record.get("currency")), "")
        but = "" if len(known) == len(values) else ", without what has no known price"
        lines.append(f"adds up to {money(sum(known), currency)} {currency}{but}")
    if any(record.get("as_reported") for record in records):
        lines.append("as the venues report it: the book rests under the emergency stop until 'basis resume'")
        return "\n".join(lines)
    for record in records:
        if record.get("differs"):
            name = f"{record.get('unit', '')} {record.get('holding', '')}".strip() or record["key"]
            ours, theirs = (amount_text(record, of) for of in ("amount", "observed_amount"))
            lines.append(f"differs: {record.get('venue')} says {theirs} of {name}, the book {ours}")
    return "\n".join(lines)


def _cell(record: Mapping[str, Any], name: str) -> str:
    match name:
        case "amount":
            return amount_text(record, "amount")
        case "value":
            return money(record.get("value"), record.get("currency") or "")
        case "venue":
            return str(record.get("venue") or record["key"])
        case "price" | "entry":
            price = record.get(name)
            return "-" if price is None else f"{price:,.2f}" if abs(price) >= 10.0 else f"{price:.5f}"
        case _:
            return str(record.get(name) or "-")


def amount_text(record: Mapping[str, Any], name: str) -> str:
    """An amount with its unit; the native balance where nothing gives the underlying one."""
    amount = record.get(name)
    if amount is None:
        native = record.get("expected" if name == "amount" else "observed")
        return f"{text_of(native)} (native)"
    unit = record.get("unit") or ""
    figure = f"{amount:,.2f}" if unit.startswith("USD") else f"{amount:,.6f}".rstrip("0").rstrip(".")
    return f"{figure} {unit}".rstrip()


def _is_nothing(record: Mapping[str, Any]) -> bool:
    if record.get("as_reported"):
        return not record["observed"]
    return not record["expected"] and not record["observed"]
