"""Exchange stages: pairs that stay pairs, shorts that equal what is long, purchases against margin that is there."""

from __future__ import annotations

from typing import Any

import pytest

from components.model.orders import Action, GroupKind, Order, Verb
from components.model.slices import RunSlice
from components.refusals import Refusals
from components.routing.exchanges import ExchangeStage
from components.routing.plan import HEDGE, REDUCE
from tests.builders import Line, market, order, plan, rejected, run_with, situation

BTC: dict[str, Line] = {
    "binance.spot.BTC": 50_000.0, "binance.perp.BTC": 50_000.0, "okx.spot.BTC": 50_000.0, "okx.perp.BTC": 50_000.0,
}  # fmt: skip
ETH: dict[str, Line] = {
    "binance.spot.ETH": 2_000.0, "binance.perp.ETH": 2_000.0, "okx.perp.ETH": 2_000.0, "okx.spot.ETH": 2_000.0,
    "bybit.perp.ETH": 2_000.0, "lido.ratio.wstETH": 1.25, "dex.ratio.wstETH": 1.25,
}  # fmt: skip
TWO = {"binance": 0.5, "okx": 0.5}
BASIS = run_with("btc_basis", hedge_allocation=TWO)
ONE_VENUE = run_with("btc_basis", hedge_allocation={"okx": 1.0})
NEUTRAL = run_with("usdt_market_neutral_no_leverage", hedge_allocation=TWO)
DEX = run_with("usdt_market_neutral_no_leverage", hedge_allocation=TWO, spot_venue="uniswap")
PAIR = {"okx:BaseToken:BTC": 1.0, "okx:Perp:BTCUSDT": -1.0, "okx:PerpQuote:BTCUSDT": 50_000.0,
        "okx:BaseToken:USDT": 50_000.0}  # fmt: skip


def pair_target(btc: float, venue: str = "okx") -> dict[str, float]:
    return {f"{venue}:BaseToken:BTC": btc, f"{venue}:Perp:BTCUSDT": -btc, f"{venue}:BaseToken:USDT": 50_000.0 * btc}


def traded(
    run: RunSlice, held: dict[str, float], target: dict[str, float], *, stale: str = "", **more: Any
) -> list[Order]:
    """Orders of the one group of the stage, or none; looks at the book as it is."""
    lines = BTC if run.mode.asset == "BTC" else ETH
    made = market(lines, rows=1, stale={stale: [0]} if stale else None)
    groups = list(stage(run, made, held, target, **more)._trade())
    assert len(groups) <= 1
    for group in groups:
        assert group.kind is (GroupKind.TOGETHER if len(group.orders) > 1 else GroupKind.ONE)
    return [order for group in groups for order in group.orders]


def stage(run: RunSlice, made: Any, held: dict[str, float], target: dict[str, float], **more: Any) -> ExchangeStage:
    return ExchangeStage(plan(target, **more), situation(run, made, held), "run", 0.0)


def amounts(orders: list[Order]) -> dict[str, Any]:
    return {order.leg: pytest.approx(order.amount) for order in orders}


# Pairs


def test_both_legs_of_a_pair_are_entered_together() -> None:
    orders = traded(ONE_VENUE, {"okx:BaseToken:USDT": 100_000.0}, pair_target(1.0))
    assert amounts(orders) == {"okx_spot": 1.0, "okx_perp": -1.0}
    assert not any(order.reduce_only or order.everything for order in orders)


def test_the_perp_is_rounded_and_spot_follows_it() -> None:
    orders = traded(ONE_VENUE, {"okx:BaseToken:USDT": 100_000.0}, pair_target(0.99999))
    assert [order.amount for order in orders] == [0.9999, -0.9999]


def test_no_more_is_bought_than_the_account_carries() -> None:
    orders = traded(ONE_VENUE, {"okx:BaseToken:USDT": 40_000.0}, pair_target(1.0))
    assert amounts(orders) == {"okx_spot": 0.4, "okx_perp": -0.4}


def test_a_unified_account_buys_with_all_of_its_cash() -> None:
    unified = run_with("btc_basis", hedge_allocation={"okx": 1.0}, collateral="unified")
    orders = traded(unified, {"okx:BaseToken:USDT": 40_000.0}, pair_target(1.0))
    assert amounts(orders) == {"okx_spot": 0.8, "okx_perp": -0.8}


def test_a_smaller_target_sells_and_buys_back() -> None:
    orders = traded(ONE_VENUE, PAIR, pair_target(0.6))
    assert amounts(orders) == {"okx_spot": -0.4, "okx_perp": 0.4}
    assert [order.reduce_only for order in orders] == [False, True]


