"""`basis orders | events | resolve | adopt`: what is held and under way, and settling what is not known."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from daemon.cli.console import (
    AMOUNT,
    asked,
    emit_done,
    emit_records,
    give_up,
    key_option,
    looked_at,
    make_sure,
    operation_key,
    plain,
    state_option,
    yes_option,
)
from daemon.cli.output import emit, output_option, readable, terminal_width, text_of
from daemon.exits import Exit

WIDE = 100
ORDER_COLUMNS = ("at", "strategy", "order", "amount", "price", "limit", "state", "reason", "origin", "id")
EVENT_COLUMNS = ("at", "strategy", "event", "amount", "detail")


@click.command()
@click.argument("strategy", required=False)
@state_option
@output_option
def orders(strategy: str | None, state: Path, output: str) -> None:
    """Show the newest orders and what became of them."""
    response = looked_at(state, "orders", strategy)
    if output != "table":
        emit_records(response, output)
        return
    records = [
        {
            **record,
            "at": _stamp(record.get("at")),
            "order": joined(record, "verb"),
            "amount": amount_of(record),
            "limit": limit_of(record),
            "reason": readable(record.get("reason")),
        }
        for record in plain(response) or []
    ]
    emit(records, output, columns=_without(strategy, ORDER_COLUMNS), optional=("reason", "limit", "origin", "id"))


@click.command()
@click.argument("strategy", required=False)
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="The latest so many.")
@state_option
@output_option
def events(strategy: str | None, limit: int, state: Path, output: str) -> None:
    """Show the latest events."""
    response = looked_at(state, "events", strategy, {"limit": str(limit)})
    if output != "table":
        emit_records(response, output)
        return
    records = [
        {
            **record,
            "at": _stamp(record.get("timestamp")),
            "event": joined(record, "event_type"),
            "amount": amount_of(record),
            "detail": readable(record.get("detail")),
        }
        for record in plain(response) or []
    ]
    emit(records, output, columns=_without(strategy, EVENT_COLUMNS))


def _stamp(at: int | None) -> str:
    """Date and time, UTC; without the year where the terminal is narrow."""
    if at is None:
        return "-"
    form = "%m-%d %H:%M:%S" if terminal_width() < WIDE else "%Y-%m-%d %H:%M:%S"
    return datetime.fromtimestamp(at / 1e9, UTC).strftime(form)


def joined(record: Mapping[str, Any], name: str) -> str:
    """What, and at which venue."""
    words = str(record.get(name) or "").replace("_", " ")
    return f"{words} at {record['venue']}" if record.get("venue") else words


def amount_of(record: Mapping[str, Any]) -> str:
    """An amount with its token."""
    amount = record.get("amount")
    return "-" if amount is None else f"{text_of(amount)} {record.get('token') or ''}".rstrip()


def limit_of(record: Mapping[str, Any]) -> str:
    """The worst price that an order was to be done at, or the least that a swap was to give."""
    if record.get("at_least") is not None:
        return f"gives {text_of(record['at_least'])}"
    return "-" if record.get("limit_price") is None else text_of(record["limit_price"])


def _without(strategy: str | None, columns: tuple[str, ...]) -> tuple[str, ...]:
    """The column of the strategy says nothing where one was asked for."""
    return columns if strategy is None else tuple(name for name in columns if name != "strategy")


@click.command()
@click.argument("order")
@click.option(
    "--as", "outcome", type=click.Choice(["filled", "not_sent"]), required=True, help="What the venue says of it."
)
@click.option("--price", type=AMOUNT, help="Average price of the fill.")
@click.option("--quantity", type=AMOUNT, help="Filled quantity, native units.")
@click.option("--fee", type=AMOUNT, help="Fee that the venue took, USDT.")
@key_option
@yes_option
@state_option
@output_option
def resolve(
    order: str,
    outcome: str,
    price: str | None,
    quantity: str | None,
    fee: str | None,
    key: str | None,
    yes: bool,
    state: Path,
    output: str,
) -> None:
    """Say what became of ORDER, after looking at the venue. It enters the book as said."""
    words = {"order": order, "as": outcome}
    given = (("price", price), ("quantity", quantity), ("fee", fee))
    words |= {name: text for name, text in given if text is not None}
    if outcome == "not_sent" and len(words) > 2:
        give_up(Exit.USAGE, "--price, --quantity and --fee belong to --as filled: an order that was not sent has none")
    make_sure(f"Enter order {order} as {outcome.replace('_', ' ')}?", yes=yes)
    key = operation_key(key, "resolve", None, words)
    emit_done(asked(state, "resolve", None, words, key=key), output, key=key)


@click.command()
@click.argument("strategy")
@click.argument("venue")
@key_option
@yes_option
@state_option
@output_option
def adopt(strategy: str, venue: str, key: str | None, yes: bool, state: Path, output: str) -> None:
    """Take what VENUE observes of STRATEGY into its book, as an adjustment."""
    make_sure(f"Take the positions observed at {venue} into the book of {strategy}?", yes=yes)
    key = operation_key(key, "adopt", strategy, {"venue": venue})
    emit_done(asked(state, "adopt", strategy, {"venue": venue}, key=key), output, key=key)
