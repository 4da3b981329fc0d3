"""Which of several sources fills a column: the best step of its own files that covers the run, else the price_fallback.

A source is taken whole or not at all: splicing two venues or two steps would book their difference as profit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from components.model.errors import DAT_NOT_COVERED, Fault, InvalidInput
from components.model.requirements import SeriesName
from venues.history.library import Choice, Library
from venues.history.series.align import Samples
from venues.history.series.prices import PRICE_KINDS


class Chosen(msgspec.Struct, frozen=True):
    """The samples taken and of which step; `faults` (with their `code`) say why they do not do. None: unreadable."""

    samples: Samples | None
    choice: Choice
    code: str | None = None
    faults: tuple[Fault, ...] = ()


class Chooser:
    """Chooses for one run: `judge` says what is missing in a series for it."""

    def __init__(
        self,
        library: Library,
        grid_step: int | None,
        price_fallback: Mapping[str, str],
        judge: Callable[[Samples], tuple[Fault, ...]],
    ) -> None:
        self._library = library
        self._grid_step = grid_step
        self._price_fallback = price_fallback
        self._judge = judge

    def choose(self, name: str) -> Chosen:
        """The source of column `name`: its own, or another venue's price if that is written and its own falls short."""
        own = self.own(name)
        series = SeriesName.parse(name)
        fallback = self._price_fallback.get(f"{series.venue}.{series.kind}")
        if own.code != DAT_NOT_COVERED or fallback is None or series.kind not in PRICE_KINDS:
            return own
        other = self.own(f"{fallback}.{series.symbol}")
        if other.code is None:
            return other
        return msgspec.structs.replace(own, code=other.code, faults=(*own.faults, *other.faults))

    def own(self, name: str) -> Chosen:
        """The first step that covers the run, else the best one with the reason why it does not."""
        try:
            choices = self._library.choices(name, self._grid_step)
        except InvalidInput as refused:
            return Chosen(None, None, refused.code, refused.faults)
        tried = []
        for choice in choices:
            chosen = self._judged(name, choice)
            if chosen.code != DAT_NOT_COVERED:
                return chosen  # it covers the run, or it contradicts itself: a defect is never passed over
            tried.append(chosen)
        return tried[0]

    def _judged(self, name: str, choice: Choice) -> Chosen:
        try:
            samples = self._library.samples(name, choice)
        except InvalidInput as refused:
            return Chosen(None, choice, refused.code, refused.faults)
        faults = self._judge(samples)
        return Chosen(samples, choice, DAT_NOT_COVERED if faults else None, faults)
