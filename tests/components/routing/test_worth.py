"""Worth: the estimate that a bound is compared with is what venues charge; a group beyond it does not leave."""

from __future__ import annotations

import pytest

from components.model.market import Market
from components.model.orders import Action, CostKind, OrderGroup, Trade, Verb
from components.routing import route
from components.routing.plan import REDUCE, Urgency
from components.routing.worth import Worth, worth_of
from components.situation import Situation
from daemon.backtest.replay import ReplayRequest
from tests.acceptance.runs import embedded, slice_of
from tests.builders import plan, run_with
from tests.scenarios.play import Witnessed
from tests.scenarios.sketch import btc, staked
from tests.stage import Trip

NEUTRAL = run_with("usdt_market_neutral", hedge_allocation={"binance": 1.0}, exit_path="queue")
PLAIN = run_with("eth_staking_only", exit_path="queue")
HELD = {"wallet:BaseToken:wstETH": 40.0, "gas:BaseToken:ETH": 1.0}
LESS = {"wallet:BaseToken:wstETH": 20.0}


def charged_usdt(trades: list[Trade], eth_usdt: float) -> float:
    units = {"ETH": eth_usdt, "WETH": eth_usdt, "USDT": 1.0}
    costs = [cost for trade in trades for cost in trade.costs if cost.kind is not CostKind.REVALUATION]
    return sum(cost.amount * units[cost.token] for cost in costs)


@pytest.mark.parametrize(
    "mode", ["usdt_market_neutral", "usdt_market_neutral_no_leverage", "eth_basis", "pure_lending"]
)
def test_the_estimate_is_what_venues_charge(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, tuple[Worth, float]] = {}

    def watched(group: OrderGroup, now: Situation) -> Worth:
        worth = worth_of(group, now)
        seen[group.id] = (worth, now.eth_usdt())
        return worth

    monkeypatch.setattr(route, "worth_of", watched)
    run = slice_of(mode, "initial_location=wallet")
    market = embedded(run, "2024-01-01", "2024-09-01")
    job = Witnessed(run, market, ReplayRequest(run_id="worth", capital=1_000_000.0))
    job.run()

    trades = {trade.order_id: trade for trade in job.trades}
    compared = 0
    for approved in job.groups:
        group = approved.group
        if group.id in seen:
            worth, eth_usdt = seen[group.id]
            charged = charged_usdt([trades[order.id] for order in group.orders], eth_usdt)
            assert worth.cost_usdt == pytest.approx(charged, rel=0.02, abs=0.01), group
            assert worth.moved_usdt > 0.0
            compared += 1
    assert compared


def dear(gwei: float) -> Market:
    return staked(2).line("ethereum.gas_price.gwei", gwei).market()


def test_a_transaction_whose_gas_is_out_of_proportion_waits_and_is_named() -> None:
    cash = {"wallet:BaseToken:ETH": 10.0, "gas:BaseToken:ETH": 1.0}
    wanted = {"wallet:BaseToken:wstETH": 8.0}
    assert Trip(PLAIN, dear(20.0), cash, plan(wanted)).legs == [["stake"]]

    waiting = Trip(PLAIN, dear(900.0), cash, plan(wanted))  # 0.099 ETH for 10: 99 bp
    assert waiting.legs == []
    assert waiting.route.too_dear
    assert waiting.route.skipped == ["stake: would cost more than 50 bp of what it moves"]


@pytest.mark.parametrize("urgency", [Urgency.CRITICAL, Urgency.ASKED])
def test_what_is_critical_or_asked_for_has_no_bound(urgency: Urgency) -> None:
    wanted = {"wallet:BaseToken:wstETH": 8.0}
    cash = {"wallet:BaseToken:ETH": 10.0, "gas:BaseToken:ETH": 1.0}
    assert Trip(PLAIN, dear(900.0), cash, plan(wanted, urgency=urgency)).legs == [["stake"]]


def test_a_warning_may_cost_more_than_routine() -> None:
    cash, wanted = {"wallet:BaseToken:ETH": 10.0, "gas:BaseToken:ETH": 1.0}, {"wallet:BaseToken:wstETH": 8.0}
    assert Trip(PLAIN, dear(900.0), cash, plan(wanted, urgency=Urgency.WARNING)).legs == [["stake"]]
    assert Trip(PLAIN, dear(1_500.0), cash, plan(wanted, urgency=Urgency.WARNING)).legs == []


def test_staked_coin_far_below_its_value_is_sold_only_by_what_is_critical() -> None:
    depegged = staked(2).line("dex.ratio.wstETH", 1.17 * 0.94).market()
    market_path = run_with("eth_staking_only")
    for urgency, legs in {Urgency.ROUTINE: [], Urgency.WARNING: [], Urgency.CRITICAL: [["unstake"]]}.items():
        trip = Trip(market_path, depegged, HELD, plan(LESS, Action.EXIT_PARTIAL, scope=REDUCE, urgency=urgency))
        assert trip.legs == legs, urgency


def test_what_is_critical_sells_on_the_market_whatever_the_exit_path_says() -> None:
    for urgency, verb in {Urgency.ASKED: Verb.REQUEST_UNSTAKE, Urgency.CRITICAL: Verb.SWAP}.items():
        trip = Trip(PLAIN, dear(20.0), HELD, plan(LESS, Action.EXIT_PARTIAL, scope=REDUCE, urgency=urgency))
        assert [order.verb for group in trip.groups for order in group.orders] == [verb]


def test_a_transfer_near_its_fee_is_not_made() -> None:
    """The fee of okx is 3 USDT: one per cent is 300."""
    basis = run_with(
        "btc_basis",
        hedge_allocation={"binance": 0.5, "okx": 0.5},
        minimum_trade_usdt=10.0,
        position_deviation_threshold=1e-6,
    )
    for spare, legs in {290.0: [], 310.0: [["okx_to_binance"]]}.items():
        held = {"okx:BaseToken:USDT": 60_000.0 + spare, "binance:BaseToken:USDT": 60_000.0 - spare}
        wanted = {"okx:BaseToken:USDT": 60_000.0, "binance:BaseToken:USDT": 60_000.0}
        assert Trip(basis, btc(2).market(), held, plan(wanted)).legs == legs, spare
