"""The Sink port, described once; each implementation plugs in a stage that can read back what was made durable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pytest

from components.event_logger import EventLogger
from components.model.events import Event, EventType, PaymentBatch, canonical_bytes
from components.model.keys import PositionKey
from components.model.market import Column
from components.model.orders import Verb
from components.ports import CashFlows, RowBlock, Sink
from daemon.backtest.replay import MemorySink, Rows
from tests.scenarios.sketch import START, at
from tests.venues.sim.desk import group, order

CASH = PositionKey("binance:BaseToken:USDT")


class Stage(Protocol):
    """What the contract needs of an implementation."""

    sink: Sink

    def events(self) -> Sequence[Event]:
        """Everything recorded so far, batches spelt out."""
        ...

    def column(self, name: str) -> Column:
        """One column over all rows so far."""
        ...

    def intents(self) -> int:
        """How many orders were intended so far."""
        ...


class SinkContract:
    """Every implementation of `Sink` behaves like this."""

    def test_events_come_back_as_they_were_in_the_order_they_came(self, stage: Stage) -> None:
        sent = [event(i) for i in range(5)]
        stage.sink.record(sent[:1])
        stage.sink.record(())
        stage.sink.record(sent[1:])

        assert [canonical_bytes(e) for e in stage.events()] == [canonical_bytes(e) for e in sent]

    def test_a_batch_is_its_events(self, stage: Stage) -> None:
        stage.sink.record((batch(first=0, amounts=(1.0, 2.0, 4.0)),))
        stage.sink.record((event(3),))

        told = stage.events()

        assert [e.sequence for e in told] == [0, 1, 2, 3]
        assert [e.balances[CASH] for e in told] == [101.0, 103.0, 107.0, 100.0]
        assert [e.event_type for e in told[:3]] == [EventType.FUNDING] * 3

    def test_rows_are_put_one_after_the_other(self, stage: Stage) -> None:
        stage.sink.rows(block(0, {"equity": np.array([1.0, 2.0])}))
        stage.sink.rows(block(2, {"equity": 5.0}, rows=3))
        stage.sink.rows(block(5, {"equity": np.array([9.0])}))

        assert stage.column("equity").tolist() == [1.0, 2.0, 5.0, 5.0, 5.0, 9.0]

    def test_a_column_that_a_block_lacks_is_not_there_in_its_rows_but_a_balance_is_nothing(self, stage: Stage) -> None:
        stage.sink.rows(block(0, {"ltv": 0.5, "balance.a:BaseToken:X": 3.0}, rows=1))
        stage.sink.rows(block(1, {"equity": 1.0}, rows=2))

        assert stage.column("ltv")[0] == 0.5
        assert np.isnan(stage.column("ltv")[1:]).all()
        assert stage.column("balance.a:BaseToken:X").tolist() == [3.0, 0.0, 0.0]

    def test_an_intent_counts_each_order_of_its_group(self, stage: Stage) -> None:
        buy, sell = order(Verb.SPOT, "binance", "BTC", 1.0), order(Verb.PERP, "binance", "BTC", -1.0)
        stage.sink.intend(group(buy, sell).group, at(0))
        stage.sink.intend(group(buy).group, at(1))

        assert stage.intents() == 3

    def test_an_intent_is_no_event_and_no_row(self, stage: Stage) -> None:
        stage.sink.intend(group(order(Verb.SPOT, "binance", "BTC", 1.0)).group, at(0))

        assert list(stage.events()) == []


class MemoryStage:
    def __init__(self) -> None:
        self._memory = MemorySink()
        self.sink: Sink = self._memory

    def events(self) -> Sequence[Event]:
        out: list[Event] = []
        for item in self._memory.events:
            out.extend(item.events() if isinstance(item, PaymentBatch) else (item,))
        return out

    def column(self, name: str) -> Column:
        return Rows(self._memory.blocks, {})[name]

    def intents(self) -> int:
        return self._memory.intents


class TestTheMemorySink(SinkContract):
    @pytest.fixture
    def stage(self) -> Stage:
        return MemoryStage()


def event(number: int) -> Event:
    return Event(
        timestamp=at(number),
        sequence=number,
        event_type=EventType.TRADE,
        venue="binance",
        token="BTC",
        amount=0.1 * number,
        status="filled",
        strategy="s",
        correlation_id=f"r/{number}",
        detail='€ and "quotes"',
        balances={CASH: 100.0},
    )


def batch(first: int, amounts: tuple[float, ...]) -> PaymentBatch:
    flow = CashFlows(
        key=CASH,
        part="funding",
        event_type=EventType.FUNDING,
        token="USDT",
        row=np.arange(len(amounts)),
        at=START + np.arange(len(amounts), dtype=np.int64),
        amount=np.array(amounts),
        detail="",
    )
    memory = MemorySink()
    logger = EventLogger(memory, "s", "r")
    for _ in range(first):
        logger.record(EventType.TRADE, START, {})
    logger.payments((flow,), len(amounts), {CASH: 100.0})
    made = memory.events[-1]
    assert isinstance(made, PaymentBatch)
    return made


def block(start: int, columns: dict[str, Column | float], rows: int | None = None) -> RowBlock:
    count = rows if rows is not None else max(len(c) for c in columns.values() if isinstance(c, np.ndarray))
    stamps = np.array([at(start + i) for i in range(count)], dtype=np.int64)
    return RowBlock(timestamps=stamps, columns=columns)
