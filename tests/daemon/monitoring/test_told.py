"""Figures read off records: what a trade cost, and how much is unhedged."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.model.orders import Cost, CostKind, Trade, Verb
from daemon.journal.records import Outcome
from daemon.monitoring.told import count_costs, unhedged_usd
from daemon.process.daemon import Daemon
from tests.builders import order, trade
from tests.daemon.house import BTC, House, ticked
from tests.daemon.monitoring.test_metrics import scraped
from tests.daemon.one_cell import running

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


def test_a_reconciliation_is_a_comparison_and_not_a_picture(tmp_path: Path) -> None:
    """A venue that says nothing for ten rows has agreed to nothing; the time of the last agreement stands still."""
    house = House(tmp_path, BTC)

    def counted(daemon: Daemon, outcome: str, venue: str = "okx") -> float:
        return scraped(daemon.metrics)["basis_reconciliations_total", venue, outcome]

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 3)
        assert (counted(daemon, "agreed"), counted(daemon, "unanswered")) == (3.0, 0.0)
        daemon.supervisor.cells[BTC].desk.publish()
        assert counted(daemon, "agreed") == 3.0
        house.fault(BTC, "connect_refused", "okx", lasts_s=36_000.0)
        await ticked(daemon, BTC, 10)
        assert (counted(daemon, "agreed"), counted(daemon, "unanswered")) == (3.0, 10.0)
        assert counted(daemon, "agreed", "binance") == 13.0
        house.plans[BTC].heal()
        house.accounts[BTC].foreign_trade("x", "okx", Verb.PERP, "BTC", -0.01, daemon.clock.now())
        await ticked(daemon, BTC, 3)
        assert counted(daemon, "mismatch") >= 1.0

    house.live(play)
