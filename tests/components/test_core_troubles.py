"""Plans that go wrong half-way: what a venue refused, lost or told late, and what an operator asks meanwhile."""

from __future__ import annotations

import numpy as np
import pytest

from components.model.events import EventType
from components.model.orders import Verb
from components.ports import Flow, Standing
from tests.builders import at, happening, run_of
from tests.scenarios.sketch import btc, staked
from tests.stage import Stage, fills, loses, rejects

BASIS = run_of("btc_basis", "hedge_allocation={binance: 0.5, okx: 0.5}")
LEGS = ("binance_spot", "binance_perp", "okx_spot", "okx_perp")
TOLERANCE = 1e-9 * 100_000.0


def basis(*flows: Flow, rows: int = 40, price: object = 60_000.0) -> Stage:
    return Stage(BASIS, btc(rows, price).market(), flows=flows).starts(100_000.0)  # type: ignore[arg-type]


def withdrawal(hours: float, amount: float, id: str = "out") -> Flow:
    return Flow(at(hours), -amount, id)


def is_flat(stage: Stage) -> bool:
    """Nothing is held but cash and what perps that were closed leave of their quote side."""
    held = stage.core.positions.snapshot()
    return not any(abs(amount) > 1e-9 for key, amount in held.items() if ":Perp:" in str(key) or key.symbol == "BTC")


def adds_up(stage: Stage) -> bool:
    return bool(np.abs(stage.column("unexplained")).max() <= TOLERANCE)


# Payments whose outcome is known late


def test_a_payment_known_late_is_a_flow_and_no_cost() -> None:
    stage = basis(withdrawal(3, 2000.0))
    stage.advance(3)
    costs, units = stage.core.pnl.sums["transaction_costs"], stage.core.pnl.units
    stage.plays(loses("pay_out_reserve"))
    stage.advance(1)
    assert stage.core.manager.owed == pytest.approx(2000.0)
    stage.resolves("pay_out_reserve", 4)
    stage.advance(1)
    assert stage.core.manager.owed == 0.0
    assert stage.column("external_flow")[4] == pytest.approx(-2000.0)
    assert stage.core.pnl.external_flows == pytest.approx(-2000.0)
    assert abs(stage.core.pnl.sums["transaction_costs"] - costs) < 10.0  # gas
    assert stage.core.pnl.units == pytest.approx(units * (1.0 - 2000.0 / stage.column("equity")[2]), rel=1e-6)
    assert adds_up(stage)


def test_an_uncertain_payment_is_not_made_again() -> None:
    stage = basis(withdrawal(3, 2000.0))
    stage.advance(3)
    stage.plays(loses("pay_out_reserve"))
    stage.advance(6)
    assert [line for line in stage.script if "send" in line and "pay_out" in line] == ["send pay_out_reserve"]
    assert "the wallet: the outcome of an order is not known" in [e.detail for e in stage.told(EventType.ENTRY_SKIPPED)]


def test_a_payment_that_was_not_made_is_made_once_that_is_known() -> None:
    stage = basis(withdrawal(3, 2000.0))
    stage.advance(3)
    stage.plays(loses("pay_out_reserve", done=False))
    stage.advance(1)
    stage.resolves("pay_out_reserve", 4)
    stage.advance(2)
    assert stage.core.manager.owed == 0.0
    assert stage.core.pnl.external_flows == pytest.approx(-2000.0)


def test_what_unwinding_cost_is_paid_from_the_reserve() -> None:
    stage = basis(withdrawal(3, 50_000.0))
    stage.advance(20)
    assert stage.core.manager.owed == 0.0
    assert stage.core.pnl.external_flows == pytest.approx(-50_000.0)
    assert adds_up(stage)


# Refusals


def test_an_emergency_with_a_refused_leg_goes_on_until_nothing_is_held() -> None:
    run = run_of(
        "btc_basis",
        "hedge_allocation={binance: 0.5, okx: 0.5}",
        "risk.max_drawdown={warning: 0.05, critical: 0.1}",
        "risk.max_daily_loss.critical=0.9",
    )
    stage = Stage(run, btc(40).market()).starts(100_000.0).advance(6)
    stage.at(6, happening(EventType.ADJUSTMENT, {"okx:BaseToken:USDT": -20_000.0}, part="adjustment"))
    stage.plays(rejects("binance_spot"), fills("binance_perp"), fills("okx_spot"), rejects("okx_perp"))
    stage.forget()
    stage.advance(1)
    assert stage.core.manager.halted
    assert not is_flat(stage)
    stage.advance(3)
    assert is_flat(stage)
    assert stage.core.manager.halted
    assert len(stage.told(EventType.HALTED)) == 1
    assert adds_up(stage)


def test_a_close_with_a_refused_leg_goes_on_until_nothing_is_held() -> None:
    stage = basis()
    stage.advance(3)
    stage.plays(rejects("okx_perp"))
    stage.advance(1, commands=("close",))
    assert not is_flat(stage)
    stage.advance(2)
    assert is_flat(stage)


def test_an_entry_of_which_every_leg_was_refused_was_none_and_is_tried_again_after_an_hour() -> None:
    stage = basis()
    stage.plays(*(rejects(leg) for leg in LEGS))
    stage.advance(1)
    assert not stage.core.manager.entered
    stage.forget()
    stage.advance(1)  # rows are an hour apart
    assert stage.core.manager.entered
    assert stage.decisions() == ["entry: enter"]


