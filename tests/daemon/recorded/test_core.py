"""A recorded step fed through the core again, and the first thing that is not as recorded."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from math import inf, nan

import msgspec
import numpy as np
import pytest

from components.core import CoreState
from components.model.errors import BasisError, Refuse, Retry, Stop
from components.model.orders import OrderGroup, Trade
from components.model.slices import RunSlice
from components.ports import GRANTED, Approved, RowBlock, Settlements, Standing
from daemon.errors import OPS_REFUSED
from daemon.journal.codec import decode, encode
from daemon.journal.records import (
    Answer,
    ConfigChanged,
    Events,
    Intent,
    Manifest,
    Record,
    StepAborted,
    StepBegin,
    StepEnd,
)
from daemon.orders.gate import EXE_HALTED
from daemon.recorded.core import Difference, Diverged, RecordedCore, RecordedPorts
from daemon.recorded.steps import NOTHING_SETTLED, Refusal, Step, begin_of, hash_of, rows_of, steps_of
from daemon.world.rows import MarketRow, window_of
from tests.builders import deposit, settled
from tests.daemon.fakes import CASH
from tests.daemon.house import BTC
from tests.daemon.journal.state import event, intent
from tests.daemon.recordings import eventful
from venues.interfaces import EXE_UNAVAILABLE

Change = Callable[[Step], Step]
ODD = {"z": -0.0, "a": nan, "m": inf, "tiny": 5e-324, "sum": 0.1 + 0.2}


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


def row(tick: int = 5, **values: float) -> MarketRow:
    return MarketRow(tick=tick, timestamp=tick * 60, values=values)


def begun(now: MarketRow, previous: MarketRow | None = None, settlements: Settlements = NOTHING_SETTLED) -> StepBegin:
    return begin_of(now, previous, settlements, GRANTED)


def test_a_row_comes_back_bit_for_bit() -> None:
    told = msgspec.structs.replace(row(**ODD), derived={"carry": nan, "peak": 2.0}, stale=("m",), ages_s={"a": 0.5})
    (found, previous) = rows_of(begun(told))
    assert previous is None
    assert {name: bits(value) for name, value in found.values.items()} == {n: bits(v) for n, v in ODD.items()}
    assert (found.tick, found.timestamp, found.stale, found.ages_s) == (5, 300, ("m",), {"a": 0.5})
    assert {name: bits(value) for name, value in found.derived.items()} == {"carry": bits(nan), "peak": bits(2.0)}


def test_the_row_before_comes_back_too_even_when_ticks_were_missed_in_between() -> None:
    now, before = row(9, a=1.0, b=2.0), row(5, a=nan, b=7.0)
    found, previous = rows_of(begun(now, before))
    assert previous is not None
    assert previous.timestamp == before.timestamp
    assert {name: bits(value) for name, value in previous.values.items()} == {"a": bits(nan), "b": bits(7.0)}
    assert encode(window_of(found, previous).market.columns["b"]) == encode(window_of(now, before).market.columns["b"])


def test_a_column_that_the_row_before_lacked_holds_the_value_of_this_one_as_the_core_saw_it() -> None:
    now, before = row(6, a=1.0, new=3.0), row(5, a=2.0)
    live = window_of(now, before)
    again = window_of(*rows_of(begun(now, before)))
    for name in ("a", "new"):
        assert again.market.columns[name].tobytes() == live.market.columns[name].tobytes()
    assert again.timestamps.tolist() == live.timestamps.tolist()


def test_what_a_step_is_told_besides_comes_back_whole() -> None:
    told = settled(1, deposit(100.0))
    standing = Standing(no_risk=("x",), max_trade_usdt=5.0)
    begin = begin_of(
        row(a=1.0), None, told, standing, commands=("rebalance",), taken=("binance|1",), cursors={"okx": 3}
    )
    assert encode(decode(begin.settlements, Settlements)) == encode(told)
    assert decode(begin.standing, Standing) == standing
    assert (begin.commands, begin.taken, begin.cursors) == (("rebalance",), ("binance|1",), {"okx": 3})


# Ports that answer from the record


def step_of(*answers: Answer, intents: tuple[Intent, ...] = ()) -> Step:
    begin = begun(row(a=1.0))
    return Step(
        begin=begin, answers=answers, intents=intents, events=(), end=StepEnd(tick=5, timestamp=300, state_hash="x")
    )


def ports_of(step: Step) -> RecordedPorts:
    ports = RecordedPorts()
    ports.begin(step, NOTHING_SETTLED)
    return ports


GROUP = intent("a").group
HELD = Answer(tick=5, effect=1, port="positions", value=encode({CASH: nan}))
DONE = Answer(tick=5, effect=2, port="execute", value=encode(()))


def test_ports_answer_in_the_order_of_the_record() -> None:
    ports = ports_of(step_of(HELD, DONE))
    assert bits(ports.positions(frozenset())[CASH]) == bits(nan)
    assert ports.execute(Approved(GROUP)) == ()


@pytest.mark.parametrize(
    ("family", "code", "raised"),
    [("Retry", EXE_UNAVAILABLE, Retry), ("Refuse", OPS_REFUSED, Refuse), ("Stop", EXE_HALTED, Stop)],
)
def test_an_error_is_raised_again_with_its_family_and_code(family: str, code: str, raised: type[BasisError]) -> None:
    error = msgspec.json.encode(Refusal(family, code, "as it was")).decode()
    ports = ports_of(step_of(Answer(tick=5, effect=1, port="execute", error=error)))
    with pytest.raises(raised, match="as it was") as caught:
        ports.execute(Approved(GROUP))
    assert caught.value.code == code


def difference(act: Callable[[], object]) -> Difference:
    with pytest.raises(Diverged) as caught:
        act()
    return caught.value.difference


def test_a_question_that_was_not_asked_then_is_a_difference() -> None:
    found = difference(lambda: ports_of(step_of()).positions(frozenset()))
    assert (found.tick, found.timestamp, found.recorded, found.replayed) == (5, 300, "none", "positions")
    found = difference(lambda: ports_of(step_of(HELD)).execute(Approved(GROUP)))
    assert (found.recorded, found.replayed) == ("positions", "execute")


def test_another_group_one_too_many_or_one_too_few_is_a_difference() -> None:
    said = (intent("a"),)
    ports_of(step_of(intents=said)).intend(GROUP, 300)
    other = msgspec.structs.replace(GROUP, reason="another")
    found = difference(lambda: ports_of(step_of(intents=said)).intend(other, 300))
    assert found.what == "an order group" and '"another"' in found.replayed and '"enter"' in found.recorded
    assert difference(lambda: ports_of(step_of()).intend(GROUP, 300)).recorded == "none"
    assert difference(ports_of(step_of(intents=said)).finish).replayed == "none"
    done = ports_of(step_of(intents=said))
    done.intend(GROUP, 300)
    done.finish()


def test_result_columns_are_kept_as_the_last_number_of_each() -> None:
    ports = ports_of(step_of())
    ports.rows(RowBlock(timestamps=np.array([1]), columns={"equity": np.array([1.0, 2.0]), "drawdown": 0.5}))
    assert ports.row == {"equity": 2.0, "drawdown": 0.5}


# From records to steps


def end(tick: int, state: bytes = b"") -> StepEnd:
    return StepEnd(tick=tick, timestamp=tick * 60, state_hash=f"h{tick}", state=state)


def begins(tick: int) -> StepBegin:
    return begun(row(tick, a=1.0))


def test_steps_come_with_what_happened_in_them_and_aborted_ones_do_not_come() -> None:
    records: list[Record] = [
        begins(1), intent("a"), HELD, Events(events=(event(1), event(2))), Events(events=(event(3),)), end(1),
        begins(2), intent("b"), StepAborted(tick=2, reason="cut short"),
        begins(3), end(3),
    ]  # fmt: skip
    first, second = (each for each in steps_of(records) if isinstance(each, Step))
    assert (len(first.intents), len(first.answers), [each.sequence for each in first.events]) == (1, 1, [1, 2, 3])
    assert (second.begin.tick, second.intents, second.answers, second.events) == (3, (), (), ())


def test_a_step_that_ends_nowhere_is_left_out_and_so_is_what_was_cut_by_a_new_life() -> None:
    manifest = next(record for record in eventful()[1] if isinstance(record, Manifest))
    records: list[Record] = [begins(1), intent("a"), manifest, end(-1, b"state"), begins(2), end(2), begins(3)]
    kinds = [type(each) for each in steps_of(records)]
    assert kinds == [Manifest, StepEnd, Step]


def test_what_an_emergency_sends_is_not_the_core_s() -> None:
    records: list[Record] = [begins(1), msgspec.structs.replace(intent("a"), origin="emergency"), end(1)]
    (step,) = steps_of(records)
    assert isinstance(step, Step) and step.intents == ()


def test_reloads_come_between_the_steps_they_stand_between() -> None:
    changed = ConfigChanged(at=0, changes={}, config=b"", config_hash="")
    records: list[Record] = [begins(1), end(1), changed, begins(2), end(2)]
    assert [type(each) for each in steps_of(records)] == [Step, ConfigChanged, Step]


# A whole run again


@cache
def entry() -> tuple[RunSlice, CoreState, Step]:
    """The first step of the run, which sends six orders, and the state before it."""
    _, records = eventful()
    manifest, checkpoint, step = (
        next(each for each in steps_of(records) if isinstance(each, kind)) for kind in (Manifest, StepEnd, Step)
    )
    assert isinstance(manifest, Manifest) and isinstance(checkpoint, StepEnd) and isinstance(step, Step)
    return decode(manifest.config, RunSlice), decode(checkpoint.state, CoreState), step


def repeat(change: Change = lambda step: step, epoch: int = 1) -> str:
    run, state, step = entry()
    return RecordedCore(run, BTC, epoch, state).advance(change(step))


def test_a_step_repeats_to_the_hash_of_its_state() -> None:
    assert repeat() == entry()[2].end.state_hash
    assert len(entry()[2].intents[0].group.orders) == 6


def test_the_same_core_goes_on_from_step_to_step() -> None:
    run, state, _ = entry()
    core = RecordedCore(run, BTC, 1, state)
    steps = [each for each in steps_of(eventful()[1]) if isinstance(each, Step)]
    for step in steps[:10]:
        assert core.advance(step) == step.end.state_hash == hash_of(encode(core.core.state()))


def with_trades(step: Step, change: Callable[[Trade], Trade]) -> Step:
    answers = list(step.answers)
    at = next(i for i, each in enumerate(answers) if each.port == "execute")
    trades = [change(each) for each in decode(answers[at].value, tuple[Trade, ...])]
    answers[at] = msgspec.structs.replace(answers[at], value=encode(tuple(trades)))
    return msgspec.structs.replace(step, answers=tuple(answers))


def a_little_more(trade: Trade) -> Trade:
    nudged = {key: float(np.nextafter(change, inf)) for key, change in trade.changes.items()}
    return msgspec.structs.replace(trade, changes=nudged)


def with_price(step: Step, factor: float) -> Step:
    values = np.frombuffer(step.begin.values) * factor
    return msgspec.structs.replace(step, begin=msgspec.structs.replace(step.begin, values=values.tobytes()))


def reworded(group: OrderGroup) -> OrderGroup:
    return msgspec.structs.replace(group, reason="another")


CHANGES: dict[str, tuple[Change, str]] = {
    "one bit of one answer": (lambda step: with_trades(step, a_little_more), "event"),
    "a price of the row": (lambda step: with_price(step, 1.01), "an order group"),
    "an intent": (
        lambda step: msgspec.structs.replace(
            step,
            intents=tuple(msgspec.structs.replace(each, group=reworded(each.group)) for each in step.intents),
        ),
        "an order group",
    ),
    "an event": (
        lambda step: msgspec.structs.replace(
            step, events=(msgspec.structs.replace(step.events[0], detail="another"), *step.events[1:])
        ),
        "event",
    ),
    "an event too many": (
        lambda step: msgspec.structs.replace(step, events=(*step.events, step.events[0])),
        "the number of events",
    ),
    "an event too few": (
        lambda step: msgspec.structs.replace(step, events=step.events[:-1]),
        "the number of events",
    ),
    "the state after it": (
        lambda step: msgspec.structs.replace(step, end=msgspec.structs.replace(step.end, state_hash="0" * 64)),
        "the state after the step",
    ),
    "an answer too few": (
        lambda step: msgspec.structs.replace(step, answers=step.answers[:-1]),
        "a question to a port",
    ),
    "the authority": (
        lambda step: msgspec.structs.replace(
            step, begin=msgspec.structs.replace(step.begin, standing=encode(Standing(no_trade=("closed",))))
        ),
        "an order group",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_is_altered_is_found(what: str) -> None:
    change, found = CHANGES[what]
    told = difference(lambda: repeat(change))
    assert told.what.startswith(found), told
    assert told.tick == entry()[2].begin.tick
    assert told.recorded != told.replayed


def test_another_epoch_gives_other_order_ids() -> None:
    assert difference(lambda: repeat(epoch=2)).what == "an order group"
