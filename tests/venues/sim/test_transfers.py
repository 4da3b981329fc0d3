"""Simulated transfers, in numbers worked out by hand: what leaves, what arrives, what it costs, and when."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.model.market import Row
from components.model.orders import CostKind, Trade, TradeStatus, Verb
from tests.scenarios.sketch import Sketch
from tests.venues.sim.desk import GAS, keyed, near, order, run_of
from venues.sim.costs import CostModel
from venues.sim.transfers import SimTransfers

WALLET, RESERVE = "wallet:BaseToken:USDT", "reserve:BaseToken:USDT"
OKX, BINANCE, COIN = "okx:BaseToken:USDT", "binance:BaseToken:USDT", "okx:BaseToken:ETH"
RUN = run_of("usdt_market_neutral")


def row(**lines: float) -> Row:
    sketch = Sketch(1).line("ethereum.gas_price.gwei", 20.0).line("binance.spot.ETH", 2_000.0)
    for name, value in lines.items():
        sketch = sketch.line(name.replace("__", "."), value)
    return Row(sketch.market(), 0)


def sent(
    amount: float, source: str, target: str, held: Mapping[str, float], token: str = "USDT", at: Row | None = None
) -> Trade:
    transfer = order(Verb.TRANSFER, source.split(":")[0], token, amount, source=source, target=target)
    return SimTransfers(CostModel(RUN), "USDT").execute(transfer, at or row(), keyed(held))


def test_between_our_own_pockets_it_is_free_and_at_once() -> None:
    trade = sent(100.0, WALLET, RESERVE, {WALLET: 150.0})
    assert dict(trade.changes) == keyed({WALLET: -100.0, RESERVE: 100.0})
    assert (trade.costs, trade.in_flight, trade.quantity) == ((), None, -100.0)


def test_from_an_exchange_its_fee_stays_behind_and_the_rest_travels() -> None:
    terms = RUN.exchanges["okx"].transfers["USDT"]
    trade = sent(1_000.0, OKX, WALLET, {OKX: 1_000.0})
    assert trade.changes[keyed({OKX: 0.0}).popitem()[0]] == -1_000.0
    assert trade.in_flight is not None
    assert trade.in_flight.amount == near(1_000.0 - terms.fee)
    assert trade.in_flight.arrives_at - trade.at == int(terms.delay_minutes * 60e9)
    assert sum(trade.changes.values()) == near(-terms.fee), "nothing else is lost"
    assert [(cost.kind, cost.amount) for cost in trade.costs] == [(CostKind.TRANSFER_FEE, terms.fee)]


def test_from_the_wallet_it_pays_gas_in_ether() -> None:
    trade = sent(1_000.0, WALLET, BINANCE, {WALLET: 5_000.0})
    (gas,) = (cost for cost in trade.costs if cost.kind is CostKind.GAS)
    assert gas.amount > 0.0
    assert trade.changes[keyed({GAS: 0.0}).popitem()[0]] == -gas.amount


@pytest.mark.parametrize(
    ("amount", "held", "why"),
    [(100.1, 100.0, "has 100.0"), (0.5, 100.0, "is all of"), (1.0, 0.0, "has 0.0"), (-50.0, 100.0, "sends -50.0")],
)
def test_what_cannot_be_sent_moves_nothing(amount: float, held: float, why: str) -> None:
    trade = sent(amount, OKX, WALLET, {OKX: held, WALLET: 0.0})
    assert trade.status is TradeStatus.REJECTED
    assert why in trade.reason
    assert not trade.changes and trade.in_flight is None


def test_a_transfer_without_an_end_is_refused() -> None:
    loose = order(Verb.TRANSFER, "okx", "USDT", 5.0, source=OKX)
    trade = SimTransfers(CostModel(RUN), "USDT").execute(loose, row(), keyed({OKX: 10.0}))
    assert trade.status is TradeStatus.REJECTED


def test_all_that_is_there_may_leave_whatever_rounding_says() -> None:
    trade = sent(1_000.0 * (1.0 + 5e-10), OKX, WALLET, {OKX: 1_000.0})
    assert trade.status is TradeStatus.FILLED
    assert trade.quantity == -1_000.0, "and not more than is there"


def test_a_coin_that_leaves_a_dearer_place_costs_the_difference() -> None:
    """20 ETH worth 2,010 at the exchange and 2,000 by the reference: 200 USDT."""
    trade = sent(20.0, COIN, "wallet:BaseToken:ETH", {COIN: 20.0}, "ETH", row(okx__spot__ETH=2_010.0))
    (changed,) = (cost for cost in trade.costs if cost.kind is CostKind.REVALUATION)
    assert (changed.token, changed.amount) == ("USDT", near(200.0))


@given(st.floats(min_value=1e-6, max_value=1e9), st.floats(min_value=0.0, max_value=1e9))
def test_nothing_is_made_and_no_more_than_the_fee_is_lost(amount: float, held: float) -> None:
    trade = sent(amount, OKX, WALLET, {OKX: held})
    fee = RUN.exchanges["okx"].transfers["USDT"].fee
    if trade.status is TradeStatus.REJECTED:
        assert not trade.changes
    else:
        assert sum(trade.changes.values()) == pytest.approx(-fee, rel=1e-9, abs=1e-6)
        assert -trade.quantity <= held * (1.0 + 1e-12)
