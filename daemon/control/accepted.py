"""What operators were told, as the audit journal keeps it: which commands were done, and who is paused after them."""

from __future__ import annotations

from collections.abc import Iterable

from daemon.cells.authority import Pause
from daemon.journal.records import Command

ASKED, ACCEPTED = "asked", "accepted"  # what was refused says so and why
PAUSED = "by an operator"
STOPPED = Pause(reason="stopped by an operator", everything=True)


def accepted(commands: Iterable[Command]) -> tuple[Command, ...]:
    """Those that were done, in order. One that a crash cut short was not acknowledged: asked again it is done, and what
    it moves is done once by its id."""
    return tuple(command for command in commands if command.answer == ACCEPTED)


def paused_strategies(commands: Iterable[Command]) -> dict[str, Pause]:
    """Who is paused, and why, after these commands: a pause outlasts a restart."""
    paused: dict[str, Pause] = {}
    for command in accepted(commands):
        strategy = command.arguments.get("strategy", "")
        held = command.kind == "stop" and strategy and command.arguments.get("positions") != "close"
        if held:
            paused[strategy] = STOPPED
        elif command.kind == "pause":
            paused[strategy] = Pause(reason=command.arguments.get("reason", PAUSED))
        elif command.kind == "resume":
            paused.pop(strategy, None)
    return paused
