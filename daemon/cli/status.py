"""`basis status`: how each strategy stands, and with `--why` what keeps it from trading."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from daemon.cli.console import looked_at, plain, state_option
from daemon.cli.output import csv_of, json_of, money, output_option, percent, table_of, terminal_width, text_of

if TYPE_CHECKING:
    from daemon.control.commands import Response
    from daemon.replica import Contract, Replica

COLUMNS = ("strategy", "state", "equity", "if sold", "P&L", "delta", "margin", "tick", "withheld")
OPTIONAL = ("delta", "margin", "tick")
PHASES = {
    "requested": "asked for; closing begins",
    "closing": "everything is being closed",
    "flat": "everything is closed, and stays so until it is resumed",
    "failed": "NOT everything could be closed; it tries again",
}
BLOCKS = {"all": "no order leaves", "risk": "nothing that adds risk leaves", "": "told, blocks nothing"}
_NS = 1_000_000_000


@click.command()
@click.argument("strategy", required=False)
@click.option("--why", is_flag=True, help="Say in words what keeps orders from leaving.")
@state_option
@output_option
def status(strategy: str | None, why: bool, state: Path, output: str) -> None:
    """Show all strategies, or STRATEGY."""
    response = looked_at(state, "status", strategy)
    records = plain(response)
    if output == "json":
        click.echo(json_of(records))
    elif output == "csv":
        click.echo(csv_of(records), nl=False)
    else:
        replicas = replicas_of(response)
        rows = [row_of(replica, response.market_now) for replica in replicas]
        click.echo(table_of(COLUMNS, rows, optional=OPTIONAL))
        if seen := [replica.strategy for replica in replicas if replica.equity_is_observed]:
            told = f"{', '.join(seen)}: equity is what the venues report, P&L is as of before the emergency stop"
            click.echo(textwrap.fill(told, terminal_width(), break_on_hyphens=False))
        if why:
            for replica in replicas:
                click.echo("\n" + "\n".join(reasons(replica, response.market_now)))


def replicas_of(response: Response) -> list[Replica]:
    """The replicas in an answer. JSON has no NaN: a figure that came as null is left out of its map."""
    import msgspec

    from daemon.replica import Replica

    records: list[dict[str, Any]] = plain(response) or []
    for record in records:
        for name, value in record.items():
            if isinstance(value, dict):
                record[name] = {key: figure for key, figure in value.items() if figure is not None}
    return msgspec.convert(records, list[Replica])


def row_of(replica: Replica, market_now: int | None) -> list[str]:
    """The cells of one line of the table."""
    return [
        replica.strategy,
        f"{replica.state.value}: {replica.phase}" if replica.phase else replica.state.value,
        "-" if replica.equity is None else f"{money(replica.equity, replica.share_class)} {replica.share_class}",
        money(replica.exit_value, replica.share_class),
        money(profit(replica), replica.share_class),
        percent(replica.columns.get("net_delta")),
        text_of(lowest_margin(replica)),
        _ago(replica.timestamp, market_now),
        _in_short(withheld(replica)),
    ]


def profit(replica: Replica) -> float | None:
    """The sum of the parts; `residual` checks it and is not in it."""
    return sum(value for part, value in replica.pnl.items() if part != "residual") if replica.pnl else None


def lowest_margin(replica: Replica) -> float | None:
    """Equity ÷ notional of the exchange nearest to liquidation."""
    ratios = [value for name, value in replica.columns.items() if name.startswith("margin_ratio.")]
    return min(ratios, default=None)


def withheld(replica: Replica) -> list[str]:
    """Why orders do not leave now, most important first."""
    broken = [f"{contract.name}: {contract.reason}" for contract in replica.contracts if _is_blocking(contract)]
    return list(dict.fromkeys([*([replica.reason] if replica.reason else []), *replica.withheld, *broken]))


def reasons(replica: Replica, market_now: int | None) -> Iterator[str]:
    """All that stands in the way of one strategy, in words."""
    yield f"{replica.strategy} is {replica.state}" + (f": {replica.reason}" if replica.reason else "")
    yield from _closing(replica)
    yield from _worth(replica, market_now)
    yield from _gate(replica)
    yield from _around(replica, market_now)
    if replica.state.value in ("latched", "paused", "halted"):
        yield f"  to go on: basis resume {replica.strategy}"


def _closing(replica: Replica) -> Iterator[str]:
    """How far an emergency is, what it waits for, and what it leaves."""
    if replica.phase:
        yield f"  emergency: {PHASES.get(replica.phase, replica.phase)}"
    if replica.closing_error and replica.phase != "flat":
        yield f"  in the way of closing: {replica.closing_error}"
    for each in replica.awaited:
        due = "" if each.until is None else f", due {_at(each.until)}"
        yield f"  awaited: {each}{due}"
    for token in replica.unvalued:
        yield f"  without a price, left out of equity: {token.key} {text_of(token.amount)}"
    for coins in replica.unsellable:
        worth = f"{money(coins.value_usdt, 'USDT')} USDT"
        yield f"  left, this mode cannot sell it: {coins.key} {text_of(coins.amount)}, worth {worth}; sell it by hand"


def _worth(replica: Replica, market_now: int | None) -> Iterator[str]:
    """What it is worth, and what that is of."""
    if replica.equity_is_observed:
        seen = "not known" if replica.columns_at is None else f"as reported {_ago(replica.columns_at, market_now)}"
        yield f"  equity is of what the venues report, delta and margin {seen}; P&L is as of step {replica.step}"
    if replica.trouble:
        yield f"  this picture is old: no newer one could be taken ({replica.trouble})"
    if replica.equity is not None:
        unit = replica.share_class
        exit = replica.exit_value
        sold = "" if exit is None else f"; sold now, all costs paid: {money(exit, unit)} {unit}"
        yield f"  worth {money(replica.equity, unit)} {unit} at book value{sold}"


def _gate(replica: Replica) -> Iterator[str]:
    """What is withheld, and which contracts hold."""
    if not withheld(replica):
        yield "  nothing is withheld"
    for why in replica.withheld:
        yield f"  withheld: {why}"
    for contract in replica.contracts:
        if contract.holds:
            yield f"  ok      {contract.name}"
        else:
            since = f", since {_at(contract.since)}" if contract.since is not None else ""
            effect = BLOCKS.get(contract.blocks, contract.blocks)
            yield f"  BROKEN  {contract.name}: {contract.reason} ({effect}{since})"


def _around(replica: Replica, market_now: int | None) -> Iterator[str]:
    """Uncertain orders, venues in trouble, and levels of risk."""
    for order in replica.uncertain:
        amount = f"{order.verb} {text_of(order.amount)} {order.token} at {order.venue}"
        yield f"  uncertain order {order.id}: {amount}, sent {_sent(order.sent_at, market_now)}: {order.reason}"
        yield f"          look at the venue, then: basis resolve {order.id} --as filled|not_sent"
    for venue in replica.venues:
        if not venue.reachable or venue.mismatches or venue.foreign or venue.strangers:
            yield f"  venue   {venue.name}: {'; '.join(_venue_trouble(venue)) or 'not reachable'}"
    for measure, level in sorted(replica.risk_levels.items()):
        if level not in ("ok", "normal", ""):
            yield f"  risk    {measure} is {level}"


def _venue_trouble(venue: Any) -> Iterator[str]:
    if not venue.reachable:
        yield f"not reachable{': ' + venue.error if venue.error else ''}"
    yield from (f"differs from the book: {key}" for key in venue.mismatches)
    yield from (f"an order that is not ours rests there: {order}" for order in venue.strangers)
    if venue.foreign:
        yield f"{venue.foreign} trades or transfers that are not ours; see 'basis adopt'"


def _is_blocking(contract: Contract) -> bool:
    return not contract.holds and contract.blocks != ""


def _in_short(why: Sequence[str]) -> str:
    if not why:
        return "no"
    return why[0] + (f" (+{len(why) - 1})" if len(why) > 1 else "")


def _ago(at: int | None, market_now: int | None) -> str:
    if at is None:
        return "never"
    return _at(at) if market_now is None else f"{max(market_now - at, 0) / _NS:.0f} s ago"


def _sent(at: int | None, market_now: int | None) -> str:
    return "at a time its journal does not tell" if at is None else _ago(at, market_now)


def _at(at: int) -> str:
    return datetime.fromtimestamp(at // _NS, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