def test_nothing_wanted_is_everything_sold_whatever_it_rounds_to() -> None:
    odd = {**PAIR, "okx:BaseToken:BTC": 0.000012, "okx:Perp:BTCUSDT": -0.00005}
    orders = traded(ONE_VENUE, odd, {})
    assert amounts(orders) == {"okx_spot": -0.000012, "okx_perp": 0.00005}
    assert all(order.everything for order in orders)


def test_a_small_correction_is_left_alone_by_a_careful_plan_only() -> None:
    assert traded(ONE_VENUE, PAIR, pair_target(0.9991)) == []  # 45 USDT
    assert len(traded(ONE_VENUE, PAIR, pair_target(0.9991), careful=False)) == 2


def test_a_leg_that_is_missing_is_brought_to_the_other() -> None:
    parted = {"okx:BaseToken:BTC": 1.0, "okx:BaseToken:USDT": 50_000.0}
    assert amounts(traded(ONE_VENUE, parted, pair_target(1.0))) == {"okx_perp": -1.0}
    unbought = {**PAIR, "okx:BaseToken:BTC": 0.4, "okx:BaseToken:USDT": 80_000.0}
    assert amounts(traded(ONE_VENUE, unbought, pair_target(1.0))) == {"okx_spot": 0.6}


def test_a_reduction_never_grows_a_pair() -> None:
    assert traded(ONE_VENUE, {**PAIR, "okx:BaseToken:USDT": 500_000.0}, pair_target(2.0), scope=REDUCE) == []


def test_a_hedge_moves_perps_only() -> None:
    parted = {**PAIR, "okx:Perp:BTCUSDT": -0.7}
    assert amounts(traded(ONE_VENUE, parted, pair_target(0.5), scope=HEDGE)) == {"okx_perp": -0.3}


def test_only_the_venues_of_the_plan_are_touched() -> None:
    held = {**PAIR, **{key.replace("okx", "binance"): amount for key, amount in PAIR.items()}}
    target = {**pair_target(0.5), **pair_target(0.5, "binance")}
    orders = traded(BASIS, held, target, venues=("okx",), scope=REDUCE, action=Action.EXIT_PARTIAL)
    assert {order.venue for order in orders} == {"okx"}
    assert len(traded(BASIS, held, target)) == 4


@pytest.mark.parametrize("stale", ["okx.spot.BTC", "okx.perp.BTC"])
def test_a_pair_with_a_stale_leg_waits(stale: str) -> None:
    made = market(BTC, rows=1, stale={stale: [0]})
    here = stage(ONE_VENUE, made, {"okx:BaseToken:USDT": 100_000.0}, pair_target(1.0))
    assert list(here._trade()) == []
    assert here.blocked
    assert here.skipped == [f"okx: stale {stale}"]


def test_a_stale_price_of_one_venue_does_not_stop_the_other() -> None:
    cash = {"okx:BaseToken:USDT": 100_000.0, "binance:BaseToken:USDT": 100_000.0}
    orders = traded(BASIS, cash, {**pair_target(1.0), **pair_target(1.0, "binance")}, stale="okx.perp.BTC")
    assert {order.venue for order in orders} == {"binance"}


def test_an_unhedged_mode_trades_nothing() -> None:
    here = stage(run_with("pure_lending"), market({"binance.spot.ETH": 1.0}), {}, {})
    assert list(here._trade()) == []


# Coins on chain against shorts


def hedge_target(eth: float) -> dict[str, float]:
    return {
        "wallet:BaseToken:wstETH": eth / 1.25, "binance:Perp:ETHUSDT": -eth / 2, "okx:Perp:ETHUSDT": -eth / 2,
        "binance:BaseToken:USDT": 1_000.0 * eth, "okx:BaseToken:USDT": 1_000.0 * eth,
    }  # fmt: skip


CASH = {"binance:BaseToken:USDT": 30_000.0, "okx:BaseToken:USDT": 10_000.0}
STAKED = {"wallet:BaseToken:wstETH": 8.0, "binance:Perp:ETHUSDT": -5.0, "okx:Perp:ETHUSDT": -5.0,
          "binance:PerpQuote:ETHUSDT": 10_000.0, "okx:PerpQuote:ETHUSDT": 10_000.0,
          "binance:BaseToken:USDT": 10_000.0, "okx:BaseToken:USDT": 10_000.0}  # fmt: skip


