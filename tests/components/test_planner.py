"""Plans: from what is held to what is wanted, for each purpose, without remembering anything."""

from __future__ import annotations

import pytest

from components.levels import CRITICAL, WARNING, Crossing
from components.model.market import Market
from components.model.measures import Kind, Measure
from components.model.orders import Action
from components.planner import Planner
from components.routing.plan import FULL, HEDGE, REDUCE, Plan, Urgency
from components.situation import Situation
from components.strategies.factory import make_strategy
from components.strategies.strategy import NOTHING
from tests.builders import key, market, run_with, situation

LINES = {"binance.spot.BTC": 50_000.0, "okx.spot.BTC": 50_000.0, "okx.perp.BTC": 50_000.0}
RUN = run_with("btc_basis", hedge_allocation={"okx": 1.0}, reserve_ratio=0.05)
PAIR = {
    "okx:BaseToken:BTC": 1.0, "okx:Perp:BTCUSDT": -1.0, "okx:PerpQuote:BTCUSDT": 50_000.0,
    "okx:BaseToken:USDT": 45_000.0, "reserve:BaseToken:USDT": 5_000.0,
}  # fmt: skip
PLANNER = Planner(RUN.mode, make_strategy(RUN.mode))
BTC, SHORT = key("okx:BaseToken:BTC"), key("okx:Perp:BTCUSDT")


@pytest.fixture(name="now")
def a_pair_worth_100_000() -> Situation:
    made: Market = market(LINES, rows=1)
    return situation(RUN, made, PAIR)


def test_everything_but_the_reserve_and_what_is_owed_is_put_to_work(now: Situation) -> None:
    whole = PLANNER.full(Action.ENTRY_FULL, "enter", now, 1, 0.0)
    owing = PLANNER.full(Action.ENTRY_PARTIAL, "deposit", now, 1, 19_000.0)
    assert (whole.scope, whole.careful, owing.careful) == (FULL, True, True)
    assert whole.reserve == pytest.approx(5_000.0)
    assert whole.target.of(BTC) == pytest.approx(95_000.0 / 100_000.0)  # half for coins, half for margin
    assert owing.target.of(BTC) == pytest.approx(76_000.0 / 100_000.0)
    assert whole.target.of(SHORT) == -whole.target.of(BTC)


def test_what_the_reserve_holds_is_paid_without_touching_anything(now: Situation) -> None:
    fast = PLANNER.withdraw(now, 1, 5_000.0)
    assert (fast.from_reserve, fast.pay_out, fast.reason) == (True, 5_000.0, "withdrawal from the reserve")
    assert fast.target.of(BTC) == 1.0


def test_more_is_unwound_in_proportion(now: Situation) -> None:
    slow = PLANNER.withdraw(now, 1, 40_000.0)
    assert (slow.action, slow.scope, slow.from_reserve) == (Action.EXIT_PARTIAL, REDUCE, False)
    assert slow.target.of(BTC) == pytest.approx(0.6)
    assert slow.target.of(SHORT) == pytest.approx(-0.6)
    assert slow.reserve == pytest.approx(3_000.0)
    assert PLANNER.withdraw(now, 1, 100_000.0).action is Action.EXIT_FULL


def test_an_exit_wants_nothing_and_minds_no_minimum(now: Situation) -> None:
    out = PLANNER.exit("emergency stop", now, 3)
    assert (out.action, out.target, out.scope, out.careful, out.step) == (Action.EXIT_FULL, NOTHING, REDUCE, False, 3)


def test_a_breached_margin_reduces_by_the_least_and_carefully_while_it_is_a_warning(now: Situation) -> None:
    warned = PLANNER.reduce([Crossing(0, "cex_margin:okx", WARNING, 0.2)], now, 1, 0.0)
    assert (warned.scope, warned.urgency, warned.careful) == (REDUCE, Urgency.WARNING, True)
    assert warned.target.of(BTC) == 1.0  # the pool of margin is enough
    assert warned.reason == "cex_margin:okx warning"
    critical = PLANNER.reduce(
        [Crossing(0, "cex_margin:okx", WARNING, 0.2), Crossing(0, "cex_margin:binance", CRITICAL, 0.1)], now, 1, 0.0
    )
    assert (critical.urgency, critical.careful, critical.reserve) == (Urgency.CRITICAL, False, 5_000.0)
    assert critical.reason == "cex_margin:binance critical"


