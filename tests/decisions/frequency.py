"""How often it acts: order groups in five days, and the same trigger again and again."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from components.model.events import Event, EventType
from components.model.orders import TradeStatus
from components.model.requirements import DAY_NS
from tests.decisions.judging import Finding, is_asked
from tests.decisions.playing import Played, row_at

CALM_GROUPS, BAND_GROUPS, SCENARIO_GROUPS = 25, 60, 140
SPAN_NS = 5 * DAY_NS
SAME_IN_A_WEEK, SAME_UNDER_STRAIN = 8, 14
HELD_BACK = ("deviation", "dust", "owed", "deposit")  # kinds of decision that cure what they are made for, or wait


def order_groups_are_few(played: Played) -> Iterator[Finding]:
    """At most 25 order groups in any five days, 60 where a margin band was left or an owner moved capital, 140 where
    that happens in a market under strain."""
    flows = 1 + len(played.case.flows)
    times: dict[str, int] = {}
    for done in played.done:
        if any(trade.status is not TradeStatus.REJECTED for trade in done.trades):
            times.setdefault(done.parent, done.at)
    stamps = np.array(sorted(times.values()), dtype=np.int64)
    strained = _strained(played)
    for i, at in enumerate(stamps.tolist()):
        count = int(np.searchsorted(stamps, at + SPAN_NS, side="right")) - i
        near = bool(((strained > at - SPAN_NS) & (strained <= at + SPAN_NS)).any())
        most = (BAND_GROUPS if played.case.is_calm else SCENARIO_GROUPS) if near else CALM_GROUPS
        if count > most * flows:
            yield Finding(row_at(played, at), f"{count} order groups in five days, {most * flows} are allowed")
            return


def triggers_are_held_back(played: Played) -> Iterator[Finding]:
    """The same decision is not made more than eight times a week, twice a day under strain: what it does not cure is
    held back."""
    most = SAME_IN_A_WEEK if played.case.is_calm else SAME_UNDER_STRAIN
    made: dict[str, list[int]] = {}
    for event in played.result.events:
        if (
            isinstance(event, Event)
            and event.event_type is EventType.DECISION
            and event.detail.split(":")[0] in HELD_BACK
        ):
            made.setdefault(event.detail, []).append(event.timestamp)
    for detail, times in made.items():
        stamps = np.array(times, dtype=np.int64)
        in_a_week = np.searchsorted(stamps, stamps + 7 * DAY_NS, side="right") - np.arange(len(stamps))
        if in_a_week.max() > most:
            first = int(in_a_week.argmax())
            yield Finding(row_at(played, times[first]), f"{detail!r} decided {in_a_week.max()} times in a week")


def _strained(played: Played) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """When a margin band was left, a risk level rose, or a venue liquidated."""
    found = [
        event.timestamp
        for event in played.result.events
        if isinstance(event, Event)
        and (
            event.event_type in (EventType.RISK_LEVEL, EventType.EMERGENCY_STOP, EventType.LIQUIDATION)
            or (event.event_type is EventType.DECISION and "margin" in event.detail)
        )
    ]
    found += [done.at for done in played.done if is_asked(done)]
    return np.array(sorted(found), dtype=np.int64)
