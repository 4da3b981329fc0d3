"""Margin: one pool behind one hedge, shares that restore a ratio, and when a short is cut before what it hedges."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from components.margin import Pool, cut_pairs, margin_target, pool_of, urgent_cuts
from components.planner import Planner
from components.situation import Situation
from components.strategies.factory import make_strategy
from components.strategies.strategy import Target
from tests.builders import Line, key, market, run_with, situation

NEUTRAL = run_with("usdt_market_neutral", hedge_allocation={"binance": 0.5, "okx": 0.5})
BASIS = run_with("btc_basis", hedge_allocation={"okx": 1.0})
ETH: dict[str, Line] = {
    "binance.spot.ETH": 2_000.0, "binance.perp.ETH": 2_000.0, "okx.perp.ETH": 2_000.0, "lido.ratio.wstETH": 1.25,
    "aave_v3.supply_index.wstETH": 1.0, "aave_v3.borrow_index.WETH": 1.0,
}  # fmt: skip
BTC: dict[str, Line] = {"binance.spot.BTC": 60_000.0, "okx.spot.BTC": 60_000.0, "okx.perp.BTC": 60_000.0}
COLLATERAL, DEBT = "aave_v3:aToken:awstETH", "aave_v3:debtToken:variableDebtWETH"


def hedged(binance_usdt: float, okx_usdt: float, more: Mapping[str, float] = {}) -> Situation:
    """10 ETH net on chain (100 less 90), 5 short at each venue, each with so much equity."""
    held = {COLLATERAL: 80.0, DEBT: 90.0, **more}
    for venue, margin in {"binance": binance_usdt, "okx": okx_usdt}.items():
        held |= {f"{venue}:Perp:ETHUSDT": -5.0, f"{venue}:PerpQuote:ETHUSDT": 10_000.0}
        held[f"{venue}:BaseToken:USDT"] = margin
    return situation(NEUTRAL, market(ETH, rows=1), held)


def held_by(now: Situation) -> Target:
    return Planner(now.mode, make_strategy(now.mode))._held(now)


def test_the_pool_is_all_margin_and_what_may_join_it() -> None:
    pool = pool_of(hedged(6_000.0, 2_000.0), 500.0)
    assert pool == Pool(8_500.0, 20_000.0, pytest.approx(20_000.0))
    assert pool.ratio == pytest.approx(0.425)
    assert Pool(1.0, 0.0, 0.0).ratio is None


@pytest.mark.parametrize(("margin", "goal"), [(8_000.0, 0.625), (8_000.0, 1.0), (42_000.0, 1.75)])
def test_a_share_of_everything_gives_the_ratio(margin: float, goal: float) -> None:
    pool = Pool(margin, 20_000.0, 20_000.0)
    share = pool.share_for(goal)
    assert (margin + (1.0 - share) * 20_000.0) / (share * 20_000.0) == pytest.approx(goal)
    assert (share > 1.0) is (margin / 20_000.0 > goal)


@pytest.mark.parametrize(("free", "share", "kept"), [(1.0, 0.9, 1.0 - 0.01), (1.0, 0.95, 1.0), (5.0, 0.5, 0.75)])
def test_coins_that_are_free_are_sold_before_staked_ones(free: float, share: float, kept: float) -> None:
    """10 ETH net are staked: what an earlier plan freed, and is not sold yet, is not freed again."""
    now = hedged(6_000.0, 2_000.0, {"binance:BaseToken:ETH": free})
    target = margin_target(now, held_by(now), pool_of(now, 0.0), share)
    assert target.of(key(COLLATERAL)) == pytest.approx(80.0 * kept)
    assert target.of(key(DEBT)) == pytest.approx(90.0 * kept)
    assert target.of(key("okx:Perp:ETHUSDT")) == pytest.approx(-5.0 * share)


def test_legs_and_loan_shrink_by_one_share_and_the_margin_is_spread_by_notional() -> None:
    now = hedged(6_000.0, 2_000.0)
    target = margin_target(now, held_by(now), pool_of(now, 0.0), 0.8)
    assert target.of(key(COLLATERAL)) == pytest.approx(64.0)
    assert target.of(key(DEBT)) == pytest.approx(72.0)
    assert target.of(key("okx:Perp:ETHUSDT")) == pytest.approx(-4.0)
    for venue in ("binance", "okx"):
        assert target.of(key(f"{venue}:BaseToken:USDT")) == pytest.approx((8_000.0 + 4_000.0) / 2)


def test_a_short_is_cut_alone_only_where_its_liquidation_is_nearer_than_the_coin() -> None:
    assert urgent_cuts(hedged(6_000.0, 1_000.0), 0.345) == {}
    near = urgent_cuts(hedged(6_000.0, 400.0), 0.345)  # 4 % of 10,000, less than 5 % above maintenance
    assert near == {"okx": pytest.approx(400.0 / (0.345 * 2_000.0))}


def test_a_pair_that_is_cut_needs_no_other_cash() -> None:
    held = {"okx:BaseToken:BTC": 1.0, "okx:Perp:BTCUSDT": -1.0, "okx:PerpQuote:BTCUSDT": 60_000.0,
            "okx:BaseToken:USDT": 2_000.0}  # fmt: skip
    now = situation(BASIS, market(BTC, rows=1), held)
    target = cut_pairs(now, held_by(now), ["okx"], 0.345)
    left = -target.of(key("okx:Perp:BTCUSDT"))
    assert target.of(key("okx:BaseToken:BTC")) == pytest.approx(left)
    assert (2_000.0 + (1.0 - left) * 60_000.0) / (left * 60_000.0) == pytest.approx(0.345)
