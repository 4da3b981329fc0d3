"""Cash stages: withdrawals, dust, gas, and money and coins on the move."""

from __future__ import annotations

from typing import Any

import pytest

from components.model.keys import base_token
from components.model.orders import Action, InFlight, Order, Verb
from components.model.slices import RunSlice
from components.routing.cash import IDLE_CASH, CashStage
from components.routing.plan import REDUCE, Urgency
from tests.builders import START, Line, market, plan, run_with, situation

LINES: dict[str, Line] = {
    "binance.spot.BTC": 50_000.0, "binance.perp.BTC": 50_000.0, "okx.spot.BTC": 50_000.0, "okx.perp.BTC": 50_000.0,
    "binance.spot.ETH": 2_000.0, "binance.perp.ETH": 2_000.0, "okx.perp.ETH": 2_000.0, "lido.ratio.wstETH": 1.25,
    "etherfi.ratio.weETH": 1.0, "uniswap.eth_price.EIGEN": 0.001, "uniswap.eth_price.ETHFI": 0.001,
    "ethereum.gas_price.gwei": 20.0,
}  # fmt: skip
TWO = {"binance": 0.5, "okx": 0.5}
BASIS = run_with("btc_basis", hedge_allocation=TWO)
LENDING = run_with("pure_lending")
NEUTRAL = run_with("usdt_market_neutral_no_leverage", hedge_allocation=TWO)
STAKING = run_with("eth_staking_only", lst_type="weETH", rewards_mode="base_eigen_seasonal")
WALLET, RESERVE = "wallet:BaseToken:USDT", "reserve:BaseToken:USDT"


def stage(
    run: RunSlice, held: dict[str, float], target: dict[str, float] | None = None, *, owed: float = 0.0,
    stale: str = "", **more: Any,
) -> CashStage:  # fmt: skip
    made = market(LINES, rows=1, stale={stale: [0]} if stale else None)
    return CashStage(plan(target, **more), situation(run, made, held), "run", owed)


def orders(groups: Any) -> list[Order]:
    return [order for group in groups for order in group.orders]


def amounts(groups: Any) -> dict[str, Any]:
    return {order.leg: pytest.approx(order.amount) for order in orders(groups)}


# Payments


def test_a_payment_comes_from_the_wallet_first_and_from_the_reserve_when_it_is_meant_to() -> None:
    here = stage(LENDING, {RESERVE: 300.0, WALLET: 400.0}, owed=500.0, from_reserve=True, reserve=300.0)
    (first, second) = orders(here._pay())
    assert (first.verb, first.amount, first.source) == (Verb.PAY_OUT, 400.0, WALLET)
    assert (second.amount, second.source) == (100.0, RESERVE)
    assert here.paid == 500.0


def test_otherwise_only_what_the_reserve_has_too_much_is_paid() -> None:
    here = stage(LENDING, {RESERVE: 300.0, WALLET: 100.0}, owed=500.0, reserve=250.0)
    assert amounts(here._pay()) == {"pay_out_reserve": 50.0, "pay_out_wallet": 100.0}
    assert here.paid == 150.0


def test_nothing_owed_is_nothing_paid() -> None:
    assert orders(stage(LENDING, {WALLET: 100.0})._pay()) == []
    assert orders(stage(LENDING, {}, owed=100.0)._pay()) == []


def test_the_eth_class_pays_eth() -> None:
    (paid,) = orders(stage(STAKING, {"wallet:BaseToken:ETH": 5.0}, owed=2.0)._pay())
    assert (paid.token, paid.amount) == ("ETH", 2.0)


# Dust


