"""Figures read off records: what a trade cost, and how much is unhedged."""

from __future__ import annotations

import pytest

from components.model.orders import Cost, CostKind, Trade, Verb
from daemon.journal.records import Outcome
from daemon.readings import count_costs, unhedged_usd
from tests.builders import order, trade
from tests.daemon.cells import running

SELL = order(Verb.PERP, "okx", "BTC", -2.0)


class Counted:
    def __init__(self) -> None:
        self.found: list[tuple[str, str, float]] = []

    def fees(self, venue: str, kind: str, amount: float) -> None:
        self.found.append((venue, kind, amount))

    def slippage(self, venue: str, share: float) -> None:
        self.found.append((venue, "share", share))


def costs_of(made: Trade | None) -> list[tuple[str, str, float]]:
    counted = Counted()
    count_costs(counted, Outcome(at=1, order_id="x", state="filled", trade=made))  # type: ignore[arg-type]
    return counted.found


def test_fees_are_counted_by_kind_and_slippage_as_a_share_of_the_notional() -> None:
    costs = (
        Cost(CostKind.FEE, "USDT", 12.0),
        Cost(CostKind.SLIPPAGE, "USDT", 25.0),
        Cost(CostKind.GAS, "ETH", 0.01),
    )
    assert costs_of(trade(SELL, price=50_000.0, costs=costs)) == [
        ("okx", "fee", 12.0),
        ("okx", "share", pytest.approx(25.0 / 100_000.0)),
    ]


def test_an_order_without_a_trade_or_a_price_costs_nothing() -> None:
    assert costs_of(None) == []
    assert costs_of(trade(SELL, costs=(Cost(CostKind.SLIPPAGE, "USDT", 25.0),))) == []


def test_what_is_unhedged_is_the_share_of_what_is_short() -> None:
    replica = running(
        positions={"okx:Perp:BTCUSDT": -2.0, "binance:Perp:BTCUSDT": -1.0, "okx:BaseToken:BTC": 3.0},
        prices={"okx.perp.BTC": 50_000.0, "binance.perp.BTC": 50_200.0},
        columns={"net_delta": -0.02},
    )
    assert unhedged_usd(replica) == pytest.approx(0.02 * 150_200.0)
    assert unhedged_usd(running(positions={"aave_v3:aToken:aUSDT": 5.0}, columns={})) == 0.0
