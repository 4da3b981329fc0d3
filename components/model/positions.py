"""A book: balances by key, changed only by applying changes; differences are taken with a tolerance."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, Mapping
from typing import TypeVar, overload

import msgspec

from components.model.keys import PositionKey

T = TypeVar("T")


class Difference(msgspec.Struct, frozen=True):
    """One key on which two books disagree, native units."""

    key: PositionKey
    expected: float
    observed: float


class Balances(dict[PositionKey, float]):
    """An absent key is a balance of 0."""

    def __missing__(self, key: PositionKey) -> float:
        return 0.0


class Book(Mapping[PositionKey, float]):
    """Balances in native units (scaled for Aave); an absent key is a balance of 0. Iterates in key order.

    `of` is the balance of a key, present or not: nothing is asked more often. It holds until the next change.
    """

    __slots__ = ("_balances", "of", "version")

    def __init__(self, balances: Mapping[PositionKey, float] | None = None) -> None:
        self.version = 0  # counts changes: what was worked out of a book holds until the next
        self._balances = Balances(balances or {})
        self.of: Callable[[PositionKey], float] = self._balances.__getitem__
        self._sort()

    def __getitem__(self, key: PositionKey) -> float:
        if key not in self._balances:
            raise KeyError(key)
        return self._balances[key]

    def __iter__(self) -> Iterator[PositionKey]:
        return iter(self._balances)

    def __len__(self) -> int:
        return len(self._balances)

    def __repr__(self) -> str:
        return f"<Book {self._balances}>"

    def items(self) -> ItemsView[PositionKey, float]:
        return self._balances.items()

    @overload
    def get(self, key: PositionKey) -> float | None: ...

    @overload
    def get(self, key: PositionKey, default: T) -> float | T: ...

    def get(self, key: PositionKey, default: T | None = None) -> float | T | None:
        return self._balances.get(key, default)

    def set(self, key: PositionKey, balance: float) -> None:
        known = len(self._balances)
        self.version += 1
        self._balances[key] = balance
        if len(self._balances) != known:
            self._sort()

    def apply(self, changes: Mapping[PositionKey, float]) -> None:
        """Adds each change to its balance."""
        balances, known = self._balances, len(self._balances)
        self.version += 1
        for key, change in changes.items():
            balances[key] += change
        if len(balances) != known:
            self._sort()

    def _sort(self) -> None:
        """Puts balances in key order, in a dictionary of their own: whoever reads the old one sees no gap."""
        ordered = sorted(self._balances)
        if ordered != list(self._balances):
            self._balances = Balances({key: self._balances[key] for key in ordered})
            self.of = self._balances.__getitem__

    def snapshot(self) -> dict[PositionKey, float]:
        """The balances that are not zero, in key order."""
        return {key: balance for key, balance in self._balances.items() if balance != 0.0}

    def differences(
        self, observed: Mapping[PositionKey, float], *, absolute: float, relative: float, venues: frozenset[str]
    ) -> tuple[Difference, ...]:
        """Keys of `venues` whose balances differ by more than `absolute + relative × |expected|`."""
        found = []
        for key, expected in self._balances.items():
            if key.venue in venues:
                seen = observed.get(key, 0.0)
                if not abs(expected - seen) <= absolute + relative * abs(expected):
                    found.append(Difference(key, expected, seen))
        for key, seen in observed.items():
            if key not in self._balances and key.venue in venues and not abs(seen) <= absolute:
                found.append(Difference(key, 0.0, seen))
        return tuple(sorted(found, key=lambda difference: difference.key))
