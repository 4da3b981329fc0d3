"""Announcer: what people hear of what the core saw and decided, as events with the balances they belong to.

It decides nothing. What would be repeated on each row is told once until it changes: that memory is its only state.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from components.deviation import Unmended
from components.event_logger import EventLogger
from components.levels import CRITICAL, LEVEL_NAMES, Crossing
from components.maths.costs import BP
from components.model.awaited import Awaited
from components.model.events import EventType
from components.model.keys import WALLET, PositionKey
from components.model.market import Row
from components.model.measures import measure_of
from components.ports import Happening
from components.position_monitor import BookColumns, PositionMonitor
from components.risk_monitor import EMERGENCIES
from components.routing.plan import Plan
from components.routing.worth import Worth
from components.situation import Situation

CROSSING_EVENTS = {
    "divergence": EventType.PRICE_DIVERGENCE,
    "break_even": EventType.BREAK_EVEN_ALARM,
    "reserve": EventType.RESERVE_LOW,
}


class Announcer:
    """`skipped`: reasons told last; `closing`: what was told to be awaited, None when it is not closing."""

    def __init__(self, events: EventLogger, positions: PositionMonitor) -> None:
        self._events = events
        self._positions = positions
        self.skipped: tuple[str, ...] = ()
        self.closing: tuple[str, ...] | None = None

    def happenings(self, happenings: tuple[Happening, ...], book: BookColumns) -> None:
        for happening, balances in zip(happenings, book.after_each(happenings), strict=True):
            if happening.event_type is not EventType.FINAL:  # of each transaction, and it moves nothing
                self._happening(happening, balances)

    def crossings(self, crossings: Sequence[Crossing], at: int) -> None:
        """Levels that rose on the row of the stamp `at`."""
        for crossing in crossings:
            measure = crossing.measure
            emergency = crossing.level == CRITICAL and measure.kind in EMERGENCIES
            self._events.record(
                EventType.EMERGENCY_STOP if emergency else CROSSING_EVENTS.get(measure.kind, EventType.RISK_LEVEL),
                at,
                self._positions.snapshot(),
                venue=measure.venue,
                amount=crossing.value,
                status=LEVEL_NAMES[crossing.level],
                detail=crossing.name,
            )

    def unmended(self, left: Sequence[Unmended], at: int) -> None:
        """What a finished plan left outside its band, and why."""
        for each in left:
            measure = measure_of(each.name)
            self._events.record(
                EventType.HELD_BACK,
                at,
                self._positions.snapshot(),
                venue=measure.venue,
                amount=each.value,
                status="held back",
                detail=f"{measure.kind}: {each.held.why.value}",
            )

    def decision(self, plan: Plan, kind: str, row: Row) -> None:
        self._events.record(
            EventType.DECISION,
            row.timestamp,
            self._positions.snapshot(),
            status=plan.action.value,
            detail=f"{kind}: {plan.reason}",
        )

    def halt(self, reason: str, row: Row) -> None:
        self._events.record(
            EventType.HALTED,
            row.timestamp,
            self._positions.snapshot(),
            status="halted",
            detail=f"{reason}: nothing is entered again until it is resumed",
        )

    def close(self, awaited: Sequence[Awaited], row: Row) -> None:
        """What is still awaited on the way to flat, or that it is flat: told once until it changes."""
        left = tuple(f"{one.kind.value} {one.what}" for one in awaited)
        if left == self.closing:
            return
        self.closing = left
        self._events.record(
            EventType.CLOSING if left else EventType.FLAT,
            row.timestamp,
            self._positions.snapshot(),
            status="closing" if left else "flat",
            detail=f"awaits {', '.join(str(one) for one in awaited)}" if left else "nothing is awaited",
        )

    def payment_waits(self, owed: float, dear: Iterable[Worth], now: Situation) -> None:
        """What freeing the rest of a payment would cost now, which is more than its bound."""
        currency, usdt = now.mode.share_class, now.eth_usdt() if now.mode.share_class == "ETH" else 1.0
        worths = list(dear)
        cost, moved = sum(worth.cost_usdt for worth in worths), sum(worth.moved_usdt for worth in worths)
        told = f"freeing it would cost {cost / usdt:.6g} {currency} now, {cost / moved / BP:.0f} bp of what it moves"
        self._events.record(
            EventType.WITHDRAWAL_WAITS,
            now.row.timestamp,
            self._positions.snapshot(),
            venue=WALLET,
            token=currency,
            amount=owed,
            status="waits",
            detail=f"{told}, {now.mode.cost_bounds.withdrawal:g} are allowed; it is tried again each day",
        )

    def left_out(self, reasons: Sequence[str], row: Row) -> None:
        """Why legs were left out: told once until the reasons change."""
        for reason in (reasons := tuple(dict.fromkeys(reasons))):
            if reason not in self.skipped:
                self._events.record(
                    EventType.ENTRY_SKIPPED, row.timestamp, self._positions.snapshot(), status="skipped", detail=reason
                )
        self.skipped = reasons

    def _happening(self, happening: Happening, balances: Mapping[PositionKey, float]) -> None:
        self._events.record(
            happening.event_type,
            happening.at,
            balances,
            venue=happening.venue,
            token=happening.token,
            amount=happening.amount,
            status="settled",
            detail=happening.detail,
        )
