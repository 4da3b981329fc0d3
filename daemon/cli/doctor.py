"""`basis doctor`: is this machine, this configuration and this state directory fit to trade. Changes nothing."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from daemon.cli.console import state_option
from daemon.cli.output import emit, output_option
from daemon.exits import Exit


@click.command()
@click.option("--config", metavar="FILE", type=click.Path(path_type=Path), help="Daemon file to check as well.")
@state_option
@output_option
def doctor(config: Path | None, state: Path, output: str) -> None:
    """Check everything that can be checked without trading. Ends with 3 when something has failed."""
    from daemon.process.doctor import Health, all_checks

    checks = list(all_checks(state, config, os.environ))
    emit(
        [{"check": one.name, "health": one.health.value, "found": one.found, "do": one.do or None} for one in checks],
        output,
    )
    failed = [one.name for one in checks if one.health is Health.FAILED]
    if failed:
        click.echo(f"failed: {', '.join(failed)}", err=True)
        sys.exit(Exit.CHECK)
