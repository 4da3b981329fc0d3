"""Every oracle can find something: a clean run is falsified in one place, and the one it concerns says so."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache

import msgspec
import pytest

from components.model.keys import PositionType, base_token
from components.model.orders import Action, Order, Verb
from components.ports import Standing
from daemon.journal.codec import encode
from daemon.journal.records import ConfigChanged, Events, Intent, LatchChanged, Outcome, StepBegin, StepEnd
from daemon.replica import UncertainOrder
from daemon.state.latch import requested
from tests.simulation.book_oracles import STEP_BUDGET
from tests.simulation.harness import CANARY, Run, operator, simulate
from tests.simulation.oracles import judged
from venues.interfaces import ReportStatus
from venues.paper.registry import OrderRecord

WHO = "btc-basis"
Falsify = Callable[[Run], None]


@cache
def clean() -> Run:
    return simulate(71, 0.7, ids=(WHO,), script=operator(71, least_s=60.0, most_s=120.0))


def fresh() -> Run:
    """The run again, in parts that may be changed."""
    run = clean()
    accounts = {}
    for name, account in run.accounts.items():
        accounts[name] = copy.copy(account)
        accounts[name].registry = copy.deepcopy(account.registry)
    return msgspec.structs.replace(
        run,
        accounts=accounts,
        disk=copy.deepcopy(run.disk),
        records={name: list(records) for name, records in run.records.items()},
        replicas=dict(run.replicas),
        samples={name: list(samples) for name, samples in run.samples.items()},
        stops=list(run.stops),
    )


def first(run: Run, kind: type) -> int:
    return next(i for i, record in enumerate(run.records[WHO]) if isinstance(record, kind))


def change(run: Run, kind: type, **fields: object) -> None:
    at = first(run, kind)
    run.records[WHO][at] = msgspec.structs.replace(run.records[WHO][at], **fields)


def order(id: str, verb: Verb = Verb.PERP, amount: float = -1.0, **fields: object) -> Order:
    return Order(id=id, verb=verb, venue="binance", token="BTC", amount=amount, leg="x", **fields)  # type: ignore[arg-type]


def entry(*orders: Order, origin: str = "core") -> Intent:
    some = next(record for record in clean().records[WHO] if isinstance(record, Intent))
    group = msgspec.structs.replace(some.group, id="false", action=Action.ENTRY_FULL, orders=orders)
    return Intent(at=some.at, group=group, origin=origin)


TWO_WAYS = (order("a"), order("b", Verb.SPOT, 1.0))


def sent_twice(run: Run) -> None:
    run.accounts[WHO].registry.conflicts["x"] = 1


def filled_twice(run: Run) -> None:
    fills = run.accounts[WHO].registry.fills
    fills.append(next(fill for fill in fills if fill.verb is Verb.PERP))


def out_of_nowhere(run: Run) -> None:
    registry = run.accounts[WHO].registry
    registry.orders["stray"] = OrderRecord(
        order=order("stray"), group="g", door="binance", arrived_at=0, status=ReportStatus.DONE
    )


def held_otherwise(run: Run) -> None:
    positions = {**run.replicas[WHO].positions, "binance:Perp:BTCUSDT": -9.0}
    run.replicas[WHO] = msgspec.structs.replace(run.replicas[WHO], positions=positions)


def untrue_for_long(run: Run) -> None:
    run.samples[WHO] = [msgspec.structs.replace(sample, untrue=("x is 1, expected 2",)) for sample in run.samples[WHO]]


def risk_uncertain(run: Run) -> None:
    unknown = Outcome(at=0, order_id="lost", state="unknown")
    run.records[WHO][first(run, StepEnd) : 0] = [unknown, entry(*TWO_WAYS)]


def risk_without_authority(run: Run) -> None:
    at = first(run, Intent)
    begin = max(i for i, record in enumerate(run.records[WHO][:at]) if isinstance(record, StepBegin))
    told = run.records[WHO][begin]
    run.records[WHO][begin] = msgspec.structs.replace(told, standing=encode(Standing(no_risk=("silent",))))
    run.records[WHO].insert(at, entry(*TWO_WAYS))


def traded_while_forbidden(run: Run) -> None:
    change(run, StepBegin, standing=encode(Standing(no_trade=("stale",))))


def unhedged(run: Run) -> None:
    kept = [record for record in run.records[WHO] if not isinstance(record, Intent)]
    run.records[WHO] = [
        msgspec.structs.replace(record, row={**record.row, "net_delta": 0.9})
        if isinstance(record, StepEnd) and record.row
        else record
        for record in kept
    ]


def margin_spent(run: Run) -> None:
    for i, record in enumerate(run.records[WHO]):
        if isinstance(record, StepEnd) and record.row:
            run.records[WHO][i] = msgspec.structs.replace(record, row={**record.row, "margin_ratio.okx": 0.01})


def liquidated(run: Run) -> None:
    at = first(run, Events)
    record = run.records[WHO][at]
    assert isinstance(record, Events)
    event = msgspec.structs.replace(record.events[0], event_type=type(record.events[0].event_type).LIQUIDATION)
    run.records[WHO][at] = Events(events=(event,))


def money_from_nowhere(run: Run) -> None:
    at = [i for i, record in enumerate(run.records[WHO]) if isinstance(record, StepEnd) and record.row][5]
    record = run.records[WHO][at]
    assert isinstance(record, StepEnd)
    run.records[WHO][at] = msgspec.structs.replace(record, row={**record.row, "equity": record.row["equity"] + 0.01})


def unexplained(run: Run) -> None:
    at = [i for i, record in enumerate(run.records[WHO]) if isinstance(record, StepEnd) and record.row][5]
    record = run.records[WHO][at]
    assert isinstance(record, StepEnd)
    run.records[WHO][at] = msgspec.structs.replace(record, row={**record.row, "unexplained": 0.01})


def id_used_again(run: Run) -> None:
    run.records[WHO].append(run.records[WHO][first(run, Intent)])


def sent_after_the_stop(run: Run) -> None:
    run.stops.append((WHO, first(run, Intent)))


def sent_under_a_latch(run: Run) -> None:
    latch = LatchChanged(at=0, phase="closing", scope=WHO, reason="test")
    run.records[WHO].insert(first(run, Intent), latch)


def opened_in_an_emergency(run: Run) -> None:
    run.records[WHO].append(entry(order("e"), origin="emergency"))


def no_outcome(run: Run) -> None:
    del run.records[WHO][first(run, Outcome)]


def wild_price(run: Run) -> None:
    at = [i for i, record in enumerate(run.records[WHO]) if isinstance(record, StepBegin)][3]
    told = run.records[WHO][at]
    assert isinstance(told, StepBegin)
    run.records[WHO][at] = msgspec.structs.replace(told, values=bytes(8 * len(told.names)))


def back_in_time(run: Run) -> None:
    run.records[WHO].append(run.records[WHO][first(run, StepBegin)])


def one_bit(run: Run) -> None:
    path = next(p for p in run.disk.contents() if "strategies" in p.parts and p.name == "000001.journal")
    run.disk.damage(path, run.disk.size(path) // 2, mask=1)


def taken_back(run: Run) -> None:
    last = run.samples[WHO][-1]
    run.samples[WHO].append(msgspec.structs.replace(last, hash="f" * 64))


def secret_on_disk(run: Run) -> None:
    path = next(p for p in run.disk.contents() if p.name == "000001.journal")
    run.disk._node(path).seen += CANARY.encode()


def secret_logged(run: Run) -> None:
    run.logged += f"error at https://venue/?key={CANARY}"


def sent_abroad(run: Run) -> None:
    abroad = order("t", Verb.TRANSFER, 1.0, target=base_token("stranger", "USDT"))
    run.records[WHO].append(entry(abroad))


def crashed(run: Run) -> None:
    run.crashes = [f"{WHO}: KeyError: 'x'"]


def still_uncertain(run: Run) -> None:
    lost = UncertainOrder(
        id="l", venue="okx", verb="perp", token="BTC", amount=1.0, notional_usdt=None, sent_at=0, reason="?"
    )
    run.replicas[WHO] = msgspec.structs.replace(run.replicas[WHO], uncertain=(lost,))


def left_naked(run: Run) -> None:
    account = run.accounts[WHO]
    account.world = copy.copy(account.world)
    account.world.balances = {
        key: amount for key, amount in account.balances.items() if key.position_type is not PositionType.PERP
    }


def closed_as_stuck(run: Run) -> None:
    run.stopped_for = [*run.stopped_for, (WHO, "stuck: no progress for 163 s")]


def closed_without_a_crash(run: Run) -> None:
    run.latched = {WHO: requested(WHO, "restarts used up", at=0, uid=-1)}


def takes_nothing(run: Run) -> None:
    run.poisoned = ("daemon",)


def reloaded_and_not_taken(run: Run) -> None:
    changed = ConfigChanged(at=0, changes={STEP_BUDGET: ("30.0", "40.0")}, config=encode([]), config_hash="")
    run.records["daemon"] = [*run.records["daemon"], changed]


def goes_by_another(run: Run) -> None:
    mode = msgspec.structs.replace(run.accounts[WHO].run, config_hash="f" * 64)
    changed = ConfigChanged(at=0, changes={}, config=encode([mode]), config_hash="")
    run.records["daemon"] = [*run.records["daemon"], changed]


CASES: tuple[tuple[Falsify, str], ...] = (
    (sent_twice, "one_order_per_intent"),
    (filled_twice, "fills_stay_within_orders"),
    (out_of_nowhere, "every_order_has_a_decision"),
    (held_otherwise, "positions_are_true_or_uncertain"),
    (untrue_for_long, "untruth_is_marked"),
    (risk_uncertain, "no_risk_on_uncertainty"),
    (risk_without_authority, "no_risk_without_authority"),
    (traded_while_forbidden, "no_risk_without_authority"),
    (unhedged, "delta_is_bounded"),
    (margin_spent, "own_steps_keep_the_margin"),
    (liquidated, "margin_is_never_lost_by_us"),
    (money_from_nowhere, "rows_add_up"),
    (unexplained, "ledger_is_equity"),
    (id_used_again, "ids_are_used_once"),
    (sent_after_the_stop, "silence_after_a_latch"),
    (sent_under_a_latch, "silence_after_a_latch"),
    (opened_in_an_emergency, "silence_after_a_latch"),
    (no_outcome, "every_intent_has_an_outcome"),
    (wild_price, "nothing_is_traded_on_implausible_prices"),
    (back_in_time, "steps_are_in_order"),
    (one_bit, "bytes_are_chained"),
    (taken_back, "nothing_shown_is_taken_back"),
    (secret_on_disk, "no_secret_leaks"),
    (secret_logged, "no_secret_leaks"),
    (sent_abroad, "transfers_stay_at_home"),
    (crashed, "no_cell_crashed"),
    (still_uncertain, "calm_is_reached"),
    (takes_nothing, "journals_take_records"),
    (reloaded_and_not_taken, "what_was_reloaded_is_in_force"),
    (goes_by_another, "what_was_reloaded_is_in_force"),
    (left_naked, "nobody_is_left_naked"),
    (closed_as_stuck, "nobody_is_closed_for_nothing"),
    (closed_without_a_crash, "nobody_is_closed_for_nothing"),
)


def test_the_run_is_clean() -> None:
    assert judged(clean()) == []
    assert judged(fresh()) == []


@pytest.mark.parametrize(("falsify", "oracle"), CASES, ids=[falsify.__name__ for falsify, _ in CASES])
def test_it_is_found(falsify: Falsify, oracle: str) -> None:
    run = fresh()
    falsify(run)
    assert any(found.startswith(f"{oracle}:") for found in judged(run))
