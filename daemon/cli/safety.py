"""`basis safety`: brings the accounts of a daemon that does not run to safety."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daemon.cli.console import give_up, make_sure, yes_option
from daemon.cli.naming import NamingGroup
from daemon.cli.output import emit, output_option, refusals
from daemon.exits import Exit

if TYPE_CHECKING:
    from daemon.config.daemon_file import DaemonSlice
    from daemon.process.safety import Finding

COLUMNS = ("strategy", "action", "reason", "net_delta", "uncertain", "left", "unvalued", "unsellable")

config_option = click.option(
    "--config", "config_path", type=click.Path(path_type=Path), help="The daemon file.  [default: configs/paper.yaml]"
)
state_option = click.option("--state", type=click.Path(path_type=Path), help="State directory (BASIS_STATE_DIR).")
wait_option = click.option(
    "--wait", "wait_s", type=click.FloatRange(min=0.0), default=60.0, show_default=True, metavar="SECONDS",
    help="How long to wait for what travels; what has not arrived then is left to 'basis safety finish'.",
)  # fmt: skip


@click.group(cls=NamingGroup)
def safety() -> None:
    """Act on the accounts of a daemon that is not running; as long as it runs, it refuses."""


@safety.command()
@config_option
@state_option
@wait_option
@output_option
def check(config_path: Path | None, state: Path | None, wait_s: float, output: str) -> None:
    """After a failure: page, cancel resting orders, close what its latch or its exposure asks for.

    Exit code 3 when something could not be closed, or a venue does not say what it holds; 6 when all was done that can
    be done now and something is still awaited: 'basis safety finish' goes on, and its timer unit does so by itself.
    """
    with refusals(), _undisturbed():
        from daemon.process.safety import check as run_check

        _tell(run_check(_config(config_path, state), wait_s=wait_s), output)


@safety.command()
@click.argument("strategies", nargs=-1)
@yes_option
@config_option
@state_option
@wait_option
@output_option
def flatten(
    strategies: tuple[str, ...], yes: bool, config_path: Path | None, state: Path | None, wait_s: float, output: str
) -> None:
    """Close everything of STRATEGIES (all, when none is named) side by side, and leave them latched.

    Exit codes as of 'basis safety check'.
    """
    make_sure(f"Close everything of {', '.join(strategies) or 'all strategies'}?", yes=yes)
    with refusals(), _undisturbed():
        from daemon.process.safety import flatten as run_flatten

        _tell(run_flatten(_config(config_path, state), strategies, wait_s=wait_s), output)


@safety.command()
@config_option
@state_option
@wait_option
@output_option
def finish(config_path: Path | None, state: Path | None, wait_s: float, output: str) -> None:
    """Go on with what is under a latch and not flat yet; does nothing when there is nothing. The timer unit runs it.

    Exit codes as of 'basis safety check'.
    """
    with refusals(), _undisturbed():
        from daemon.process.safety import finish as run_finish

        _tell(run_finish(_config(config_path, state), wait_s=wait_s), output)


def _tell(findings: list[Finding], output: str) -> None:
    from daemon.process.safety import exit_code, record_of

    records = [record_of(finding) for finding in findings]
    if output == "table":
        for record, finding in zip(records, findings, strict=True):
            record["left"] = ", ".join(finding.left)
            record["unvalued"] = ", ".join(f"{each.key} {each.amount:g}" for each in finding.unvalued)
            record["unsellable"] = ", ".join(f"{each.key} {each.amount:g}" for each in finding.unsellable)
    emit(records, output, columns=COLUMNS)
    sys.exit(exit_code(findings))


@contextmanager
def _undisturbed() -> Iterator[None]:
    """SIGUSR1 means an emergency stop: here one is at work already, and the signal must not end it."""
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


def _config(config_path: Path | None, state: Path | None) -> DaemonSlice:
    """The file named, else what the daemon of this state directory last ran with."""
    from daemon.config.secrets import Secrets
    from daemon.monitoring.log import Logs
    from daemon.process.start import configured
    from daemon.recorded.configuration import last_configuration

    place = state or (Path(os.environ["BASIS_STATE_DIR"]) if os.environ.get("BASIS_STATE_DIR") else None)
    if config_path is None and place is not None and not place.is_dir():
        give_up(Exit.NOT_FOUND, f"There is no state directory {place}. Name that of the daemon with --state.")
    last = last_configuration(place) if config_path is None and place is not None else None
    Logs(sys.stderr, Secrets(), now=time.time_ns).install()  # the answer has standard output for itself
    return last or configured(config_path, state=state, speed=None)