def test_rewards_are_unwrapped_and_sold_for_the_currency() -> None:
    held = {"king:BaseToken:EIGEN": 40.0, "wallet:BaseToken:EIGEN": 5.0, "wallet:BaseToken:ETHFI": 7.0}
    found = orders(stage(STAKING, held)._dust())
    assert [(one.verb, one.token, one.amount, one.into_token) for one in found] == [
        (Verb.UNWRAP, "EIGEN", 40.0, None), (Verb.SWAP, "EIGEN", 5.0, "ETH"), (Verb.SWAP, "ETHFI", 7.0, "ETH"),
    ]  # fmt: skip


def test_rewards_without_a_fresh_price_wait() -> None:
    here = stage(
        STAKING, {"wallet:BaseToken:EIGEN": 5.0, "wallet:BaseToken:ETHFI": 7.0}, stale="uniswap.eth_price.EIGEN"
    )
    assert [one.token for one in orders(here._dust())] == ["ETHFI"]
    assert here.skipped == ["EIGEN: price is stale"]
    assert not here.blocked


# Gas

GAS_OF_A_SWAP = 180_000 * 20 / 1e9


def test_a_gas_debt_is_bought_back_with_its_own_gas_once() -> None:
    here = stage(LENDING, {"gas:BaseToken:ETH": -0.6, WALLET: 5_000.0})
    (swap,) = orders(here._gas())
    assert (swap.verb, swap.token, swap.into_token, swap.source) == (Verb.SWAP, "USDT", "ETH", WALLET)
    assert swap.target == "gas:BaseToken:ETH"
    assert swap.amount == pytest.approx((0.6 + GAS_OF_A_SWAP) * 2_000 * 1.01)
    assert orders(here._gas()) == []


def test_the_reserve_pays_for_gas_when_the_wallet_cannot() -> None:
    (swap,) = orders(stage(LENDING, {"gas:BaseToken:ETH": -0.6, WALLET: 5.0, RESERVE: 5_000.0})._gas())
    assert swap.source == RESERVE


def test_without_cash_the_gas_debt_stays_and_it_is_said() -> None:
    here = stage(LENDING, {"gas:BaseToken:ETH": -0.6})
    assert orders(here._gas()) == []
    assert here.skipped == ["no spare USDT to repay the gas debt"]


def test_no_gas_debt_is_nothing_to_buy() -> None:
    assert orders(stage(LENDING, {WALLET: 5_000.0})._gas()) == []


def test_the_gas_of_the_eth_class_is_filled_up() -> None:
    (refill,) = orders(stage(STAKING, {"gas:BaseToken:ETH": 0.01, "wallet:BaseToken:ETH": 1.0})._gas())
    assert (refill.verb, refill.source, refill.target) == (Verb.TRANSFER, "wallet:BaseToken:ETH", "gas:BaseToken:ETH")
    assert refill.amount == pytest.approx(0.04)
    (refill,) = orders(stage(STAKING, {"gas:BaseToken:ETH": 0.01, "reserve:BaseToken:ETH": 1.0})._gas())
    assert refill.source == "reserve:BaseToken:ETH"
    assert orders(stage(STAKING, {"gas:BaseToken:ETH": 0.05})._gas()) == []


def test_without_eth_the_gas_stays_low_and_it_is_said() -> None:
    here = stage(STAKING, {"gas:BaseToken:ETH": 0.01})
    assert orders(here._gas()) == []
    assert here.skipped == ["no spare ETH to refill the gas reserve"]


# Coins on the move


def target(eth: float, okx: float = 0.0) -> dict[str, float]:
    return {"wallet:BaseToken:wstETH": eth / 1.25, "binance:Perp:ETHUSDT": -eth, "okx:BaseToken:USDT": okx}


def test_coins_go_on_chain_as_far_as_they_are_missing_there() -> None:
    held = {"binance:BaseToken:ETH": 9.0, "wallet:BaseToken:ETH": 2.0}
    (sent,) = orders(stage(NEUTRAL, held, target(10.0))._move_coins())
    assert (sent.leg, sent.token, sent.amount) == ("binance_to_wallet", "ETH", 8.0)
    (sent,) = orders(stage(NEUTRAL, {"binance:BaseToken:ETH": 3.0}, target(10.0))._move_coins())
    assert sent.amount == 3.0


