"""`basis backup | restore`: a verified copy of the state directory, and back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daemon.cli.console import asked, give_up, make_sure, now, plain, state_option, yes_option
from daemon.cli.output import emit, output_option, refusals
from daemon.exits import Exit

if TYPE_CHECKING:
    from daemon.control.commands import Response

ANSWER_S = 15.0


@click.command()
@click.argument("folder", metavar="DEST", type=click.Path(path_type=Path))
@state_option
@output_option
def backup(folder: Path, state: Path, output: str) -> None:
    """Copy the state directory to DEST, an empty folder. A running daemon makes the copy itself."""
    from daemon.state.copy import copy_state, verify_copy
    from daemon.state.lock import Holder, held, holder_of, state_lock

    with refusals():
        if holder_of(state_lock(state)) is not None:
            done = plain(_by_daemon(state, folder)) or {}
            emit([{"copy": str(folder), **{name: done.get(name) for name in ("files", "bytes", "made")}}], output)
            return
        made = _now()
        if state.is_dir():
            # Nobody starts in the middle of it.
            with held(state_lock(state), Holder(pid=os.getpid(), started=made), f"state directory {state}"):
                copy_state(state, folder, made=made)
        else:
            give_up(Exit.NOT_FOUND, f"There is no state directory {state}. Name that of the daemon with --state.")
        contents = verify_copy(folder)
    emit([{"copy": str(folder), "files": len(contents.files), "bytes": contents.size, "made": made}], output)


@click.command()
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path))
@yes_option
@state_option
@output_option
def restore(source: Path, yes: bool, state: Path, output: str) -> None:
    """Put the copy SRC into an empty state directory, after checking every byte of it."""
    from daemon.state.copy import restore_state
    from daemon.state.lock import Holder

    make_sure(f"Restore {source} into {state}?", yes=yes)
    with refusals():
        contents = restore_state(source, state, holder=Holder(pid=os.getpid(), started=_now()))
    emit([{"state": str(state), "files": len(contents.files), "bytes": contents.size, "made": contents.made}], output)


def _by_daemon(state: Path, folder: Path) -> Response:
    """Asks until the copy is whole; how far it is goes to stderr. Ctrl-C ends the asking, not the copy."""
    while True:
        response = asked(state, "backup", None, {"folder": str(folder.absolute())}, timeout_s=ANSWER_S)
        found = plain(response)
        if found.get("done", True):
            return response
        click.echo(f"copied {found['copied'] / 1e6:,.0f} of {found['of'] / 1e6:,.0f} MB", err=True)


def _now() -> str:
    return now().isoformat(timespec="seconds")
