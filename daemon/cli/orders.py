"""`basis positions | orders | events | resolve | adopt`: what is held and under way, and settling what is not known."""

from __future__ import annotations

from pathlib import Path

import click

from daemon.cli.console import (
    AMOUNT,
    asked,
    emit_done,
    emit_records,
    give_up,
    key_option,
    make_sure,
    operation_key,
    state_option,
    yes_option,
)
from daemon.cli.output import output_option
from daemon.exits import Exit

ORDER_COLUMNS = ("at", "strategy", "venue", "verb", "token", "amount", "state", "price", "origin", "id", "reason")
EVENT_COLUMNS = ("timestamp", "strategy", "event_type", "venue", "token", "amount", "status", "detail")


@click.command()
@click.argument("strategy", required=False)
@state_option
@output_option
def positions(strategy: str | None, state: Path, output: str) -> None:
    """Show what is held, as expected and as observed."""
    emit_records(asked(state, "positions", strategy), output)


@click.command()
@click.argument("strategy", required=False)
@state_option
@output_option
def orders(strategy: str | None, state: Path, output: str) -> None:
    """Show the newest orders and what became of them."""
    emit_records(asked(state, "orders", strategy), output, columns=ORDER_COLUMNS)


@click.command()
@click.argument("strategy", required=False)
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="The latest so many.")
@state_option
@output_option
def events(strategy: str | None, limit: int, state: Path, output: str) -> None:
    """Show the latest events."""
    emit_records(asked(state, "events", strategy, {"limit": str(limit)}), output, columns=EVENT_COLUMNS)


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
