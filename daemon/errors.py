"""Errors as several rooms of the daemon tell them: in one line, and the codes of what was asked and not done."""

from __future__ import annotations

from components.model.errors import InvalidInput, Severity, catalogued

OPS_MALFORMED = catalogued(
    "OPS-003",
    Severity.WARNING,
    "The request to the daemon is not valid",
    "Correct every fault listed; nothing was done",
)
OPS_NOT_FOUND = catalogued(
    "OPS-004",
    Severity.WARNING,
    "There is no such thing",
    "See 'basis status' for strategies and 'basis orders' for orders",
)
OPS_REFUSED = catalogued(
    "OPS-005", Severity.WARNING, "The daemon refuses this now", "See 'basis status --why' for what stands in the way"
)
OPS_FAILED = catalogued(
    "OPS-012",
    Severity.ERROR,
    "The daemon could not do it",
    "Whether part of it was done is not known: see the log of the daemon, which goes on, and report the traceback",
)
OPS_BUSY = catalogued(
    "OPS-013",
    Severity.WARNING,
    "The daemon serves as many clients as it can",
    "Try again; an emergency stop is heard all the same",
)


def first(error: BaseException) -> BaseException:
    """The first real error in a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def short(error: BaseException) -> str:
    """The first line of the first real error in a group, and what it lists."""
    error = first(error)
    text = str(error).partition("\n")[0]
    if isinstance(error, InvalidInput):
        text += f" {'; '.join(map(str, error.faults))}"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
