"""A fill worse than the cap of an order is not made, and the books of the run add up under every cut."""

from __future__ import annotations

import pytest

from components.model.orders import TradeStatus, Verb
from tests.scenarios import sketch
from tests.scenarios.play import Played, play

TRADED = (Verb.SPOT, Verb.PERP)


def within(played: Played) -> None:
    """No trade is worse than the limit of its order."""
    orders = {order.id: order for group in played.groups for order in group.orders}
    for trade in played.trades:
        limit = orders[trade.order_id].limit_price
        if trade.verb in TRADED and trade.quantity:
            assert limit is not None and trade.price is not None
            assert trade.price <= limit if trade.quantity > 0.0 else trade.price >= limit


def test_where_the_cap_does_not_bind_everything_is_as_without_it() -> None:
    wide, wider = (play("btc_basis", sketch.btc(24), f"price_caps.order={bp}") for bp in (500, 5_000))
    within(wide)
    assert [trade.changes for trade in wide.trades] == [trade.changes for trade in wider.trades]
    assert not any(trade.expired for trade in wide.trades)


def test_a_tight_cap_fills_orders_in_part_and_leaves_no_leg_naked() -> None:
    """Spot costs 1 bp and more by the size, perps half of that: 1.5 bp is the price of 40,000 USDT of spot."""
    played = play("btc_basis", sketch.btc(24), "price_caps.order=1.5")
    within(played)
    partial = [trade for trade in played.trades if trade.status is TradeStatus.PARTIAL]
    assert partial and all(trade.expired for trade in partial)
    assert played["net_delta"][1:].max() < 0.03 and played["net_delta"][1:].min() > -0.03


def test_a_cap_within_the_spread_means_no_entry_and_no_order_again_and_again() -> None:
    played = play("btc_basis", sketch.btc(24), "price_caps.order=0.2")
    assert played.trades and all(trade.expired and trade.changes == {} for trade in played.trades)
    assert played["equity"][-1] == pytest.approx(1_000_000.0)
    assert len(played.groups) <= 24


def test_an_atomic_exit_that_the_pool_pays_too_little_for_is_not_done() -> None:
    played = play("eth_leveraged", sketch.staked(24), "price_caps={order: 1, emergency: [1]}", close_at_end=True)
    last = played.trades[-len(played.groups[-1].orders) :]
    assert all(trade.status is TradeStatus.REJECTED and trade.expired for trade in last)
    assert all("less than" in trade.reason for trade in last)
