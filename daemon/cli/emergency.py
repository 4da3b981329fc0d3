"""`basis emergency-stop`: the latch goes to disk first, then the daemon is told; if it does not hear, what to do next.

It never asks whether one is sure, and needs no answer from anybody to leave the latch behind: a daemon that is down or
stuck closes when it starts again.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from daemon.cli.console import (
    asked,
    emit_done,
    emit_records,
    give_up,
    now_ns,
    plain,
    state_option,
)
from daemon.cli.orders import amount_of, joined
from daemon.cli.output import emit, output_option, refusals
from daemon.exits import Exit, of_answer

if TYPE_CHECKING:
    from daemon.control.commands import Response
    from daemon.state.latch import Latch

PLANNED = ("strategy", "step", "after", "order", "amount", "cost", "refused", "leg")
PATIENCE_S = 5.0
DISK_S = 2.0
PLAN_S = 20.0  # venues are asked for it
_LOOK_EVERY_S = 0.05
_WRITTEN = "written"
_LONGEST_ANSWER = 4096


@click.command(name="emergency-stop")
@click.argument("strategy", required=False)
@click.option("--reason", metavar="TEXT", default="operator", show_default=True, help="Goes into latch and journal.")
@click.option("--plan", is_flag=True, help="Only show what would be closed, in which order.")
@click.option("--yes", is_flag=True, help="Taken and not needed: an emergency stop never asks.")
@state_option
@output_option
def emergency_stop(strategy: str | None, reason: str, plan: bool, yes: bool, state: Path, output: str) -> None:
    """Close everything of STRATEGY, or of all, now, and stay closed until 'basis resume'."""
    if plan:
        response = asked(state, "emergency_plan", strategy, timeout_s=PLAN_S)
        if output == "table":
            rows = [_planned(record) for record in plain(response) or []]
            emit(rows, output, columns=PLANNED, optional=("leg",))
        else:
            emit_records(response, output)
        return
    _check(state, strategy)
    latch, is_on_disk = _latched(state, strategy, reason)
    try:
        _carried_out(state, latch, is_on_disk, output)
    except KeyboardInterrupt:
        give_up(
            Exit.INTERRUPTED,
            f"Interrupted, and not undone: {_standing(is_on_disk) or 'the daemon may have been told. '}"
            "Follow it with 'basis status'; only 'basis resume' takes the latch away.",
        )


def _carried_out(state: Path, latch: Latch, is_on_disk: bool, output: str) -> None:
    from daemon.errors import OPS_BUSY, OPS_FAILED

    response = _told(state, latch)
    if response is not None and response.code in (OPS_BUSY, OPS_FAILED):
        click.echo(f"The daemon answered: {response.message}", err=True)
        response = None
    if response is not None and response.ok:
        emit_done(response, output)
    elif response is not None:
        give_up(of_answer(response.code), f"{_standing(is_on_disk)}The daemon answered: {response.message}")
    else:
        _signalled(state, latch, is_on_disk)


def _planned(record: Mapping[str, Any]) -> dict[str, Any]:
    """One order of the plan as people read it."""
    return {
        **record,
        "after": f"{record.get('after_s') or 0.0:,.0f} s",
        "order": joined(record, "verb"),
        "amount": amount_of(record),
        "refused": record.get("refused") or "no",
    }


def _check(state: Path, strategy: str | None) -> None:
    from components.model.errors import nearest_name

    if not state.is_dir():
        give_up(Exit.NOT_FOUND, f"There is no state directory {state}. Name that of the daemon with --state.")
    folder = state / "strategies"
    known = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if strategy is not None and strategy not in known:
        near = nearest_name(strategy, known)
        hint = f" Did you mean {near!r}?" if near else ""
        give_up(
            Exit.NOT_FOUND,
            f"There is no strategy {strategy!r} in {state}; there are: {', '.join(known) or 'none'}.{hint} "
            "Nothing was done; without a name all are closed.",
        )


def _latched(state: Path, strategy: str | None, reason: str) -> tuple[Latch, bool]:
    from daemon.state.latch import ALL, requested

    latch = requested(strategy or ALL, reason, at=now_ns(), uid=os.getuid())
    failed = _written(state, latch)
    if failed:
        click.echo(
            f"THE LATCH COULD NOT BE WRITTEN ({failed}): after a restart the daemon will not know of it", err=True
        )
    return latch, not failed


def _written(state: Path, latch: Latch) -> str:
    """Writes the latch; why it is not on the disk, "" when it is. A process of its own does it: one that waits for a
    disk that hangs cannot be ended, and this command must hear the daemon, and give the terminal back."""
    answers, answer = os.pipe()
    try:
        writer = os.fork()
    except OSError as exc:
        return str(exc)
    if writer == 0:
        _write_and_end(state, latch, answer)
    os.close(answer)
    try:
        if not select.select([answers], [], [], DISK_S)[0]:
            return f"the disk has not answered for {DISK_S:g} s"
        said = os.read(answers, _LONGEST_ANSWER).decode()
    finally:
        os.close(answers)
    os.waitpid(writer, 0)
    return "" if said == _WRITTEN else said or "nobody knows why"


def _write_and_end(state: Path, latch: Latch, answer: int) -> NoReturn:
    """In the writing process: out of reach of who ends the command, and of its terminal."""
    from daemon.state.latch import Latches

    said = ""
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nowhere, stream)
        Latches(state).set(latch)
        said = _WRITTEN
    except OSError as exc:
        said = str(exc)
    finally:
        try:
            os.write(answer, said.encode()[:_LONGEST_ANSWER])  # whoever asked may not wait any more
        finally:
            os._exit(0)


def _told(state: Path, latch: Latch) -> Response | None:
    """The daemon's answer; None when there is none."""
    from components.model.errors import BasisError
    from daemon.control.client import ask, socket_of
    from daemon.control.commands import Request
    from daemon.state.latch import ALL

    scope = None if latch.scope == ALL else latch.scope
    words = {"latch": latch.id, "reason": latch.reason}
    try:
        return ask(
            socket_of(state),
            Request(kind="emergency_stop", strategy=scope, arguments=words, key=latch.id),
            timeout_s=PATIENCE_S,
        )
    except BasisError as error:
        click.echo(str(error), err=True)
        return None


