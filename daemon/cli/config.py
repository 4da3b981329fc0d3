"""`basis config`: is the configuration valid, and what is it once everything is merged."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from daemon.cli.naming import NamingGroup
from daemon.cli.output import message_of
from daemon.exits import Exit, exit_of

if TYPE_CHECKING:
    from components.model.errors import InvalidInput

_configs = click.option(
    "--configs", "folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Configuration folder; the packaged one by default.",
)  # fmt: skip
_set = click.option(
    "--set", "overrides", metavar="KEY=VALUE", multiple=True,
    help="Replace a key, e.g. risk.delta.warning=0.02; the value is YAML. May be given often.",
)  # fmt: skip


@click.group(cls=NamingGroup)
def config() -> None:
    """Check and show the configuration."""


@config.command()
@click.argument("modes", nargs=-1)
@_configs
@_set
def validate(modes: tuple[str, ...], folder: Path | None, overrides: tuple[str, ...]) -> None:
    """Print every fault of MODES (all of them by default)."""
    from components.model.errors import Fault, InvalidInput
    from daemon.config import settings

    root = folder or settings.PACKAGED
    names = modes or tuple(info.name for info in settings.modes(root))
    if not names:
        click.echo(f"{root}: found no mode, expected files in {root / settings.MODES}", err=True)
        sys.exit(Exit.CONFIG)
    _check(names, root)
    faults: dict[Fault, None] = {}  # a fault of a venue file concerns every mode and is shown once
    for name in names:
        try:
            run = settings.load_run(name, root=root, overrides=overrides)
        except InvalidInput as invalid:
            if exit_of(invalid) is Exit.USAGE:
                _refuse(invalid)
            faults.update(dict.fromkeys(invalid.faults))
            click.echo(f"{name}: not valid")
        else:
            click.echo(f"{name}: valid, {run.config_hash[:12]}")
    for fault in faults:
        click.echo(f"- {fault}", err=True)
    sys.exit(Exit.CONFIG if faults else Exit.DONE)


@config.command()
@click.argument("mode")
@_configs
@_set
@click.option("-o", "output", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True)
def show(mode: str, folder: Path | None, overrides: tuple[str, ...], output: str) -> None:
    """Print the merged configuration of MODE: files, environment and --set together."""
    from components.model.errors import InvalidInput
    from daemon.config import settings

    _check([mode], folder or settings.PACKAGED)
    try:
        run = settings.load_run(mode, root=folder or settings.PACKAGED, overrides=overrides)
    except InvalidInput as invalid:
        _refuse(invalid)
    if output == "yaml":
        click.echo(settings.merged_yaml(run), nl=False)
    else:
        import json

        click.echo(json.dumps(settings.merged(run), indent=2, ensure_ascii=False))


def _check(modes: Sequence[str], root: Path) -> None:
    """Ends the command when there is no mode of one of these names."""
    from components.model.errors import InvalidInput
    from daemon.backtest.request import Reading

    reading = Reading()
    for mode in modes:
        reading.mode(mode, root)
    try:
        reading.finish()
    except InvalidInput as invalid:
        _refuse(invalid)


def _refuse(invalid: InvalidInput) -> NoReturn:
    click.echo(message_of(invalid), err=True)
    sys.exit(exit_of(invalid))
