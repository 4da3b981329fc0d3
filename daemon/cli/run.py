"""`basis run`: the daemon in the foreground; systemd, or a person with a terminal, runs it."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import click

from daemon.cli.output import refusals


class Speed(click.ParamType[float]):
    """A finite number above 0."""

    name = "speed"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            speed = float(value)
        except ValueError:
            speed = math.nan
        if not 0.0 < speed < math.inf:
            self.fail(f"{value!r} is not a finite number above 0", param, ctx)
        return speed


SPEED = Speed()


@click.command()
@click.option(
    "--config", "config_path", type=click.Path(path_type=Path), help="The daemon file.  [default: configs/paper.yaml]"
)
@click.option(
    "--state", type=click.Path(path_type=Path), help="Where everything that must survive is kept (BASIS_STATE_DIR)."
)
@click.option("--speed", type=SPEED, metavar="TIMES", help="Market seconds per second; paper only.")
def run(config_path: Path | None, state: Path | None, speed: float | None) -> None:
    """Run the strategies of a daemon file until a signal or 'basis stop' ends it.

    Prints `ready` and the ids of the strategies when all are up. SIGTERM or Ctrl-C stops in order, a second one at
    once; SIGUSR1 closes everything; SIGHUP reads the configuration again; SIGUSR2 writes the state to the log.
    """
    from daemon.monitoring.output import outputs, say
    from daemon.process.greeting import opening

    with outputs(), refusals():
        say(opening(config_path or Path("configs/paper.yaml"), state))  # the rest takes seconds to load
        from daemon.process.start import run_daemon  # numpy, pydantic and all

        code = run_daemon(config_path, state=state, speed=speed)
    sys.exit(code)
