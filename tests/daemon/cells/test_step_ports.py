"""The ports of a running core: everything that comes through them is kept in order, errors included."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from math import inf, nan
from typing import Any, TypeVar

import msgspec
import numpy as np
import pytest

from components.model.errors import BasisError, Refuse, Retry, Stop
from components.model.keys import PositionKey, VenueName
from components.model.orders import OrderGroup, Trade, Verb
from components.model.positions import Book
from components.ports import Approved, RowBlock, Settlements
from daemon.cells.step_ports import StepPorts
from daemon.errors import OPS_REFUSED
from daemon.journal.codec import decode
from daemon.journal.records import Answer, Events, Record
from daemon.orders.gate import EXE_HALTED, TradingHalted
from daemon.recorded.steps import NOTHING_SETTLED, Refusal, family_of
from tests.builders import group, order, trade
from tests.daemon.fakes import CASH
from tests.daemon.handmade import batch, event
from venues.interfaces import NotSent, OutcomeUnknown, Unavailable

T = TypeVar("T")
BUY = order(Verb.SPOT, "binance", "BTC", 1.0)
SELL = order(Verb.PERP, "binance", "BTC", -1.0)


class AtOnce:
    """Effects without a loop: a coroutine that never waits is run to its end. Keeps what was critical."""

    def __init__(self) -> None:
        self.critical: list[tuple[str, bool]] = []

    def call(self, effect: Callable[..., Awaitable[T]], *arguments: object, critical: bool = False) -> T:
        self.critical.append((effect.__name__, critical))
        coroutine: Any = effect(*arguments)
        try:
            coroutine.send(None)
        except StopIteration as stop:
            answer: T = stop.value
            return answer
        raise AssertionError("it waits")


class Outside:
    """The loop's side: it hears the records before each effect."""

    def __init__(self) -> None:
        self.script: list[object] = []
        self.error: BasisError | None = None

    async def intend(self, records: list[Record], group: OrderGroup, at: int) -> None:
        self.script += [*records, ("intend", group.id, at)]

    async def execute(self, records: list[Record], approved: Approved) -> tuple[Trade, ...]:
        group = approved.group
        self.script += [*records, ("execute", group.id)]
        if self.error is not None:
            raise self.error
        return tuple(trade(each, {CASH: -each.amount}) for each in group.orders)

    async def positions(self, records: list[Record], venues: frozenset[VenueName]) -> Mapping[PositionKey, float]:
        self.script += [*records, ("positions", sorted(venues))]
        if self.error is not None:
            raise self.error
        return {CASH: nan}


class Step:
    def __init__(self) -> None:
        self.effects, self.outside = AtOnce(), Outside()
        self.ports = StepPorts(self.effects, self.outside)
        self.ports.begin(7, NOTHING_SETTLED)


@pytest.fixture
def step() -> Step:
    return Step()


def test_what_was_settled_is_what_the_step_was_told(step: Step) -> None:
    told = Settlements(rows=1, cash=(), happenings=())
    step.ports.begin(8, told)
    window: Any = None
    assert step.ports.settle(window, Book()) is told
    step.ports.accept(window, told, 1)
    assert step.effects.critical == [], "it was fetched before the step; no effect asks for it"


def test_records_made_since_the_last_effect_go_with_the_next_one_and_come_first(step: Step) -> None:
    step.ports.record([event(0)])
    step.ports.intend(group(BUY), 60)
    step.ports.record([event(1)])
    step.ports.execute(Approved(group(BUY)))
    step.ports.record([event(2)])
    first, intended, second, executed = step.outside.script
    assert isinstance(first, Events) and first.events[0].sequence == 0
    assert intended == ("intend", "g", 60)
    assert isinstance(second, Events) and second.events[0].sequence == 1
    assert executed == ("execute", "g")
    answer, last = step.ports.drain()
    assert isinstance(answer, Answer) and isinstance(last, Events)
    assert step.ports.drain() == []


