"""The exit codes of `basis`: one table for every command, for systemd, and for the page in the docs.

An error ends a command with the code of its error code, whatever the command; nothing heavy is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from components.model.errors import BasisError


class Exit(IntEnum):
    """How a command ends; from 64 on as sysexits.h has them."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    CHECK = 3
    NOT_FOUND = 4
    REFUSED = 5
    CLOSING = 6
    DAMAGED = 65
    UNAVAILABLE = 69
    TEMPFAIL = 75
    NOPERM = 77
    CONFIG = 78
    INTERRUPTED = 130


_AGAIN = "starts it again after 5 s"
_NEVER = "**no** new start; the safety unit "
TABLE: Mapping[Exit, tuple[str, str]] = {
    Exit.DONE: ("done; stopped as asked", "nothing"),
    Exit.FAILED: ("failed, or two things differ (`replay`)", f"{_AGAIN}; after 5 starts in 10 minutes see below"),
    Exit.USAGE: ("the command line cannot be read as meant; nothing was done", "the same"),
    Exit.CHECK: ("a check failed (`doctor`, `safety`)", "–"),
    Exit.NOT_FOUND: ("what was named is not there: strategy, run, mode, order, venue, journal, copy", "–"),
    Exit.REFUSED: ("refused now; nothing was done", "–"),
    Exit.CLOSING: ("closing, and not flat yet: what is awaited is named (`safety`)", "resumes it until flat"),
    Exit.DAMAGED: (
        "a journal or ledger is damaged, or newer than this; files untouched",
        f"{_NEVER}acts on the rest",
    ),
    Exit.UNAVAILABLE: ("the daemon is not running", "–"),
    Exit.TEMPFAIL: ("cannot now: no answer, another process holds the lock, the disk takes nothing", _AGAIN),
    Exit.NOPERM: ("not allowed", "–"),
    Exit.CONFIG: ("configuration or data do not allow it; every fault is named", f"{_NEVER}pages"),
    Exit.INTERRUPTED: ("interrupted by Ctrl-C", "–"),
}

OF_CODE: Mapping[str, Exit] = {
    "CFG-003": Exit.USAGE,
    "EVT-001": Exit.DAMAGED,
    "EVT-004": Exit.DAMAGED,
    "EVT-008": Exit.NOT_FOUND,
    "EVT-023": Exit.NOT_FOUND,
    "OPS-001": Exit.UNAVAILABLE,
    "OPS-002": Exit.TEMPFAIL,
    "OPS-003": Exit.USAGE,
    "OPS-004": Exit.NOT_FOUND,
    "OPS-005": Exit.REFUSED,
    "OPS-006": Exit.NOPERM,
    "OPS-007": Exit.TEMPFAIL,
    "OPS-008": Exit.REFUSED,
    "OPS-010": Exit.FAILED,
    "OPS-011": Exit.TEMPFAIL,
    "OPS-012": Exit.FAILED,
    "OPS-013": Exit.TEMPFAIL,
    "OPS-014": Exit.FAILED,
    "SIM-002": Exit.DAMAGED,
    "SIM-005": Exit.DAMAGED,
}


def exit_of(error: BasisError) -> Exit:
    """The code of an error; where all its faults are names of absent things, the code of that."""
    from components.model.errors import InvalidInput, Refuse

    if isinstance(error, InvalidInput) and error.faults and all(fault.absent for fault in error.faults):
        return Exit.NOT_FOUND
    own = getattr(error, "exit_code", None)  # a family of errors that says how it ends
    return own or OF_CODE.get(error.code, Exit.CONFIG if isinstance(error, Refuse) else Exit.FAILED)


def of_answer(code: str) -> Exit:
    """How a command ends that the daemon answered with this error code."""
    return OF_CODE.get(code, Exit.REFUSED)
