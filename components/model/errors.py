"""Errors an operator can act on: a code, a severity, a family that decides what happens next, and a hint.

`Retry` may be tried again, `Refuse` rejects this one thing, `Stop` ends the strategy. The catalogue page of the docs is
generated from `CATALOGUE`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from enum import StrEnum
from typing import Self

import msgspec


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class Entry(msgspec.Struct, frozen=True):
    """One line of the catalogue."""

    code: str
    severity: Severity
    title: str
    action: str


CATALOGUE: dict[str, Entry] = {}


def catalogued(code: str, severity: Severity, title: str, action: str) -> str:
    """Registers a code at import; a code stands for one thing only."""
    if code in CATALOGUE:
        raise ValueError(f"error code {code} is catalogued twice")
    CATALOGUE[code] = Entry(code, severity, title, action)
    return code


class BasisError(Exception):
    """Root of all errors of basisd. `facts` are the fields a log line shows; none of them is ever a secret."""

    def __init__(self, code: str, message: str = "", *, hint: str = "", **facts: object) -> None:
        entry = CATALOGUE[code]
        self.code = code
        self.severity = entry.severity
        self.message = message or entry.title
        self.hint = hint or entry.action
        self.facts = facts
        super().__init__(code, self.message)

    def __str__(self) -> str:
        facts = ", ".join(f"{name}={value}" for name, value in self.facts.items())
        told = f"{self.message} ({facts})" if facts else self.message.removesuffix(".")
        return f"{self.code}: {told}. {self.hint}"


class Retry(BasisError):
    """Passing trouble: trying again may help."""


class Refuse(BasisError):
    """This one request cannot be done as asked; nothing was changed."""


class Stop(BasisError):
    """The strategy cannot go on."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing wrong with an input: where, what was found, what was expected, and the nearest right word if any.

    `absent`: what was found is the name of something that is not there.
    """

    where: str
    found: str
    expected: str
    nearest: str | None = None
    absent: bool = False

    def __str__(self) -> str:
        hint = f" (did you mean {self.nearest!r}?)" if self.nearest else ""
        return f"{self.where}: found {self.found}, expected {self.expected}{hint}"


class InvalidInput(Refuse):
    """All faults of an input at once."""

    def __init__(self, code: str, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        lines = "".join(f"\n  - {fault}" for fault in self.faults)
        super().__init__(code, f"{CATALOGUE[code].title}: {len(self.faults)} fault(s){lines}\n")


class MissingData(Refuse):
    """A column, file or date range that is needed and not there; `missing` names the column if it is one."""

    missing: str = ""

    @classmethod
    def column(cls, name: str, known: Mapping[str, object]) -> Self:
        nearest = nearest_name(name, known)
        error = cls(DAT_COLUMN_MISSING, f"no column {name!r}", nearest=nearest or "none")
        error.missing = name
        return error


class NotPriced(MissingData):
    """A position that has no value in a share class, whatever data there are."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(DAT_NOT_PRICED, f"{key}: {why}")


def nearest_name(word: str, known: Iterable[str]) -> str | None:
    """The known name closest to `word`, if any is close."""
    matches = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


DAT_COLUMN_MISSING = catalogued(
    "DAT-001",
    Severity.ERROR,
    "A needed column is missing",
    "Add the column to the data or name a fallback in price_fallback",
)
DAT_NOT_COVERED = catalogued(
    "DAT-002",
    Severity.ERROR,
    "The data do not cover the run",
    "Choose dates inside the coverage shown by 'basis data coverage'",
)
DAT_CONFLICT = catalogued(
    "DAT-003", Severity.ERROR, "A data file contradicts itself", "Correct or replace the file; neither value was taken"
)
DAT_LOOK_AHEAD = catalogued(
    "DAT-004", Severity.CRITICAL, "A value from the future was asked for", "Ask for rows at or before the current one"
)
DAT_UNREADABLE = catalogued(
    "DAT-005", Severity.ERROR, "A data file cannot be read", "See the file, line and column named in the message"
)
DAT_IMPLAUSIBLE = catalogued(
    "DAT-006",
    Severity.ERROR,
    "A data file holds values that cannot be what they claim",
    "Correct the file, or name what is real in plausible.accepted",
)
DAT_NOT_PRICED = catalogued(
    "DAT-007",
    Severity.ERROR,
    "A position has no value in this share class",
    "Close or move it at its venue: the strategy neither trades nor counts it",
)
CFG_INVALID = catalogued(
    "CFG-001", Severity.ERROR, "The configuration is not valid", "Correct every fault listed; nothing was started"
)
CFG_FILE_MISSING = catalogued(
    "CFG-002", Severity.ERROR, "A configuration file is missing", "Restore the file or correct the name"
)
CFG_REQUEST = catalogued(
    "CFG-003", Severity.ERROR, "The request is not valid", "Correct every fault listed; nothing was written"
)
CFG_STATE = catalogued(
    "CFG-020",
    Severity.ERROR,
    "The configuration does not fit the state directory",
    "Do what is said behind each fault, or use another state directory; nothing was started or changed",
)
CFG_TOO_SMALL = catalogued(
    "CFG-030",
    Severity.ERROR,
    "The capital is too small for the mode and its venues",
    "Give at least the capital named, or choose fewer venues; nothing was started",
)
