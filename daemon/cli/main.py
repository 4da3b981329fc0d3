"""`basis`: the command line. Commands are imported when they are called, so that `--help` is quick."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

import click

COMMANDS = {
    "backtest": ("daemon.cli.backtest", "backtest", "Replay history through the core, and look at the results."),
    "config": ("daemon.cli.config", "config", "Check and show the configuration."),
    "data": ("daemon.cli.data", "data", "What market data there is, and synthetic data."),
    "strategies": ("daemon.cli.strategies", "strategies", "The modes and what they hold."),
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one only when it runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from components.model.errors import nearest_name

        if args and args[0] not in COMMANDS:
            nearest = nearest_name(args[0], COMMANDS)
            hint = f" Did you mean {nearest!r}?" if nearest else ""
            raise click.UsageError(f"There is no command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][2]) for name in sorted(COMMANDS)])


def _version() -> str:
    try:
        return version("basisd")
    except PackageNotFoundError:
        return "unknown"


@click.group(cls=LazyGroup)
@click.version_option(_version(), prog_name="basis")
def cli() -> None:
    """basisd trades crypto basis and yield strategies: live, on paper and over history, by one core."""


def main() -> None:
    """Runs the command line; expected errors are told in words, with the exit code that belongs to them."""
    try:
        cli(standalone_mode=False)
    except click.ClickException as exc:
        exc.show()
        sys.exit(exc.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
