"""What a chain takes back leaves the book, and every part of the profit, as if it had never been done."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from components.core import CoreState
from components.model.events import EventType
from components.model.orders import Verb
from components.pnl_monitor import LINES
from components.ports import Flow, Happening, Standing
from daemon.journal.codec import decode, encode
from tests.builders import at, happening, run_of
from tests.scenarios.sketch import btc
from tests.stage import Stage, fills, loses

BASIS = run_of("btc_basis", "hedge_allocation={binance: 0.5, okx: 0.5}")
PRICES = [60_000.0, 61_000.0, 59_500.0, 60_200.0, 62_000.0, 61_500.0, 61_000.0, 60_500.0]
LEGS = ("binance_spot", "binance_perp", "okx_spot", "okx_perp")
LOOK_ON = Standing(no_trade=("to see this trade alone",))
EXACT = 1e-9 * 100_000.0


def basis(*flows: Flow) -> Stage:
    sketch = btc(len(PRICES), dict(enumerate(PRICES)))
    return Stage(BASIS, sketch.market(), flows=flows).starts(100_000.0)


def done_in_a_block(leg: str) -> Stage:
    stage = basis()
    stage.plays(*(fills(each, block="b1" if each == leg else "") for each in LEGS)).advance(1)
    stage.standing = LOOK_ON
    return stage


@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("leg", ["okx_perp", "okx_spot", "binance_perp"])
def test_every_part_is_as_if_the_order_had_never_been_done(leg: str, rows: int) -> None:
    never, taken = basis(), done_in_a_block(leg)
    never.plays(*(loses(each, done=False) if each == leg else fills(each) for each in LEGS)).advance(1)
    never.standing = LOOK_ON
    never.advance(7)
    taken.advance(rows - 1)
    taken.undoes(leg, rows)
    taken.advance(8 - rows)

    assert taken.core.positions.snapshot() == pytest.approx(never.core.positions.snapshot(), rel=1e-9, abs=1e-9)
    for part in LINES:
        assert taken.core.pnl.sums[part] == pytest.approx(never.core.pnl.sums[part], abs=1e-6), part
    assert np.abs(taken.column("unexplained")).max() <= EXACT
    assert [event.event_type for event in taken.told(EventType.UNDONE)] == [EventType.UNDONE]


def test_an_order_that_was_taken_back_is_uncertain_and_may_be_done_again() -> None:
    stage = done_in_a_block("okx_perp")
    (order,) = (each.order for each in stage.core.positions.unfinal.values())
    stage.undoes("okx_perp", 2)
    stage.advance(2)
    assert stage.core.positions.unfinal == {} and list(stage.core.positions.uncertain) == [order.id]

    again = stage.world.execute_one(order)
    stage.at(4, _late(stage, order.id, again.changes, again.quantity))
    stage.advance(4)
    assert stage.core.positions.uncertain == {} and stage.balance("okx:Perp:BTCUSDT") < 0.0
    assert np.abs(stage.column("unexplained")).max() <= EXACT


def test_what_is_final_is_watched_no_more() -> None:
    stage = done_in_a_block("okx_perp")
    (id,) = stage.core.positions.unfinal
    told = happening(EventType.FINAL, {})
    stage.at(3, _with(told, finalizes=id))
    stage.advance(2)
    assert list(stage.core.pnl.state().outcomes) == [id]
    stage.advance(2)
    assert stage.core.positions.unfinal == {} and stage.core.pnl.state().outcomes == {}
    assert stage.told(EventType.FINAL) == []


def test_a_payment_that_was_taken_back_is_owed_again_and_no_profit() -> None:
    stage = basis(Flow(at(2), -2_000.0, "out"))
    stage.advance(2).plays(fills("pay_out_reserve", block="b1")).advance(1)
    units, equity = stage.core.pnl.units, stage.core.pnl.equity
    assert stage.core.manager.owed == 0.0
    (paid,) = (each.order for each in stage.core.positions.unfinal.values())
    assert paid.verb is Verb.PAY_OUT
    stage.standing = LOOK_ON
    stage.undoes("pay_out_reserve", 3)
    stage.advance(1)

    assert stage.core.manager.owed == pytest.approx(2_000.0)
    assert stage.core.pnl.external_flows == pytest.approx(0.0, abs=1e-9)
    assert stage.core.pnl.units > units and stage.core.pnl.equity == pytest.approx(equity + 2_000.0, rel=1e-3)
    assert np.abs(stage.column("unexplained")).max() <= EXACT


def test_windows_and_restarts_change_nothing() -> None:
    whole = done_in_a_block("okx_perp")
    whole.undoes("okx_perp", 5)
    cut = done_in_a_block("okx_perp")
    cut.undoes("okx_perp", 5)
    whole.advance(7)
    for rows in (1, 2, 1, 3):
        fresh = basis().resumes(cut.cut())
        fresh.blocks, fresh.events = cut.blocks, cut.events
        cut = fresh.advance(rows)
    assert cut.transcript() == whole.transcript()


def test_a_state_without_such_orders_is_written_as_before() -> None:
    stage = basis().advance(2)
    state = encode(stage.core.state())
    assert b"unfinal" not in state
    assert decode(state, CoreState).positions.unfinal == {}


def _late(stage: Stage, id: str, changes: object, quantity: float) -> Happening:
    told = happening(EventType.ORDER_RESOLVED, changes, part="late")  # type: ignore[arg-type]
    return _with(told, resolves=id, amount=quantity)


def _with(told: Happening, **fields: object) -> Happening:
    return replace(told, **fields)
