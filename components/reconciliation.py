"""Reconciliation Component: compares what we expect with what venues report, key by key, within tolerance."""

from __future__ import annotations

from collections.abc import Mapping

from components.model.keys import PositionKey
from components.model.positions import Book, Difference

ABSOLUTE_TOLERANCE = 1e-8
RELATIVE_TOLERANCE = 1e-9


class Reconciliation:
    """`max_attempts` is how often the venues are asked again before a difference counts."""

    def __init__(self, max_attempts: int = 3) -> None:
        self.max_attempts = max_attempts
        self.mismatches = 0

    def compare(
        self, expected: Book, report: Mapping[PositionKey, float], venues: frozenset[str]
    ) -> tuple[Difference, ...]:
        """Keys of `venues` that differ; empty = they agree."""
        differences = expected.differences(
            report, absolute=ABSOLUTE_TOLERANCE, relative=RELATIVE_TOLERANCE, venues=venues
        )
        self.mismatches += bool(differences)
        return differences
