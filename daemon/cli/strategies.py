"""`basis strategies`: the modes."""

from __future__ import annotations

import click

from daemon.cli.output import answers, format_option, show_rows


@click.command()
@format_option
@answers
def strategies(output: str) -> None:
    """The modes and what they hold."""
    from daemon.settings import modes

    rows = [
        {"mode": info.name, "share_class": info.share_class, "asset": info.asset, "what": info.description}
        for info in modes()
    ]
    show_rows(rows, output)
