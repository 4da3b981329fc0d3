"""Position Update Handler: the only owner of the tight loop.

For each group: approve → make the intent durable → execute → expect → observe → reconcile, and only then the next. The
list stops at the first group that is withheld, not done, or does not reconcile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from components.event_logger import EventLogger
from components.model.errors import Retry
from components.model.events import EventType
from components.model.orders import GroupKind, Order, OrderGroup, Trade, TradeStatus, Verb
from components.ports import GRANTED, Approved, Observation, Standing, Withheld
from components.position_monitor import PositionMonitor
from components.reconciliation import Reconciliation
from components.venue_manager import CERTAIN, Uncertainty, VenueManager

Prices = Callable[[OrderGroup], Mapping[str, float]]


def _certain() -> Uncertainty:
    return CERTAIN


def _no_repair(group: OrderGroup, trades: tuple[Trade, ...]) -> OrderGroup | None:
    return None


class TightLoopResult(msgspec.Struct, frozen=True):
    """Everything that was executed, and why the list ended early if it did; `withheld` when it lacked authority.

    `orders` are those that `trades` answer, one each.
    """

    trades: tuple[Trade, ...]
    stopped: str | None
    withheld: bool = False
    unreconciled: bool = False
    orders: tuple[Order, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether a venue refused an order for what it asked: the same at once would be refused again."""
        return any(t.status is TradeStatus.REJECTED and not t.transient for t in self.trades)

    @property
    def disturbed(self) -> bool:
        """Whether something outside cut the list short, so that the same plan is worth another try."""
        return (
            self.withheld
            or self.unreconciled
            or any(t.status is TradeStatus.UNKNOWN or t.transient for t in self.trades)
        )


