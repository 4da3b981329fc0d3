"""`basis deposit | withdraw`: money that comes and goes, each time once. It takes effect at the next full loop."""

from __future__ import annotations

import re
from pathlib import Path

import click

from components.model.capital import above_equity, costs_to_free
from daemon.cli.console import (
    AMOUNT,
    asked,
    emit_done,
    give_up,
    key_option,
    make_sure,
    operation_key,
    state_option,
    yes_option,
)
from daemon.cli.output import output_option
from daemon.cli.status import replicas_of
from daemon.exits import Exit

_SIGNED = re.compile(r"-[\d.].*")


class MoneyCommand(click.Command):
    """Takes -5 for an amount, which then is told to be none, rather than for an option that nobody knows."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        signed = [word for word in args if _SIGNED.fullmatch(word)] if "--" not in args else []
        rest = [word for word in args if word not in signed]
        return super().parse_args(ctx, [*rest, "--", *signed] if signed else args)


@click.command(cls=MoneyCommand)
@click.argument("strategy")
@click.argument("amount", type=AMOUNT)
@key_option
@state_option
@output_option
def deposit(strategy: str, amount: str, key: str | None, state: Path, output: str) -> None:
    """Tell STRATEGY that AMOUNT (share-class currency) was added to its account."""
    _move("deposit", strategy, amount, key, state, output)


@click.command(cls=MoneyCommand)
@click.argument("strategy")
@click.argument("amount", type=AMOUNT)
@click.option("--at-any-cost", is_flag=True, help="Do not wait until it costs no more than cost_bounds.withdrawal.")
@key_option
@yes_option
@state_option
@output_option
def withdraw(
    strategy: str, amount: str, at_any_cost: bool, key: str | None, yes: bool, state: Path, output: str
) -> None:
    """Have STRATEGY free AMOUNT (share-class currency) and pay it out; who leaves bears what that costs."""
    if not yes:
        make_sure(_question(strategy, amount, state, at_any_cost), yes=False)
    _move("withdraw", strategy, amount, key, state, output, at_any_cost=at_any_cost)


def _question(strategy: str, amount: str, state: Path, at_any_cost: bool) -> str:
    """What is asked for beside what there is and what it costs to free; more than there is is refused at once."""
    replicas = [one for one in replicas_of(asked(state, "status", strategy)) if one.equity is not None]
    if not replicas:
        return f"Withdraw {amount} from {strategy}, whose equity is not known yet?"
    equity, currency = replicas[0].equity or 0.0, replicas[0].share_class
    if float(amount) > equity:
        give_up(Exit.REFUSED, above_equity(float(amount), equity, currency) + " Nothing was done.")
    cost = replicas[0].cost_of_freeing(float(amount))
    told = f"{costs_to_free(float(amount), cost, currency)}. " if cost else ""
    anyway = ", at any cost" if at_any_cost else ""
    return f"{told}Withdraw {amount} of {equity:,.2f} {currency}, the equity of {strategy}{anyway}?"


def _move(
    kind: str, strategy: str, amount: str, key: str | None, state: Path, output: str, *, at_any_cost: bool = False
) -> None:
    words = {"at_any_cost": "yes"} if at_any_cost else {}
    # 1000 and 1e3 are the same money, so they are the same key.
    key = operation_key(key, kind, strategy, {"amount": repr(float(amount)), **words})
    emit_done(asked(state, kind, strategy, {"amount": amount, **words}, key=key), output, key=key)
