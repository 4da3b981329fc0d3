"""Measures: what a level, a band or a plan is about, as a kind and the venue it is of.

Written `kind` or `kind:venue` where a name is needed: in states, events and metrics.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from components.model.keys import VenueName


class Kind(StrEnum):
    """Everything that is watched: bands around the target, levels of risk, and what a person asks for."""

    MARGIN_RATIO = "margin_ratio"
    LEGS = "legs"
    IDLE = "idle"
    GAS_DEBT = "gas_debt"
    GAS_RESERVE = "gas_reserve"
    DUST = "dust"
    LTV = "ltv"
    DELTA = "delta"
    CEX_MARGIN = "cex_margin"
    LIQUIDATION = "liquidation"
    DRAWDOWN = "drawdown"
    DAILY_LOSS = "daily_loss"
    DIVERGENCE = "divergence"
    RESERVE = "reserve"
    BREAK_EVEN = "break_even"
    ASKED = "asked for"


class Measure(msgspec.Struct, frozen=True):
    """A kind of measure and its venue; an empty venue where it is of the whole strategy."""

    kind: Kind
    venue: VenueName = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.venue}" if self.venue else self.kind.value


def measure_of(name: str) -> Measure:
    """The measure of that name; ValueError when nothing of the kind is watched."""
    kind, _, venue = name.partition(":")
    return Measure(Kind(kind), venue)
