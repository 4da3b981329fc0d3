"""How commands answer: tables for people, JSON and CSV for programs, errors with the right exit code."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, NoReturn, ParamSpec, TypeVar

import click
import msgspec

EX_USAGE = 2
EX_CONFIG = 78
REQUEST_CODES = frozenset({"CFG-003"})

P = ParamSpec("P")
R = TypeVar("R")

format_option = click.option(
    "-o", "--output", type=click.Choice(["table", "json", "csv"]), default="table", help="How to answer."
)


def answers(command: Callable[P, R]) -> Callable[P, R]:
    """Turns expected errors of a command into a message and an exit code: 2 the request, 78 configuration or data."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        from components.model.errors import BasisError

        try:
            return command(*args, **kwargs)
        except BasisError as error:
            refuse(error)
        except OSError as error:
            click.echo(f"{error.strerror}: {error.filename}", err=True)
            sys.exit(EX_CONFIG)

    return run


def refuse(error: Any) -> NoReturn:
    """Says what is wrong and what to do, and leaves."""
    click.echo(str(error), err=True)
    sys.exit(EX_USAGE if error.code in REQUEST_CODES else EX_CONFIG)


def show_rows(rows: Sequence[Mapping[str, Any]], output: str, *, title: str = "") -> None:
    """Rows of equal keys as a table, a JSON array or CSV."""
    if output == "json":
        click.echo(msgspec.json.encode(rows).decode())
        return
    if output == "csv":
        click.echo(as_csv(rows), nl=False)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title or None, title_justify="left")
    for name in rows[0] if rows else ("nothing",):
        table.add_column(name, justify="right" if rows and _is_number(rows[0][name]) else "left", overflow="fold")
    for row in rows:
        table.add_row(*[say(value) for value in row.values()])
    Console().print(table)


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: "" if value is None else value for name, value in row.items()} for row in rows)
    return text.getvalue()


def flat(summary: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The named entries of a summary; a dotted name reaches inside."""
    out: dict[str, Any] = {}
    for name in names:
        value: Any = summary
        for step in name.split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
        out[name] = value
    return out


def say(value: object) -> str:
    """A value as people read it."""
    if value is None:
        return "—"
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) >= 1000 else f"{value:.6g}"
    return str(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
