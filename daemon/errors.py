"""Error codes that several rooms of the daemon answer with: what was asked, and why it was not done."""

from __future__ import annotations

from components.model.errors import Severity, catalogued

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
