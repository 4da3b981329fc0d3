"""What the operator's commands share: where the daemon is, asking it, being sure, and how to end."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from daemon.cli.output import emit, json_of, refusals
from daemon.exits import Exit, of_answer

if TYPE_CHECKING:
    from daemon.control.commands import Response

STAMPS = ("at", "timestamp")

state_option = click.option(
    "--state", metavar="DIR", type=click.Path(path_type=Path), envvar="BASIS_STATE_DIR", default=Path("state"),
    show_default=True, show_envvar=True, help="State directory of the daemon.",
)  # fmt: skip
yes_option = click.option("--yes", is_flag=True, help="Do not ask; needed where there is no terminal to ask on.")
key_option = click.option(
    "--key", metavar="KEY", help="The same key is done once, however often it is asked.  [default: from the request]"
)


LARGEST = 1e12  # as `control.protocol.LARGEST_AMOUNT`, which costs an import


class Amount(click.ParamType[str]):
    """A number above 0, kept as typed."""

    name = "amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not 0.0 < number <= LARGEST:
            self.fail(f"{text!r} is not a number above 0, at most {LARGEST:g}", param, ctx)
        return text


AMOUNT = Amount()


def give_up(code: int, message: str) -> NoReturn:
    """Ends with a message."""
    click.echo(message, err=True)
    sys.exit(code)


def asked(
    state: Path,
    kind: str,
    strategy: str | None = None,
    words: Mapping[str, str] | None = None,
    *,
    key: str = "",
    timeout_s: float | None = None,
) -> Response:
    """The daemon's yes; its no ends the command with its message and code."""
    from daemon.control.client import TIMEOUT_S, ask, socket_of
    from daemon.control.commands import Request

    request = Request(kind=kind, strategy=strategy, arguments=words or {}, key=key)
    with refusals():
        response = ask(socket_of(state), request, timeout_s=timeout_s or TIMEOUT_S)
    if not response.ok:
        give_up(of_answer(response.code), response.message)
    return response


def looked_at(state: Path, kind: str, strategy: str | None = None, words: Mapping[str, str] | None = None) -> Response:
    """What the daemon shows, or, when none runs on this state directory, what its journals say; their age is told."""
    from components.model.errors import BasisError
    from daemon.control.client import OPS_NOT_RUNNING, ask, socket_of
    from daemon.control.commands import Request, answer
    from daemon.state.lock import holder_of, state_lock

    with refusals():
        try:
            response = ask(socket_of(state), Request(kind=kind, strategy=strategy, arguments=words or {}))
        except BasisError as error:
            if error.code != OPS_NOT_RUNNING or holder_of(state_lock(state)) is not None:
                raise
            from daemon.control.offline import view

            seen = view(state, kind, strategy, words or {}, now().timestamp())
            if seen is None:
                raise
            for note in seen.notes:
                click.echo(note, err=True)
            return answer(seen.data)
    if not response.ok:
        give_up(of_answer(response.code), response.message)
    for line in response.message.splitlines():
        click.echo(f"{'daemon' if kind == 'status' else 'incomplete'}: {line}", err=True)
    return response


def plain(response: Response) -> Any:
    """The data of an answer as plain values."""
    import msgspec

    return msgspec.json.decode(response.data)


def emit_records(
    response: Response, output: str, *, columns: tuple[str, ...] | None = None, optional: tuple[str, ...] = ()
) -> None:
    """Prints an answer that is a list of records; a table shows times as people read them, and only `columns`."""
    records = plain(response) or []
    if output == "json":
        click.echo(json_of(records))
    elif output == "csv":
        emit(records, output)
    else:
        emit(
            [{name: _readable(name, value) for name, value in each.items()} for each in records],
            output,
            columns=columns,
            optional=optional,
        )


def _readable(name: str, value: Any) -> Any:
    """A stamp in UTC nanoseconds as date and time; anything else as it is."""
    if name not in STAMPS or not isinstance(value, int):
        return value
    return datetime.fromtimestamp(value / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S")


def emit_done(response: Response, output: str, *, key: str = "") -> None:
    """Prints what became of a command: its message, or a record with its data."""
    if output == "table":
        click.echo(response.message or "done")
        return
    record = {"message": response.message, "data": plain(response)} | ({"key": key} if key else {})
    if output == "json":
        click.echo(json_of(record))
    else:
        emit([record], output)


def make_sure(question: str, *, yes: bool) -> None:
    """Asks on a terminal; without one, and without --yes, refuses."""
    if yes:
        return
    if not sys.stdin.isatty():
        give_up(Exit.REFUSED, f"{question} Nobody is there to answer: repeat with --yes. Nothing was done.")
    if not click.confirm(question, err=True):
        give_up(Exit.FAILED, "Nothing was done.")


def operation_key(given: str | None, kind: str, strategy: str | None, words: Mapping[str, str]) -> str:
    """The idempotency key: as given, or made of the request and today's date (UTC), and then told."""
    if given:
        return given
    day = now().strftime("%Y-%m-%d")
    parts = [kind, strategy or "", day, *(f"{name}={text}" for name, text in sorted(words.items()))]
    key = f"{kind}-{day}-{sha256(chr(10).join(parts).encode()).hexdigest()[:12]}"
    click.echo(f"key {key}: the same request today is done once; give another --key to do it again", err=True)
    return key


def now() -> datetime:
    """The wall clock (UTC)."""
    return datetime.now(UTC)


def now_ns() -> int:
    return int(now().timestamp() * 1e6) * 1000