def _signalled(state: Path, latch: Latch, is_on_disk: bool) -> None:
    """The ways that no crowd at the socket can block: the daemon looks at the latch on the disk every second, and hears
    SIGUSR1, which means all strategies and is not sent for one."""
    from daemon.state.latch import ALL
    from daemon.state.lock import SAFETY, holder_of, state_lock

    with refusals():
        holder = holder_of(state_lock(state))
    if holder is None or not holder.pid:
        _say_flatten(Exit.UNAVAILABLE, is_on_disk, "No daemon is running on this state directory.", None)
    if holder.doing == SAFETY:
        click.echo(
            f"Process {holder.pid} is 'basis safety', bringing these accounts to safety; it is not disturbed. "
            f"{_standing(is_on_disk)}What it leaves, 'basis safety finish' goes on with.",
            err=True,
        )
        return
    before = _phases(state)
    if latch.scope == ALL:
        try:
            os.kill(holder.pid, signal.SIGUSR1)
        except (ProcessLookupError, PermissionError) as exc:
            click.echo(f"process {holder.pid} could not be signalled: {exc.strerror}", err=True)
        else:
            click.echo(f"signalled process {holder.pid} (SIGUSR1)", err=True)
    elif not is_on_disk:
        click.echo("'basis emergency-stop' without a name can still signal it (all strategies).", err=True)
    if not _has_begun(state, latch, before):
        _say_flatten(
            Exit.TEMPFAIL,
            is_on_disk,
            f"Process {holder.pid} has not begun to close within {PATIENCE_S:g} s.",
            holder.pid,
        )
    click.echo("closing has begun; follow it with 'basis status'")


def _phases(state: Path) -> dict[str, tuple[str, str]]:
    """Id and phase of the latch of each strategy that has one of its own."""
    from daemon.state.latch import LATCH_FILE, Latches

    latches = Latches(state)
    owned = {path.parent.name for path in (state / "strategies").glob(f"*/{LATCH_FILE}")}
    return {name: (own.id, own.phase.value) for name in owned if (own := latches.own(name)) is not None}


def _has_begun(state: Path, latch: Latch, before: dict[str, tuple[str, str]]) -> bool:
    """A strategy notes its progress; one that was closing already goes on."""
    from daemon.state.latch import ALL, Phase

    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for name, (id, phase) in _phases(state).items():
            if latch.scope not in (ALL, name):
                continue
            if phase == Phase.CLOSING.value or (phase != Phase.REQUESTED.value and before.get(name) != (id, phase)):
                return True
        time.sleep(_LOOK_EVERY_S)
    return False


def _say_flatten(code: int, is_on_disk: bool, what: str, pid: int | None) -> NoReturn:
    """What to type next: the safety program acts only when nobody else does."""
    flatten = "basis safety flatten"
    if pid is not None:
        flatten = f"kill -9 {pid} && {flatten}    (under systemd: systemctl start basisd-flatten@INSTANCE)"
    give_up(code, f"{what} {_standing(is_on_disk)}To close positions now, without the daemon: {flatten}")


def _standing(is_on_disk: bool) -> str:
    return "The latch is set: it is carried out, and a daemon closes when it starts. " if is_on_disk else ""
