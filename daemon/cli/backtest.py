"""`basis backtest`: run one, list them, show one, compare some."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from daemon.cli.output import answers, as_csv, flat, format_option, say, show_rows

if TYPE_CHECKING:
    from daemon.replay import Progress

LISTED = ("run_id", "mode", "start", "end", "final_equity", "total_return", "max_drawdown", "sharpe", "trades")
COMPARED = (
    "mode", "start", "end", "initial_capital", "final_equity", "total_return", "annualised_return", "max_drawdown",
    "sharpe", "trades", "liquidations", "min_health_factor", "min_margin_ratio", "residual_max", "liquidation_value",
)  # fmt: skip

out_option = click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("results"), show_default=True,
    help="Folder with the results.",
)  # fmt: skip


@click.group()
def backtest() -> None:
    """Replay history through the core, and look at the results."""


@backtest.command()
@click.argument("mode")
@click.option("--start", required=True, help="First row, e.g. 2024-06-01 (UTC).")
@click.option("--end", required=True, help="Last row, inclusive.")
@click.option("--capital", required=True, type=float, help="In share-class currency: USDT or ETH.")
@click.option("--step", default="1h", show_default=True, help="Distance of rows: 1m, 1h, 1d, …")
@click.option("--data", type=click.Path(path_type=Path), help="Folder with market data.")
@click.option("--market", type=click.Choice(["embedded"]), help="The synthetic market (the default without --data).")
@click.option("--seed", type=int, default=7, show_default=True, help="Seed of the embedded market.")
@click.option("--scenario", default="calm", show_default=True, help="What happens to the embedded market.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Replace a configuration key.")
@click.option("--flow", "flows", multiple=True, metavar="DATE:±AMOUNT", help="A deposit or withdrawal.")
@click.option("--close-at-end", is_flag=True, help="Sell everything on the last row.")
@click.option("--charts/--no-charts", default=True, help="Write the interactive pages.")
@click.option(
    "--window-rows", type=click.IntRange(min=1), hidden=True, help="Cut the rows into windows of this length."
)
@out_option
@format_option
@answers
def run(
    mode: str,
    start: str,
    end: str,
    capital: float,
    step: str,
    data: Path | None,
    market: str | None,
    seed: int,
    scenario: str,
    overrides: tuple[str, ...],
    flows: tuple[str, ...],
    close_at_end: bool,
    charts: bool,
    window_rows: int | None,
    out: Path,
    output: str,
) -> None:
    """Replay MODE over the rows from --start to --end."""
    from components.model.errors import CFG_REQUEST, InvalidInput, nearest_name
    from daemon.backtests import BacktestRequest, run_backtest, validate_flows
    from daemon.cli import request as words
    from daemon.settings import modes

    faults = words.Faults()
    known = [info.name for info in modes()]
    if mode not in known:
        faults.say("MODE", mode, ", ".join(known), nearest_name(mode, known))
    first, last = words.stamp("--start", start, faults), words.stamp("--end", end, faults)
    width = words.step(step, faults)
    if not faults and last <= first:
        faults.say("--end", end, f"later than --start {start}")
    elif not faults and (last - first) % width:
        faults.say("--end", end, f"a whole number of steps of {step} after --start")
    words.capital(capital, faults)
    if data is not None and market is not None:
        faults.say("--market", market, "either --data or --market")
    moves = words.flows(flows, faults)
    if not faults:
        faults.extend(validate_flows(moves, first, last, capital))
    if faults:
        raise InvalidInput(CFG_REQUEST, faults)
    request = BacktestRequest(
        mode=mode,
        start=first,
        end=last,
        step=width,
        capital=capital,
        flows=moves,
        overrides=overrides,
        data=data,
        seed=seed,
        scenario=scenario,
        close_at_end=close_at_end,
        window_rows=window_rows,
        out=out,
        charts=charts,
    )
    with progress_bar(mode) as progress:
        outcome = run_backtest(request, os.environ, cache_folder(), progress)
    if output == "json":
        import msgspec

        click.echo(msgspec.json.encode(outcome.summary).decode())
    elif output == "csv":
        click.echo(as_csv([{k: v for k, v in outcome.summary.items() if not isinstance(v, dict | list)}]), nl=False)
    else:
        tell(outcome.summary, outcome.folder, charts)


@backtest.command("list")
@out_option
@format_option
@answers
def list_runs(out: Path, output: str) -> None:
    """All runs in the results folder."""
    from daemon.results_store import ResultsStore

    rows = [flat(summary, LISTED) for summary in ResultsStore(out).runs()]
    if not rows and output == "table":
        click.echo(f"no runs in {out}; make one with 'basis backtest run'")
        return
    show_rows(rows, output)


@backtest.command()
@click.argument("run_id")
@out_option
@format_option
@answers
def show(run_id: str, out: Path, output: str) -> None:
    """The summary of one run."""
    from daemon.results_store import ResultsStore

    summary = ResultsStore(out).summary(run_id)
    if output == "json":
        import msgspec

        click.echo(msgspec.json.encode(summary).decode())
    elif output == "csv":
        click.echo(as_csv([{k: v for k, v in summary.items() if not isinstance(v, dict | list)}]), nl=False)
    else:
        tell(summary, out / run_id, (out / run_id / "plots").is_dir())


@backtest.command()
@click.argument("run_ids", nargs=-1, required=True)
@out_option
@format_option
@answers
def compare(run_ids: tuple[str, ...], out: Path, output: str) -> None:
    """Runs side by side: figures, P&L parts, and which hashes differ."""
    from daemon.results_store import ResultsStore

    store = ResultsStore(out)
    summaries = [store.summary(run_id) for run_id in run_ids]
    parts = dict.fromkeys(f"parts.{part}" for summary in summaries for part in summary["parts"])
    names = (*COMPARED, *parts, "hashes.config", "hashes.data", "hashes.code")
    columns = [flat(summary, names) for summary in summaries]
    if output == "json":
        show_rows([{"run_id": run_id, **column} for run_id, column in zip(run_ids, columns, strict=True)], output)
        return
    rows = [
        {"figure": name, **{run_id: _short(column[name]) for run_id, column in zip(run_ids, columns, strict=True)}}
        for name in names
    ]
    show_rows(rows, output)


def tell(summary: dict[str, Any], folder: Path, charts: bool) -> None:
    """A run in words."""
    currency = summary["share_class"]
    sign = "gained" if summary["total_return"] >= 0.0 else "lost"
    click.echo(f"{summary['mode']} from {summary['start'][:10]} to {summary['end'][:10]} on {summary['data_source']}")
    click.echo(
        f"  {say(summary['initial_capital'])} {currency} became {say(summary['final_equity'])} {currency}: "
        f"{sign} {abs(summary['total_return']):.2%}"
        + ("" if summary["annualised_return"] is None else f", {summary['annualised_return']:.2%} a year")
    )
    click.echo(f"  where it came from ({currency}):")
    for part, amount in summary["parts"].items():
        if amount:
            click.echo(f"    {part:<24}{amount:>16,.4f}")
    click.echo(f"    unexplained: at most {summary['residual_max']:.1e} of equity on any row")
    sharpe = "—" if summary["sharpe"] is None else f"{summary['sharpe']:.2f}"
    click.echo(
        f"  worst drawdown {summary['max_drawdown']:.2%}, Sharpe {sharpe}, {summary['trades']} trades, "
        f"{summary['liquidations']} liquidations"
    )
    click.echo(f"  sold at once at the end it would be {say(summary['liquidation_value'])} {currency}")
    for reason in summary["skipped"]:
        click.echo(f"  left out: {reason}")
    for note in summary["notes"]:
        click.echo(f"  note: {note[:160]}{'…' if len(note) > 160 else ''}")
    click.echo(f"  {summary['rows']:,} rows at {summary['rows_per_second']:,} rows/s; results in {folder}")
    if charts:
        click.echo(f"  charts: open {folder / 'plots' / 'index.html'}")


@contextmanager
def progress_bar(title: str) -> Iterator[Progress | None]:
    """A bar with rows/s and time left on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,}/{task.total:,} rows"),
        TextColumn("{task.fields[speed]} rows/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=1, speed="—")

        def progress(done: int, total: int) -> None:
            speed = bar.tasks[0].speed
            bar.update(task, completed=done, total=total, speed=f"{speed:,.0f}" if speed else "—")

        yield progress


def cache_folder() -> Path | None:
    """Where read files are kept in columns; None without a home."""
    base = os.environ.get("XDG_CACHE_HOME") or (
        os.path.join(os.environ["HOME"], ".cache") if "HOME" in os.environ else ""
    )
    return Path(base) / "basisd" if base else None


def _short(value: object) -> str:
    text = say(value)
    return text[:12] if len(text) == 64 else text
