"""Secrets: a value that does not print itself, and the register of all known ones, which scrubs them from any text.

A secret is read once at start, registered here, and handed on as `Secret`. Logs and reports pass everything they are
about to write through `Secrets`, so that a secret which slipped into an exception text or a URL is replaced too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NoReturn
from urllib.parse import quote, quote_plus

MASK = "***"
_LINE = 16  # characters from which on a line of a longer secret (a PEM file) is a secret by itself
_DEEPEST = 12


class Secret:
    """A text that shows as `***` in repr, str and format, and cannot be pickled. `reveal` is the only way to it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")


class Secrets:
    """Every secret the process knows. A forgotten one is not scrubbed: whoever reads a secret registers it at once."""

    def __init__(self, values: Iterable[Secret | str] = ()) -> None:
        self._spellings: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        for value in values:
            self.add(value)

    def add(self, value: Secret | str) -> Secret:
        """Registers a secret with the ways it may be spelled: quoted for a URL, escaped by repr or JSON, without 0x."""
        secret = value if isinstance(value, Secret) else Secret(value)
        text = secret.reveal().strip()
        if text:
            self._spellings |= _spellings(text)
            longest_first = sorted(self._spellings, key=lambda spelling: (-len(spelling), spelling))
            self._pattern = re.compile("|".join(re.escape(spelling) for spelling in longest_first), re.IGNORECASE)
        return secret

    def scrub(self, text: str) -> str:
        """The text with every known secret replaced by `***`."""
        return self._pattern.sub(MASK, text) if self._pattern else text

    def scrub_tree(self, value: Any, depth: int = 0) -> Any:
        """The value in JSON types and datetimes, every string scrubbed, keys included; anything else as its repr."""
        if value is None or isinstance(value, bool | int | float | datetime):
            return value
        if isinstance(value, str):
            return self.scrub(_printable(value))
        if depth == _DEEPEST:
            return "…"
        if isinstance(value, Mapping):
            return {self.scrub(_printable(str(key))): self.scrub_tree(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.scrub_tree(item, depth + 1) for item in value]
        if isinstance(value, bytes):
            return self.scrub(value.decode("utf-8", "backslashreplace"))
        return self.scrub(_printable(str(value) if isinstance(value, BaseException) else repr(value)))


def _spellings(text: str) -> set[str]:
    lines = {line.strip() for line in text.splitlines() if len(line.strip()) >= _LINE} if "\n" in text else set()
    plain = {text, text.removeprefix("0x"), *lines} - {""}
    return plain | {
        way for value in plain for way in (quote(value, safe=""), quote_plus(value), repr(value)[1:-1], _in_json(value))
    }


def _in_json(text: str) -> str:
    return json.dumps(text)[1:-1]


def _printable(text: str) -> str:
    """The text without lone surrogates, which no encoder takes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
