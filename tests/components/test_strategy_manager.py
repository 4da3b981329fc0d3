"""Strategy Manager: what plan a trigger gets, and what becomes of a plan that was cut short."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from components.held_back import NEVER, Held, Why
from components.levels import CRITICAL, WARNING, Crossing
from components.manager_state import ManagerState
from components.model.measures import measure_of
from components.model.orders import Action, InFlight
from components.model.requirements import HOUR_NS
from components.model.slices import RunSlice
from components.routing.plan import FULL, HEDGE, REDUCE, Plan, Urgency
from components.situation import Situation
from components.strategies.strategy import NOTHING
from components.strategy_manager import PlanResult, StrategyManager
from components.triggers import Trigger, off_target
from daemon.journal.codec import decode, encode
from tests.builders import (
    START,
    key,
    plan,
    run_with,
    situation,
)
from tests.components.manager_stage import (
    BASIS,
    DUSTY,
    LEVERAGED,
    NEUTRAL,
    ONE,
    PAIR,
    REWARDED,
    STAKED,
    held,
    lines_of,
    manager_of,
    named,
    trigger_of,
)


def test_what_a_withdrawal_of_its_row_took_needs_no_work() -> None:
    spent = {**PAIR, "wallet:BaseToken:USDT": 40.0}
    assert decided(BASIS, spent, Trigger(0, "deposit", "in")) is None
    assert decided(BASIS, {**PAIR, "wallet:BaseToken:USDT": 4_000.0}, Trigger(0, "deposit", "in")) is not None


# Decisions


def decided(
    run: RunSlice, balances: dict[str, float], trigger: Trigger, *, manager: StrategyManager | None = None,
    withdrawals: float = 0.0, now: Situation | None = None,
) -> Plan | None:  # fmt: skip
    now = now or situation(run, lines_of(run), balances)
    return (manager or manager_of(run)).decide(trigger, now, 7, withdrawals)


def plan_of(*args: Any, **more: Any) -> Plan:
    found = decided(*args, **more)
    assert found is not None
    assert found.step == 7
    return found


def test_an_entry_puts_all_but_the_reserve_to_work() -> None:
    run = run_with("btc_basis", hedge_allocation=ONE, reserve_ratio=0.1)
    found = plan_of(run, {"okx:BaseToken:USDT": 100_000.0}, Trigger(0, "entry", "first row"))
    assert (found.action, found.scope, found.careful, found.reserve) == (Action.ENTRY_FULL, FULL, True, 10_000.0)
    assert found.target.of(key("okx:BaseToken:BTC")) == pytest.approx(0.9)  # half of 90,000 in spot


def test_money_that_is_owed_is_not_put_to_work() -> None:
    manager = manager_of(BASIS)
    manager.owed = 40_000.0
    cash = {"okx:BaseToken:USDT": 50_000.0, "wallet:BaseToken:USDT": 50_000.0}
    found = plan_of(BASIS, cash, Trigger(0, "deposit", "in"), manager=manager)
    assert found.target.of(key("okx:BaseToken:BTC")) == pytest.approx(0.6)
    assert (found.action, found.careful) == (Action.ENTRY_PARTIAL, True)


def test_gas_of_the_eth_class_is_not_put_to_work() -> None:
    run = run_with("eth_staking_only", reserve_ratio=0.0)
    found = plan_of(run, {"wallet:BaseToken:ETH": 10.0, "gas:BaseToken:ETH": 0.05}, Trigger(0, "entry", ""))
    assert found.target.of(key("wallet:BaseToken:wstETH")) == pytest.approx(10.0 / 1.25)


def test_a_withdrawal_that_the_reserve_covers_moves_no_leg() -> None:
    held = {**PAIR, "reserve:BaseToken:USDT": 5_000.0}
    found = plan_of(BASIS, held, Trigger(0, "withdrawal", "out"), withdrawals=4_000.0)
    assert (found.action, found.reason) == (Action.EXIT_PARTIAL, "withdrawal from the reserve")
    assert (found.pay_out, found.from_reserve, found.scope) == (4_000.0, True, REDUCE)
    assert found.target.of(key("okx:BaseToken:BTC")) == 1.0


def test_a_larger_withdrawal_unwinds_every_leg_by_its_share() -> None:
    held = {**PAIR, "reserve:BaseToken:USDT": 5_000.0}
    manager = manager_of(BASIS)
    found = plan_of(BASIS, held, Trigger(0, "withdrawal", "out"), manager=manager, withdrawals=21_000.0)
    assert (found.reason, found.from_reserve, found.careful) == ("slow withdrawal", False, True)
    assert found.target.of(key("okx:BaseToken:BTC")) == pytest.approx(0.8)
    assert found.target.of(key("okx:Perp:BTCUSDT")) == pytest.approx(-0.8)
    assert found.reserve == pytest.approx(4_000.0)
    assert manager.owed == 21_000.0


def test_all_of_it_is_a_full_exit_and_more_than_all_is_never_owed() -> None:
    manager = manager_of(BASIS)
    found = plan_of(BASIS, PAIR, Trigger(0, "withdrawal", "out"), manager=manager, withdrawals=1e9)
    assert (found.action, found.pay_out) == (Action.EXIT_FULL, 100_000.0)
    assert manager.owed == 100_000.0
    again = plan_of(BASIS, PAIR, Trigger(0, "withdrawal", "out"), manager=manager, withdrawals=50.0)
    assert (again.pay_out, manager.owed) == (100_000.0, 100_000.0)


def test_a_withdrawal_from_nothing_owes_nothing() -> None:
    manager = manager_of(BASIS)
    found = plan_of(BASIS, {}, Trigger(0, "withdrawal", "out"), manager=manager, withdrawals=50.0)
    assert (found.pay_out, manager.owed) == (0.0, 0.0)


def test_shorts_of_staked_coins_are_brought_to_what_is_long_and_nothing_else_is_touched() -> None:
    found = plan_of(NEUTRAL, {**STAKED, "okx:Perp:ETHUSDT": -7.0}, off_target(0, measure_of("delta")))
    assert found.scope == HEDGE
    assert found.target.of(key("okx:Perp:ETHUSDT")) == pytest.approx(-10.0)
    assert found.target.of(key("wallet:BaseToken:wstETH")) == 8.0
    assert found.target.of(key("okx:BaseToken:USDT")) == pytest.approx(20_000.0 - 7 * 2_000.0 + 20_000.0)


def test_any_other_deviation_makes_the_target_anew() -> None:
    for trigger in (off_target(0, measure_of("legs:okx")), off_target(0, measure_of("idle"))):
        found = plan_of(BASIS, PAIR, trigger)
        assert (found.action, found.scope, found.reason) == (Action.ENTRY_PARTIAL, FULL, trigger.reason)
    bare = plan_of(NEUTRAL, {"okx:BaseToken:USDT": 5.0}, off_target(0, measure_of("delta")))
    assert bare.scope == FULL  # nothing is long: there is nothing to hedge


@pytest.mark.parametrize("reason", ["gas_debt", "gas_reserve"])
def test_gas_is_repaid_and_everything_else_held(reason: str) -> None:
    found = plan_of(LEVERAGED, {"aave_v3:aToken:awstETH": 80.0, "aave_v3:debtToken:variableDebtWETH": 90.0},
                    off_target(0, measure_of(reason)))  # fmt: skip
    assert (found.repay_gas, found.scope, found.reason) == (True, REDUCE, reason)
    assert found.target.of(key("aave_v3:aToken:awstETH")) == 80.0
    assert found.target.of(key("aave_v3:debtToken:variableDebtWETH")) == 90.0


def test_dust_is_sold_and_everything_else_held() -> None:
    found = plan_of(REWARDED, DUSTY, Trigger(0, "dust", "dust above threshold"))
    assert (found.action, found.sell_dust, found.scope) == (Action.SELL_DUST, True, REDUCE)
    assert found.target.of(key("wallet:BaseToken:weETH")) == 100.0


def on_risk(run: RunSlice, balances: dict[str, float], *crossings: Crossing, **more: Any) -> Plan | None:
    return decided(run, balances, Trigger(0, "risk", crossings[0].name, crossings), **more)


def test_a_warning_reduces_carefully_and_a_critical_level_whatever_it_costs() -> None:
    warned = on_risk(BASIS, PAIR, Crossing(0, "cex_margin:okx", WARNING, 0.2))
    assert warned is not None
    assert (warned.action, warned.scope, warned.urgency, warned.careful, warned.reason) == (
        Action.EXIT_PARTIAL, REDUCE, Urgency.WARNING, True, "cex_margin:okx warning",
    )  # fmt: skip
    critical = on_risk(BASIS, PAIR, Crossing(0, "cex_margin:okx", CRITICAL, 0.1))
    assert critical is not None
    assert (critical.urgency, critical.careful, critical.reason) == (
        Urgency.CRITICAL, False, "cex_margin:okx critical",
    )  # fmt: skip


def test_the_margin_of_a_hedge_on_chain_concerns_all_of_it() -> None:
    found = on_risk(NEUTRAL, STAKED, Crossing(0, "cex_margin:okx", WARNING, 0.2))
    assert found is not None
    assert found.venues is None


def test_the_worst_of_several_levels_says_how() -> None:
    found = on_risk(LEVERAGED, {"wallet:BaseToken:ETH": 1.0}, Crossing(0, "ltv", WARNING, 0.93),
                    Crossing(0, "divergence", CRITICAL, 0.93))  # fmt: skip
    assert found is not None
    assert found.reason == "ltv warning"  # measures that nothing reduces do not count


def test_delta_is_hedged_not_sold() -> None:
    found = on_risk(NEUTRAL, {**STAKED, "okx:Perp:ETHUSDT": -7.0}, Crossing(0, "delta", CRITICAL, 0.3))
    assert found is not None
    assert (found.scope, found.careful, found.reason) == (HEDGE, False, "delta critical")


@pytest.mark.parametrize("name", ["drawdown", "daily_loss", "liquidation"])
def test_an_emergency_sells_everything_and_halts(name: str) -> None:
    manager = manager_of(LEVERAGED)
    found = on_risk(LEVERAGED, {"wallet:BaseToken:ETH": 1.0}, Crossing(0, name, CRITICAL, 0.3), manager=manager)
    assert found is not None
    assert (found.action, found.target, found.reason) == (Action.EXIT_FULL, NOTHING, f"emergency: {name}")
    assert manager.halted


def test_a_warning_of_a_loss_is_only_told() -> None:
    manager = manager_of(BASIS)
    assert on_risk(BASIS, PAIR, Crossing(0, "drawdown", WARNING, 0.16), manager=manager) is None
    assert on_risk(BASIS, PAIR, Crossing(0, "reserve", WARNING, 0.9), manager=manager) is None
    assert not manager.halted


def test_a_halted_strategy_only_ever_sells_whatever_is_critical() -> None:
    manager = manager_of(BASIS)
    manager.halted = True
    found = on_risk(BASIS, PAIR, Crossing(0, "cex_margin:okx", CRITICAL, 0.1), manager=manager)
    assert found is not None
    assert (found.action, found.target, found.reason) == (Action.EXIT_FULL, NOTHING, "halted")
    assert on_risk(BASIS, PAIR, Crossing(0, "drawdown", CRITICAL, 0.3), manager=manager) is not None


def test_closing_sells_rewards_too_and_keeps_the_reserve() -> None:
    found = plan_of(REWARDED, {**DUSTY, "reserve:BaseToken:ETH": 2.0}, Trigger(0, "close", "close at end"))
    assert (found.action, found.sell_dust, found.reserve, found.careful) == (Action.EXIT_FULL, True, 2.0, False)
    assert not plan_of(BASIS, PAIR, Trigger(0, "close", "close")).sell_dust


# Plans under way


FLIGHT = InFlight(
    id="x",
    token="USDT",
    amount=5.0,
    source=key("okx:BaseToken:USDT"),
    target=key("wallet:BaseToken:USDT"),
    arrives_at=START,
)


DONE = PlanResult(worked=True, paid=0.0, complete=True, blocked=False)


def finished(manager: StrategyManager, trigger: str, *, travelling: bool = False, **more: Any) -> None:
    now = situation(BASIS, lines_of(BASIS), PAIR)
    if travelling:
        now._positions.in_flight["x"] = FLIGHT
    known = {"worked": True, "paid": 0.0, "complete": True, "blocked": False, "disturbed": False} | more
    cause = {"deviation": "legs:okx", "dust": "dust"}.get(trigger, "")
    manager.finish(plan(cause=cause), Trigger(0, trigger, "legs:okx"), now, PlanResult(**known))


@pytest.mark.parametrize(("worked", "again"), [(True, 0), (False, START + HOUR_NS)])
def test_a_halted_strategy_goes_on_while_anything_is_held(worked: bool, again: int) -> None:
    manager = manager_of(BASIS)
    manager.halted = True
    finished(manager, "close", worked=worked)
    assert [one.what for one in manager.awaited] == ["okx:BaseToken:BTC", "okx:Perp:BTCUSDT"]
    assert manager._unfinished and manager.plan is not None
    assert manager._again_at == again
    restored = manager_of(BASIS)
    restored.restore(manager.state())
    assert restored.awaited == manager.awaited


def test_a_halted_strategy_is_done_when_it_is_flat() -> None:
    manager = manager_of(BASIS)
    manager.halted = True
    finished(manager, "close")
    now = situation(BASIS, lines_of(BASIS), {"okx:BaseToken:USDT": 95_000.0})
    manager.finish(plan(), Trigger(0, "retry", "cut short"), now, DONE)
    assert (manager.awaited, manager.plan, manager._unfinished) == ((), None, False)


def test_a_plan_is_over_when_nothing_is_left_of_it() -> None:
    manager = manager_of(BASIS)
    finished(manager, "deviation")
    assert manager.plan is None
    assert not manager._unfinished


@pytest.mark.parametrize("more", [{"travelling": True}, {"blocked": True}, {"disturbed": True}])
def test_a_plan_stays_under_way_while_something_travels_waits_or_was_cut_short(more: dict[str, bool]) -> None:
    manager = manager_of(BASIS)
    finished(manager, "deviation", **more)
    assert manager.plan == plan(cause="legs:okx")
    assert manager._blocked is more.get("blocked", False)
    assert manager._unfinished is more.get("disturbed", False)


def test_an_entry_counts_when_something_was_done_or_nothing_was_left_out() -> None:
    for more, entered in (({"worked": True, "complete": False}, True), ({"worked": False}, True),
                          ({"worked": False, "complete": False}, False)):  # fmt: skip
        manager = manager_of(BASIS, entered=False)
        finished(manager, "entry", **more)
        assert manager.entered is entered


def test_an_entry_that_did_not_begin_needs_no_retry_it_is_asked_for_anyway() -> None:
    manager = manager_of(BASIS, entered=False)
    finished(manager, "entry", worked=False, complete=False, disturbed=True)
    assert (manager.entered, manager._unfinished) == (False, False)


def test_what_nothing_could_be_done_about_is_tried_again_a_day_later() -> None:
    manager = manager_of(BASIS)
    finished(manager, "deviation", worked=False)
    finished(manager, "dust", worked=False)
    assert manager._held == {"legs:okx": held(24), "dust": held(24)}
    other = manager_of(BASIS)
    finished(other, "deviation", worked=False, disturbed=True)  # not its fault: tried again at once
    finished(other, "risk", worked=False)
    assert other._held == {}


def test_what_was_done_and_did_not_help_waits_until_it_is_worse_or_new_means_arrive() -> None:
    manager = manager_of(BASIS)
    finished(manager, "deviation", worked=True)
    assert manager._held["legs:okx"] == Held(None, NEVER, Why.DONE)
    finished(manager, "deviation", worked=False, too_dear=True)
    assert manager._held["legs:okx"] == Held(None, START + 24 * HOUR_NS, Why.TOO_DEAR)

    parted = {**PAIR, "okx:BaseToken:BTC": 0.5}
    manager._held = {"legs:okx": Held(0.5, NEVER, Why.DONE, told=True), "delta": Held(0.5, NEVER, Why.DONE, told=True)}
    assert trigger_of(BASIS, parted, manager=manager) is None
    worse = {**PAIR, "okx:BaseToken:BTC": 0.47}
    assert named(trigger_of(BASIS, worse, manager=manager)) == (0, "deviation", "legs:okx")
    manager.means_arrived()
    assert named(trigger_of(BASIS, parted, manager=manager)) == (0, "deviation", "legs:okx")


def test_what_is_paid_is_no_longer_owed() -> None:
    manager = manager_of(BASIS)
    manager.owed = 100.0
    finished(manager, "withdrawal", paid=60.0, travelling=True)
    assert manager.owed == 40.0
    finished(manager, "arrival", paid=40.0 - 1e-10)
    assert manager.owed == 0.0


def test_what_arrives_belongs_to_the_plan_under_way() -> None:
    manager = manager_of(BASIS)
    manager.plan = plan({"okx:BaseToken:BTC": 3.0}, Action.ENTRY_FULL)
    resumed = plan_of(BASIS, PAIR, Trigger(0, "arrival", "home"), manager=manager)
    assert (resumed.action, resumed.target) == (Action.ENTRY_PARTIAL, manager.plan.target)
    manager.plan = plan(action=Action.EXIT_FULL, scope=REDUCE)
    assert plan_of(BASIS, PAIR, Trigger(0, "blocked", ""), manager=manager).action is Action.EXIT_FULL


def test_an_arrival_without_a_plan_is_put_to_work_or_sold_when_halted() -> None:
    assert plan_of(BASIS, PAIR, Trigger(0, "arrival", "home")).action is Action.ENTRY_PARTIAL
    halted = manager_of(BASIS)
    halted.halted = True
    assert plan_of(BASIS, PAIR, Trigger(0, "arrival", "home"), manager=halted).target == NOTHING
    never = structs.replace(BASIS, mode=structs.replace(BASIS.mode, rebalance="never"))
    assert decided(never, PAIR, Trigger(0, "arrival", "home")) is None


def test_a_plan_that_was_cut_short_is_made_anew_where_it_grows() -> None:
    manager = manager_of(BASIS)
    manager.plan = structs.replace(plan({"okx:BaseToken:BTC": 3.0}), reason="deposit")
    again = plan_of(BASIS, PAIR, Trigger(0, "retry", "cut short"), manager=manager)
    assert (again.action, again.reason) == (Action.ENTRY_PARTIAL, "deposit")
    assert again.target.of(key("okx:BaseToken:BTC")) == pytest.approx(1.0)  # of today's equity


def test_a_reduction_that_was_cut_short_keeps_its_target() -> None:
    manager = manager_of(BASIS)
    manager.plan = plan({"okx:BaseToken:BTC": 0.4}, Action.EXIT_PARTIAL, scope=REDUCE)
    again = plan_of(BASIS, PAIR, Trigger(0, "retry", "cut short"), manager=manager)
    assert (again.scope, again.target.of(key("okx:BaseToken:BTC"))) == (REDUCE, 0.4)


def test_a_halted_strategy_goes_on_selling_what_an_emergency_could_not() -> None:
    manager = manager_of(BASIS)
    manager.halted, manager.plan = True, plan({"okx:BaseToken:BTC": 3.0})
    again = plan_of(BASIS, PAIR, Trigger(0, "retry", "cut short"), manager=manager)
    assert (again.action, again.target, again.reason) == (Action.EXIT_FULL, NOTHING, "halted")


# State


def test_a_restored_manager_knows_the_same_and_shares_nothing() -> None:
    manager = manager_of(BASIS)
    manager.halted, manager.owed = True, 12.5
    manager.plan = plan({"okx:BaseToken:BTC": 0.5}, Action.EXIT_PARTIAL, scope=REDUCE, venues=("okx",))
    manager._blocked, manager._unfinished, manager._retry_at = True, True, {"dust": 5}
    manager._again_at, manager._overtaken = 7, plan({"okx:BaseToken:BTC": 0.25})
    state = manager.state()
    frozen = encode(state)
    other = manager_of(BASIS, entered=False)
    other.restore(decode(frozen, ManagerState))
    assert other.state() == state
    for each in (manager, other):
        each._retry_at["owed"] = 9
        each._held["dust"] = held(9)
    assert encode(state) == frozen


def test_ratios_of_columns_are_taken_row_by_row() -> None:
    """A hedge whose coins come to nothing on one row has no ratio there, and no row is judged by another."""
    held = {"wallet:BaseToken:wstETH": 8.0}
    assert named(trigger_of(NEUTRAL, held, lines={"lido.ratio.wstETH": [0.0, 1.25, 1.25, 1.25]})) == (
        1,
        "deviation",
        "delta",
    )


# Trying again


@pytest.mark.parametrize(
    ("action", "later_ns"), [(Action.ENTRY_PARTIAL, HOUR_NS), (Action.EXIT_PARTIAL, 0), (Action.EXIT_FULL, 0)]
)
def test_what_was_refused_on_the_way_out_is_tried_at_once_and_on_the_way_in_after_an_hour(
    action: Action, later_ns: int
) -> None:
    manager = manager_of(BASIS)
    now = situation(BASIS, lines_of(BASIS), PAIR)
    manager.finish(
        plan(action=action),
        Trigger(0, "deposit", "in"),
        now,
        PlanResult(worked=True, paid=0.0, complete=True, blocked=False, refused=True),
    )
    assert manager._unfinished
    assert manager._again_at == (now.row.timestamp + later_ns if later_ns else 0)


def test_a_withdrawal_sets_the_plan_it_overtakes_aside_and_gives_it_back() -> None:
    manager = manager_of(BASIS)
    entry, paying = plan({"okx:BaseToken:BTC": 3.0}), plan(action=Action.EXIT_PARTIAL, scope=REDUCE, pay_out=5.0)
    manager.plan = entry
    now = situation(BASIS, lines_of(BASIS), PAIR)
    manager.finish(paying, Trigger(0, "withdrawal", "out"), now, structs.replace(DONE, disturbed=True))
    assert (manager.plan, manager._overtaken) == (paying, entry)
    manager.finish(paying, Trigger(0, "retry", "cut short"), now, DONE)
    assert (manager.plan, manager._overtaken, manager._unfinished) == (entry, None, True)


def test_what_is_owed_is_paid_as_soon_as_the_reserve_is_enough() -> None:
    manager = manager_of(BASIS)
    manager.owed = 400.0
    reserve = {**PAIR, "reserve:BaseToken:USDT": 500.0}
    assert named(trigger_of(BASIS, reserve, manager=manager)) == (0, "owed", "still owed")
    manager._retry_at = {"owed": START + 3 * HOUR_NS}
    assert named(trigger_of(BASIS, PAIR, manager=manager)) == (3, "owed", "still owed")
    manager.owed = 40.0  # below the minimum trade nothing is unwound for it, but a reserve that has it pays
    assert named(trigger_of(BASIS, reserve, manager=manager)) == (0, "owed", "still owed")
    assert trigger_of(BASIS, PAIR, manager=manager) is None
    manager.owed = 0.4
    assert trigger_of(BASIS, reserve, manager=manager) is None


def test_margin_that_is_too_dear_to_restore_waits_at_all_venues_at_once() -> None:
    manager = manager_of(NEUTRAL)
    venues = sorted(NEUTRAL.mode.hedge_allocation)
    manager._hold(f"margin_ratio:{venues[0]}", START, too_dear=True)
    assert set(manager._held) == {f"margin_ratio:{venue}" for venue in venues}
    assert {each.again_at for each in manager._held.values()} == {START + 72 * HOUR_NS}
    assert [manager._held[f"margin_ratio:{venue}"].told for venue in venues] == [False] + [True] * (len(venues) - 1)
