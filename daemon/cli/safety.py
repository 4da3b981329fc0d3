"""`basis safety`: brings the accounts of a daemon that does not run to safety."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daemon.cli.console import make_sure, yes_option
from daemon.cli.output import emit, output_option, refusals
from daemon.exits import Exit

if TYPE_CHECKING:
    from daemon.daemon_config import DaemonSlice

NOT_SAFE = ("not closed", "unknown")
COLUMNS = ("strategy", "action", "reason", "net_delta", "doubts")

config_option = click.option(
    "--config", "config_path", type=click.Path(path_type=Path), help="The daemon file.  [default: configs/paper.yaml]"
)
state_option = click.option("--state", type=click.Path(path_type=Path), help="State directory (BASIS_STATE_DIR).")


@click.group()
def safety() -> None:
    """Act on the accounts of a daemon that is not running; as long as it runs, it refuses."""


@safety.command()
@config_option
@state_option
@output_option
def check(config_path: Path | None, state: Path | None, output: str) -> None:
    """After a failure: page, cancel resting orders, close what its latch or its exposure asks for.

    Exit code 3 when something could not be closed, or a venue does not say what it holds.
    """
    with refusals():
        from daemon.safety import check as run_check
        from daemon.safety import record_of

        findings = run_check(_config(config_path, state))
    emit([record_of(finding) for finding in findings], output, columns=COLUMNS)
    sys.exit(Exit.CHECK if any(finding.action in NOT_SAFE for finding in findings) else 0)


@safety.command()
@click.argument("strategies", nargs=-1)
@yes_option
@config_option
@state_option
@output_option
def flatten(strategies: tuple[str, ...], yes: bool, config_path: Path | None, state: Path | None, output: str) -> None:
    """Close everything of STRATEGIES (all, when none is named), reduce-only, and leave them latched."""
    make_sure(f"Close everything of {', '.join(strategies) or 'all strategies'}?", yes=yes)
    with refusals():
        from daemon.safety import flatten as run_flatten
        from daemon.safety import record_of

        findings = run_flatten(_config(config_path, state), strategies)
    emit([record_of(finding) for finding in findings], output, columns=COLUMNS)
    sys.exit(Exit.CHECK if any(finding.action == "not closed" for finding in findings) else 0)


def _config(config_path: Path | None, state: Path | None) -> DaemonSlice:
    """The file named, else what the daemon of this state directory last ran with."""
    from daemon.log import Logs
    from daemon.process import configured
    from daemon.running_config import last_configuration
    from daemon.secrets import Secrets

    place = state or (Path(os.environ["BASIS_STATE_DIR"]) if os.environ.get("BASIS_STATE_DIR") else None)
    last = last_configuration(place) if config_path is None and place is not None else None
    Logs(sys.stderr, Secrets(), now=time.time_ns).install()  # the answer has standard output for itself
    return last or configured(config_path, state=state, speed=None)
