"""How much may be short at a venue."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.hedge_room import easy, held, least_ratio, unhedgeable, utmost
from components.model.orders import TradeStatus, Verb
from components.model.slices import RunSlice
from components.situation import Situation
from tests.builders import market, order, run_with, situation
from venues.sim.costs import CostModel
from venues.sim.exchange import SimExchange

NEUTRAL = run_with("usdt_market_neutral_no_leverage", hedge_allocation={"binance": 0.5, "okx": 0.5})
UNIFIED = run_with("eth_basis", hedge_allocation={"binance": 0.5, "okx": 0.5}, collateral="unified")
MARKET = market({
    "binance.spot.ETH": 2_000.0, "binance.perp.ETH": 2_000.0, "okx.spot.ETH": 2_000.0, "okx.perp.ETH": 2_000.0,
    "lido.ratio.wstETH": 1.25,
})  # fmt: skip


def now(run: RunSlice = NEUTRAL, **held: float) -> Situation:
    names = {"cash": "okx:BaseToken:USDT", "size": "okx:Perp:ETHUSDT", "quote": "okx:PerpQuote:ETHUSDT",
             "coins": "okx:BaseToken:ETH", "lst": "wallet:BaseToken:wstETH"}  # fmt: skip
    return situation(run, MARKET, {names[name]: amount for name, amount in held.items()})


def test_an_entry_leaves_half_of_the_ratio_aimed_at() -> None:
    assert easy(now(cash=10_000.0), "okx") == 10.0
    assert easy(now(cash=10_000.0), "okx", 4_000.0) == 6.0


def test_what_is_held_may_always_be_kept() -> None:
    lean = now(cash=10.0, size=-3.0, quote=6_000.0)
    assert held(lean, "okx") == easy(lean, "okx") == utmost(lean, "okx") == 3.0


def test_without_money_nothing_can_be_opened() -> None:
    assert utmost(now(), "okx") == easy(now(), "okx") == 0.0


@given(st.floats(50.0, 1e6), st.floats(0.0, 0.9))
def test_the_utmost_is_filled_and_leaves_the_margin_it_promises(cash: float, used: float) -> None:
    size = -used * utmost(now(cash=cash), "okx")
    here = now(cash=cash, size=size, quote=-size * 2_000.0)
    grown = utmost(here, "okx") + size
    exchange = SimExchange(NEUTRAL.exchanges["okx"], NEUTRAL.mode, CostModel(NEUTRAL))
    balances = dict(here.book)
    trade = exchange.execute(order(Verb.PERP, "okx", "ETH", -grown, everything=False), here.row, balances)
    if trade.status is TradeStatus.REJECTED:
        assert grown * 2_000.0 < 100.0, trade.reason  # too small for the venue
        return
    changed = {key: balances.get(key, 0.0) + change for key, change in trade.changes.items()}
    after = now(
        cash=changed["okx:BaseToken:USDT"], size=changed["okx:Perp:ETHUSDT"], quote=changed["okx:PerpQuote:ETHUSDT"]
    )  # type: ignore[index]
    ratio = after.account("okx") / (held(after, "okx") * 2_000.0)
    assert least_ratio(after, "okx") <= ratio * (1 + 1e-9)
    assert ratio < least_ratio(after, "okx") * 1.1


def test_coins_count_after_their_haircut_where_they_are_margin() -> None:
    room = utmost(now(UNIFIED, coins=1.0), "okx")
    haircut = UNIFIED.exchanges["okx"].haircuts["ETH"]
    assert room == pytest.approx(haircut / least_ratio(now(UNIFIED), "okx"), rel=0.02)


def test_what_no_venue_carries_with_ease_is_not_to_be_hedged() -> None:
    staked = now(lst=8.0, cash=1_000.0)
    assert unhedgeable(staked) == pytest.approx(10.0 - easy(staked, "okx"))
    assert unhedgeable(staked, refused={"okx"}) == 10.0
    assert unhedgeable(now(lst=8.0, cash=10_000.0)) == 0.0
