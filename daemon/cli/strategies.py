"""`basis strategies`: the modes there are."""

from __future__ import annotations

import click

from daemon.cli.output import emit, output_option


@click.command()
@output_option
def strategies(output: str) -> None:
    """List the strategies (modes)."""
    from daemon.config import settings

    records = [
        {"mode": info.name, "share_class": info.share_class, "asset": info.asset, "description": info.description}
        for info in settings.modes()
    ]
    emit(records, output)