class PositionUpdateHandler:
    def __init__(
        self,
        venues: VenueManager,
        positions: PositionMonitor,
        observation: Observation,
        reconciliation: Reconciliation,
        events: EventLogger,
    ) -> None:
        self._venues = venues
        self._positions = positions
        self._observation = observation
        self._reconciliation = reconciliation
        self._events = events
        self.told: tuple[str, ...] = ()  # reasons last announced: repeated on every row, they are told once

    def run(
        self,
        groups: Iterable[OrderGroup],
        at: int,
        prices: Prices,
        standing: Standing = GRANTED,
        uncertainty: Callable[[], Uncertainty] = _certain,
        repair: Callable[[OrderGroup, tuple[Trade, ...]], OrderGroup | None] = _no_repair,
        leaving: Callable[[], None] | None = None,
    ) -> TightLoopResult:
        """Works through `groups`; a later group may be made from what the earlier ones did. `repair` says how to take
        back what filled when the legs of a group parted; that is done before the list stops. `leaving` is called once,
        before the first group that may leave does."""
        done: list[Trade] = []
        sent: list[Order] = []
        for group, known in self._pieces(groups, prices, standing):
            verdict = self._venues.approve(group, known, standing, uncertainty())
            if isinstance(verdict, Withheld):
                self._withheld(verdict, at)
                return TightLoopResult(tuple(done), "; ".join(verdict.reasons), withheld=True, orders=tuple(sent))
            self.told = ()
            if leaving is not None and not done:
                leaving()
            self._events.intend(group, at)
            trades = self._venues.execute(verdict)
            self._record(group, trades, at)
            done.extend(trades)
            sent.extend(group.orders)
            stopped = self._stop_reason(trades)
            if stopped:
                back = repair(group, trades)
                if back is not None and isinstance(
                    verdict := self._venues.approve(back, {}, standing, uncertainty()), Approved
                ):
                    self._events.intend(back, at)
                    trades = self._venues.execute(verdict)
                    self._record(back, trades, at)
                    done.extend(trades)
                    sent.extend(back.orders)
                return TightLoopResult(tuple(done), stopped, orders=tuple(sent))
            stopped = self._reconcile(trades, at)
            if stopped:
                return TightLoopResult(tuple(done), stopped, unreconciled=True, orders=tuple(sent))
        return TightLoopResult(tuple(done), None, orders=tuple(sent))

    def _pieces(
        self, groups: Iterable[OrderGroup], prices: Prices, standing: Standing
    ) -> Iterator[tuple[OrderGroup, Mapping[str, float]]]:
        """Groups that fit their venues, with the prices of their orders."""
        for group in groups:
            known = prices(group)
            for piece in self._venues.pieces(group, known, standing):
                yield piece, known if piece is group else prices(piece)

    def _reconcile(self, trades: tuple[Trade, ...], at: int) -> str | None:
        venues = frozenset([key.venue for trade in trades for key in trade.changes])
        for attempt in range(1, self._reconciliation.max_attempts + 1):
            last = attempt == self._reconciliation.max_attempts
            try:
                report = self._observation.positions(venues)
            except Retry as silent:
                if last:
                    return self._no_answer(silent, at)
                continue
            self._positions.observe(report)
            differences = self._reconciliation.compare(self._positions.expected, report, venues)
            if not differences:
                return None
            event = EventType.RECONCILIATION_FAILED if last else EventType.RECONCILIATION_MISMATCH
            for difference in differences:
                self._events.record(
                    event,
                    at,
                    self._positions.snapshot(),
                    venue=difference.key.venue,
                    token=difference.key.symbol,
                    amount=difference.observed - difference.expected,
                    status="stopped" if last else "retry",
                    detail=f"{difference.key} expected {difference.expected!r} observed {difference.observed!r}",
                )
        return "positions do not reconcile"

    def _no_answer(self, silent: Retry, at: int) -> str:
        self._events.record(
            EventType.RECONCILIATION_FAILED,
            at,
            self._positions.snapshot(),
            status="stopped",
            detail=f"venues do not say what we hold: {silent.message}",
        )
        return "venues do not say what we hold"

    @staticmethod
    def _stop_reason(trades: tuple[Trade, ...]) -> str | None:
        for trade in trades:
            if trade.status in (TradeStatus.REJECTED, TradeStatus.UNKNOWN):
                return f"{trade.verb.value} on {trade.venue} {trade.status.value}: {trade.reason}"
        return None

    def _record(self, group: OrderGroup, trades: tuple[Trade, ...], at: int) -> None:
        """Books the trades one by one; each event carries the balances after its own trade."""
        before = self._positions.snapshot() if group.kind is GroupKind.ATOMIC else {}
        snapshots = []
        for order, trade in zip(group.orders, trades, strict=True):
            self._positions.expect((trade,))
            if trade.status is TradeStatus.UNKNOWN:
                self._positions.keep_uncertain(order)
            elif not trade.final:
                self._positions.may_be_undone(order, trade)
            snapshots.append(self._positions.snapshot())
        if group.kind is GroupKind.ATOMIC:
            self._events.record(
                EventType.ATOMIC_GROUP,
                at,
                before,  # told first, it has changed nothing: its steps do
                venue=group.orders[0].venue,
                status=trades[0].status.value,
                detail=f"{group.action.value}: {group.reason}; {len(group.orders)} steps",
            )
        for order, trade, balances in zip(group.orders, trades, snapshots, strict=True):
            price = "" if trade.price is None else f" at {trade.price!r}"
            reason = f" ({trade.reason})" if trade.reason else ""
            self._events.record(
                _event_type(group, trade),
                at,
                balances,
                venue=trade.venue,
                token=trade.token,
                amount=trade.quantity,
                status=trade.status.value,
                detail=f"{order.verb} {order.leg}{price}{reason}",
            )

    def _withheld(self, verdict: Withheld, at: int) -> None:
        if verdict.reasons == self.told:
            return
        self.told = verdict.reasons
        for order in verdict.group.orders:
            self._events.record(
                EventType.ORDER_WITHHELD,
                at,
                self._positions.snapshot(),
                venue=order.venue,
                token=order.token,
                amount=order.amount,
                status="withheld",
                detail="; ".join(verdict.reasons),
            )


def _event_type(group: OrderGroup, trade: Trade) -> EventType:
    if trade.status is TradeStatus.REJECTED:
        return EventType.ORDER_REJECTED
    if trade.status is TradeStatus.UNKNOWN:
        return EventType.ORDER_UNKNOWN
    if group.kind is GroupKind.ATOMIC:
        return EventType.ATOMIC_STEP
    if trade.in_flight is not None:
        return EventType.TRANSFER_SENT
    return EventType.WITHDRAWAL_PAID if trade.verb is Verb.PAY_OUT else EventType.TRADE
