"""`basis`: the command line. A command's module is imported when the command is used, and heavy libraries inside it.

How they end is one table: `daemon.exits`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper

import click

from daemon.cli.naming import NamingGroup
from daemon.exits import Exit
from daemon.process.early import EARLY, fill_standard_streams

COMMANDS = {
    "run": "daemon.cli.run:run",
    "status": "daemon.cli.status:status",
    "positions": "daemon.cli.positions:positions",
    "orders": "daemon.cli.orders:orders",
    "events": "daemon.cli.orders:events",
    "stop": "daemon.cli.live:stop",
    "pause": "daemon.cli.live:pause",
    "resume": "daemon.cli.live:resume",
    "emergency-stop": "daemon.cli.emergency:emergency_stop",
    "rebalance": "daemon.cli.live:rebalance",
    "deposit": "daemon.cli.capital:deposit",
    "withdraw": "daemon.cli.capital:withdraw",
    "pay": "daemon.cli.live:pay",
    "resolve": "daemon.cli.orders:resolve",
    "adopt": "daemon.cli.orders:adopt",
    "doctor": "daemon.cli.doctor:doctor",
    "backup": "daemon.cli.backup:backup",
    "restore": "daemon.cli.backup:restore",
    "audit": "daemon.cli.audit:audit",
    "safety": "daemon.cli.safety:safety",
    "replay": "daemon.cli.replay:replay",
    "backtest": "daemon.cli.backtest:backtest",
    "config": "daemon.cli.config:config",
    "data": "daemon.cli.data:data",
    "strategies": "daemon.cli.strategies:strategies",
}


SHORT = {  # for the list of commands, where the first sentence of the help would be cut
    "run": "Run the strategies of a daemon file.",
    "status": "Show how strategies stand, and why not.",
    "positions": "Show what is held and what it is worth.",
    "orders": "Show the newest orders and their fate.",
    "stop": "Stop a strategy, or the daemon, in order.",
    "pause": "Let a strategy send nothing that adds risk.",
    "resume": "Let a strategy trade again.",
    "emergency-stop": "Close everything, now, and stay closed.",
    "rebalance": "Bring a strategy to its target.",
    "deposit": "Tell a strategy that money was added.",
    "withdraw": "Have a strategy free money and pay it out.",
    "pay": "Pay what is owed, whatever it costs.",
    "resolve": "Say what became of an uncertain order.",
    "adopt": "Take what a venue shows into the book.",
    "doctor": "Check all that can be without trading.",
    "backup": "Copy the state directory.",
    "restore": "Put a copy back, every byte checked.",
    "safety": "Make accounts safe while no daemon runs.",
    "replay": "Prove that a recorded run repeats.",
    "backtest": "Replay over history; list, show, compare.",
}


class LazyGroup(NamingGroup):
    """A group whose commands are named in a table and imported one at a time."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        command.short_help = SHORT.get(cmd_name) or command.short_help
        return command


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="basisd", prog_name="basis")
def basis() -> None:
    """Crypto basis and yield strategies, over history, on paper and live."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point: ends the process with the exit code of the command."""
    if list(sys.argv[1:] if arguments is None else arguments)[:1] == ["run"]:
        fill_standard_streams()
        EARLY.hear()  # what comes while everything is imported and read is carried out once there is a daemon
    _take_any_text()
    try:
        code = basis.main(args=arguments, prog_name="basis", standalone_mode=False)
        if sys.stdout is not None:  # closed by whoever called
            sys.stdout.flush()
    except click.ClickException as exc:
        exc.show()
        sys.exit(exc.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(Exit.INTERRUPTED)
    except BrokenPipeError:
        _nothing_more()
        sys.exit(Exit.FAILED)  # as click ends when it notices first
    except OSError as exc:
        # Where a file of ours is meant, this was translated; what is left is what a command was pointed at.
        _nothing_more()
        place = f"{exc.filename}: " if exc.filename else ""
        with suppress(OSError):
            click.echo(f"{place}{exc.strerror or exc}", err=True)
        sys.exit(Exit.FAILED)
    sys.exit(code if isinstance(code, int) else 0)


def _take_any_text() -> None:
    """A terminal without our letters shows a question mark for them; it is no reason to end."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def _nothing_more() -> None:
    """What could not be written is given up: Python would try again, and complain, at exit."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
