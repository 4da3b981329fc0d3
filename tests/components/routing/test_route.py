"""Routes: whole plans from what is held to a target, stage by stage, over a simulated world."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from components.model.orders import Action, GroupKind, OrderGroup, Verb
from components.routing.plan import HEDGE, REDUCE
from components.routing.route import Route
from tests.builders import keyed, plan, run_of, run_with
from tests.scenarios.sketch import btc, staked
from tests.stage import Trip

FREE = {"costs": "none"}
BASIS = run_with("btc_basis", hedge_allocation={"binance": 0.5, "okx": 0.5})
NEUTRAL = run_with("usdt_market_neutral", hedge_allocation={"binance": 0.5, "okx": 0.5}, costs="none")
BTC, STAKED = btc(2).market(), staked(2).market()


def pair(btc: float, venue: str) -> dict[str, float]:
    return {f"{venue}:BaseToken:BTC": btc, f"{venue}:Perp:BTCUSDT": -btc, f"{venue}:BaseToken:USDT": 60_000.0 * btc}


def test_a_basis_is_entered_in_one_group() -> None:
    cash = {"binance:BaseToken:USDT": 130_000.0, "okx:BaseToken:USDT": 130_000.0}
    trip = Trip(BASIS, BTC, cash, plan({**pair(1.0, "binance"), **pair(1.0, "okx")}))
    assert trip.legs == [["binance_spot", "binance_perp", "okx_spot", "okx_perp"]]
    assert trip.groups[0].kind is GroupKind.TOGETHER
    assert trip.now.size("okx") == -trip.now.coins("okx") == -1.0


def test_cash_in_the_wallet_travels_first_and_nothing_is_bought_before_it_arrives() -> None:
    trip = Trip(BASIS, BTC, {"wallet:BaseToken:USDT": 250_000.0}, plan({**pair(1.0, "binance"), **pair(1.0, "okx")}))
    assert trip.legs == [["wallet_to_binance"], ["wallet_to_okx"]]
    assert trip.now.travelling()


def test_a_payment_sells_sends_and_pays_what_is_there_now() -> None:
    held = {**pair(1.0, "okx"), "okx:PerpQuote:BTCUSDT": 60_000.0, "wallet:BaseToken:USDT": 1_000.0}
    trip = Trip(
        BASIS, BTC, held, plan(pair(0.5, "okx"), Action.EXIT_PARTIAL, scope=REDUCE, pay_out=30_000.0), owed=30_000.0
    )
    assert trip.legs == [["pay_out_wallet"], ["okx_spot", "okx_perp"], ["okx_to_wallet"]]
    assert trip.route.paid == 1_000.0
    assert trip.amounts()["okx_to_wallet"] == pytest.approx(29_000.0)


def test_a_plan_of_perps_touches_nothing_else() -> None:
    held = {**pair(1.0, "okx"), "okx:Perp:BTCUSDT": -0.5, "okx:PerpQuote:BTCUSDT": 30_000.0,
            "wallet:BaseToken:USDT": 9_000.0}  # fmt: skip
    trip = Trip(BASIS, BTC, held, plan(pair(1.0, "okx"), scope=HEDGE), owed=500.0)
    assert trip.legs == [["okx_perp"]]
    assert trip.amounts()["okx_perp"] == -0.5


def test_the_leveraged_hedge_is_entered_coin_first_then_chain() -> None:
    """40 ETH net at target LTV; without costs all of it happens on one row."""
    cash = {"binance:BaseToken:USDT": 180_000.0, "okx:BaseToken:USDT": 60_000.0}
    leverage = NEUTRAL.mode.leverage
    target = {
        "aave_v3:aToken:awstETH": 40 * leverage / 1.17, "aave_v3:debtToken:variableDebtWETH": 40 * (leverage - 1),
        "binance:Perp:ETHUSDT": -20.0, "okx:Perp:ETHUSDT": -20.0, "binance:BaseToken:USDT": 60_000.0,
        "okx:BaseToken:USDT": 60_000.0,
    }  # fmt: skip
    trip = Trip(NEUTRAL, STAKED, cash, plan(target))
    assert trip.legs == [
        ["binance_spot", "binance_perp", "okx_perp"], ["binance_to_wallet"],
        ["flash_borrow", "stake", "supply_lst", "borrow", "flash_repay"],
    ]  # fmt: skip
    assert trip.now.long_coins() == pytest.approx(40.0)
    assert trip.now.long_coins() + trip.now.size("binance") + trip.now.size("okx") == pytest.approx(0.0, abs=1e-9)
    assert trip.now.debt() / (trip.now.collateral() * trip.now.ratio) == pytest.approx(NEUTRAL.mode.target_ltv)


def test_everything_is_left_and_only_cash_remains() -> None:
    leverage = NEUTRAL.mode.leverage
    held = {
        "aave_v3:aToken:awstETH": 40 * leverage / 1.17 / 1.001,
        "aave_v3:debtToken:variableDebtWETH": 40 * (leverage - 1) / 1.05,
        "binance:Perp:ETHUSDT": -20.0, "okx:Perp:ETHUSDT": -20.0, "binance:PerpQuote:ETHUSDT": 60_000.0,
        "okx:PerpQuote:ETHUSDT": 60_000.0, "binance:BaseToken:USDT": 60_000.0, "okx:BaseToken:USDT": 60_000.0,
    }  # fmt: skip
    trip = Trip(NEUTRAL, STAKED, held, plan({}, Action.EXIT_FULL, scope=REDUCE, careful=False))
    assert trip.legs == [
        ["flash_borrow", "repay", "withdraw_lst", "swap_lst", "flash_repay"], ["wallet_to_binance"],
        ["binance_spot", "binance_perp", "okx_perp"],
    ]  # fmt: skip
    left = {key: amount for key, amount in trip.now._positions.snapshot().items() if abs(amount) > 1e-9}
    assert set(left) == {"binance:BaseToken:USDT", "okx:BaseToken:USDT"}


def test_dust_is_sold_and_gas_is_bought_on_the_way() -> None:
    run = run_of("eth_staking_only", "lst_type=weETH", "rewards_mode=base_eigen")
    made = staked(2, lst="weETH").market()
    held = {"wallet:BaseToken:EIGEN": 100.0, "gas:BaseToken:ETH": 0.01, "wallet:BaseToken:ETH": 0.2}
    trip = Trip(run, made, held, plan({}, Action.SELL_DUST, scope=REDUCE, sell_dust=True, repay_gas=True))
    assert trip.legs[0] == ["sell_EIGEN"]
    assert [one.verb for one in trip.orders].count(Verb.SWAP) == 1
    assert trip.now.gas() >= 0.04


def test_a_route_ends_when_there_is_nothing_left_to_do() -> None:
    held = {**keyed(pair(1.0, "okx")), "okx:PerpQuote:BTCUSDT": 60_000.0}
    assert Trip(BASIS, BTC, held, plan(pair(1.0, "okx"))).groups == []


def test_no_stage_is_asked_twice_about_the_same_book(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def telling(name: str, stage: Callable[[Route], Iterator[OrderGroup]]) -> Callable[[Route], Iterator[OrderGroup]]:
        return lambda route: asked.append(name) or stage(route)  # type: ignore[func-returns-value]

    for name in ("_pay", "_free_on_chain", "_trade", "_work_on_chain", "_move"):
        monkeypatch.setattr(Route, name, telling(name, getattr(Route, name)))
    cash = {"binance:BaseToken:USDT": 130_000.0, "okx:BaseToken:USDT": 130_000.0}
    trip = Trip(BASIS, BTC, cash, plan({**pair(1.0, "binance"), **pair(1.0, "okx")}))
    assert len(trip.groups) == 1
    assert asked == ["_pay", "_free_on_chain", "_trade", "_work_on_chain", "_move", "_pay", "_free_on_chain", "_trade"]


def test_order_ids_of_a_route_are_all_different() -> None:
    cash = {"wallet:BaseToken:USDT": 250_000.0, "reserve:BaseToken:USDT": 1.0}
    one, again = (
        Trip(BASIS, BTC, cash, plan({**pair(1.0, "binance"), **pair(1.0, "okx")}, reserve=9_000.0)) for _ in range(2)
    )
    ids = [order.id for order in one.orders]
    assert len(ids) == len(set(ids)) == 3
    assert ids == [order.id for order in again.orders]
