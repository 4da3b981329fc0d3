"""What commands print: records as a table, JSON or CSV on stdout; refusals and progress on stderr."""

from __future__ import annotations

import csv
import io
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from daemon.exits import exit_of

if TYPE_CHECKING:
    from components.model.errors import BasisError

Record = Mapping[str, Any]
GAP = "  "
LONGEST_WORDS = (32, 24, 16)  # a longer one (a hash, a path) may be broken; the first that lets a table fit
_FIGURE = re.compile(
    r"[-+]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?( (%|[A-Za-z][A-Za-z0-9]*))?"  # a number with its unit
    r"|(\d{4}-)?\d\d-\d\d([ T]\d\d:\d\d(:\d\d)?Z?)?"  # a date or time
)
LONG_FIGURE = re.compile(  # in a sentence, not inside a name, a version, a time or a path
    r"(?<![\w.:/-])-?\d+(\.\d{3,}(e[-+]?\d+)?|(\.\d+)?e[-+]?\d+)(?!\.?[\w:/-])"
)
_WHOLE_WORDS: Any = {"break_on_hyphens": False}

output_option = click.option(
    "-o", "output", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True, help="Format."
)
set_option = click.option(
    "--set", "overrides", metavar="KEY=VALUE", multiple=True,
    help="Replace a configuration key, e.g. risk.delta.warning=0.02; the value is YAML. May be given often.",
)  # fmt: skip
timezone_option = click.option(
    "--timezone", metavar="ZONE", help="Zone of stamps in the files that name none, e.g. UTC; see docs/own-data.md."
)


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


def emit(
    records: Sequence[Record], output: str, *, columns: Sequence[str] | None = None, optional: Sequence[str] = ()
) -> None:
    """Prints records of one shape; `columns` names those of the table, JSON and CSV have all.

    `optional` columns are left out of a table, the last first, where the terminal is too narrow for all.
    """
    if output == "json":
        click.echo(json_of(records))
    elif output == "csv":
        click.echo(csv_of(records), nl=False)
    else:
        names = columns or (list(records[0]) if records else [])
        rows = [[text_of(record.get(name)) for name in names] for record in records]
        click.echo(table_of(names, rows, optional=optional))


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


def table_of(
    names: Sequence[str], rows: Sequence[Sequence[str]], *, width: int | None = None, optional: Sequence[str] = ()
) -> str:
    """Columns side by side, numbers to the right, no wider than `width` (by default the terminal, 80 in a pipe).

    What does not fit: `optional` columns are left out and named, texts go on below themselves, and at last each record
    becomes a block of lines. No figure is ever cut.
    """
    if not rows:
        return "nothing there"
    width = width or terminal_width()
    kept, left_out = list(range(len(names))), []
    for name in reversed(optional):
        if _natural(names, rows, kept) > width and name in names:
            kept.remove(names.index(name))
            left_out.append(name)
    names, rows = [names[i] for i in kept], [[row[i] for i in kept] for row in rows]
    right = [all(_is_number(row[i]) for row in rows) for i in range(len(names))]
    widths = _widths(names, rows, right, width)
    if widths is None:
        text = "\n\n".join(_block(names, row, width) for row in rows)
    else:
        text = "\n".join(_line(row, widths, right) for row in (names, *rows))
    if left_out:
        text += f"\nnot shown: {', '.join(reversed(left_out))} (a wider terminal, or -o csv, has them)"
    return text


def terminal_width() -> int:
    """Columns of the terminal (or COLUMNS); 80 where there is none."""
    return max(shutil.get_terminal_size((80, 24)).columns, 40)


def _natural(names: Sequence[str], rows: Sequence[Sequence[str]], kept: Sequence[int]) -> int:
    return sum(max(len(line[i]) for line in (names, *rows)) for i in kept) + len(GAP) * (len(kept) - 1)


def _widths(names: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool], width: int) -> list[int] | None:
    """How wide each column is; texts give way down to their longest word. None when that is not enough."""
    lines = (names, *rows)
    widths = [max(len(line[i]) for line in lines) for i in range(len(names))]
    words = [max(len(word) for line in lines for word in (line[i].split() or [""])) for i in range(len(names))]
    gaps = len(GAP) * (len(widths) - 1)
    for longest in LONGEST_WORDS:
        least = [widths[i] if right[i] else min(words[i], longest) for i in range(len(names))]
        if sum(least) + gaps <= width:
            break
    over = sum(widths) + gaps - width
    while over > 0:
        widest = max(range(len(widths)), key=lambda i: (widths[i] - least[i] > 0, widths[i]))
        if widths[widest] <= least[widest]:
            return None
        widths[widest] -= 1
        over -= 1
    return widths


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    cells = [textwrap.wrap(text, wide, **_WHOLE_WORDS) or [""] for text, wide in zip(row, widths, strict=True)]
    lines = []
    for i in range(max(map(len, cells))):
        padded = (
            (cell[i] if i < len(cell) else "").rjust(wide) if number else (cell[i] if i < len(cell) else "").ljust(wide)
            for cell, wide, number in zip(cells, widths, right, strict=True)
        )
        lines.append(GAP.join(padded).rstrip())
    return "\n".join(lines)


def _block(names: Sequence[str], row: Sequence[str], width: int) -> str:
    wide = max(map(len, names))
    indent = " " * (wide + len(GAP))
    lines = []
    for name, text in zip(names, row, strict=True):
        first = f"{name:<{wide}}{GAP}"
        lines += textwrap.wrap(text, width, initial_indent=first, subsequent_indent=indent, **_WHOLE_WORDS) or [first]
    return "\n".join(line.rstrip() for line in lines)


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


def readable(text: str | None) -> str:
    """A sentence of the journal, in which every figure stands to its last digit, with figures as people read them."""
    return LONG_FIGURE.sub(lambda found: text_of(float(found[0])), text or "")


def money(value: float | None, currency: str) -> str:
    """Share-class currency as it is told everywhere: cents of USDT, six digits of ETH."""
    if value is None:
        return "-"
    return f"{value:,.6f}" if currency == "ETH" else f"{value:,.2f}"


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
    """A figure, with its unit or without, or a time: neither is ever broken."""
    return text == "-" or _FIGURE.fullmatch(text.strip()) is not None