def test_coins_that_are_on_their_way_are_not_sent_again() -> None:
    here = stage(NEUTRAL, {"binance:BaseToken:ETH": 9.0}, target(10.0))
    flight = InFlight(
        id="x", token="ETH", amount=10.0, source=base_token("binance", "ETH"), target=base_token("wallet", "ETH"),
        arrives_at=START,
    )  # fmt: skip
    here._now._positions.in_flight["x"] = flight
    assert orders(here._move_coins()) == []


def test_coins_that_nobody_wants_on_chain_go_back_to_be_sold() -> None:
    held = {"wallet:BaseToken:ETH": 3.0}
    (sent,) = orders(stage(NEUTRAL, held, {}, scope=REDUCE, action=Action.EXIT_FULL)._move_coins())
    assert (sent.leg, sent.amount) == ("wallet_to_binance", 3.0)


def test_a_reduction_sends_no_coins_on_chain_and_little_is_not_sent() -> None:
    assert orders(stage(NEUTRAL, {"binance:BaseToken:ETH": 9.0}, target(10.0), scope=REDUCE)._move_coins()) == []
    assert orders(stage(NEUTRAL, {"binance:BaseToken:ETH": 0.02}, target(10.0))._move_coins()) == []
    assert orders(stage(NEUTRAL, {"wallet:BaseToken:ETH": 0.02}, {})._move_coins()) == []


def test_a_dex_has_its_coins_on_chain_already() -> None:
    dex = run_with("usdt_market_neutral_no_leverage", hedge_allocation=TWO, spot_venue="uniswap")
    assert orders(stage(dex, {"wallet:BaseToken:ETH": 9.0}, target(1.0))._move_coins()) == []


# Cash on the move


def usdt(venue: str, amount: float) -> dict[str, float]:
    return {f"{venue}:BaseToken:USDT": amount}


def test_surplus_goes_to_the_deficit() -> None:
    here = stage(
        BASIS, {**usdt("binance", 90_000.0), **usdt("okx", 10_000.0)}, usdt("binance", 50_000.0) | usdt("okx", 50_000.0)
    )
    (sent,) = orders(here._move_cash())
    assert (sent.leg, sent.token, sent.amount) == ("binance_to_okx", "USDT", 40_000.0)


def test_what_is_within_the_threshold_stays() -> None:
    wanted = usdt("binance", 50_000.0) | usdt("okx", 50_000.0)
    near = {**usdt("binance", 50_990.0), **usdt("okx", 49_010.0)}
    assert orders(stage(BASIS, near, wanted)._move_cash()) == []
    far = {**usdt("binance", 51_100.0), **usdt("okx", 48_900.0)}
    assert amounts(stage(BASIS, far, wanted)._move_cash()) == {"binance_to_okx": 1_100.0}


def test_cash_that_no_venue_lacks_enough_of_stays_in_the_wallet_and_it_is_said() -> None:
    wanted = usdt("binance", 50_000.0) | usdt("okx", 50_000.0)
    near = {**usdt("binance", 49_100.0), **usdt("okx", 49_100.0), **usdt("wallet", 1_800.0)}
    here = stage(BASIS, near, wanted)
    assert orders(here._move_cash()) == []
    assert here.stays == [IDLE_CASH]
    assert not here.skipped, "the plan is complete"
    moving = stage(BASIS, {**near, **usdt("okx", 40_000.0)}, wanted)
    assert orders(moving._move_cash()) != []
    assert moving.stays == []
    for quiet in ({**near, **usdt("wallet", 1.0)}, {**near, **usdt("wallet", 0.0)}):
        nothing = stage(BASIS, quiet, wanted)
        assert orders(nothing._move_cash()) == []
        assert nothing.stays == [], "too little to speak of"


