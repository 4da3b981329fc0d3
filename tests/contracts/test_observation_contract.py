"""The Observation port, described once; each implementation plugs in a stage.

A stage holds a short perp with regular funding, a transfer on its way and a deposit to come; it tells no more.
To put another implementation under this contract, write a `Stage` for it and a class with a `stage` fixture.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import pytest

from components.model.keys import PositionKey
from components.model.market import Market
from components.model.orders import Verb
from components.model.positions import Book
from components.ports import Flow, Happening, Observation, Settlements
from tests.scenarios.sketch import at, btc
from tests.venues.sim.desk import Desk, order

ROWS = 40


class Stage(Protocol):
    """What the contract needs of an implementation."""

    observation: Observation
    market: Market

    def book(self) -> dict[PositionKey, float]:
        """What is held when row 0 begins."""
        ...


class ObservationContract:
    """Every implementation of `Observation` behaves like this."""

    def test_a_preview_is_pure(self, stage: Stage) -> None:
        book = Book(stage.book())
        once = described(stage.observation.settle(stage.market.window(0, ROWS), book))
        stage.observation.settle(stage.market.window(0, 3), book)

        assert described(stage.observation.settle(stage.market.window(0, ROWS), book)) == once
        assert dict(stage.observation.positions(venues_of(book))) == stage.book()

    def test_an_answer_covers_at_least_one_row_and_no_more_than_were_asked(self, stage: Stage) -> None:
        for settlements, asked in walk(stage, step=5):
            assert 1 <= settlements.rows <= asked

    def test_a_shorter_window_is_the_beginning_of_a_longer_one(self, stage: Stage) -> None:
        book = Book(stage.book())
        whole = stage.observation.settle(stage.market.window(0, ROWS), book)
        for rows in range(1, whole.rows + 1):
            short = stage.observation.settle(stage.market.window(0, rows), book)
            assert short.rows == rows
            assert cash_items(short, rows) == cash_items(whole, rows)
            assert [fact(h) for h in short.happenings] == [fact(h) for h in whole.happenings]

    def test_happenings_belong_to_the_first_row(self, stage: Stage) -> None:
        start, seen = 0, 0
        for settlements, _ in walk(stage, step=7):
            for happening in settlements.happenings:
                seen += 1
                assert happening.at <= stage.market.timestamps[start]
                assert start == 0 or happening.at > stage.market.timestamps[start - 1]
            start += settlements.rows
        assert seen >= 2

    def test_cash_belongs_to_the_first_row_at_or_after_its_stamp(self, stage: Stage) -> None:
        start, seen = 0, 0
        timestamps = stage.market.timestamps
        for settlements, _ in walk(stage, step=7):
            for flow in settlements.cash:
                seen += len(flow.row)
                assert len(flow.row) == len(flow.at) == len(flow.amount)
                assert (np.diff(flow.row) >= 0).all()
                rows = start + flow.row
                assert ((flow.row >= 0) & (flow.row < settlements.rows)).all()
                assert (flow.at <= timestamps[rows]).all()
                assert (flow.at > timestamps[np.maximum(rows - 1, 0)])[rows > 0].all()
            start += settlements.rows
        assert seen >= 3

    @pytest.mark.parametrize("step", [1, 3, ROWS])
    def test_everything_happens_once_however_the_rows_are_cut(self, stage: Stage, step: int) -> None:
        told = [fact(h) for settlements, _ in walk(stage, step=step) for h in settlements.happenings]

        assert sorted(told) == sorted(set(told))
        assert [kind for kind, *_ in told] == ["transfer_arrived", "deposit"]

    @pytest.mark.parametrize("step", [1, 3, ROWS])
    def test_what_was_accepted_is_what_is_held(self, stage: Stage, step: int) -> None:
        book = Book(stage.book())
        for settlements, _ in walk(stage, step=step, book=book):
            held = stage.observation.positions(venues_of(book))
            for key, balance in book.snapshot().items():
                assert held[key] == pytest.approx(balance, rel=1e-12)
            assert settlements.rows
        assert book.of(PositionKey("transit:BaseToken:USDT")) == 0.0

    def test_only_the_accepted_rows_of_a_preview_count(self, stage: Stage) -> None:
        book = Book(stage.book())
        window = stage.market.window(0, ROWS)
        preview = stage.observation.settle(window, book)
        assert preview.rows > 1

        stage.observation.accept(window, preview, 1)

        first = sum(amount for _, _, _, amount in cash_items(preview, 1))
        before, after = total_usdt(stage.book()), total_usdt(stage.observation.positions(venues_of(book)))
        assert after - before == pytest.approx(first, abs=1e-6)

    def test_positions_answer_for_the_venues_asked_and_no_other(self, stage: Stage) -> None:
        book = stage.book()
        for venue in {key.venue for key in book}:
            answer = stage.observation.positions(frozenset({venue}))
            assert {key.venue for key in answer} == {venue}
            assert {key: amount for key, amount in answer.items() if amount} == {
                key: amount for key, amount in book.items() if key.venue == venue and amount
            }
        assert not stage.observation.positions(frozenset())


class SimulatedStage:
    """The world of a replay."""

    def __init__(self) -> None:
        balances = {
            "binance:Perp:BTCUSDT": -2.0,
            "binance:PerpQuote:BTCUSDT": 120_000.0,
            "binance:BaseToken:USDT": 100_000.0,
            "bybit:BaseToken:USDT": 5_000.0,
        }
        flows = (Flow(at=at(11.25), amount=700.0, id="deposit"),)
        overrides = ("venues.bybit.transfers.USDT.delay_minutes=300",)
        desk = Desk("btc_basis", btc(ROWS), balances, *overrides, flows=flows)
        keys = {"source": "bybit:BaseToken:USDT", "target": "binance:BaseToken:USDT"}
        desk.one(order(Verb.TRANSFER, "bybit", "USDT", 1_000.0, **keys))
        self.observation: Observation = desk.world
        self.market = desk.market
        self._book = dict(desk.world.balances)

    def book(self) -> dict[PositionKey, float]:
        return dict(self._book)


class TestTheSimulatedWorld(ObservationContract):
    @pytest.fixture
    def stage(self) -> Stage:
        return SimulatedStage()


def walk(stage: Stage, *, step: int, book: Book | None = None) -> list[tuple[Settlements, int]]:
    """Settles and accepts all rows in windows of `step`, booking what was accepted as the core does."""
    book = Book(stage.book()) if book is None else book
    start, out = 0, []
    while start < ROWS:
        window = stage.market.window(start, start + step)
        settlements = stage.observation.settle(window, book)
        stage.observation.accept(window, settlements, settlements.rows)
        for happening in settlements.happenings:
            book.apply(happening.changes)
        for flow in settlements.cash:
            for amount in flow.amount.tolist():
                book.apply({flow.key: amount})
        out.append((settlements, len(window)))
        start += settlements.rows
    return out


def described(settlements: Settlements) -> object:
    return settlements.rows, cash_items(settlements, settlements.rows), [fact(h) for h in settlements.happenings]


def cash_items(settlements: Settlements, rows: int) -> list[tuple[str, int, int, float]]:
    items = []
    for flow in settlements.cash:
        for row, stamp, amount in zip(flow.row.tolist(), flow.at.tolist(), flow.amount.tolist(), strict=True):
            if row < rows:
                items.append((str(flow.key), row, stamp, amount))
    return sorted(items)


def fact(happening: Happening) -> tuple[str, int, str, float]:
    return happening.event_type.value, happening.at, happening.venue, happening.amount


def venues_of(book: Mapping[PositionKey, float]) -> frozenset[str]:
    return frozenset(key.venue for key in book)


def total_usdt(balances: Mapping[PositionKey, float]) -> float:
    return sum(amount for key, amount in balances.items() if key.symbol == "USDT")
