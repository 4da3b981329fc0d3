"""`basis audit`: are the journals what was written, what do they end with, and all they hold as JSON lines.

Reads the files only: it needs no daemon, and may run beside one.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from daemon.cli.console import make_sure, yes_option
from daemon.cli.naming import NamingGroup
from daemon.cli.output import emit, output_option, refusals
from daemon.exits import Exit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.journal.reader import Entry

VERIFIED = ("journal", "ok", "records", "sequence", "hash", "anchored", "segments", "unfinished_bytes", "in_reserve")
TAILED = ("journal", "sequence", "at", "type", "what")
SHORT, WORD = 100, 19  # characters of a record in a table, and of a word in it

_state = click.option(
    "--state",
    metavar="DIR",
    envvar="BASIS_STATE_DIR",
    type=click.Path(path_type=Path),
    default=Path("state"),
    show_default=True,
    help="State directory of the daemon, also BASIS_STATE_DIR.",
)
_strategy = click.option("--strategy", metavar="ID", help="One strategy's journal, or `daemon`; all without it.")


@click.group(cls=NamingGroup)
def audit() -> None:
    """Verify, look at, export and prune the journals."""


@audit.command()
@_state
@_strategy
@output_option
def verify(state: Path, strategy: str | None, output: str) -> None:
    """Check every record against the hash chain and the anchor; exit 65 at a break."""
    with refusals():
        import msgspec

        from daemon.journal.reader import located
        from daemon.journal.reader import verify as verify_journal
        from daemon.state.disk import RealDisk

        disk = RealDisk()
        found = [verify_journal(disk, journal) for journal in located(disk, state, strategy)]
        records: list[dict[str, Any]] = [msgspec.to_builtins(verified) for verified in found]
        if output == "table":
            short = [record | {"hash": record["hash"][:16]} for record in records]
            emit(short, output, columns=VERIFIED, optional=VERIFIED[5:])
        else:
            emit(records, output)
        broken = [verified for verified in found if not verified.ok]
        for each in broken:
            place = f" ({each.segment}, byte {each.offset:,})" if each.segment else ""
            click.echo(f"{each.journal} breaks at record {each.record:,}: {each.reason}{place}", err=True)
        if broken:
            sys.exit(Exit.DAMAGED)


@audit.command()
@_state
@_strategy
@click.option("-n", "count", type=click.IntRange(min=0), default=10, show_default=True, help="Records per journal.")
@output_option
def tail(state: Path, strategy: str | None, count: int, output: str) -> None:
    """Show the last records of each journal."""
    with refusals():
        from daemon.journal.reader import located, readable
        from daemon.journal.reader import tail as tail_of
        from daemon.state.disk import RealDisk

        disk = RealDisk()
        entries = [entry for journal in located(disk, state, strategy) for entry in tail_of(disk, journal, count)]
        if output == "table":
            emit([_in_a_line(entry) for entry in entries], output, columns=TAILED)
        else:
            emit([readable(entry) for entry in entries], output)


@audit.command()
@_state
@_strategy
@click.option("--out", metavar="FILE", type=click.File("wb", lazy=True), default="-", help="Instead of stdout.")
def export(state: Path, strategy: str | None, out: IO[bytes]) -> None:
    """Write all records as JSON, one a line, with sequence and hash."""
    with refusals():
        from daemon.journal.reader import exported, located
        from daemon.state.disk import RealDisk

        disk = RealDisk()
        for journal in located(disk, state, strategy):
            for line in exported(disk, journal):
                out.write(line)


@audit.command()
@_state
@_strategy
@click.option(
    "--export",
    "folder",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Where the segments are copied and checked before they are removed.",
)
@click.option(
    "--keep-days",
    type=click.FloatRange(min=0.0),
    default=90.0,
    show_default=True,
    help="Records younger than this stay, counted back from the newest.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be moved, and do nothing.")
@yes_option
@output_option
def prune(
    state: Path, strategy: str | None, folder: Path, keep_days: float, dry_run: bool, yes: bool, output: str
) -> None:
    """Move old segments out of the state directory; the daemon must not run.

    Only whole segments go that no start needs any more. Commands, latches and reloads are kept for ever.
    """
    with refusals():
        from daemon.journal.pruning import plan
        from daemon.journal.pruning import prune as prune_journal
        from daemon.journal.queries import Queries
        from daemon.journal.reader import located
        from daemon.state.disk import RealDisk
        from daemon.state.lock import Holder, held, state_lock

        disk = RealDisk()
        found = located(disk, state, strategy)
        holder = Holder(pid=os.getpid(), started=datetime.now(UTC).isoformat(timespec="seconds"))
        with held(state_lock(state), holder, f"state directory {state}"):
            plans = [(journal, plan(disk, journal, keep_days=keep_days)) for journal in found]
            rows = [
                {
                    "journal": each.journal,
                    "segments": len(each.segments),
                    "records": each.records,
                    "bytes": each.bytes,
                    "kept": each.kept,
                    "why no more": each.reason,
                }
                for _, each in plans
            ]
            emit(rows, output)
            if dry_run or not any(each.segments for _, each in plans):
                return
            make_sure(f"Move these segments to {folder}?", yes=yes)
            queries = Queries(disk, state)
            queries.catch_up()  # the index keeps what it has read
            queries.close()
            for journal, each in plans:
                for copy in prune_journal(disk, journal, each, folder):
                    click.echo(f"moved to {copy}", err=True)


def _in_a_line(entry: Entry) -> dict[str, Any]:
    from daemon.journal.reader import readable

    fields = readable(entry)
    at = fields.get("at", fields.get("timestamp"))
    left_out = {"journal", "sequence", "hash", "type", "at", "timestamp"}
    what = [f"{name}={value}" for name, value in fields.items() if name not in left_out and value]
    return {
        "journal": entry.journal,
        "sequence": entry.sequence,
        "at": "-" if at is None else f"{datetime.fromtimestamp(at // 10**9, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "type": fields["type"],
        "what": _fitting(what),
    }


def _fitting(fields: Sequence[str]) -> str:
    """As many whole fields as are read at a glance; long ones (rows, states) only with `basis audit export`."""
    shown: list[str] = []
    for field in fields:
        if max(map(len, field.split())) <= WORD and len(field) + sum(len(each) + 2 for each in shown) <= SHORT:
            shown.append(field)
    return ", ".join(shown) + (f" (+{len(fields) - len(shown)} more)" if len(shown) < len(fields) else "")
