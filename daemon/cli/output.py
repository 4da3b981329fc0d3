"""What commands print: records as a table, JSON or CSV on stdout; refusals and progress on stderr."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from daemon.exits import exit_of

if TYPE_CHECKING:
    from components.model.errors import BasisError

Record = Mapping[str, Any]

output_option = click.option(
    "-o", "output", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True, help="Format."
)
set_option = click.option(
    "--set", "overrides", metavar="KEY=VALUE", multiple=True,
    help="Replace a configuration key, e.g. risk.delta.warning=0.02; the value is YAML. May be given often.",
)  # fmt: skip


@contextmanager
def refusals() -> Iterator[None]:
    """Turns an error of ours into one clear message and the exit code that belongs to it."""
    from components.model.errors import BasisError

    try:
        yield
    except BasisError as error:
        click.echo(message_of(error), err=True)
        sys.exit(exit_of(error))


def message_of(error: BasisError) -> str:
    """What is wrong, every fault on its own line, and what to do."""
    from components.model.errors import CATALOGUE, InvalidInput

    if not isinstance(error, InvalidInput):
        return f"{error}"
    lines = [f"{CATALOGUE[error.code].title} ({error.code}):", *(f"  - {fault}" for fault in error.faults)]
    return "\n".join([*lines, f"{error.hint.rstrip('.')}."])


def emit(records: Sequence[Record], output: str, *, columns: Sequence[str] | None = None) -> None:
    """Prints records of one shape; `columns` names those of the table, JSON and CSV have all."""
    if output == "json":
        click.echo(json_of(records))
    elif output == "csv":
        click.echo(csv_of(records), nl=False)
    else:
        names = columns or (list(records[0]) if records else [])
        click.echo(table_of(names, [[text_of(record.get(name)) for name in names] for record in records]))


def json_of(value: Any) -> str:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def csv_of(records: Sequence[Record]) -> str:
    """One line per record; what is nested becomes columns like `parts.funding`."""
    flat = [flattened(record) for record in records]
    names = list(dict.fromkeys(name for record in flat for name in record))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n", restval="")
    if names:
        writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def flattened(record: Record, prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, Mapping):
            out.update(flattened(value, f"{prefix}{name}."))
        elif isinstance(value, (list, tuple)):
            out[prefix + name] = "; ".join(map(str, value))
        else:
            out[prefix + name] = value
    return out


def table_of(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns side by side; numbers to the right."""
    if not rows:
        return "nothing there"
    widths = [max(len(line[i]) for line in (names, *rows)) for i in range(len(names))]
    right = [all(_is_number(row[i]) for row in rows) for i in range(len(names))]
    lines = []
    for row in (names, *rows):
        padded = (
            text.rjust(width) if numbers else text.ljust(width)
            for text, width, numbers in zip(row, widths, right, strict=True)
        )
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def text_of(value: Any) -> str:
    """A value as people read it."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.2f}" if abs(value) >= 100 else f"{value:.6g}"
        case _:
            return str(value)


def percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{100 * fraction:.2f} %"


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None] | None]:
    """A bar with rows/s and time left on a terminal's stderr; None elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
    from rich.text import Text

    class RowsPerSecond(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:,.0f} rows/s" if task.speed else "")

    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), RowsPerSecond(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _is_number(text: str) -> bool:
    return text.replace(",", "").replace("%", "").strip().replace(".", "", 1).lstrip("+-").isdigit() or text == "-"
