"""`basis backtest`: replay a strategy, and look at what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from daemon.cli.output import (
    csv_of,
    emit,
    flattened,
    json_of,
    output_option,
    percent,
    progress_bar,
    refusals,
    set_option,
    table_of,
    text_of,
    timezone_option,
)  # fmt: skip

if TYPE_CHECKING:
    from daemon.results_summary import Summary

RESULTS = Path("results")
LISTED = ("run_id", "share_class", "initial_capital", "final_equity", "total_return", "max_drawdown", "trades")
COMPARED = (
    "mode", "share_class", "start", "end", "initial_capital", "final_equity", "total_return", "annualised_return",
    "max_drawdown", "sharpe", "trades", "liquidations", "min_health_factor", "min_margin_ratio", "external_flows",
    "liquidation_value", "residual_max", "market",
)  # fmt: skip
FRACTIONS = ("total_return", "annualised_return", "max_drawdown")

_out = click.option(
    "--out", metavar="DIR", type=click.Path(path_type=Path), default=RESULTS, show_default=True, help="Results folder."
)


@click.group()
def backtest() -> None:
    """Replay a strategy over history; list, show and compare results."""


@backtest.command()
@click.argument("mode")
@click.option("--start", metavar="DATE", help="First row, e.g. 2024-06-01 or 2024-06-01T08:00Z (UTC).")
@click.option("--end", metavar="DATE", help="Last row, included.")
@click.option("--capital", metavar="AMOUNT", help="In the share-class currency of the mode.")
@click.option("--step", default="1h", show_default=True, help="Distance of rows: 1m, 15m, 1h, 1d.")
@click.option("--data", "folder", metavar="DIR", help="Folder of real history; without it the embedded market serves.")
@timezone_option
@click.option("--market", metavar="embedded", help="The synthetic market (the default without --data).")
@click.option("--seed", metavar="N", help="Seed of the embedded market.  [default: 7]")
@click.option("--scenario", metavar="NAME", help="Stress in the embedded market, e.g. crash.  [default: calm]")
@set_option
@click.option(
    "--flow", "flows", metavar="DATE:AMOUNT", multiple=True, help="Deposit or withdrawal, e.g. 2024-07-01:+20000."
)
@click.option("--close-at-end", is_flag=True, help="Sell everything on the last row.")
@click.option("--charts/--no-charts", default=True, show_default=True, help="Write the interactive pages.")
@click.option("--window-rows", type=int, hidden=True, help="Rows per window; the result does not depend on it.")
@_out
@output_option
def run(
    mode: str, start: str | None, end: str | None, capital: str | None, step: str, folder: str | None,
    timezone: str | None, market: str | None, seed: str | None, scenario: str | None, overrides: tuple[str, ...],
    flows: tuple[str, ...],
    close_at_end: bool, charts: bool, window_rows: int | None, out: Path, output: str,
) -> None:  # fmt: skip
    """Replay MODE and write results/RUN/."""
    with refusals():
        from daemon.backtest_request import RequestTexts, parse_request
        from daemon.backtests import run_backtest
        from daemon.results_store import ResultsStore

        request = parse_request(
            RequestTexts(
                mode=mode, start=start, end=end, capital=capital, step=step, data=folder, timezone=timezone,
                market=market, seed=seed, scenario=scenario, flows=flows, overrides=overrides,
                close_at_end=close_at_end, window_rows=window_rows,
            )
        )  # fmt: skip
        with progress_bar(mode) as progress:
            outcome = run_backtest(request, ResultsStore(out), charts=charts, progress=progress)
        if output == "table":
            click.echo(in_words(outcome.summary, charts=charts))
        else:
            _emit_one(outcome.summary, output)


@backtest.command(name="list")
@_out
@output_option
def list_runs(out: Path, output: str) -> None:
    """List the runs in the results folder."""
    with refusals():
        from daemon.results_store import ResultsStore

        store = ResultsStore(out)
        summaries, unreadable = store.summaries()
        records = [_record(summary) for summary in summaries]
        for fault in unreadable:
            click.echo(f"left out: {fault}", err=True)
        if output == "table":
            emit([_readable(record) for record in records], output, columns=LISTED)
        else:
            emit(records, output)


@backtest.command()
@click.argument("run_id", metavar="RUN")
@_out
@output_option
def show(run_id: str, out: Path, output: str) -> None:
    """Show one run."""
    with refusals():
        from daemon.results_store import ResultsStore

        summary = ResultsStore(out).summary(run_id)
        if output == "table":
            rows = [[name, text_of(value)] for name, value in flattened(_readable(_record(summary))).items()]
            click.echo(table_of(("figure", run_id), rows))
        else:
            _emit_one(summary, output)


@backtest.command()
@click.argument("run_ids", metavar="RUN RUN...", nargs=-1, required=True)
@_out
@output_option
def compare(run_ids: tuple[str, ...], out: Path, output: str) -> None:
    """Set runs side by side."""
    with refusals():
        from daemon.results_store import ResultsStore

        store = ResultsStore(out)
        summaries = [store.summary(run_id) for run_id in dict.fromkeys(run_ids)]
        records = [_record(summary) for summary in summaries]
        if output != "table":
            emit(records, output)
            return
        shown = [_readable(record) for record in records]
        parts = list(dict.fromkeys(part for summary in summaries for part in summary.parts))
        rows = [[name, *(text_of(record[name]) for record in shown)] for name in COMPARED]
        rows += [[f"parts.{part}", *(text_of(record["parts"].get(part)) for record in shown)] for part in parts]
        click.echo(table_of(("figure", *(summary.run_id for summary in summaries)), rows))


def in_words(summary: Summary, *, charts: bool) -> str:
    """What a run came to, as one would say it."""
    unit = summary.share_class
    digits = 6 if unit == "ETH" else 2
    yearly = "" if summary.annualised_return is None else f", {percent(summary.annualised_return)} a year"
    verb = "made" if summary.total_return >= 0 else "lost"
    lines = [
        f"{summary.mode} {verb} {percent(abs(summary.total_return))}{yearly}, "
        f"from {summary.start[:10]} to {summary.end[:10]} ({summary.market}).",
        "",
    ]
    earned = {name: value for name, value in (*summary.parts.items(), ("residual", summary.residual)) if value}
    earned["profit"] = summary.pnl
    money = {"at the start": summary.initial_capital} | earned
    if summary.external_flows:
        money["paid in" if summary.external_flows > 0 else "paid out"] = summary.external_flows
    money["at the end"] = summary.final_equity
    figures = {name: f"{value:{'+' if name in earned else ''},.{digits}f}" for name, value in money.items()}
    wide, right = max(map(len, figures)), max(map(len, figures.values()))
    lines += [f"  {name.replace('_', ' '):<{wide}}  {figure:>{right}} {unit}" for name, figure in figures.items()]
    lines += ["", f"  {_risk_in_words(summary)}", ""]
    lines += [f"  {note}" for note in (*summary.notes, *(f"left out: {reason}" for reason in summary.skipped))]
    lines += [f"  {summary.rows:,} rows at {summary.rows_per_second:,.0f} rows/s"]
    lines += [f"  results  {summary.out}"]
    if charts:
        lines += [f"  charts   {Path(summary.out, 'plots', 'index.html')}"]
    return "\n".join(lines)


def _risk_in_words(summary: Summary) -> str:
    found = [f"largest fall {percent(summary.max_drawdown)}"]
    if summary.sharpe is not None:
        found.append(f"Sharpe {summary.sharpe:.2f}")
    if summary.min_margin_ratio is not None:
        found.append(f"lowest margin ratio {summary.min_margin_ratio:.2f}")
    if summary.min_health_factor is not None:
        found.append(f"lowest health factor {summary.min_health_factor:.3f}")
    return ", ".join([*found, _counted(summary.trades, "trade"), _counted(summary.liquidations, "liquidation")])


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _record(summary: Summary) -> dict[str, Any]:
    import msgspec

    record: dict[str, Any] = msgspec.to_builtins(summary)
    return record


def _readable(record: dict[str, Any]) -> dict[str, Any]:
    return {name: percent(value) if name in FRACTIONS else value for name, value in record.items()}


def _emit_one(summary: Summary, output: str) -> None:
    """JSON is the very text of summary.json."""
    click.echo(json_of(summary) if output == "json" else csv_of([_record(summary)]), nl=output == "json")
