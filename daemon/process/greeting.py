"""What a person at the terminal is told around trading: that it starts, where it is, that it is up, what to type next.

Texts only: whoever has a way to the terminal writes them. The first line is said by `basis run` before anything heavy
is imported, so nothing heavy is imported here.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daemon.config.daemon_file import DaemonSlice

# Log lines that the narrator says in words; a terminal that hears him is spared them.
SAID_IN_WORDS = frozenset({"cell.state", "signal.received", "daemon.stopped", "operator.asked", "config.changed"})


def opening(path: Path, state: Path | None) -> str:
    """The first line, before the configuration is read."""
    where = f", state in {state}" if state is not None else ""
    return f"basisd starts with {path}{where} (the first time takes some seconds more)"


def configured(config: DaemonSlice) -> Iterator[str]:
    """What is going to run."""
    yield f"{config.execution_mode}, {len(config.strategies)} strategies; the state is kept in {config.state_dir}"
    wide = max((len(entry.id) for entry in config.strategies), default=0)
    for entry in config.strategies:
        mode = entry.run.mode
        yield f"  {entry.id:<{wide}}  {mode.mode}, {entry.capital:,.15g} {mode.share_class}"
    feed = config.market
    if feed.source == "embedded" and feed.step_s is not None:
        yield f"builds the embedded market: a row every {feed.step_s:g} s, seed {feed.seed}, scenario {feed.scenario}"


def built(strategy: str, rows: int, row: int) -> str:
    """One strategy's market and account are there."""
    goes_on = f", goes on at row {row:,}" if row else ""
    return f"  {strategy}: {rows:,} rows, account open{goes_on}"


def starting(up: int, of: int) -> str:
    """Where a start is that takes long, because journals are long."""
    return f"  reads journals: {up} of {of} strategies are up"


def ready(up: Mapping[str, bool]) -> str:
    """The line that says that trading begins: `ready`, and who."""
    failed = [name for name, ok in up.items() if not ok]
    return f"ready {' '.join(up)}" + (f" (not up: {', '.join(failed)})" if failed else "")


def up_lines(config: DaemonSlice, metrics: tuple[str, int] | None, program: str, every_s: float) -> Iterator[str]:
    """What can be done beside it, and what to expect on this terminal."""
    basis, state = program, config.state_dir
    pace = f"{config.speed:g} times as fast as a clock" if config.speed != 1.0 else "at the pace of a clock"
    yield f"  market time runs {pace}; trades are told as they happen, figures every {_span(every_s)} of it"
    yield f"  in another terminal   {basis} status --state {state}   (or positions, orders, events)"
    if metrics is not None:
        yield f"  metrics               curl -s http://{metrics[0]}:{metrics[1]}/metrics"
    yield "  Ctrl-C                stops in order; money and positions are kept"


def farewell(
    state: Path,
    program: str,
    words: Sequence[str],
    at: int | None,
    uncertain: Mapping[str, Sequence[str]],
    closing: Sequence[str] = (),
) -> Iterator[str]:
    """What is left behind, and how to go on; `closing` are strategies whose emergency stop has not made them flat."""
    asked = ", ".join(id for ids in uncertain.values() for id in ids)
    when = "" if at is None else f" at {datetime.fromtimestamp(at // 10**9, UTC):%Y-%m-%d %H:%M} market time"
    fate = f"not known what became of {asked}: asked first at the next start" if asked else ""
    yield f"stopped{when}; {fate or 'no order is open'}"
    if closing:
        yield f"  not flat yet          {', '.join(closing)}: an emergency stop goes on at the next start"
        yield f"  or, without a daemon  {program} safety finish --state {shlex.quote(str(state))}"
    yield f"  go on from here       {shlex.join([program, *words])}"
    yield f"  look at it            {program} audit verify --state {state}   (or audit tail, replay STRATEGY)"
    if not closing:
        yield f"  begin anew            rm -r {shlex.quote(str(state))}"


def program_of(argv: Sequence[str]) -> str:
    """How this program was called, shorter where it lies below the working directory."""
    called = Path(argv[0]) if argv else Path("basis")
    if called.name == "__main__.py" or not called.name:
        return "basis"
    try:
        return str(called.absolute().relative_to(os.getcwd())) if called.is_absolute() else str(called)
    except (ValueError, OSError):
        return str(called)


def _span(seconds: float) -> str:
    for unit, size in (("d", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
