"""What a send makes of every way a venue can answer, or not."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import trio
from trio.testing import MockClock

from components.model.errors import Stop
from components.model.keys import base_token
from components.model.orders import Action, GroupKind, Order, OrderGroup, Trade, TradeStatus, Verb
from daemon.journal.errors import EVT_POISONED
from daemon.journal.records import Outcome, Record
from daemon.orders.dispatch import Dispatch, Line, legs_of
from daemon.orders.gate import Gate, TradingHalted
from daemon.orders.patience import Patience
from venues.interfaces import (
    NO_WAIT,
    DoorTerms,
    NotSent,
    OrderReport,
    OutcomeUnknown,
    PositionsReport,
    ReportStatus,
    RestingOrder,
    SentOrder,
    SettledPage,
    Unavailable,
)

BUY = Order(id="buy", verb=Verb.SPOT, venue="binance", token="BTC", amount=1.0, leg="spot")
SHORT = Order(id="short", verb=Verb.PERP, venue="okx", token="BTC", amount=-1.0, leg="perp")


def filled(order: Order) -> Trade:
    return Trade(
        order_id=order.id,
        status=TradeStatus.FILLED,
        verb=order.verb,
        venue=order.venue,
        token=order.token,
        quantity=order.amount,
        changes={base_token(order.venue, order.token): order.amount},
        at=0,
        price=100.0,
    )


class Venue:
    """Plays a list of answers to `submit` and to `query`; keeps what it was sent."""

    def __init__(self, name: str, submits: list[object], queries: list[object] | None = None) -> None:
        self.name = name
        self.venues = frozenset({name})
        self.terms = NO_WAIT
        self.sent: list[str] = []
        self.asked: list[str] = []
        self.cancelled: list[str] = []
        self._submits = submits
        self._queries = queries or []

    async def submit(self, group: OrderGroup) -> tuple[Trade, ...]:
        self.sent += [order.id for order in group.orders]
        answer = self._submits.pop(0)
        if answer == "hangs":
            await trio.sleep_forever()
        if isinstance(answer, Exception):
            raise answer
        await trio.sleep(0.1)
        return tuple(filled(order) for order in group.orders)

    async def query(self, sent: SentOrder) -> OrderReport:
        self.asked.append(sent.order.id)
        answer = self._queries.pop(0) if len(self._queries) > 1 else self._queries[0]
        await trio.sleep(0.05)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, OrderReport)
        return answer

    async def cancel(self, sent: SentOrder) -> OrderReport:
        self.cancelled.append(sent.order.id)
        return OrderReport(order_id=sent.order.id, status=ReportStatus.DONE, trade=filled(BUY))

    async def cancel_resting(self, resting: RestingOrder) -> None:
        self.cancelled.append(resting.reference)

    async def open_orders(self) -> tuple[RestingOrder, ...]:
        return ()

    async def positions(self) -> PositionsReport:
        return PositionsReport(balances={}, asked_at=0, answered_at=0)

    async def marks(self) -> Mapping[str, float]:
        return {}

    async def settled(self, cursor: int) -> SettledPage:
        return SettledPage((), cursor)

    async def foreign(self, cursor: int) -> SettledPage:
        return SettledPage((), cursor)


class Log:
    def __init__(self) -> None:
        self.records: list[Record] = []
        self.durable = 0

    def append(self, record: Record) -> int:
        self.records.append(record)
        return len(self.records)

    async def commit(self) -> None:
        self.durable = len(self.records)

    def states(self) -> dict[str, str]:
        return {record.order_id: record.state for record in self.records if isinstance(record, Outcome)}


class Silent:
    def order(self, venue: str, strategy: str, side: str, outcome: str) -> None: ...

    def order_ack(self, venue: str, seconds: float) -> None: ...

    def order_retry(self, reason: str) -> None: ...


class Noon:
    def now(self) -> int:
        return 12

    async def sleep_until(self, at: int) -> None:
        await trio.lowlevel.checkpoint()


PATIENCE = Patience(order_grace_s=2.0, unknown_budget_s=4.0, legs_s=5.0, first_retry_s=0.5, absent_after_s=1.0)


def dispatch(log: Log, *venues: Venue, gate: Gate | None = None, read_only: bool = False) -> Dispatch:
    clients = {venue.name: venue for venue in venues}
    line = Line(strategy="s", clients=clients, clock=Noon(), patience=PATIENCE, telemetry=Silent(), read_only=read_only)
    return Dispatch(line, log, gate or Gate())


def group(*orders: Order, kind: GroupKind = GroupKind.TOGETHER) -> OrderGroup:
    return OrderGroup(id="g", kind=kind, action=Action.ENTRY_FULL, reason="test", orders=orders)


def report(order: Order, status: ReportStatus, trade: Trade | None = None) -> OrderReport:
    return OrderReport(order_id=order.id, status=status, trade=trade)


async def test_legs_leave_together_and_answers_come_back_in_order(autojump_clock: MockClock) -> None:
    log, binance, okx = Log(), Venue("binance", ["fills"]), Venue("okx", ["fills"])
    began = trio.current_time()
    trades = await dispatch(log, binance, okx).send(group(BUY, SHORT))
    assert trio.current_time() - began < 0.15, "at the same time, not one after the other"
    assert [trade.order_id for trade in trades] == ["buy", "short"]
    assert log.states() == {"buy": "filled", "short": "filled"}
    assert log.durable == len(log.records), "the core hears nothing that is not on disk"


async def test_what_was_not_sent_is_sent_again_under_the_same_id(autojump_clock: MockClock) -> None:
    log, binance = Log(), Venue("binance", [NotSent("refused"), NotSent("refused"), "fills"])
    (trade,) = await dispatch(log, binance).send(group(BUY))
    assert trade.status is TradeStatus.FILLED
    assert binance.sent == ["buy"] * 3


async def test_what_never_leaves_is_given_up_at_the_deadline(autojump_clock: MockClock) -> None:
    log, binance = Log(), Venue("binance", [NotSent("refused")] * 20)
    (trade,) = await dispatch(log, binance).send(group(BUY))
    assert trade.transient and trade.status is TradeStatus.REJECTED
    assert trio.current_time() <= PATIENCE.legs_s
    assert log.states() == {"buy": "not_sent"}


@pytest.mark.parametrize("lost", [OutcomeUnknown("reset"), "hangs"])
async def test_a_lost_answer_is_asked_for_and_never_sent_again(lost: object, autojump_clock: MockClock) -> None:
    done = report(BUY, ReportStatus.DONE, filled(BUY))
    log, binance = Log(), Venue("binance", [lost], [Unavailable("down"), done])
    (trade,) = await dispatch(log, binance).send(group(BUY))
    assert trade.status is TradeStatus.FILLED
    assert binance.sent == ["buy"]
    assert binance.asked == ["buy", "buy"]


async def test_an_error_is_never_not_found(autojump_clock: MockClock) -> None:
    log, binance = Log(), Venue("binance", [OutcomeUnknown("reset")], [Unavailable("down")])
    (trade,) = await dispatch(log, binance).send(group(BUY))
    assert trade.status is TradeStatus.UNKNOWN and not trade.transient
    assert log.states() == {"buy": "unknown"}


async def test_never_heard_of_it_counts_only_after_a_while(autojump_clock: MockClock) -> None:
    log, binance = Log(), Venue("binance", [OutcomeUnknown("reset")], [report(BUY, ReportStatus.ABSENT)])
    (trade,) = await dispatch(log, binance).send(group(BUY))
    assert trade.transient
    assert trio.current_time() >= PATIENCE.absent_after_s
    assert log.states() == {"buy": "not_sent"}
    assert len(binance.asked) > 1


async def test_what_is_still_open_is_taken_back_and_counted(autojump_clock: MockClock) -> None:
    log, binance = Log(), Venue("binance", [OutcomeUnknown("reset")], [report(BUY, ReportStatus.OPEN)])
    (trade,) = await dispatch(log, binance).send(group(BUY))
    assert trade.status is TradeStatus.FILLED
    assert binance.cancelled == ["buy"]


@pytest.mark.parametrize("origin", ["core", "emergency"])
async def test_read_only_holds_for_everybody_who_sends(origin: str, autojump_clock: MockClock) -> None:
    log, binance = Log(), Venue("binance", ["fills"])
    with pytest.raises(TradingHalted, match="READ_ONLY"):
        await dispatch(log, binance, read_only=True).send(group(BUY), origin=origin)
    assert set(log.states().values()) == {"not_sent"}


async def test_nothing_leaves_through_a_closed_gate(autojump_clock: MockClock) -> None:
    log, binance, gate = Log(), Venue("binance", ["fills"]), Gate()
    gate.close("emergency stop: test")
    with pytest.raises(TradingHalted, match="emergency stop"):
        await dispatch(log, binance, gate=gate).send(group(BUY))
    assert binance.sent == []
    (trade,) = await dispatch(log, binance, gate=gate).send(group(BUY), origin="emergency")
    assert trade.status is TradeStatus.FILLED


def test_an_atomic_group_is_one_leg() -> None:
    assert [len(leg.orders) for leg in legs_of(group(BUY, SHORT, kind=GroupKind.ATOMIC))] == [2]
    assert [leg.kind for leg in legs_of(group(BUY, SHORT))] == [GroupKind.ONE, GroupKind.ONE]


BLOCKS = DoorTerms(answer_s=60.0, look_s=3.0, cancel_costs=True)


async def test_a_door_of_blocks_is_given_its_time_and_left_at_a_stop(autojump_clock: MockClock) -> None:
    log, binance = Log(), Venue("binance", ["hangs"], [report(BUY, ReportStatus.OPEN)])
    binance.terms = BLOCKS
    sender = dispatch(log, binance)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender.send, group(BUY))
        await trio.sleep(30.0)
        assert list(sender.in_flight) == ["buy"], "a block takes longer than an answer"
        sender.leave()
    assert trio.current_time() == pytest.approx(30.0, abs=1.0)
    assert log.states() == {"buy": "unknown"} and binance.cancelled == [], "a cancel is paid for"


async def test_an_answer_of_an_exchange_is_seen_through_at_a_stop(autojump_clock: MockClock) -> None:
    log, binance = Log(), Venue("binance", ["hangs"], [report(BUY, ReportStatus.DONE, filled(BUY))])
    sender = dispatch(log, binance)
    sender.leave()
    (trade,) = await sender.send(group(BUY))
    assert trade.status is TradeStatus.FILLED


async def test_what_cannot_be_kept_is_not_sent(autojump_clock: MockClock) -> None:
    log, binance = Log(), Venue("binance", [Stop(EVT_POISONED, "no space left")])
    binance.terms = BLOCKS
    (trade,) = await dispatch(log, binance).send(group(BUY))
    assert trade.transient and log.states() == {"buy": "not_sent"}
