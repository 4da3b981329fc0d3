"""What a test of a simulated venue needs at hand: orders, groups, one-row markets, a world with balances in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from components.model.keys import PositionKey
from components.model.market import Row
from components.model.orders import Action, GroupKind, Order, OrderGroup, Trade, TradeStatus, Verb
from components.model.positions import Book
from components.model.slices import RunSlice
from components.ports import Approved, Flow, Settlements
from daemon.config.settings import load_run
from tests.scenarios.sketch import Sketch
from venues.sim.world import SimWorld

GAS = "gas:BaseToken:ETH"
ETH = "wallet:BaseToken:ETH"
USDT = "wallet:BaseToken:USDT"
WSTETH = "wallet:BaseToken:wstETH"
COLLATERAL = "aave_v3:aToken:awstETH"
DEBT = "aave_v3:debtToken:variableDebtWETH"


def near(value: float) -> Any:
    """Equal but for rounding."""
    return pytest.approx(value, rel=1e-12, abs=1e-12)


def run_of(mode: str, *overrides: str) -> RunSlice:
    return load_run(mode, overrides=list(overrides), environ={})


def order(
    verb: Verb, venue: str, token: str, amount: float, *, source: str = "", target: str = "", **more: Any
) -> Order:
    if source:
        more["source"] = PositionKey(source)
    if target:
        more["target"] = PositionKey(target)
    return Order(id=f"{verb.value}-{venue}", verb=verb, venue=venue, token=token, amount=amount, leg=verb.value, **more)


def group(*orders: Order, kind: GroupKind = GroupKind.ONE) -> Approved:
    numbered = tuple(
        Order(**{**{f: getattr(o, f) for f in o.__struct_fields__}, "id": f"o{i}"}) for i, o in enumerate(orders)
    )
    return Approved(OrderGroup(id="g", kind=kind, action=Action.ENTRY_FULL, reason="test", orders=numbered))


def atomic(*orders: Order) -> Approved:
    return group(*orders, kind=GroupKind.ATOMIC)


def held(**balances: float) -> dict[PositionKey, float]:
    return {PositionKey(key): amount for key, amount in balances.items()}


def keyed(balances: Mapping[str, float]) -> dict[PositionKey, float]:
    return {PositionKey(key): amount for key, amount in balances.items()}


class Desk:
    """A world over a drawn market, standing at a row, with balances in it."""

    def __init__(
        self,
        mode: str,
        sketch: Sketch,
        balances: Mapping[str, float] | None = None,
        *overrides: str,
        flows: tuple[Flow, ...] = (),
        row: int = 0,
    ) -> None:
        self.run = run_of(mode, *overrides)
        self.market = sketch.market()
        self.world = SimWorld(self.run, self.market, flows)
        self.world.stand_at(keyed(balances or {}), row)

    @property
    def row(self) -> Row:
        return Row(self.market, 0)

    def of(self, key: str) -> float:
        return self.world.balances.get(PositionKey(key), 0.0)

    def does(self, *orders: Order, kind: GroupKind = GroupKind.ONE) -> tuple[Trade, ...]:
        return self.world.execute(group(*orders, kind=kind))

    def one(self, one: Order) -> Trade:
        (trade,) = self.world.execute(group(one))
        return trade

    def refuses(self, *orders: Order, kind: GroupKind = GroupKind.ONE) -> str:
        """The reason; nothing may have changed."""
        before = dict(self.world.balances)
        trades = self.does(*orders, kind=kind)
        assert {trade.status for trade in trades} == {TradeStatus.REJECTED}
        assert all(trade.changes == {} and trade.costs == () and trade.quantity == 0.0 for trade in trades)
        assert self.world.balances == before
        return trades[-1].reason

    def settle(self, start: int, stop: int) -> Settlements:
        """A preview of rows [start, stop) for what the world holds."""
        return self.world.settle(self.market.window(start, stop), Book(self.world.balances))

    def accept(self, start: int, stop: int, settlements: Settlements | None = None) -> Settlements:
        """The rows [start, stop) happen, as far as the preview goes."""
        settlements = settlements or self.settle(start, stop)
        window = self.market.window(start, start + settlements.rows)
        self.world.accept(window, settlements, settlements.rows)
        return settlements
