"""The core: whole rows, from settlements to trades and back, with everything that can happen on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core import AFTER_TRIGGER, LONGEST, SHORTEST, CoreState
from components.held_back import NEVER, Held, Why
from components.model.events import Event, EventType
from components.model.market import Market
from components.model.orders import Verb
from components.model.slices import RunSlice
from components.ports import GRANTED, Flow, Standing
from daemon.journal.codec import decode, encode
from tests.builders import at, happening, key, order, run_of
from tests.scenarios.sketch import Sketch, btc, staked
from tests.stage import Cue, Cut, Stage, agrees, fills, loses, observes, rejects, stays_silent

TWO = "hedge_allocation={binance: 0.5, okx: 0.5}"
BASIS = run_of("btc_basis", TWO)
ENTRY = "binance_spot + binance_perp + okx_spot + okx_perp"
LEGS = ENTRY.split(" + ")
LATCHED = Standing(no_risk=("latched",))


def basis(rows: int = 12, *flows: Flow, price: object = 60_000.0, run: RunSlice = BASIS) -> Stage:
    return Stage(run, btc(rows, price).market(), flows=flows).starts(100_000.0)  # type: ignore[arg-type]


@pytest.fixture(name="stage")
def a_basis_of_two_venues() -> Iterator[Stage]:
    stage = basis()
    yield stage
    assert stage.cues == (), "cues that nobody took"


# The loop


def test_a_run_begins_with_its_capital(stage: Stage) -> None:
    (placed,) = stage.events
    assert (placed.event_type, placed.amount, placed.token) == (EventType.CAPITAL_PLACED, 100_000.0, "USDT")
    assert sum(placed.balances.values()) == pytest.approx(100_000.0)


def test_the_first_row_enters_and_quiet_rows_do_nothing(stage: Stage) -> None:
    stage.advance(7)
    assert stage.script == [f"intend {ENTRY}", f"send {ENTRY}", "observe", "agree"]
    assert stage.decisions() == ["entry: enter"]
    assert len(stage.blocks) == 2  # the row of the entry, and all the others at once
    assert stage.core.trades == 4


def test_every_row_is_told_once(stage: Stage) -> None:
    stage.advance(12)
    stamps = np.concatenate([block.timestamps for block in stage.blocks])
    assert stamps.tolist() == stage.market.timestamps.tolist()


def test_a_window_ends_at_the_first_row_that_needs_an_action() -> None:
    stage = basis(price={0: 60_000.0, 6: 60_000.0, 7: 85_000.0})
    stage.advance(1)
    assert stage.core.advance(stage.market.window(1, 12)) == 8


def test_windows_grow_while_it_is_quiet_and_start_short_after_a_trigger() -> None:
    stage = basis(1200)
    ends = [0]
    while ends[-1] < 1200:
        ends.append(stage.core.run_row(ends[-1], until=1200))
    assert ends == [0, 1, 1 + AFTER_TRIGGER, 1200]  # SHORTEST is cut by the entry
    assert SHORTEST < AFTER_TRIGGER < LONGEST
    stage = basis(20)
    assert stage.core.run_row(0, until=20, rows=1) == 1
    assert stage.core.run_row(1, until=20, rows=7) == 8


def test_a_window_ends_where_something_that_is_held_back_is_asked_again() -> None:
    stage = basis(40)
    assert stage.core.run_row(0, until=40) == 1
    stage.core.manager._held = {"idle": Held(None, at(9), Why.TOO_DEAR), "gas_debt": Held(None, NEVER, Why.DONE)}
    assert stage.core.manager.asks_again_at == at(9)
    assert stage.core.run_row(1, until=40) == 10  # up to the row of it, and no further
    stage.core.manager._held = {"idle": Held(0.0, at(3), Why.TOO_DEAR)}  # the time has come, and nothing can be done
    assert stage.core.run_row(10, until=40) == 40


def test_events_of_one_row_come_in_the_order_of_things() -> None:
    stage = basis(12, Flow(at(8), 5_000.0, "in")).advance(8)
    stage.forget()
    stage.advance(1)
    assert [event.event_type for event in stage.events][:6] == [
        EventType.FUNDING, EventType.FUNDING, EventType.DEPOSIT, EventType.RESERVE_LOW, EventType.DECISION,
        EventType.TRANSFER_SENT,
    ]  # fmt: skip
    assert [event.sequence for event in stage.events] == sorted(event.sequence for event in stage.events)


def test_all_that_a_decision_caused_shares_its_name(stage: Stage) -> None:
    stage.advance(1)
    named = {event.correlation_id for event in stage.told(EventType.DECISION, EventType.TRADE)}
    assert named == {"run/1"}
    assert stage.events[0].correlation_id == "run/0"


def test_cash_of_quiet_rows_is_told_with_the_balances_after_it(stage: Stage) -> None:
    stage.advance(12)
    funding = stage.told(EventType.FUNDING)
    assert [(event.venue, event.timestamp) for event in funding] == [("binance", at(8)), ("okx", at(8))]
    usdt = key("binance:BaseToken:USDT")
    assert funding[0].balances[usdt] == stage.balance(usdt)


# Capital


def test_a_deposit_is_put_to_work() -> None:
    stage = basis(12, Flow(at(3), 50_000.0, "in")).advance(6)
    assert (
        stage.decisions() == ["entry: enter", "deposit: in", "arrival: in"]
        or stage.decisions()[1] == "deposit: deposit"
    )
    assert stage.balance("okx:BaseToken:BTC") == pytest.approx(0.3958 * 1.5, rel=0.01)
    assert stage.column("external_flow").tolist() == [0.0, 0.0, 0.0, 50_000.0, 0.0, 0.0]
    assert stage.column("unit_value")[3] == pytest.approx(stage.column("unit_value")[2], rel=1e-3)


def test_a_deposit_buys_units_at_the_value_just_before_it() -> None:
    stage = basis(12, Flow(at(3), 50_000.0, "in"), run=run_of("btc_basis", TWO, "costs=none")).advance(4)
    assert stage.core.pnl.units == pytest.approx(150_000.0)
    assert stage.column("unit_value") == pytest.approx(np.ones(4), rel=1e-12)


def test_a_withdrawal_is_paid_from_the_reserve_on_its_row() -> None:
    stage = basis(12, Flow(at(3), -2_000.0, "out")).advance(5)
    assert stage.decisions()[1:] == ["withdrawal: withdrawal from the reserve"]
    (paid,) = stage.told(EventType.WITHDRAWAL_PAID)
    assert (paid.amount, paid.timestamp) == (-2_000.0, at(3))
    assert stage.core.manager.owed == 0.0


def test_a_slow_withdrawal_unwinds_sends_and_pays_when_it_arrives() -> None:
    stage = basis(12, Flow(at(3), -30_000.0, "out")).advance(6)
    assert [event.event_type for event in stage.told(EventType.TRANSFER_SENT, EventType.TRANSFER_ARRIVED)] == [
        EventType.TRANSFER_SENT, EventType.TRANSFER_SENT, EventType.TRANSFER_ARRIVED, EventType.TRANSFER_ARRIVED,
    ]  # fmt: skip
    paid = -sum(event.amount or 0.0 for event in stage.told(EventType.WITHDRAWAL_PAID))
    assert paid == pytest.approx(30_000.0, rel=0.01)  # what leaving costs is not there to be paid
    assert stage.core.manager.owed == pytest.approx(30_000.0 - paid)
    assert stage.column("external_flow").sum() == pytest.approx(-paid)


# Risk


def test_a_level_that_rises_is_told_and_acted_on() -> None:
    stage = basis(8, price={0: 60_000.0, 4: 60_000.0, 5: 62_000.0}, run=run_of("btc_basis", TWO, "rebalance=auto"))
    stage.advance(2)
    stage.at(3, happening(EventType.ADJUSTMENT, {"okx:Perp:BTCUSDT": 0.3, "okx:PerpQuote:BTCUSDT": -18_000.0}))
    stage.advance(3)
    (told,) = stage.told(EventType.RISK_LEVEL)
    assert (told.detail, told.status, told.timestamp) == ("delta", "critical", at(3))
    assert "risk: delta critical" in stage.decisions()
    assert abs(stage.column("net_delta")[4]) < 0.02


def test_an_emergency_sells_everything_and_stays_out() -> None:
    run = run_of(
        "btc_basis", TWO, "risk.max_drawdown={warning: 0.05, critical: 0.1}", "risk.max_daily_loss.critical=0.9"
    )
    stage = basis(12, Flow(at(8), 1_000.0, "in"), run=run).advance(2)
    stage.at(3, happening(EventType.ADJUSTMENT, {"okx:BaseToken:USDT": -20_000.0}, part="adjustment"))
    stage.advance(10)
    emergency = stage.told(EventType.EMERGENCY_STOP)
    assert [(event.detail, event.status) for event in emergency] == [("drawdown", "critical")]
    assert stage.decisions() == ["entry: enter", "risk: emergency: drawdown"]
    assert stage.core.manager.halted
    assert not [held for held in stage.core.positions.snapshot() if held.symbol != "USDT"]
    assert stage.balance("wallet:BaseToken:USDT") == 1_000.0  # a deposit idles


def test_what_is_no_emergency_has_an_event_of_its_own() -> None:
    sketch = btc(8).line("okx.perp.BTC", {0: 60_000.0, 3: 60_000.0, 4: 60_400.0, 5: 60_000.0})
    stage = Stage(BASIS, sketch.market()).starts(100_000.0).advance(3)
    stage.at(3, happening(EventType.ADJUSTMENT, {"reserve:BaseToken:USDT": -2_000.0}, part="adjustment"))
    stage.advance(5)
    assert [(e.event_type, e.timestamp) for e in stage.told(EventType.PRICE_DIVERGENCE, EventType.RESERVE_LOW)] == [
        (EventType.RESERVE_LOW, at(3)), (EventType.PRICE_DIVERGENCE, at(4)),
    ]  # fmt: skip


def test_a_strategy_that_never_rebalances_watches_no_level() -> None:
    run = run_of("btc_basis", TWO, "rebalance=never")
    stage = basis(8, price={0: 60_000.0, 3: 60_000.0, 4: 100_000.0}, run=run).advance(8)
    assert stage.decisions() == ["entry: enter"]
    assert stage.told(EventType.RISK_LEVEL) == []


def test_a_liquidation_is_counted_and_told() -> None:
    stage = basis(8, price={0: 60_000.0, 4: 60_000.0, 5: 118_500.0}).advance(6)
    assert stage.core.liquidations == 1
    assert [event.venue for event in stage.told(EventType.LIQUIDATION)] == ["binance"]  # it takes 1.25 % to close
    assert stage.column("liquidation")[5] < 0.0


# Commands and the end


def test_a_run_may_be_closed_on_its_last_row(stage: Stage) -> None:
    stage.advance(11)
    stage.advance(1, close=True)
    assert stage.decisions()[-1] == "close: close at end"
    assert {held.symbol for held in stage.core.positions.snapshot()} == {"USDT"}
    assert not stage.core.manager.halted


def test_a_run_that_is_closed_is_not_closed_early() -> None:
    stage = basis(12, price={0: 60_000.0, 6: 60_000.0, 7: 85_000.0})
    stage.advance(1)
    assert stage.core.advance(stage.market.window(1, 12), close=True) == 8
    assert "close: close at end" not in stage.decisions()
    assert stage.core.advance(stage.market.window(8, 12), close=True) in (9, 12)


def test_the_operator_closes_and_nothing_comes_back_until_resumed() -> None:
    stage = basis(12, Flow(at(5), 5_000.0, "in"), Flow(at(8), 5_000.0, "again")).advance(3)
    stage.advance(1, commands=("close",))
    assert {held.symbol for held in stage.core.positions.snapshot()} == {"USDT"}
    assert stage.core.manager.halted
    stage.forget()
    stage.advance(3)
    assert stage.script == []
    stage.advance(1, commands=("resume",))
    assert not stage.core.manager.halted
    stage.advance(3)
    assert stage.balance("okx:BaseToken:BTC") > 0.0  # the next deposit is put to work again, and all else with it


def test_the_operator_asks_for_a_rebalance(stage: Stage) -> None:
    stage.advance(3)
    stage.advance(1, commands=("rebalance",))
    assert stage.decisions()[-1] == "deviation: asked for"


# Trouble outside


def test_next_order_waits_for_reconciliation() -> None:
    stage = basis(run=run_of("btc_basis", TWO, "initial_location=wallet"))
    stage.plays(
        fills("wallet_to_binance"),
        observes("wallet:BaseToken:USDT", 95_000.0),
        agrees(),
        fills("wallet_to_okx"),
        agrees(),
    )
    stage.advance(1)
    assert stage.script == [
        "intend wallet_to_binance", "send wallet_to_binance", "observe", "mismatch wallet:BaseToken:USDT", "observe",
        "agree", "intend wallet_to_okx", "send wallet_to_okx", "observe", "agree",
    ]  # fmt: skip
    assert stage.core.reconciliation.mismatches == 1
    assert stage.cues == ()


def test_an_entry_without_authority_is_told_once_and_done_when_it_may(stage: Stage) -> None:
    stage.standing = LATCHED
    stage.advance(3)
    assert stage.script == []
    assert len(stage.told(EventType.ORDER_WITHHELD)) == 4
    assert [event.detail for event in stage.told(EventType.ENTRY_SKIPPED)] == ["latched"]

    stage.standing = GRANTED
    stage.advance(2)
    assert stage.script == [f"intend {ENTRY}", f"send {ENTRY}", "observe", "agree"]
    assert stage.core.manager.plan is None


def test_a_plan_that_a_venue_cut_short_is_tried_again_on_the_next_row(stage: Stage) -> None:
    stage.plays(*(rejects(leg, "not sent", transient=True) for leg in LEGS))
    stage.advance(1)
    assert stage.core.manager.state().unfinished
    stage.advance(2)
    assert stage.decisions() == ["entry: enter", "retry: enter"]
    assert stage.balance("okx:BaseToken:BTC") == -stage.balance("okx:Perp:BTCUSDT") > 0.0
    assert not stage.core.manager.state().unfinished


def test_venues_that_do_not_say_what_we_hold_are_asked_again_with_the_next_row(stage: Stage) -> None:
    stage.plays(*(fills(leg) for leg in LEGS), stays_silent(), stays_silent(), stays_silent())
    stage.advance(4)
    (failed,) = stage.told(EventType.RECONCILIATION_FAILED)
    assert failed.detail == "venues do not say what we hold: the venue does not answer"
    assert stage.decisions() == ["entry: enter"]  # everything was done: the retry finds nothing left to do
    assert not stage.core.manager.state().unfinished
    assert [event.detail for event in stage.told(EventType.ENTRY_SKIPPED)] == ["venues do not say what we hold"]


def test_a_retry_meets_the_same_trouble_quietly(stage: Stage) -> None:
    """Asked on every row and told only when something is done."""
    stage.standing = LATCHED
    stage.advance(5)
    assert len(stage.told(EventType.DECISION)) <= 5
    assert len(stage.told(EventType.ORDER_WITHHELD)) == 4


def test_legs_that_parted_are_brought_together_on_the_row_and_entered_on_the_next(stage: Stage) -> None:
    stage.plays(*(fills(leg) for leg in LEGS[:3]), rejects("okx_perp", "margin"))
    stage.advance(1)
    assert stage.script[-2:] == ["intend okx_spot_back", "send okx_spot_back"]
    assert stage.core.positions.snapshot().get(key("okx:Perp:BTCUSDT")) is None
    assert abs(stage.balance("okx:BaseToken:BTC")) < 1e-9
    stage.advance(2)
    assert stage.balance("okx:BaseToken:BTC") == pytest.approx(0.3954, rel=1e-3)


# Uncertain orders


def test_an_uncertain_order_counts_at_its_worst_end(stage: Stage) -> None:
    stage.plays(*(fills(leg) for leg in LEGS[:3]), loses("okx_perp"))
    stage.advance(1)
    assert len(stage.core.positions.uncertain) == 1
    (unknown,) = stage.told(EventType.ORDER_UNKNOWN)
    assert unknown.detail == "perp okx_perp (no answer)"

    stage.forget()
    stage.advance(1)  # net coins are between 0 and +0.4: half of what is hedged
    (told,) = stage.told(EventType.RISK_LEVEL)
    assert (told.detail, told.status) == ("delta", "critical")
    assert told.amount == pytest.approx(0.5, abs=0.01)
    assert stage.script == []
    assert [event.detail for event in stage.told(EventType.ENTRY_SKIPPED)] == [
        "okx perp BTC: the outcome of an order is not known"
    ]


def test_a_lost_order_that_was_done_is_booked_late_and_nothing_is_sent_again(stage: Stage) -> None:
    stage.plays(*(fills(leg) for leg in LEGS[:3]), loses("okx_perp"))
    stage.advance(1)
    stage.resolves("okx_perp", 1)
    stage.forget()
    stage.advance(6)
    assert stage.script == []
    assert stage.core.positions.uncertain == {}
    assert stage.core.positions.snapshot() == {held: amount for held, amount in stage.world.balances.items() if amount}
    (resolved,) = stage.told(EventType.ORDER_RESOLVED)
    assert resolved.timestamp == at(1)
    costs = stage.column("transaction_costs")
    assert costs[1] < 0.0  # its fee and slippage, on the row on which they became known
    assert np.abs(stage.column("unexplained")).max() <= 1e-9 * 100_000.0


def test_a_lost_order_that_was_not_done_is_made_good_once(stage: Stage) -> None:
    stage.plays(*(fills(leg) for leg in LEGS[:3]), loses("okx_perp", done=False))
    stage.advance(1)
    stage.resolves("okx_perp", 1)
    stage.forget()
    stage.advance(4)
    assert [line for line in stage.script if line.startswith("send")] == ["send okx_spot + okx_perp"]
    assert stage.balance("okx:Perp:BTCUSDT") == -stage.balance("okx:BaseToken:BTC") < 0.0


def test_a_lost_transaction_leaves_every_step_uncertain() -> None:
    stage = Stage(run_of("eth_leveraged"), staked(6).market()).starts(100.0)
    stage.plays(loses("flash_borrow"))
    stage.advance(1)
    assert len(stage.core.positions.uncertain) == 5
    (whole,) = stage.told(EventType.ATOMIC_GROUP)
    assert whole.status == "unknown"
    stage.forget()
    stage.advance(1)
    assert stage.script == []  # entering again would add risk
    assert stage.core.manager.state().unfinished


def test_a_lost_transaction_that_was_done_is_booked_whole_and_not_repeated() -> None:
    stage = Stage(run_of("eth_leveraged"), staked(8).market()).starts(100.0)
    stage.plays(loses("flash_borrow"))
    stage.advance(1)
    for leg in ("flash_borrow", "stake", "supply_lst", "borrow", "flash_repay"):
        stage.resolves(leg, 1)
    stage.forget()
    stage.advance(7)
    assert not [line for line in stage.script if "stake" in line]
    assert stage.core.positions.uncertain == {}
    assert stage.core.positions.snapshot() == {held: amount for held, amount in stage.world.balances.items() if amount}
    assert stage.column("ltv")[2] == pytest.approx(stage.run.mode.target_ltv, rel=1e-3)
    assert np.abs(stage.column("unexplained")).max() <= 1e-9 * 100.0


def test_a_doubt_that_a_restart_brings_along_binds_the_first_row(stage: Stage) -> None:
    lost = order(Verb.PERP, "okx", "BTC", -0.2, id="lost")
    stage.at(0, happening(EventType.ORDER_UNKNOWN, unknown=lost, venue="okx", token="BTC", detail="lost"))
    stage.advance(1)
    assert stage.script == []
    assert stage.told(EventType.ORDER_WITHHELD)[0].detail == "the outcome of order lost is not known"


def test_a_foreign_hand_that_was_accepted_is_no_profit_and_no_flow(stage: Stage) -> None:
    stage.advance(2)
    stage.at(3, happening(EventType.ADJUSTMENT, {"okx:BaseToken:USDT": 250.0}, part="adjustment", venue="okx"))
    stage.advance(4)
    assert stage.core.pnl.sums["adjustment"] == 250.0
    assert stage.column("external_flow").tolist() == [0.0] * 6
    assert np.abs(stage.column("unexplained")).max() <= 1e-9 * 100_000.0


def test_the_guard_cuts_what_is_too_large_legs_in_step_and_refuses_what_cannot_be_cut() -> None:
    stage = basis(12)
    stage.standing = Standing(max_trade_usdt=10.0)  # less than the venues take
    stage.advance(1)
    assert stage.script == []
    assert "is above the guard's 10.00" in stage.told(EventType.ORDER_WITHHELD)[0].detail

    stage.standing = Standing(max_trade_usdt=10_000.0)
    stage.advance(2)
    entry = [line for line in stage.script if line.startswith("send")]
    assert entry == ["send binance_spot + binance_perp + okx_spot + okx_perp"] * 3  # 24,000 USDT a leg
    stage.forget()
    stage.advance(1, commands=("close",))
    assert len([line for line in stage.script if line.startswith("send")]) == 3  # 24,000 USDT a leg
    assert {held.symbol for held in stage.core.positions.snapshot()} == {"USDT"}


def test_why_a_leg_was_left_out_is_told_until_the_reason_changes() -> None:
    sketch = btc(8).grows_stale("okx.perp.BTC", 0, 3)
    stage = Stage(BASIS, sketch.market()).starts(100_000.0).advance(8)
    assert [event.detail for event in stage.told(EventType.ENTRY_SKIPPED)] == ["okx: stale okx.perp.BTC"]
    assert [event.detail.split(":")[0] for event in stage.told(EventType.DECISION)] == ["entry", "blocked"]
    assert stage.told(EventType.DECISION)[1].timestamp == at(4)


# State

Scene = Mapping[int, Callable[[Stage], object]]


def crash_of_btc() -> Market:
    return btc(48, {0: 60_000.0, 10: 61_000.0, 14: 88_000.0, 20: 70_000.0, 30: 40_000.0, 47: 45_000.0}).market()


def rewards_and_an_oracle_drop() -> Market:
    sketch = staked(48, lst="weETH").line("etherfi.ratio.weETH", {0: 1.04, 20: 1.041, 21: 1.0315, 47: 1.0325})
    sketch.line("dex.ratio.weETH", {0: 1.04, 20: 1.041, 21: 1.0315, 47: 1.0325})
    return sketch.reward("EIGEN", start=2, end=26, paid=30, per_eeth=0.5).market()


def neutral_with_stale_legs() -> Market:
    sketch: Sketch = staked(48, {0: 3_000.0, 20: 3_000.0, 24: 4_700.0, 47: 3_500.0})
    return sketch.grows_stale("okx.perp.ETH", 24, 27).market()


def trouble(*cues: Cue) -> Callable[[Stage], object]:
    return lambda stage: stage.plays(*cues)


def stand(standing: Standing) -> Callable[[Stage], object]:
    return lambda stage: setattr(stage, "standing", standing)


def know(leg: str, row: int) -> Callable[[Stage], object]:
    return lambda stage: stage.resolves(leg, row)


FOREIGN_HAND = happening(EventType.ADJUSTMENT, {"okx:BaseToken:USDT": -40.0}, part="adjustment", venue="okx")
BOUGHT = ("binance_spot", "binance_perp", "okx_perp")
STORIES: dict[str, tuple[RunSlice, Callable[[], Market], float, tuple[Flow, ...], Scene]] = {
    "btc_basis": (
        BASIS, crash_of_btc, 100_000.0,
        (Flow(at(5), 20_000.0, "in"), Flow(at(17), -1_000.0, "fast"), Flow(at(25), -40_000.0, "slow")),
        {
            0: trouble(*(fills(leg) for leg in LEGS[:3]), loses("okx_perp")), 1: know("okx_perp", 2),
            11: stand(LATCHED), 13: stand(GRANTED),
            35: lambda stage: stage.at(35, FOREIGN_HAND),
            40: stand(Standing(max_trade_usdt=9_000.0)),
        },
    ),
    "eth_leveraged": (
        run_of("eth_leveraged", "lst_type=weETH", "rewards_mode=base_eigen", "costs=none"), rewards_and_an_oracle_drop,
        100.0, (Flow(at(8), 30.0, "in"), Flow(at(40), -20.0, "slow")),
        {0: trouble(rejects("flash_borrow", "congested", transient=True)), 6: stand(LATCHED), 10: stand(GRANTED)},
    ),
    "usdt_market_neutral": (
        run_of("usdt_market_neutral", TWO), neutral_with_stale_legs, 1_000_000.0,
        (Flow(at(10), 200_000.0, "in"), Flow(at(33), -300_000.0, "slow")),
        {
            0: trouble(*(fills(leg) for leg in BOUGHT), agrees(), loses("binance_to_wallet")),
            2: know("binance_to_wallet", 2),
        },
    ),
}  # fmt: skip


def on_stage(mode: str) -> Stage:
    run, _, _, flows, _ = STORIES[mode]
    return Stage(run, market_of(mode), flows=flows)


@cache
def market_of(mode: str) -> Market:
    return STORIES[mode][1]()


def lives_to(stage: Stage, mode: str, end: int, *, step: int = 48) -> Stage:
    """Plays the story of a mode up to row `end`, in windows of at most `step` rows."""
    scenes = STORIES[mode][4]
    while stage.row < end:
        if stage.row in scenes:
            scenes[stage.row](stage)
        marks = [row for row in scenes if row > stage.row]
        stage.advance(min([*marks, end, stage.row + step]) - stage.row)
    return stage


@cache
def uninterrupted(mode: str) -> tuple[Stage, bytes]:
    stage = on_stage(mode).starts(STORIES[mode][2])
    lives_to(stage, mode, 48)
    return stage, encode(stage.core.state())


def through_a_cut(mode: str, row: int, step: int) -> tuple[Stage, Cut]:
    """The story up to `row`, a restart, and the rest of it with a core that has lived through nothing."""
    first = lives_to(on_stage(mode).starts(STORIES[mode][2]), mode, row, step=step)
    cut = first.cut()
    lives_to(first, mode, 48)  # what goes on with the old core must not touch the state that was taken
    return lives_to(on_stage(mode).resumes(cut), mode, 48, step=step), cut


@pytest.mark.parametrize("mode", list(STORIES))
@settings(max_examples=24, deadline=None)
@given(row=st.integers(min_value=1, max_value=47), step=st.sampled_from([1, 5, 48]))
def test_a_core_restored_at_any_row_goes_on_exactly_like_the_uninterrupted_one(mode: str, row: int, step: int) -> None:
    whole, end = uninterrupted(mode)
    resumed, _ = through_a_cut(mode, row, step)
    assert resumed.transcript(row) == whole.transcript(row)
    assert encode(resumed.core.state()) == end


@pytest.mark.parametrize("mode", list(STORIES))
def test_the_stories_are_worth_telling(mode: str) -> None:
    """What the restart tests above go through: a restart in a quiet run would prove little."""
    stage, _ = uninterrupted(mode)
    kinds = {event.event_type for event in stage.events}
    assert {EventType.DEPOSIT, EventType.WITHDRAWAL_REQUESTED, EventType.WITHDRAWAL_PAID} <= kinds
    expected = {
        "btc_basis": {EventType.ORDER_UNKNOWN, EventType.ORDER_RESOLVED, EventType.RISK_LEVEL, EventType.ADJUSTMENT,
                      EventType.ENTRY_SKIPPED, EventType.FUNDING},
        "eth_leveraged": {EventType.ORDER_REJECTED, EventType.REWARD, EventType.ATOMIC_GROUP, EventType.ORDER_WITHHELD},
        "usdt_market_neutral": {EventType.ORDER_UNKNOWN, EventType.TRANSFER_ARRIVED, EventType.ENTRY_SKIPPED},
    }  # fmt: skip
    assert expected[mode] <= kinds, expected[mode] - kinds
    assert len(stage.decisions()) >= 6
    assert stage.core.pnl.residual_max <= 1e-9


@pytest.mark.parametrize("mode", list(STORIES))
@settings(max_examples=10, deadline=None)
@given(step=st.integers(min_value=1, max_value=47))
def test_a_story_does_not_depend_on_its_windows(mode: str, step: int) -> None:
    whole, end = uninterrupted(mode)
    again = lives_to(on_stage(mode).starts(STORIES[mode][2]), mode, 48, step=step)
    assert again.transcript() == whole.transcript()
    assert encode(again.core.state()) == end


def test_a_state_survives_the_journal_and_shares_nothing_with_its_core(stage: Stage) -> None:
    stage.advance(3)
    state = stage.core.state()
    frozen = encode(state)
    assert decode(frozen, CoreState) == state
    stage.advance(6)
    assert encode(state) == frozen
    assert encode(stage.core.state()) != frozen


def test_restoring_does_not_hand_its_own_dictionaries_to_the_core(stage: Stage) -> None:
    stage.advance(3)
    state = stage.core.state()
    frozen = encode(state)
    other = basis()
    other.core.restore(state)
    other.world.restore(stage.world.state())
    other.row = 3
    other.advance(6)
    assert encode(state) == frozen


def test_counters_and_what_was_told_are_part_of_the_state() -> None:
    sketch = btc(8).grows_stale("okx.perp.BTC", 0, 3)
    stage = Stage(BASIS, sketch.market()).starts(100_000.0).advance(2)
    state = stage.core.state()
    assert state.skipped == ("okx: stale okx.perp.BTC",)
    resumed = Stage(BASIS, sketch.market()).resumes(stage.cut())
    resumed.advance(2)
    assert resumed.told(EventType.ENTRY_SKIPPED) == []  # it has been told
    assert (state.trades, state.step, state.events) == (2, 2, len(stage.events))


def test_events_go_on_counting_after_a_restart(stage: Stage) -> None:
    stage.advance(3)
    resumed = basis().resumes(stage.cut())
    resumed.events.clear()
    resumed.advance(6)
    first: Event = resumed.events[0]
    assert first.sequence == stage.core.events.sequence
