"""A plan of faults for long campaigns, and what its hits looked like from the venues' side.

It hands out the same faults as `FaultPlan`, from an index by kind and door: a campaign of a thousand faults is asked
millions of times.
"""

from __future__ import annotations

from collections.abc import Iterable

from venues.paper.door.faults import Fault, FaultPlan


class IndexedPlan(FaultPlan):
    """`hits` holds every fault that had an effect, once per effect."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._index: dict[tuple[str, str], list[tuple[int, Fault]]] = {}
        self.hits: list[Fault] = []
        self.planned: list[Fault] = []
        super().__init__(faults)

    def add(self, fault: Fault) -> None:
        super().add(fault)
        self.planned.append(fault)
        self._index.setdefault((fault.kind, fault.venue), []).append((len(self._faults) - 1, fault))

    def heal(self) -> None:
        super().heal()
        self._index = {}

    def find(self, kind: str, venue: str, at: int, endpoint: str) -> Fault | None:
        for i, fault in self._index.get((kind, venue), ()):
            is_there = fault.at <= at < fault.ends and fault.parameters.get("endpoint", endpoint) == endpoint
            if is_there and self._used[i] < float(fault.parameters.get("times", float("inf"))):
                return fault
        return None

    def note(self, fault: Fault, *, in_flight: bool = False) -> None:
        super().note(fault, in_flight=in_flight)
        self.hits.append(fault)
