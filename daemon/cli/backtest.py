"""`basis backtest`: replay a strategy, and look at what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from daemon.cli import run_report
from daemon.cli.naming import NamingGroup
from daemon.cli.output import csv_of, emit, json_of, output_option, progress_bar, refusals, set_option, timezone_option

if TYPE_CHECKING:
    from daemon.backtest.results.summary import Summary

RESULTS = Path("results")

_out = click.option(
    "--out", metavar="DIR", type=click.Path(path_type=Path), default=RESULTS, show_default=True, help="Results folder."
)


@click.group(cls=NamingGroup)
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
        from daemon.backtest.request import RequestTexts, parse_request
        from daemon.backtest.results.store import ResultsStore
        from daemon.backtest.run import run_backtest

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
            click.echo(run_report.in_words(outcome.summary, charts=charts))
        else:
            _emit_one(outcome.summary, output)


@backtest.command(name="list")
@_out
@output_option
def list_runs(out: Path, output: str) -> None:
    """List the runs in the results folder."""
    with refusals():
        from daemon.backtest.results.store import ResultsStore

        store = ResultsStore(out)
        summaries, unreadable = store.summaries()
        for fault in unreadable:
            click.echo(f"left out: {fault}", err=True)
        if output == "table":
            none = f"no runs in {out} yet: 'basis backtest run MODE --start DATE --end DATE --capital AMOUNT' makes one"
            click.echo(run_report.listed(summaries) if summaries or unreadable else none)
        else:
            emit([run_report.record_of(summary) for summary in summaries], output)


@backtest.command()
@click.argument("run_id", metavar="RUN")
@_out
@output_option
def show(run_id: str, out: Path, output: str) -> None:
    """Show one run."""
    with refusals():
        from daemon.backtest.results.store import ResultsStore

        summary = ResultsStore(out).summary(run_id)
        if output == "table":
            click.echo(run_report.one(summary))
        else:
            _emit_one(summary, output)


@backtest.command()
@click.argument("run_ids", metavar="RUN RUN...", nargs=-1, required=True)
@_out
@output_option
def compare(run_ids: tuple[str, ...], out: Path, output: str) -> None:
    """Set runs side by side."""
    with refusals():
        from daemon.backtest.results.store import ResultsStore

        store = ResultsStore(out)
        summaries = [store.summary(run_id) for run_id in dict.fromkeys(run_ids)]
        if output == "table":
            click.echo(run_report.compared(summaries))
        else:
            emit([run_report.record_of(summary) for summary in summaries], output)


def _emit_one(summary: Summary, output: str) -> None:
    """JSON is the very text of summary.json."""
    click.echo(json_of(summary) if output == "json" else csv_of([run_report.record_of(summary)]), nl=output == "json")