def test_cash_from_the_wallet_goes_to_the_venues_and_what_is_owed_stays() -> None:
    wanted = usdt("binance", 50_000.0) | usdt("okx", 50_000.0)
    assert amounts(stage(BASIS, usdt("wallet", 100_000.0), wanted)._move_cash()) == {
        "wallet_to_binance": 50_000.0, "wallet_to_okx": 50_000.0,
    }  # fmt: skip
    owing = stage(BASIS, usdt("wallet", 100_000.0), wanted, owed=60_000.0)
    assert amounts(owing._move_cash()) == {"wallet_to_binance": 40_000.0}


def test_what_is_owed_is_fetched_from_the_venues() -> None:
    held = {**usdt("binance", 30_000.0), **usdt("okx", 30_000.0)}
    here = stage(BASIS, held, {}, owed=40_000.0, scope=REDUCE, action=Action.EXIT_PARTIAL)
    assert amounts(here._move_cash()) == {"binance_to_wallet": 30_000.0, "okx_to_wallet": 10_000.0}


def test_cash_that_carries_a_position_stays_where_it_is() -> None:
    held = {
        **usdt("binance", 80_000.0), "binance:Perp:BTCUSDT": -1.0, "binance:PerpQuote:BTCUSDT": 50_000.0,
    }  # fmt: skip
    here = stage(BASIS, held, {}, owed=60_000.0, scope=REDUCE, action=Action.EXIT_PARTIAL)
    assert amounts(here._move_cash()) == {"binance_to_wallet": 30_000.0}  # margin ratio target 1


def test_cash_of_a_unified_account_is_free() -> None:
    unified = run_with("btc_basis", hedge_allocation=TWO, collateral="unified")
    held = {**usdt("binance", 80_000.0), "binance:Perp:BTCUSDT": -1.0, "binance:PerpQuote:BTCUSDT": 50_000.0}
    here = stage(unified, held, {}, owed=60_000.0, scope=REDUCE, action=Action.EXIT_PARTIAL)
    assert amounts(here._move_cash()) == {"binance_to_wallet": 60_000.0}


def test_the_reserve_helps_a_venue_in_danger_and_only_what_is_critical() -> None:
    """Okx lacks 10,000, binance has 6,000 too much: 4,000 come from the reserve."""
    held = {**usdt("binance", 26_000.0), **usdt("okx", 10_000.0), **usdt("reserve", 9_000.0)}
    wanted = {**usdt("binance", 20_000.0), **usdt("okx", 20_000.0)}
    more: dict[str, Any] = {"scope": REDUCE, "action": Action.EXIT_PARTIAL, "reserve": 5_000.0}
    critical = stage(BASIS, held, wanted, urgency=Urgency.CRITICAL, **more)
    assert amounts(critical._move_cash()) == {
        "reserve_to_wallet": 4_000.0, "wallet_to_okx": 4_000.0, "binance_to_okx": 6_000.0,
    }  # fmt: skip
    warned = stage(BASIS, held, wanted, urgency=Urgency.WARNING, **more)
    assert amounts(warned._move_cash()) == {"binance_to_okx": 6_000.0}


def test_cash_leaves_a_venue_down_to_the_ratio_that_the_plan_aims_at() -> None:
    held = {**usdt("binance", 40_000.0), "binance:Perp:BTCUSDT": -1.0, "binance:PerpQuote:BTCUSDT": 50_000.0}
    wanted = {**usdt("binance", 10_000.0), **usdt("okx", 30_000.0)}
    assert orders(stage(BASIS, held, wanted, scope=REDUCE)._move_cash()) == []  # 0.8 is below the target of 1
    sent = stage(BASIS, held, wanted, scope=REDUCE, margin_ratio=0.5)._move_cash()
    assert amounts(sent) == {"binance_to_okx": 15_000.0}


