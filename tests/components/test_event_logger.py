"""Event Logger: one order over everything, settlements as batches, intents that are durable first."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from components.event_logger import EventLogger
from components.model.events import Event, EventType, PaymentBatch
from components.model.orders import OrderGroup, Verb
from components.ports import RowBlock
from tests.builders import START, cash, group, key, keyed, order

USDT, OKX = key("binance:BaseToken:USDT"), key("okx:BaseToken:USDT")


class Paper:
    """A sink that keeps what it is given, in order."""

    def __init__(self) -> None:
        self.lines: list[object] = []

    def intend(self, group: OrderGroup, at: int) -> None:
        self.lines.append((group.id, at))

    def record(self, events: Sequence[Event | PaymentBatch]) -> None:
        self.lines.extend(events)

    def rows(self, block: RowBlock) -> None:
        raise AssertionError("the event logger writes no rows")

    @property
    def batch(self) -> PaymentBatch:
        (batch,) = self.lines
        assert isinstance(batch, PaymentBatch)
        return batch


@pytest.fixture
def paper() -> Paper:
    return Paper()


@pytest.fixture
def logger(paper: Paper) -> EventLogger:
    return EventLogger(paper, "btc_basis", "run")


def test_events_are_numbered_without_a_gap(logger: EventLogger, paper: Paper) -> None:
    logger.record(EventType.DECISION, START, {})
    logger.payments((cash(USDT, [0, 1], [1.0, 2.0]),), 2, {})
    logger.record(EventType.TRADE, START, {})
    first, batch, last = paper.lines
    assert (first.sequence, batch.first_sequence, last.sequence) == (0, 1, 3)  # type: ignore[attr-defined]
    assert logger.statistics() == {"events": 4, "step": 0}


def test_what_one_decision_caused_shares_its_name(logger: EventLogger, paper: Paper) -> None:
    logger.step = 7
    logger.record(EventType.TRADE, START, keyed({USDT: 5.0}), venue="binance", token="BTC", amount=0.5, detail="x")
    (event,) = paper.lines
    assert event == Event(
        timestamp=START, sequence=0, event_type=EventType.TRADE, venue="binance", token="BTC", amount=0.5, status="ok",
        strategy="btc_basis", correlation_id="run/7", detail="x", balances={USDT: 5.0},
    )  # fmt: skip


def test_an_intent_goes_to_the_sink_and_takes_no_number(logger: EventLogger, paper: Paper) -> None:
    logger.intend(group(order(Verb.SPOT, "binance", "BTC", 1.0), id="g1"), START)
    assert paper.lines == [("g1", START)]
    assert logger.sequence == 0


def test_quiet_rows_are_told_only_as_far_as_they_have_happened(logger: EventLogger, paper: Paper) -> None:
    logger.payments((cash(USDT, [0, 2, 5], [1.0, 2.0, 3.0]),), 3, keyed({USDT: 10.0}))
    assert [event.amount for event in paper.batch.events()] == [1.0, 2.0]
    assert [event.balances[USDT] for event in paper.batch.events()] == [11.0, 13.0]


def test_sources_are_told_row_by_row_and_within_a_row_in_their_order(logger: EventLogger, paper: Paper) -> None:
    logger.payments((cash(USDT, [0, 2], [1.0, 2.0]), cash(OKX, [0, 1, 2], [10.0, 20.0, 30.0])), 3, {})
    assert [event.amount for event in paper.batch.events()] == [1.0, 10.0, 20.0, 2.0, 30.0]
    assert paper.batch.row.tolist() == [0, 0, 1, 2, 2]


def test_many_payments_keep_their_order(logger: EventLogger, paper: Paper) -> None:
    rows = [row // 3 for row in range(90)]
    logger.payments((cash(USDT, rows, [1.0] * 90), cash(OKX, rows, [2.0] * 90)), 30, {})
    assert paper.batch.which.tolist() == [0, 0, 0, 1, 1, 1] * 30
    assert paper.batch.row.tolist() == [row // 6 for row in range(180)]


def test_rows_without_payments_leave_no_trace(logger: EventLogger, paper: Paper) -> None:
    logger.payments((cash(USDT, [4], [1.0]),), 4, {})
    logger.payments((), 4, {})
    assert paper.lines == []
    assert logger.sequence == 0