def test_orders_and_intents_are_critical_and_reads_are_not(step: Step) -> None:
    step.ports.intend(group(BUY), 60)
    step.ports.execute(Approved(group(BUY)))
    step.ports.positions(frozenset({"binance"}))
    assert step.effects.critical == [("intend", True), ("execute", True), ("positions", False)]


def test_answers_are_numbered_in_order_and_come_back_bit_for_bit(step: Step) -> None:
    trades = step.ports.execute(Approved(group(BUY, SELL)))
    step.ports.positions(frozenset({"binance", "okx"}))
    first, second = _answers(step)
    assert (first.tick, first.effect, first.port) == (7, 1, "execute")
    assert decode(first.value, tuple[Trade, ...]) == trades
    assert [each.order_id for each in trades] == [BUY.id, SELL.id]
    assert (second.effect, second.port) == (2, "positions")
    assert np.isnan(decode(second.value, dict[PositionKey, float])[CASH])


def _answers(step: Step) -> list[Answer]:
    """All answers of a step, those that went with a later effect as well."""
    return [each for each in (*step.outside.script, *step.ports.drain()) if isinstance(each, Answer)]


ERRORS = [
    (NotSent("refused"), "Retry", "EXE-001"),
    (OutcomeUnknown("reset"), "Retry", "EXE-004"),
    (Unavailable("down"), "Retry", "EXE-005"),
    (TradingHalted(EXE_HALTED, "closed"), "Stop", "EXE-006"),
    (Refuse(OPS_REFUSED, "no"), "Refuse", OPS_REFUSED),
]


@pytest.mark.parametrize(("error", "family", "code"), ERRORS, ids=[code for _, _, code in ERRORS])
def test_an_error_is_kept_by_family_and_code_and_goes_on_to_the_core(
    step: Step, error: BasisError, family: str, code: str
) -> None:
    step.outside.error = error
    with pytest.raises(type(error)):
        step.ports.execute(Approved(group(BUY)))
    (answer,) = _answers(step)
    assert answer.value == b""
    assert msgspec.json.decode(answer.error, type=Refusal) == Refusal(family, code, error.message)
    assert family_of(error) == family


def test_an_error_that_is_no_answer_of_a_port_is_not_kept_as_one(step: Step) -> None:
    async def broken(records: list[Record], venues: frozenset[VenueName]) -> Mapping[PositionKey, float]:
        raise ZeroDivisionError

    step.outside.positions = broken  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        step.ports.positions(frozenset({"binance"}))
    assert _answers(step) == []


def test_a_new_step_starts_with_nothing(step: Step) -> None:
    step.ports.execute(Approved(group(BUY)))
    step.ports.record([event(0)])
    step.ports.rows(RowBlock(timestamps=np.array([1]), columns={"equity": 5.0}))
    step.ports.begin(8, NOTHING_SETTLED)
    assert step.ports.drain() == [] and step.ports.row == {}
    step.ports.execute(Approved(group(BUY)))
    assert [(each.tick, each.effect) for each in _answers(step)] == [(8, 1)]


def test_a_batch_of_payments_becomes_its_events(step: Step) -> None:
    step.ports.record([batch(5), event(8)])
    first, second = (each.events for each in step.ports.drain() if isinstance(each, Events))
    assert [each.sequence for each in first] == [5, 6, 7] and [each.sequence for each in second] == [8]


def test_the_row_is_the_last_number_of_each_column(step: Step) -> None:
    columns = {"equity": np.array([1.0, 2.0]), "drawdown": 0.5, "margin": np.array([inf])}
    step.ports.rows(RowBlock(timestamps=np.array([1, 2]), columns=columns))
    step.ports.rows(RowBlock(timestamps=np.array([3]), columns={"equity": np.array([3.0])}))
    assert step.ports.row == {"equity": 3.0, "drawdown": 0.5, "margin": inf}


def test_an_error_without_a_family_says_so() -> None:
    for family in (Retry, Refuse, Stop):
        assert family_of(family(OPS_REFUSED)) == family.__name__
    assert family_of(BasisError(OPS_REFUSED)) == "BasisError"
