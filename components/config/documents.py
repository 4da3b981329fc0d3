"""What validation is given: parsed files, each with the name a fault shows. Reading them is somebody else's duty."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from components.model.errors import Fault


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One parsed file. `overridden` says which dotted paths were replaced, and by what (`--set`, a variable)."""

    name: str
    content: object
    overridden: Mapping[str, str] = {}

    def fault(self, path: str, found: str, expected: str, nearest: str | None = None) -> Fault:
        where = f"{self.name}: {path}" if path else self.name
        for changed, by in self.overridden.items():
            if path == changed or path.startswith(f"{changed}."):
                where = f"{where} (from {by})"
        return Fault(where=where, found=found, expected=expected, nearest=nearest)


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """All files of a run, venues and share classes by file name, and what already went wrong on the way here."""

    mode_name: str
    mode: Document | None
    share_classes: Mapping[str, Document]
    venues: Mapping[str, Document]
    faults: tuple[Fault, ...] = ()


class Problem(msgspec.Struct, frozen=True):
    """A broken rule, before it knows the file it stands in."""

    path: str
    found: str
    expected: str
    nearest: str | None = None


def located(document: Document, problems: Iterable[Problem]) -> Iterator[Fault]:
    for problem in problems:
        yield document.fault(problem.path, problem.found, problem.expected, problem.nearest)


def shown(value: object, limit: int = 80) -> str:
    """A value as a fault quotes it: YAML words, one line, not too long."""
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
