"""`basis data`: what there is for a mode, and synthetic data folders."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from daemon.cli.output import EX_CONFIG, answers, format_option, show_rows

HOUR_NS = 3_600_000_000_000


@click.group()
def data() -> None:
    """What market data there is, and synthetic data."""


@data.command()
@click.argument("mode")
@click.option("--data", "folder", type=click.Path(path_type=Path), required=True, help="Folder with market data.")
@click.option("--start", help="First row of a run.")
@click.option("--end", help="Last row of a run.")
@click.option("--step", default="1h", show_default=True, help="Distance of rows.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Replace a configuration key.")
@format_option
@answers
def coverage(
    mode: str, folder: Path, start: str | None, end: str | None, step: str, overrides: tuple[str, ...], output: str
) -> None:
    """What MODE needs, what there is, and the gaps; exit code 78 when a run is not covered."""
    import os

    from components.model.errors import CFG_REQUEST, DAT_NOT_COVERED, Fault, InvalidInput
    from components.model.requirements import Grid
    from daemon.cli import request as words
    from daemon.cli.backtest import cache_folder
    from daemon.results_store import iso
    from daemon.settings import load_run
    from venues import history

    faults = words.Faults()
    if (start is None) != (end is None):
        faults.say("--start, --end", f"{start}, {end}", "both or none")
    width = words.step(step, faults)
    grid = None
    if start is not None and end is not None:
        grid = Grid(words.stamp("--start", start, faults), words.stamp("--end", end, faults), width)
        if not faults and grid.end <= grid.start:
            faults.say("--end", end, f"later than --start {start}")
    if faults:
        raise InvalidInput(CFG_REQUEST, faults)
    if not folder.is_dir():
        missing = Fault(where="--data", found=str(folder), expected="a folder with market data")
        raise InvalidInput(DAT_NOT_COVERED, (missing,))
    run = load_run(mode, overrides=overrides, environ=os.environ)
    report = history.coverage(folder, run.mode, grid, cache=cache_folder())

    def day(at: int | None) -> str | None:
        return None if at is None else iso([at])[0]

    rows = [
        {
            "series": series.name,
            "files": " ".join(Path(file).name for file in series.files) or None,
            "column": series.column or None,
            "step_hours": None if series.step is None else series.step / HOUR_NS,
            "first_known": day(series.first_known),
            "last_known": day(series.last_known),
            "rows": series.rows,
            "gaps": len(series.gaps),
            "missing": sum(gap.missing for gap in series.gaps),
            "faults": len(series.faults),
        }
        for series in report.series
    ]
    show_rows(rows, output, title=f"{mode} on {folder.name}")
    if output == "table":
        for series in report.series:
            for gap in series.gaps[:20]:
                click.echo(f"  gap in {series.name}: {day(gap.start)} … {day(gap.end)}, {gap.missing} missing")
            if len(series.gaps) > 20:
                click.echo(f"  … and {len(series.gaps) - 20} more gaps in {series.name}")
        click.echo(f"a run can start at {day(report.earliest_start) or '—'} and end at {day(report.latest_end) or '—'}")
    for fault in report.faults:
        click.echo(f"  - {fault}", err=True)
    if report.faults:
        click.echo("not covered", err=True)
        sys.exit(EX_CONFIG)


@data.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--start", required=True, help="First row.")
@click.option("--end", required=True, help="Last row.")
@click.option("--step", default="1h", show_default=True, help="Distance of rows: minutes or hours.")
@click.option("--seed", type=int, default=7, show_default=True)
@click.option("--scenario", default="calm", show_default=True, help="calm, rally, crash, depeg, squeeze, …")
@click.option("--defect", "defects", multiple=True, help="A fault to put into the files; may be given often.")
@click.option("--format", "fmt", type=click.Choice(["csv", "csv.gz"]), default="csv.gz", show_default=True)
@format_option
@answers
def generate(
    folder: Path,
    start: str,
    end: str,
    step: str,
    seed: int,
    scenario: str,
    defects: tuple[str, ...],
    fmt: str,
    output: str,
) -> None:
    """Write a synthetic market as a data folder."""
    from components.model.errors import CFG_REQUEST, InvalidInput
    from components.model.requirements import Grid
    from daemon.cli import request as words
    from venues.sim import market

    faults = words.Faults()
    grid = Grid(words.stamp("--start", start, faults), words.stamp("--end", end, faults), words.step(step, faults))
    if not faults and grid.end <= grid.start:
        faults.say("--end", end, f"later than --start {start}")
    if faults:
        raise InvalidInput(CFG_REQUEST, faults)
    made = market.generate(grid, seed=seed, scenario=scenario)
    files = market.write_tree(made, folder, defects=defects, seed=seed, fmt=fmt)
    show_rows([{"file": str(file)} for file in files], output, title=f"{len(files)} files in {folder}")
