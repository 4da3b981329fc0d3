"""The Execution port, described once; each implementation plugs in a stage.

The stage has cash and a short on one exchange, and ETH in a wallet on a chain. What was done shows in the positions the
same implementation reports.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import pytest

from components.model.keys import PositionKey
from components.model.orders import CostKind, GroupKind, Order, Trade, TradeStatus, Verb
from components.ports import Execution
from tests.scenarios.sketch import at, staked
from tests.venues.sim.desk import Desk, group, order

CASH, COIN = "binance:BaseToken:USDT", "binance:BaseToken:ETH"
SHORT = "binance:Perp:ETHUSDT"
ETH, LST = "wallet:BaseToken:ETH", "wallet:BaseToken:wstETH"
BUY = order(Verb.SPOT, "binance", "ETH", 2.0)
SELL = order(Verb.PERP, "binance", "ETH", -2.0)
TOO_MUCH = order(Verb.SPOT, "binance", "ETH", -500.0)
STAKE = order(Verb.STAKE, "lido", "ETH", 4.0)
SUPPLY = order(Verb.SUPPLY, "aave_v3", "wstETH", 1.0, everything=True)
STAKE_TOO_MUCH = order(Verb.STAKE, "lido", "ETH", 400.0)
SEND = order(Verb.TRANSFER, "binance", "USDT", 900.0, source=CASH, target="okx:BaseToken:USDT")


class Stage(Protocol):
    """What the contract needs of an implementation."""

    execution: Execution
    now: int  # UTC ns: the stamp trades carry

    def positions(self) -> Mapping[PositionKey, float]:
        """Balances as the venues report them."""
        ...


class ExecutionContract:
    """Every implementation of `Execution` behaves like this."""

    @pytest.mark.parametrize(
        "orders", [(BUY,), (BUY, SELL), (SELL, TOO_MUCH, BUY), (STAKE,), (SEND,)], ids=lambda o: f"{len(o)} orders"
    )
    def test_one_trade_answers_each_order_in_the_order_of_the_list(
        self, stage: Stage, orders: tuple[Order, ...]
    ) -> None:
        approved = group(*orders, kind=GroupKind.TOGETHER if len(orders) > 1 else GroupKind.ONE)

        trades = stage.execution.execute(approved)

        assert [t.order_id for t in trades] == [o.id for o in approved.group.orders]
        assert [(t.verb, t.venue, t.token) for t in trades] == [(o.verb, o.venue, o.token) for o in orders]
        assert {trade.at for trade in trades} == {stage.now}

    @pytest.mark.parametrize("order", [BUY, SELL, STAKE, SEND], ids=lambda o: o.verb.value)
    def test_what_a_trade_says_it_changed_is_what_changed(self, stage: Stage, order: Order) -> None:
        before = dict(stage.positions())

        (trade,) = stage.execution.execute(group(order))

        assert trade.status is TradeStatus.FILLED
        assert differences(before, stage.positions()) == pytest.approx(dict(trade.changes), rel=1e-9, abs=1e-9)

    @pytest.mark.parametrize("order", [TOO_MUCH, STAKE_TOO_MUCH], ids=lambda o: o.verb.value)
    def test_a_rejection_did_nothing_cost_nothing_and_says_why(self, stage: Stage, order: Order) -> None:
        before = dict(stage.positions())

        (trade,) = stage.execution.execute(group(order))

        assert trade.status is TradeStatus.REJECTED
        assert (trade.quantity, dict(trade.changes), trade.costs, trade.in_flight) == (0.0, {}, (), None)
        assert trade.reason
        assert dict(stage.positions()) == before

    def test_a_buyer_pays_at_least_the_price_known_and_its_fee(self, stage: Stage) -> None:
        (bought,) = stage.execution.execute(group(BUY))
        (sold,) = stage.execution.execute(group(order(Verb.SPOT, "binance", "ETH", -1.0)))

        assert bought.changes[PositionKey(COIN)] == 2.0
        assert sold.changes[PositionKey(COIN)] == -1.0
        assert -bought.changes[PositionKey(CASH)] / 2.0 > sold.changes[PositionKey(CASH)]
        assert bought.price is not None
        assert -bought.changes[PositionKey(CASH)] == pytest.approx(2.0 * bought.price + fees(bought), rel=1e-12)

    def test_reduce_only_never_opens(self, stage: Stage) -> None:
        close = order(Verb.PERP, "binance", "ETH", 50.0, reduce_only=True)

        (closed,) = stage.execution.execute(group(close))
        (again,) = stage.execution.execute(group(close))

        assert closed.quantity == pytest.approx(3.0)
        assert again.status is TradeStatus.REJECTED
        assert stage.positions().get(PositionKey(SHORT), 0.0) == pytest.approx(0.0, abs=1e-12)

    def test_an_atomic_group_happens_as_a_whole(self, stage: Stage) -> None:
        before = dict(stage.positions())

        trades = stage.execution.execute(group(STAKE, SUPPLY, kind=GroupKind.ATOMIC))

        assert {trade.status for trade in trades} == {TradeStatus.FILLED}
        assert differences(before, stage.positions()) == pytest.approx(merged(trades), rel=1e-9, abs=1e-9)

    @pytest.mark.parametrize(
        "orders",
        [
            (STAKE, SUPPLY, STAKE_TOO_MUCH),
            (STAKE_TOO_MUCH, STAKE),
            (STAKE, order(Verb.FLASH_BORROW, "morpho", "WETH", 1.0)),
        ],
        ids=["the last step fails", "the first step fails", "the loan is never repaid"],
    )
    def test_an_atomic_group_that_fails_has_not_happened(self, stage: Stage, orders: tuple[Order, ...]) -> None:
        before = dict(stage.positions())

        trades = stage.execution.execute(group(*orders, kind=GroupKind.ATOMIC))

        assert len(trades) == len(orders)
        assert {trade.status for trade in trades} == {TradeStatus.REJECTED}
        assert dict(stage.positions()) == before

    def test_what_travels_is_told_with_its_way_and_its_time(self, stage: Stage) -> None:
        (trade,) = stage.execution.execute(group(SEND))

        flight = trade.in_flight
        assert flight is not None
        assert (flight.source, flight.target, flight.token) == (CASH, "okx:BaseToken:USDT", "USDT")
        assert flight.arrives_at > stage.now
        assert flight.amount == 900.0 - fees(trade)
        assert stage.positions()[PositionKey("transit:BaseToken:USDT")] == flight.amount

    def test_costs_are_never_gains(self, stage: Stage) -> None:
        for one in (BUY, SELL, STAKE, SEND):
            (trade,) = stage.execution.execute(group(one))
            assert trade.costs
            assert all(cost.amount >= 0.0 for cost in trade.costs if cost.kind is not CostKind.REVALUATION)


class SimulatedStage:
    """The world of a replay."""

    def __init__(self) -> None:
        balances = {CASH: 50_000.0, SHORT: -3.0, "binance:PerpQuote:ETHUSDT": 9_000.0, ETH: 10.0}
        desk = Desk("usdt_market_neutral", staked(4), balances)
        self.execution: Execution = desk.world
        self.now = at(0)
        self._desk = desk

    def positions(self) -> Mapping[PositionKey, float]:
        return dict(self._desk.world.balances)


class TestTheSimulatedWorld(ExecutionContract):
    @pytest.fixture
    def stage(self) -> Stage:
        return SimulatedStage()


def differences(before: Mapping[PositionKey, float], after: Mapping[PositionKey, float]) -> dict[PositionKey, float]:
    changed = {key: after.get(key, 0.0) - before.get(key, 0.0) for key in {*before, *after}}
    return {key: change for key, change in changed.items() if change}


def merged(trades: tuple[Trade, ...]) -> dict[PositionKey, float]:
    out: dict[PositionKey, float] = {}
    for trade in trades:
        for key, change in trade.changes.items():
            out[key] = out.get(key, 0.0) + change
    return {key: change for key, change in out.items() if abs(change) > 1e-12}


def fees(trade: Trade) -> float:
    return sum(cost.amount for cost in trade.costs if cost.kind in (CostKind.FEE, CostKind.TRANSFER_FEE))
