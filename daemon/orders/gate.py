"""The gate of one account: closed by the emergency path before anything else happens, and asked before each send."""

from __future__ import annotations

from components.model.errors import Severity, Stop, catalogued

EXE_HALTED = catalogued(
    "EXE-006",
    Severity.CRITICAL,
    "The gate of this strategy is closed",
    "Nothing leaves until an operator resumes it: basis resume STRATEGY",
)
READ_ONLY = "READ_ONLY: nothing is sent"


class TradingHalted(Stop):
    """The emergency path owns this account now."""


class Gate:
    """One cell's gate: closed by the emergency path before anything else happens."""

    def __init__(self) -> None:
        self.reason = ""

    @property
    def closed(self) -> bool:
        return bool(self.reason)

    def close(self, reason: str) -> None:
        self.reason = reason

    def open(self) -> None:
        self.reason = ""