def test_the_reserve_is_filled_from_the_venues_when_it_is_short_by_more_than_the_threshold() -> None:
    wanted = usdt("binance", 40_000.0)
    short = stage(BASIS, {**usdt("binance", 50_000.0), **usdt("reserve", 4_000.0)}, wanted, reserve=5_000.0)
    assert amounts(short._move_cash()) == {"binance_to_wallet": 1_000.0}
    nearly = stage(BASIS, {**usdt("binance", 50_000.0), **usdt("reserve", 4_950.0)}, wanted, reserve=5_000.0)
    assert orders(nearly._move_cash()) == []


def test_what_is_less_than_its_fee_is_not_sent() -> None:
    careless = stage(BASIS, {**usdt("okx", 3.0)}, {}, owed=2.5, scope=REDUCE, careful=False)
    assert orders(careless._move_cash()) == []
    assert amounts(stage(BASIS, usdt("okx", 3.5), {}, owed=3.2, careful=False)._move_cash()) == {"okx_to_wallet": 3.2}


def test_the_spot_venue_also_needs_what_coins_will_cost() -> None:
    wanted = {
        "binance:Perp:ETHUSDT": -5.0,
        "okx:Perp:ETHUSDT": -5.0,
        **usdt("binance", 10_000.0),
        **usdt("okx", 10_000.0),
    }
    assert amounts(stage(NEUTRAL, usdt("wallet", 60_000.0), wanted)._move_cash()) == {
        "wallet_to_binance": 30_000.0, "wallet_to_okx": 10_000.0,
    }  # fmt: skip


def test_cash_for_a_dex_stays_in_the_wallet() -> None:
    dex = run_with("usdt_market_neutral_no_leverage", hedge_allocation=TWO, spot_venue="uniswap")
    wanted = {
        "binance:Perp:ETHUSDT": -5.0,
        "okx:Perp:ETHUSDT": -5.0,
        **usdt("binance", 10_000.0),
        **usdt("okx", 10_000.0),
    }
    assert amounts(stage(dex, usdt("wallet", 35_000.0), wanted)._move_cash()) == {
        "wallet_to_binance": 10_000.0, "wallet_to_okx": 5_000.0,
    }  # fmt: skip


# The reserve


def test_the_reserve_is_refilled_from_the_wallet() -> None:
    here = stage(LENDING, {WALLET: 500.0, RESERVE: 800.0}, reserve=1_000.0)
    assert amounts(here._refill_reserve()) == {"wallet_to_reserve": 200.0}
    assert amounts(stage(LENDING, {WALLET: 500.0}, reserve=1_000.0, owed=400.0)._refill_reserve()) == {
        "wallet_to_reserve": 100.0
    }


def test_a_reserve_that_is_nearly_full_is_left_alone() -> None:
    assert orders(stage(LENDING, {WALLET: 500.0, RESERVE: 9_905.0}, reserve=10_000.0)._refill_reserve()) == []


def test_the_eth_class_refills_with_eth() -> None:
    here = stage(STAKING, {"wallet:BaseToken:ETH": 3.0}, reserve=2.0)
    assert amounts(here._refill_reserve()) == {"wallet_to_reserve": 2.0}


def test_a_mode_without_a_hedge_moves_its_reserve_only() -> None:
    here = stage(LENDING, {WALLET: 500.0}, reserve=100.0)
    assert amounts(here._move()) == {"wallet_to_reserve": 100.0}


def test_a_hedged_mode_moves_coins_then_cash_then_the_reserve() -> None:
    held = {**usdt("wallet", 61_000.0), "binance:BaseToken:ETH": 4.0}
    wanted = {"wallet:BaseToken:wstETH": 3.2, "binance:Perp:ETHUSDT": -4.0, **usdt("okx", 10_000.0)}
    here = stage(NEUTRAL, held, wanted, reserve=1_000.0)
    assert list(amounts(here._move())) == ["binance_to_wallet", "wallet_to_okx", "wallet_to_reserve"]