def test_coins_are_bought_together_with_the_shorts_that_hedge_them() -> None:
    orders = traded(NEUTRAL, {**CASH, "binance:BaseToken:USDT": 31_000.0}, hedge_target(10.0))
    assert amounts(orders) == {"binance_spot": 10.0, "binance_perp": -5.0, "okx_perp": -5.0}


@pytest.mark.parametrize("run", [NEUTRAL, DEX])
def test_a_purchase_leaves_room_for_its_fee_and_impact(run: RunSlice) -> None:
    """20,000 USDT for coins and 20,000 of margin: a purchase of 10 whole coins would cost more than there is."""
    place = "wallet" if run is DEX else "binance"
    held = {"binance:BaseToken:USDT": 10_000.0, "okx:BaseToken:USDT": 10_000.0}
    held[f"{place}:BaseToken:USDT"] = held.get(f"{place}:BaseToken:USDT", 0.0) + 20_000.0
    orders = amounts(traded(run, held, hedge_target(10.0)))
    assert 0 > orders["binance_perp"].expected > -5.0
    if run is DEX:
        assert orders["uniswap_spot"].expected == pytest.approx(20_000.0)
    else:
        cost = orders["binance_spot"].expected * 2_000.0 * (1 + 0.0001 + 0.00025 * 0.02**0.5) * 1.001
        assert 19_990.0 < cost <= 20_000.0 * (1 + 1e-9)


def test_no_more_coins_are_bought_than_venues_with_margin_can_hedge() -> None:
    orders = traded(NEUTRAL, {"binance:BaseToken:USDT": 30_000.0}, hedge_target(10.0))
    assert amounts(orders) == {"binance_spot": 5.0, "binance_perp": -5.0}


def test_the_margin_of_the_spot_venue_is_not_spent_on_coins() -> None:
    orders = traded(NEUTRAL, {"binance:BaseToken:USDT": 16_000.0, "okx:BaseToken:USDT": 10_000.0}, hedge_target(10.0))
    assert amounts(orders) == {"binance_spot": pytest.approx(3.0, rel=2e-3), "binance_perp": -1.498, "okx_perp": -1.498}


def test_shorts_follow_what_is_long_although_nothing_is_bought() -> None:
    drifted = {**STAKED, "okx:Perp:ETHUSDT": -4.0}
    assert amounts(traded(NEUTRAL, drifted, hedge_target(10.0))) == {"okx_perp": -1.0}
    assert amounts(traded(NEUTRAL, drifted, hedge_target(10.0), scope=HEDGE)) == {"okx_perp": -1.0}


def test_coins_at_the_spot_venue_are_sold_with_the_shorts_that_hedge_them() -> None:
    held = {**STAKED, "wallet:BaseToken:wstETH": 4.8, "binance:BaseToken:ETH": 4.0}
    orders = traded(NEUTRAL, held, hedge_target(6.0), scope=REDUCE, action=Action.EXIT_PARTIAL)
    assert amounts(orders) == {"binance_spot": -4.0, "binance_perp": 2.0, "okx_perp": 2.0}


def test_no_more_coins_are_sold_than_are_there() -> None:
    held = {**STAKED, "wallet:BaseToken:wstETH": 7.2, "binance:BaseToken:ETH": 1.0}
    orders = traded(NEUTRAL, held, hedge_target(6.0), scope=REDUCE, action=Action.EXIT_PARTIAL)
    assert amounts(orders) == {"binance_spot": -1.0, "binance_perp": 0.5, "okx_perp": 0.5}


def test_a_reduction_adds_no_short_while_what_is_left_is_hedged() -> None:
    assert traded(NEUTRAL, {**STAKED, "okx:Perp:ETHUSDT": -4.9}, hedge_target(10.0), scope=REDUCE) == []
    moved = {**STAKED, "okx:Perp:ETHUSDT": -2.0, "binance:Perp:ETHUSDT": -8.0}
    assert traded(NEUTRAL, moved, hedge_target(10.0), scope=REDUCE) == []


def test_on_the_way_out_shorts_leave_in_their_own_proportions() -> None:
    """Closing by the weights of the mode would close eight tenths at one venue and open nothing at the other."""
    held = {**STAKED, "okx:Perp:ETHUSDT": -1.0, "binance:Perp:ETHUSDT": -9.0, "wallet:BaseToken:wstETH": 4.0,
            "binance:BaseToken:ETH": 5.0}  # fmt: skip
    orders = traded(NEUTRAL, held, {}, scope=REDUCE, action=Action.EXIT_FULL, careful=False)
    left = 10.0 - sum(order.amount for order in orders if order.verb is Verb.PERP)
    assert amounts(orders)["binance_spot"].expected == -5.0
    assert left == pytest.approx(5.0, abs=0.002)