def test_a_refused_leg_of_an_entry_is_tried_again_after_an_hour() -> None:
    stage = basis()
    stage.plays(fills("binance_spot"), fills("binance_perp"), rejects("okx_spot"), rejects("okx_perp"))
    stage.advance(1)
    assert stage.balance("okx:Perp:BTCUSDT") == 0.0
    stage.advance(1)
    assert stage.balance("okx:Perp:BTCUSDT") < -0.1


def test_a_withdrawal_does_not_end_an_emergency_that_is_not_done() -> None:
    stage = basis(withdrawal(4, 2000.0))
    stage.advance(3)
    stage.plays(rejects("okx_spot"), rejects("okx_perp"))
    stage.advance(1, commands=("close",))
    stage.advance(1)
    assert stage.core.pnl.external_flows == pytest.approx(-2000.0)
    assert not is_flat(stage)
    stage.advance(2)
    assert is_flat(stage)


# What an operator asks


def test_after_closing_and_resuming_it_enters_again() -> None:
    stage = basis()
    stage.advance(3)
    stage.advance(2, commands=("close",))
    assert is_flat(stage)
    assert stage.decisions()[-1] == "close: closed by the operator"
    stage.advance(3)
    assert is_flat(stage)
    stage.forget()
    stage.advance(1, commands=("resume",))
    assert stage.decisions() == ["entry: enter"]
    assert stage.balance("okx:Perp:BTCUSDT") < -0.1


def test_resuming_what_is_still_held_brings_it_to_its_target() -> None:
    stage = basis()
    stage.advance(3)
    stage.plays(rejects("okx_spot"), rejects("okx_perp"))
    stage.advance(1, commands=("close",))
    assert stage.balance("binance:Perp:BTCUSDT") == 0.0
    stage.advance(1, commands=("resume",))
    assert stage.balance("binance:Perp:BTCUSDT") < -0.1
    assert not stage.core.manager.halted


def test_resuming_what_was_only_paused_moves_nothing() -> None:
    stage = basis()
    stage.advance(3)
    stage.forget()
    stage.advance(1, commands=("resume",))
    assert stage.script == []


def test_asking_to_rebalance_is_not_lost_to_a_withdrawal_on_the_same_row() -> None:
    stage = basis(withdrawal(3, 2000.0))
    stage.advance(3)
    stage.advance(1, commands=("rebalance",))
    assert stage.decisions()[1:] == ["withdrawal: withdrawal from the reserve", "deviation: asked for"]


def test_a_withdrawal_goes_before_a_plan_that_was_cut_short_and_does_not_replace_it() -> None:
    stage = basis(Flow(at(3), 100_000.0, "in"), withdrawal(4, 2000.0))
    stage.advance(3)
    stage.plays(rejects("wallet_to_binance", transient=True))
    before = stage.balance("okx:Perp:BTCUSDT")
    stage.advance(1)
    stage.advance(1)
    assert stage.core.pnl.external_flows == pytest.approx(98_000.0)
    assert stage.core.manager.state().unfinished
    stage.advance(6)
    assert stage.balance("okx:Perp:BTCUSDT") < 1.7 * before


# Money on its way


def test_a_transfer_that_arrives_before_its_departure_is_known_leaves_nothing_behind() -> None:
    stage = Stage(run_of("usdt_market_neutral_no_leverage"), staked(40).market(), flows=[]).starts(300_000.0)
    stage.advance(1)
    sent = stage.core.positions.in_flight
    assert sent, "the entry sends coins from the exchange to the wallet"
    (one,) = list(sent.values())[:1]
    stage.core.positions.in_flight.clear()
    arrived = happening(EventType.TRANSFER_ARRIVED, {}, arrived=one)
    departed = happening(EventType.ORDER_RESOLVED, {}, departed=one)
    monitor = stage.core.positions
    monitor._arrive(arrived)
    assert monitor.in_flight == {}
    monitor.restore(monitor.state())
    monitor._arrive(departed)
    assert monitor.in_flight == {}
    assert monitor.landed == {}


# Units


def test_two_deposits_on_one_row_buy_units_at_one_value() -> None:
    stage = basis(Flow(at(3), 50_000.0, "a"), Flow(at(3), 30_000.0, "b"))
    stage.advance(3)
    value = stage.column("unit_value")[2]
    units = stage.core.pnl.units
    stage.standing = Standing(no_trade=("to see the flows alone",))
    stage.advance(1)
    bought = stage.core.pnl.units - units
    assert bought * value == pytest.approx(80_000.0, rel=1e-3)
    assert stage.column("unit_value")[3] == pytest.approx(value, rel=1e-3)


def test_what_rounding_leaves_of_a_perp_is_not_traded() -> None:
    stage = basis()
    stage.advance(3)
    stage.advance(1, commands=("close",))
    stage.core.positions.expected.set(next(k for k in stage.core.positions.expected if ":Perp:" in str(k)), 1e-15)
    stage.forget()
    stage.advance(1, commands=("close",))
    assert stage.script == []


def test_taking_back_a_close_opens_again() -> None:
    """Of a pair that is being closed the perp filled and the spot did not: the short is opened again."""
    stage = basis()
    stage.advance(3)
    stage.plays(rejects("binance_spot"), fills("binance_perp"), rejects("okx_spot"), rejects("okx_perp"))
    stage.advance(1, commands=("close",))
    back = [order for each in stage.groups for order in each.orders if order.leg == "binance_perp_back"]
    assert [(order.verb, order.reduce_only) for order in back] == [(Verb.PERP, False)]
    assert stage.balance("binance:Perp:BTCUSDT") == pytest.approx(-stage.balance("binance:BaseToken:BTC"), rel=0.05)
