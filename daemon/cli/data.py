"""`basis data`: what a folder of history covers, and folders of synthetic history."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from daemon.cli.naming import NamingGroup
from daemon.cli.output import emit, json_of, message_of, output_option, refusals, set_option, timezone_option
from daemon.exits import Exit

if TYPE_CHECKING:
    from components.model.errors import Fault
    from venues.history import CoverageReport, SeriesCoverage

ENDS = ("from", "to")
TABLE = ("series", "from", "to", "step", "rows", "gaps", "files")


@click.group(cls=NamingGroup)
def data() -> None:
    """Look at historical data, or make some."""


@data.command()
@click.argument("mode")
@click.option("--data", "folder", metavar="DIR", required=True, type=click.Path(path_type=Path), help="Data folder.")
@click.option("--start", metavar="DATE", help="First row of the run to be covered.")
@click.option("--end", metavar="DATE", help="Last row.")
@click.option("--step", default="1h", show_default=True, help="Distance of rows.")
@timezone_option
@set_option
@output_option
def coverage(
    mode: str, folder: Path, start: str | None, end: str | None, step: str, timezone: str | None,
    overrides: tuple[str, ...], output: str,
) -> None:  # fmt: skip
    """Show what MODE needs, what DIR has of it, the gaps, and the files that are not read.

    Exit code 0 when everything is covered, 78 with every fault when it is not.
    """
    with refusals():
        from components.model.errors import DAT_NOT_COVERED
        from daemon.backtest.request import Reading
        from daemon.backtest.run import cache_folder, funding_hours
        from daemon.config.settings import PACKAGED, load_run
        from venues import history

        reading = Reading()
        reading.mode(mode, PACKAGED)
        if (start is None) != (end is None):
            given = "--start" if end is None else "--end"
            reading.fault(given, "one end of the window", "both --start and --end, or neither")
        grid = reading.grid(start, end, step) if start is not None and end is not None else None
        if timezone is not None:
            reading.timezone(timezone)
        reading.finish()
        run = load_run(mode, overrides=overrides)
        report = history.coverage(
            folder, run.mode, grid, cache=cache_folder(), zone=timezone, funding_hours=funding_hours(run)
        )
        if output == "json":
            click.echo(json_of(_whole(report)))
        else:
            records = [_record(series) for series in report.series]
            if output == "table":
                records = [{**each, **{end: each[end][:16].replace("T", " ") for end in ENDS}} for each in records]
            emit(records, output, columns=TABLE, optional=("files",))
        if output == "table":
            click.echo(f"\n{_window(report)}")
            for ignored in report.ignored:
                click.echo(f"not read: {ignored.file}: {ignored.reason}")
        if not report.covered:
            click.echo(message_of(history.UnusableData(report.code or DAT_NOT_COVERED, report)), err=True)
            sys.exit(Exit.CONFIG)


@data.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--start", metavar="DATE", help="First row.")
@click.option("--end", metavar="DATE", help="Last row.")
@click.option("--step", default="1h", show_default=True, help="Distance of rows.")
@click.option("--seed", metavar="N", help="Another seed, another market.  [default: 7]")
@click.option("--scenario", metavar="NAME", help="Stress in the middle of the span.  [default: calm]")
@click.option("--defects", metavar="KIND", multiple=True, help="Put in a defect real files have. May be given often.")
@click.option("--format", "fmt", default="csv.gz", show_default=True, help="csv or csv.gz.")
@output_option
def generate(
    folder: Path, start: str | None, end: str | None, step: str, seed: str | None, scenario: str | None,
    defects: tuple[str, ...], fmt: str, output: str,
) -> None:  # fmt: skip
    """Write a synthetic market as a data folder DIR."""
    with refusals():
        from daemon.backtest.request import Reading
        from venues import embedded as market

        reading = Reading()
        grid = reading.grid(start, end, step)
        source = reading.embedded(seed, scenario)
        kinds = tuple(kind.strip() for text in defects for kind in text.split(",") if kind.strip())
        for kind in kinds:
            reading.known("--defects", kind, market.DEFECTS)
        reading.known("--format", fmt, ("csv", "csv.gz"))
        reading.finish()
        if grid is None:
            raise AssertionError("a grid that cannot be read is a fault")
        made = market.generate(grid, seed=source.seed, scenario=source.scenario)
        files = market.write_tree(made, folder, defects=kinds, seed=source.seed, fmt=fmt)
        records = [{"file": file.as_posix(), "bytes": (folder / file).stat().st_size} for file in files]
        emit(records, output)


def _record(series: SeriesCoverage) -> dict[str, Any]:
    return {
        "series": series.name,
        "source": series.source,
        "from": _day(series.first_known),
        "to": _day(series.last_known),
        "step": _hours(series.step if series.distance is None else series.distance),
        "resolution": _hours(series.step),
        "rows": series.rows,
        "duplicates": series.duplicates,
        "flat": series.flat,
        "gaps": len(series.gaps),
        "missing_rows": sum(gap.missing for gap in series.gaps),
        "optional": series.optional,
        "faults": len(series.faults),
        "files": ", ".join(series.files) or "-",
    }


def _hours(ns: int | None) -> str:
    return "-" if ns is None else f"{ns / 3.6e12:g} h"


def _whole(report: CoverageReport) -> dict[str, Any]:
    """The report as JSON has it: with every gap and every fault."""
    return {
        "source": report.source,
        "covered": report.covered,
        "earliest_start": _day(report.earliest_start),
        "latest_end": _day(report.latest_end),
        "series": [
            {
                **_record(series),
                "gaps": [{"from": _day(gap.start), "to": _day(gap.end), "rows": gap.missing} for gap in series.gaps],
            }
            for series in report.series
        ],
        "missing": list(report.missing),
        "faults": [_fault(fault) for fault in report.faults],
        "ignored": [{"file": ignored.file, "reason": ignored.reason} for ignored in report.ignored],
    }


def _window(report: CoverageReport) -> str:
    """From when to when all series are known, or which is not to be had."""
    if report.earliest_start is not None:
        return f"All series together: {_day(report.earliest_start)} to {_day(report.latest_end)}"
    if not report.missing:
        return "All series together: never"
    first, last = report.without or (None, None)
    return f"Not to be had: {', '.join(report.missing)}; the others together: {_day(first)} to {_day(last)}"


def _fault(fault: Fault) -> dict[str, Any]:
    return {"where": fault.where, "found": fault.found, "expected": fault.expected, "nearest": fault.nearest}


def _day(at: int | None) -> str:
    from daemon.backtest.results.tables import iso_stamp

    return "-" if at is None else iso_stamp(at)
