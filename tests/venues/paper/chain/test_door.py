"""What the chain's door owes whoever waits: an answer within its patience, however fast the market goes."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from components.model.keys import base_token
from components.model.orders import TradeStatus, Verb
from daemon.world.clocks import MarketClock
from tests.venues.paper.stage import account_of, group, order
from venues.paper.door.doors import door
from venues.paper.door.faults import FaultPlan

USDT = {"source": base_token("wallet", "USDT"), "target": base_token("binance", "USDT"), "token": "USDT"}


@pytest.mark.parametrize("speed", [1.0, 600.0, 1e9])
async def test_a_transaction_is_done_within_patience_at_any_speed(speed: float, autojump_clock: MockClock) -> None:
    account = account_of("btc_basis", 0)
    chain = door("chain", account, MarketClock(account.timestamp), FaultPlan(), seed=3, speed=speed)
    with trio.fail_after(max(chain.terms.answer_s, 2.0)):
        (trade,) = await chain.submit(group(order("t1", Verb.TRANSFER, 100.0, venue="wallet", **USDT)))
    assert trade.status is TradeStatus.FILLED
