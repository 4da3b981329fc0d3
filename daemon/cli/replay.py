"""`basis replay`: a recorded run fed through the core again, as a proof that it decides the same."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from daemon.cli.console import state_option
from daemon.cli.output import json_of, output_option, refusals
from daemon.exits import Exit


@click.command()
@click.argument("strategy")
@click.option("--what-if", is_flag=True, help="Use the code and configuration of today and report what would change.")
@click.option(
    "--config", "config_path", type=click.Path(path_type=Path), help="With --what-if: the daemon file to try."
)
@state_option
@output_option
def replay(strategy: str, what_if: bool, config_path: Path | None, state: Path, output: str) -> None:
    """Replay the journal of STRATEGY (a strategy id, or the path of its journal folder).

    Exit code 0: every step repeats, bit for bit. 1: the first difference is shown. 65: the journal is damaged.
    """
    with refusals():
        from daemon.recorded.proof import prove, what_would_change

        folder = Path(strategy) if Path(strategy).is_dir() else state / "strategies" / strategy / "journal"
        result = what_would_change(folder, config_path) if what_if else prove(folder)
    if output == "json":
        click.echo(json_of(result))
    else:
        click.echo(result.in_words())
    sys.exit(0 if result.identical else Exit.FAILED)
