"""What adds risk is looked at once more right before it is sent; what reduces risk always leaves."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from components.model.orders import Action, GroupKind, Order, OrderGroup, Verb
from daemon.cells.desk import Desk
from daemon.config.settings import load_run
from daemon.journal.records import Outcome
from daemon.orders.terms import price_usdt, unfit
from daemon.process.daemon import Daemon
from daemon.world.rows import MarketRow
from tests.daemon.house import BTC, House, ask, cell_of, replica_of, ticked, until

SECOND = 1_000_000_000
RUN = load_run("btc_basis", environ={})
ROW = MarketRow(tick=1, timestamp=1000 * SECOND, values={"binance.spot.BTC": 50_000.0, "okx.perp.BTC": 51_000.0})
BUY = Order(id="b", verb=Verb.SPOT, venue="binance", token="BTC", amount=1.0, leg="spot")
SELL = Order(id="s", verb=Verb.PERP, venue="okx", token="BTC", amount=-1.0, leg="perp okx")


def group(*orders: Order) -> OrderGroup:
    return OrderGroup(id="g", kind=GroupKind.TOGETHER, action=Action.ENTRY_FULL, reason="enter", orders=orders)


def judged(*orders: Order, age_s: float = 0.0, row: MarketRow | None = ROW, most: float | None = None) -> str:
    now = ROW.timestamp + int(age_s * SECOND)
    return unfit(group(*orders), row, now, max_age_s=60.0, max_trade_usdt=most, exchanges=RUN.exchanges)


def test_a_row_that_has_grown_old_is_not_traded_on() -> None:
    assert judged(BUY, SELL, age_s=60.0) == ""
    assert judged(BUY, SELL, age_s=61.0) == "stale: the row it was decided on is 61 s old, limit 60 s"
    assert judged(BUY, row=None) == "no market row is known"


def test_no_order_of_it_is_above_the_guard_or_what_its_venue_takes() -> None:
    assert judged(BUY, SELL, most=51_000.0) == ""
    assert "notional 51000.00 USDT is above the guard's 50500.00" in judged(BUY, SELL, most=50_500.0)
    much = structs.replace(SELL, amount=-1e6)
    assert "above max_trade_usdt" in judged(much)
    assert judged(structs.replace(much, reduce_only=True)) == ""
    assert judged(structs.replace(BUY, venue="elsewhere", amount=1e9), most=1.0) == "", "the core alone has its price"
    assert price_usdt(BUY, ROW) == 50_000.0


@pytest.mark.parametrize("why", ["stale: the row it was decided on is 600 s old, limit 60 s"])
def test_nothing_that_adds_risk_leaves_and_what_reduces_it_does(
    why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path, BTC)
    old: list[bool] = [True]
    plain = Desk.unfit
    monkeypatch.setattr(Desk, "unfit", lambda self, group: why if old[0] else plain(self, group))

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 3)
        assert replica_of(daemon, BTC).trades == 0
        assert not house.accounts[BTC].registry.orders, "the venues have heard of nothing"
        old[0] = False
        await ticked(daemon, BTC, 4)
        assert any(":Perp:" in key for key in replica_of(daemon, BTC).positions)
        old[0] = True
        await ask(daemon, "stop", BTC, positions="close")
        await until(lambda: cell_of(daemon, BTC).core.manager.halted)
        await ticked(daemon, BTC, 3)
        assert not any(":Perp:" in key for key in replica_of(daemon, BTC).positions)

    house.live(play)
    refused = [each for each in house.records(BTC) if isinstance(each, Outcome) and each.state == "not_sent"]
    assert refused
    assert {each.reason for each in refused} == {why}
    assert house.crashes.seen == []