NEUTRAL = run_with("usdt_market_neutral_no_leverage", hedge_allocation={"okx": 0.5, "binance": 0.5})
STAKED = {"wallet:BaseToken:wstETH": 8.0, "okx:Perp:ETHUSDT": -4.0, "okx:PerpQuote:ETHUSDT": 8_000.0}


def parted(held: dict[str, float], *refused: str) -> Plan:
    lines = {"binance.spot.ETH": 2_000.0, "okx.perp.ETH": 2_000.0, "binance.perp.ETH": 2_000.0,
             "lido.ratio.wstETH": 1.25}  # fmt: skip
    now = situation(NEUTRAL, market(lines, rows=1), held)
    return Planner(NEUTRAL.mode, make_strategy(NEUTRAL.mode)).rebalance(Measure(Kind.DELTA), now, 1, 0.0, refused)


def test_parted_coins_on_chain_are_hedged_and_nothing_else_moves() -> None:
    plan = parted({**STAKED, "okx:BaseToken:USDT": 5_000.0, "binance:BaseToken:USDT": 5_000.0})
    assert plan.scope == HEDGE
    assert plan.target.of(key("okx:Perp:ETHUSDT")) == pytest.approx(-5.0)
    assert plan.target.of(key("binance:Perp:ETHUSDT")) == pytest.approx(-5.0)
    assert plan.target.of(key("wallet:BaseToken:wstETH")) == 8.0


def test_coins_that_cannot_be_hedged_are_reduced_to_what_their_capital_carries() -> None:
    plan = parted({**STAKED, "okx:BaseToken:USDT": 1_000.0})
    assert plan.scope == FULL
    assert plan.target.of(key("wallet:BaseToken:wstETH")) == pytest.approx(0.95 * 21_000.0 / 2 / 2_000.0 / 1.25)


def test_where_a_venue_refuses_the_others_carry_more_and_what_they_cannot_is_sold() -> None:
    rich = {**STAKED, "okx:BaseToken:USDT": 50_000.0}
    assert parted(rich, "binance").scope == HEDGE
    both = parted(rich, "binance", "okx")
    assert both.scope == FULL
    assert both.target.of(key("wallet:BaseToken:wstETH")) == pytest.approx(4.0 / 1.25)  # what okx is short already


def test_gas_alone_moves_nothing_but_gas(now: Situation) -> None:
    plan = PLANNER.rebalance(Measure(Kind.GAS_DEBT), now, 1, 0.0)
    assert (plan.repay_gas, plan.scope) == (True, REDUCE)
    assert plan.target.of(BTC) == 1.0


@pytest.mark.parametrize(("margin", "filled"), [(15_000.0, 1_000.0), (20_000.0, 1_000.0), (22_000.0, 3_000.0)])
def test_margin_fills_the_reserve_with_no_more_than_it_has_above_its_target(margin: float, filled: float) -> None:
    """20,000 short at a target of 1: taken from margin that is thin, the reserve would come back as a warning."""
    run = run_with("usdt_market_neutral_no_leverage", hedge_allocation={"binance": 1.0}, reserve_ratio=0.05)
    lines = {"binance.spot.ETH": 2_000.0, "binance.perp.ETH": 2_000.0, "lido.ratio.wstETH": 1.25}
    held = {
        "wallet:BaseToken:wstETH": 7.2, "wallet:BaseToken:ETH": 1.0, "binance:Perp:ETHUSDT": -10.0,
        "binance:PerpQuote:ETHUSDT": 20_000.0, "binance:BaseToken:USDT": margin, "reserve:BaseToken:USDT": 1_000.0,
    }  # fmt: skip
    planner = Planner(run.mode, make_strategy(run.mode))
    plan = planner.invest("idle", situation(run, market(lines, rows=1), held), 1, 0.0)
    assert plan.reserve == pytest.approx(min(filled, 0.05 * (20_000.0 + margin + 1_000.0)))