def test_a_short_that_is_to_be_cut_shrinks_though_what_it_hedges_is_still_there() -> None:
    cut = {"scope": REDUCE, "action": Action.EXIT_PARTIAL, "cuts": {"okx": 3.0}, "careful": False}
    assert amounts(traded(NEUTRAL, STAKED, hedge_target(10.0), **cut)) == {"okx_perp": 2.0}


def test_a_short_that_was_lost_on_the_way_out_is_replaced_where_that_is_easy() -> None:
    lost = {"wallet:BaseToken:ETH": 10.0, "binance:BaseToken:USDT": 40_000.0}
    orders = traded(NEUTRAL, lost, {}, scope=REDUCE, action=Action.EXIT_FULL, careful=False)
    assert amounts(orders) == {"binance_perp": -10.0}


def test_a_short_that_cannot_be_had_is_not_ordered_and_coins_are_sold_all_the_same() -> None:
    lost = {"wallet:BaseToken:ETH": 5.0, "binance:BaseToken:ETH": 5.0, "binance:BaseToken:USDT": 1.0}
    orders = traded(NEUTRAL, lost, {}, scope=REDUCE, action=Action.EXIT_FULL, careful=False)
    assert amounts(orders) == {"binance_spot": -5.0}


def test_at_the_end_the_last_shorts_are_closed_whole() -> None:
    held = {**STAKED, "wallet:BaseToken:wstETH": 0.0, "binance:BaseToken:ETH": 10.0003}
    orders = traded(NEUTRAL, held, {}, scope=REDUCE, action=Action.EXIT_FULL, careful=False)
    assert amounts(orders) == {"binance_spot": -10.0003, "binance_perp": 5.0, "okx_perp": 5.0}
    assert all(order.everything for order in orders)


def test_while_coins_are_still_staked_their_shorts_stay() -> None:
    held = {**STAKED, "binance:BaseToken:ETH": 0.0}
    assert traded(NEUTRAL, held, {}, scope=REDUCE, action=Action.EXIT_FULL, careful=False) == []


def test_a_stale_price_stops_the_whole_group() -> None:
    assert traded(NEUTRAL, CASH, hedge_target(10.0), stale="okx.perp.ETH") == []
    assert traded(NEUTRAL, CASH, hedge_target(10.0), stale="binance.spot.ETH") == []
    assert traded(NEUTRAL, {**STAKED, "okx:Perp:ETHUSDT": -4.0}, hedge_target(10.0), stale="binance.spot.ETH") != []


def test_nothing_to_do_is_no_group() -> None:
    assert traded(NEUTRAL, STAKED, hedge_target(10.0)) == []


def test_a_dex_buys_with_cash_and_sells_coins() -> None:
    margins = {"binance:BaseToken:USDT": 10_000.0, "okx:BaseToken:USDT": 10_000.0, "wallet:BaseToken:USDT": 12_000.0}
    bought = traded(DEX, margins, hedge_target(10.0))
    assert amounts(bought) == {"uniswap_spot": 12_000.0, "binance_perp": -2.997, "okx_perp": -2.997}
    assert (bought[0].token, bought[0].into_token) == ("USDT", "ETH")
    sold = traded(
        DEX, {**STAKED, "wallet:BaseToken:wstETH": 4.8, "wallet:BaseToken:ETH": 4.0}, hedge_target(6.0), scope=REDUCE
    )
    assert amounts(sold) == {"uniswap_spot": 4.0, "binance_perp": 2.0, "okx_perp": 2.0}
    assert (sold[0].token, sold[0].into_token) == ("ETH", "USDT")


def test_without_margin_anywhere_no_short_is_ordered_and_it_is_said() -> None:
    made = market(ETH, rows=1)
    here = stage(NEUTRAL, made, {"wallet:BaseToken:wstETH": 8.0}, hedge_target(10.0))
    assert list(here._trade()) == []
    assert here.skipped == ["no venue has margin for the hedge of 100.0% of what is long"]


