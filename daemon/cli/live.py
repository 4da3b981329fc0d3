"""`basis stop | pause | resume | rebalance | pay`: what a running daemon does with its strategies."""

from __future__ import annotations

from pathlib import Path

import click

from daemon.cli.console import asked, emit_done, key_option, make_sure, operation_key, state_option, yes_option
from daemon.cli.output import output_option


@click.command()
@click.argument("strategy", required=False)
@click.option(
    "--positions", type=click.Choice(["hold", "close"]), help="What becomes of positions.  [default: on_stop of each]"
)
@yes_option
@state_option
@output_option
def stop(strategy: str | None, positions: str | None, yes: bool, state: Path, output: str) -> None:
    """Stop STRATEGY, or the whole daemon, in order: in-flight orders are resolved first."""
    make_sure(f"Stop {strategy or 'the daemon and all strategies'}?", yes=yes)
    words = {"positions": positions} if positions else {}
    emit_done(asked(state, "stop", strategy, words), output)


@click.command()
@click.argument("strategy")
@click.option("--reason", metavar="TEXT", help="Goes into the journal and into 'basis status'.")
@state_option
@output_option
def pause(strategy: str, reason: str | None, state: Path, output: str) -> None:
    """Let STRATEGY keep its positions and send nothing that adds risk."""
    words = {"reason": reason} if reason else {}
    emit_done(asked(state, "pause", strategy, words), output)


@click.command()
@click.argument("strategy")
@yes_option
@state_option
@output_option
def resume(strategy: str, yes: bool, state: Path, output: str) -> None:
    """Let STRATEGY trade again after a pause, a halt or an emergency stop (this clears its latch)."""
    make_sure(f"Let {strategy} trade again?", yes=yes)
    emit_done(asked(state, "resume", strategy), output)


@click.command()
@click.argument("strategy")
@key_option
@state_option
@output_option
def rebalance(strategy: str, key: str | None, state: Path, output: str) -> None:
    """Bring STRATEGY to its target at the next full loop, whatever its thresholds."""
    key = operation_key(key, "rebalance", strategy, {})
    emit_done(asked(state, "rebalance", strategy, key=key), output, key=key)


@click.command()
@click.argument("strategy")
@key_option
@yes_option
@state_option
@output_option
def pay(strategy: str, key: str | None, yes: bool, state: Path, output: str) -> None:
    """Have STRATEGY pay what it owes at once, whatever it costs to free it."""
    make_sure(f"Pay what {strategy} owes at any cost? 'basis events {strategy}' says how much that is", yes=yes)
    key = operation_key(key, "pay", strategy, {})
    emit_done(asked(state, "pay", strategy, key=key), output, key=key)