def test_a_small_short_is_no_licence_for_a_large_one_before_its_margin_has_arrived() -> None:
    """okx carries a short of 0.1 with 250 USDT; its new margin is on the way, that of binance is there."""
    held = {"okx:Perp:ETHUSDT": -0.1, "okx:PerpQuote:ETHUSDT": 200.0, "okx:BaseToken:USDT": 250.0,
            "binance:BaseToken:USDT": 40_000.0, "wallet:BaseToken:wstETH": 0.08}  # fmt: skip
    bought = amounts(traded(NEUTRAL, held, hedge_target(10.0)))
    assert set(bought) == {"binance_spot", "binance_perp", "okx_perp"}
    long = 0.1 + bought["binance_spot"].expected
    shorts = {leg: -amount.expected for leg, amount in bought.items() if leg.endswith("_perp")}
    assert shorts["okx_perp"] + 0.1 == pytest.approx(250.0 / (0.5 * 2_000.0), abs=0.001)  # half the target ratio of 1
    assert shorts["binance_perp"] + shorts["okx_perp"] + 0.1 == pytest.approx(long, abs=0.002)


def test_what_one_venue_does_not_carry_another_does() -> None:
    held = {"wallet:BaseToken:wstETH": 8.0, "okx:BaseToken:USDT": 1_000.0, "binance:BaseToken:USDT": 40_000.0}
    orders = amounts(traded(NEUTRAL, held, hedge_target(10.0), scope=HEDGE))
    assert orders == {"binance_perp": -9.0, "okx_perp": -1.0}


def test_what_a_venue_does_not_carry_yet_stays_where_it_is_and_goes_to_no_third_one() -> None:
    """A third of the hedge is to be at okx, whose margin is on its way: nothing moves until that is there."""
    weights = {"binance": 0.4, "bybit": 0.3, "okx": 0.3}
    three = run_with("usdt_market_neutral_no_leverage", hedge_allocation=weights)
    target = {"wallet:BaseToken:wstETH": 8.0}
    held = {"wallet:BaseToken:wstETH": 8.0}
    for venue, size in {"binance": 6.0, "bybit": 4.0}.items():
        held |= {f"{venue}:Perp:ETHUSDT": -size, f"{venue}:PerpQuote:ETHUSDT": 2_000.0 * size}
        held[f"{venue}:BaseToken:USDT"] = 2_000.0 * size
    for venue, weight in weights.items():
        target |= {f"{venue}:Perp:ETHUSDT": -10.0 * weight, f"{venue}:BaseToken:USDT": 20_000.0 * weight}
    assert traded(three, held, target) == []
    held["okx:BaseToken:USDT"] = 3_000.0
    assert amounts(traded(three, held, target)) == {"binance_perp": 2.0, "bybit_perp": 1.0, "okx_perp": -3.0}


def test_what_nobody_carries_in_calm_is_hedged_as_far_as_it_can_be() -> None:
    """In calm 3 and 1 coins; in need until a margin ratio of 0.1875 is left, the fees of getting there paid."""
    held = {"wallet:BaseToken:wstETH": 8.0, "okx:BaseToken:USDT": 1_000.0, "binance:BaseToken:USDT": 3_000.0}
    orders = amounts(traded(NEUTRAL, held, hedge_target(10.0), scope=HEDGE))
    assert orders == {"binance_perp": -7.341, "okx_perp": -2.658}
    held["binance:BaseToken:USDT"] = 2_000.0
    orders = amounts(traded(NEUTRAL, held, hedge_target(10.0), scope=HEDGE))
    assert orders == {"binance_perp": -5.317, "okx_perp": -2.658}


def test_a_venue_that_refused_takes_no_more_and_another_does() -> None:
    held = {"wallet:BaseToken:wstETH": 8.0, "okx:BaseToken:USDT": 10_000.0, "binance:BaseToken:USDT": 10_000.0}
    made = market(ETH, rows=1)
    now = situation(NEUTRAL, made, held)
    refusals = Refusals()
    no = order(Verb.PERP, "binance", "ETH", -5.0)
    refusals.note([no], [rejected(no)], now)
    found = ExchangeStage(plan(hedge_target(10.0), scope=HEDGE), now, "run", 0.0, refusals)._trade()
    assert [(one.leg, one.amount) for group in found for one in group.orders] == [("okx_perp", -10.0)]


@pytest.mark.parametrize(("equity", "found"), [(100_000.0, {"okx_perp": -1.0}), (100_000_000.0, {})])
def test_a_correction_below_a_basis_point_of_the_equity_is_left_alone(equity: float, found: dict[str, float]) -> None:
    drifted = {**STAKED, "okx:Perp:ETHUSDT": -4.0, "reserve:BaseToken:USDT": equity}
    assert amounts(traded(NEUTRAL, drifted, hedge_target(10.0))) == found
