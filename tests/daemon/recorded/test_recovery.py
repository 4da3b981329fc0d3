"""From a journal that may end anywhere to a cell that goes on."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pytest

from components.core import CoreState
from components.model.errors import Stop
from components.model.events import EventType
from components.model.orders import OrderState, Trade, TradeStatus, Verb
from components.model.slices import RunSlice
from components.ports import Happening
from daemon.journal.codec import decode, encode
from daemon.journal.records import (
    Answer,
    Command,
    ConfigChanged,
    HandedIn,
    Intent,
    Manifest,
    Outcome,
    Record,
    StepBegin,
    StepEnd,
)
from daemon.orders.outcomes import late_of
from daemon.recorded.core import RecordedCore
from daemon.recorded.recovery import EVT_NO_CHECKPOINT, Recovered, recover
from daemon.recorded.steps import Step, hash_of, rows_of, steps_of
from tests.builders import order, rejected, trade, unknown
from tests.daemon.fakes import CASH
from tests.daemon.house import BTC
from tests.daemon.recordings import eventful

BUY = order(Verb.SPOT, "binance", "BTC", 1.0, id="buy")


@pytest.fixture(scope="module")
def run() -> RunSlice:
    return eventful()[0]


@pytest.fixture(scope="module")
def records() -> tuple[Record, ...]:
    return eventful()[1]


def recovered(records: Iterable[Record]) -> Recovered:
    return recover(records, eventful()[0], BTC)


def before(records: tuple[Record, ...], kind: type[Record], nth: int = 0) -> int:
    """The place of the nth record of a kind."""
    return [i for i, record in enumerate(records) if isinstance(record, kind)][nth]


def finished(records: tuple[Record, ...], count: int = 2) -> list[Record]:
    """The beginning of the journal with so many finished steps."""
    ends = [i for i, record in enumerate(records) if isinstance(record, StepEnd) and record.tick >= 0]
    return list(records[: ends[count - 1] + 1])


def sent(records: tuple[Record, ...]) -> tuple[StepBegin, Intent, list[Outcome]]:
    """The first step that sent something: its beginning, what it sent, and the outcomes."""
    (intent,) = (each for each in records[: before(records, StepEnd, 1)] if isinstance(each, Intent))
    ids = {each.id for each in intent.group.orders}
    outcomes = [each for each in records if isinstance(each, Outcome) and each.order_id in ids]
    return records[before(records, StepBegin)], intent, outcomes  # type: ignore[return-value]


def test_an_empty_journal_gives_nothing_to_go_on_from() -> None:
    found = recovered([])
    assert (found.epoch, found.state, found.last_tick, found.uncertain, found.unbooked.late) == (0, None, None, [], {})


def test_a_checkpoint_and_repeated_steps_equal_the_uninterrupted_state_byte_for_byte(
    records: tuple[Record, ...],
) -> None:
    repeated = 0
    for i, record in enumerate(records):
        if not isinstance(record, StepEnd):
            continue
        found = recovered(records[: i + 1])
        assert found.state is not None
        assert hash_of(encode(found.state)) == found.state_hash == record.state_hash, i
        repeated += found.repeated
        if record.state:
            assert encode(found.state) == record.state and found.repeated == 0
    assert repeated > 50


def test_a_journal_that_ends_anywhere_gives_the_state_of_its_last_finished_step(records: tuple[Record, ...]) -> None:
    last = ""
    for i, record in enumerate(records):
        found = recovered(records[: i + 1])
        last = record.state_hash if isinstance(record, StepEnd) else last
        assert found.state_hash == last, i
        mine = {each.id for each in found.uncertain} & {each.resolves for each in found.unbooked.late.values()}
        assert not mine, "an order has an outcome or has none"


def test_the_row_of_the_last_step_and_the_cursors_come_with_it(records: tuple[Record, ...]) -> None:
    kept = finished(records, 3)
    begins = [each for each in kept if isinstance(each, StepBegin)]
    found = recovered(kept)
    assert found.last_tick == begins[-1].tick
    assert found.previous is not None and encode(found.previous) == encode(rows_of(begins[-1])[0])
    assert found.unbooked.cursors == begins[-1].cursors
    assert found.cut_tick is None


def test_a_step_that_was_cut_short_is_named_and_not_resumed(records: tuple[Record, ...]) -> None:
    second = before(records, StepBegin, 1)
    found = recovered(records[: second + 1])
    begun, first = records[second], records[before(records, StepBegin)]
    assert isinstance(begun, StepBegin) and isinstance(first, StepBegin)
    assert (found.cut_tick, found.last_tick) == (begun.tick, first.tick)


def test_a_cut_step_is_named_once_and_forgotten_by_the_life_after_the_next(records: tuple[Record, ...]) -> None:
    second = before(records, Manifest, 1)
    assert recovered(records[: second + 1]).cut_tick is not None
    assert recovered(records).cut_tick is None


def test_every_order_of_a_cut_step_without_an_outcome_is_open(records: tuple[Record, ...]) -> None:
    begin, intent, _ = sent(records)
    found = recovered([*records[: before(records, StepBegin)], begin, intent])
    assert found.uncertain == list(intent.group.orders)
    assert found.unbooked.late == {} and found.cut_tick == begin.tick


def test_orders_with_an_outcome_enter_the_book_with_the_next_row_and_the_others_are_asked_after(
    records: tuple[Record, ...],
) -> None:
    begin, intent, outcomes = sent(records)
    done, lost, *rest = outcomes
    lost = msgspec.structs.replace(lost, state=OrderState.UNKNOWN.value, trade=None)
    found = recovered([*records[: before(records, StepBegin)], begin, intent, done, lost])
    assert {each.id for each in found.uncertain} == {lost.order_id, *(each.order_id for each in rest)}
    (late,) = found.unbooked.late.values()
    assert done.trade is not None
    assert (late.resolves, late.changes, late.part) == (done.order_id, done.trade.changes, "late")
    assert late.event_type is EventType.ORDER_RESOLVED and late.at == done.trade.at


def test_a_later_outcome_replaces_an_unknown_one(records: tuple[Record, ...]) -> None:
    begin, intent, outcomes = sent(records)
    lost = [msgspec.structs.replace(each, state=OrderState.UNKNOWN.value, trade=None) for each in outcomes]
    resolved = [msgspec.structs.replace(each, origin="recovered") for each in outcomes]
    found = recovered([*records[: before(records, StepBegin)], begin, intent, *lost, *resolved])
    assert found.uncertain == [] and len(found.unbooked.late) == len(outcomes)


def test_a_finished_step_has_booked_its_own_orders(records: tuple[Record, ...]) -> None:
    found = recovered(finished(records, 1))
    assert found.uncertain == [] and found.unbooked.late == {}


def test_an_order_that_never_left_resolves_itself_and_moves_nothing(records: tuple[Record, ...]) -> None:
    begin, intent, outcomes = sent(records)
    never = []
    for each, sent_order in zip(outcomes, intent.group.orders, strict=True):
        blank = rejected(sent_order, "not sent", transient=True)
        never.append(msgspec.structs.replace(each, order_id=sent_order.id, state="not_sent", trade=blank))
    found = recovered([*records[: before(records, StepBegin)], begin, intent, *never])
    assert found.uncertain == []
    assert [(each.changes, each.part) for each in found.unbooked.late.values()] == [({}, None)] * len(never)


def test_orders_of_an_emergency_enter_the_book_of_the_next_life(records: tuple[Record, ...]) -> None:
    closing = [i for i, each in enumerate(records) if isinstance(each, Outcome) and each.origin == "emergency"]
    found = recovered(records[: closing[-1] + 1])
    ids = {records[i].order_id for i in closing}  # type: ignore[union-attr]
    assert {each.resolves for each in found.unbooked.late.values()} == ids and len(ids) > 3
    assert not ids & {each.resolves for each in recovered(records).unbooked.late.values()}, "and there they were booked"


def test_a_step_that_was_cut_after_it_took_something_has_not_booked_it(records: tuple[Record, ...]) -> None:
    closing = [i for i, each in enumerate(records) if isinstance(each, Outcome) and each.origin == "emergency"]
    taking = next(i for i in range(closing[-1], len(records)) if isinstance(records[i], StepBegin))
    begin = records[taking]
    assert isinstance(begin, StepBegin) and len(begin.taken) >= len(closing)
    assert len(recovered(records[: taking + 1]).unbooked.late) == len(closing)


def command(id: str, **changes: object) -> Command:
    made = Command(at=1, id=id, kind="rebalance", arguments={}, uid=0, key=id, answer="accepted")
    return msgspec.structs.replace(made, **changes)


def test_a_command_waits_until_a_finished_step_has_served_it(records: tuple[Record, ...]) -> None:
    kept = finished(records, 2)
    told, other = command("c1"), command("c2", answer="refused")
    assert list(recovered([*kept, told, other]).unbooked.commands) == ["c1"], "only what was accepted"
    begin, end = (each for each in records[len(kept) : len(kept) + 2])
    assert isinstance(begin, StepBegin) and isinstance(end, StepEnd)
    serving = msgspec.structs.replace(begin, asked=("c1",))
    assert list(recovered([*kept, told, serving]).unbooked.commands) == ["c1"], "a cut step has served nobody"
    assert recovered([*kept, told, serving, end]).unbooked.commands == {}


def test_what_was_settled_by_hand_waits_until_a_finished_step_has_taken_it(records: tuple[Record, ...]) -> None:
    kept = finished(records, 2)
    item = late_of(BUY, trade(BUY, {str(CASH): -5.0}))
    by_hand = HandedIn(id="c9", item=encode(item))
    assert [encode(each) for each in recovered([*kept, by_hand]).unbooked.late.values()] == [encode(item)]
    begin, end = (each for each in records[len(kept) : len(kept) + 2])
    assert isinstance(begin, StepBegin) and isinstance(end, StepEnd)
    taking = msgspec.structs.replace(begin, taken=(*begin.taken, "c9"))
    assert [encode(each) for each in recovered([*kept, by_hand, taking]).unbooked.late.values()] == [encode(item)]
    found = recovered([*kept, by_hand, taking, msgspec.structs.replace(end, state=encode(_state(kept)))])
    assert found.unbooked.late == {} and list(found.unbooked.booked)[-1] == "c9"


def _state(kept: list[Record]) -> CoreState:
    state = recovered(kept).state
    assert state is not None
    return state


def test_ids_that_steps_have_booked_are_remembered(records: tuple[Record, ...]) -> None:
    taken = [each for record in records if isinstance(record, StepBegin) for each in record.taken]
    aborted = [record for record in records if isinstance(record, StepBegin)]
    assert len(taken) > 5 and aborted
    assert set(recovered(records).unbooked.booked) <= set(taken)
    assert recovered(finished(records, 30)).unbooked.booked


def test_a_journal_that_was_changed_does_not_repeat_and_says_where(records: tuple[Record, ...]) -> None:
    kept = finished(records, 4)
    at = next(i for i, each in enumerate(kept) if isinstance(each, Answer) and each.port == "execute")
    told = kept[at]
    assert isinstance(told, Answer)
    first, *rest = decode(told.value, tuple[Trade, ...])
    more = {key: change * 1.001 for key, change in first.changes.items()}
    altered = encode((msgspec.structs.replace(first, changes=more), *rest))
    kept[at] = msgspec.structs.replace(told, value=altered)
    with pytest.raises(Stop, match="does not repeat") as caught:
        recovered(kept)
    assert caught.value.code == EVT_NO_CHECKPOINT


def test_a_step_before_the_last_checkpoint_is_not_repeated(records: tuple[Record, ...]) -> None:
    """What was pruned or cannot be repeated any more does not matter once a checkpoint stands behind it."""
    checkpoint = next(
        i for i, each in enumerate(records) if isinstance(each, StepEnd) and each.tick >= 0 and each.state
    )
    kept = [each for each in records[: checkpoint + 1] if not isinstance(each, Answer)]
    found = recovered(kept)
    assert found.repeated == 0 and found.state is not None


def test_steps_after_a_reload_repeat_with_the_configuration_they_ran_with(
    records: tuple[Record, ...], run: RunSlice
) -> None:
    reload = before(records, ConfigChanged)
    ends = [i for i in range(reload, len(records)) if isinstance(records[i], StepEnd)]
    found = recovered(records[: ends[1] + 1])
    assert found.repeated > 2
    changed = records[reload]
    assert isinstance(changed, ConfigChanged) and changed.config == encode(run)


def test_each_life_has_its_epoch(records: tuple[Record, ...]) -> None:
    assert recovered(records).epoch == 3
    assert recovered(records[: before(records, Manifest, 1)]).epoch == 1


@pytest.mark.parametrize(
    ("of", "part", "detail"),
    [
        (trade(BUY, {str(CASH): -5.0}), "late", "buy filled"),
        (trade(BUY, {str(CASH): -2.0}, status=TradeStatus.PARTIAL), "late", "buy partial"),
        (rejected(BUY, "too small"), None, "buy rejected: too small"),
    ],
    ids=["filled", "partial", "rejected"],
)
def test_an_outcome_of_an_earlier_row_enters_the_book_as_late(of: Trade, part: str | None, detail: str) -> None:
    happening = late_of(BUY, of)
    assert isinstance(happening, Happening)
    assert (happening.part, happening.detail, happening.resolves) == (part, detail, "buy")
    assert happening.changes == of.changes


def test_without_an_outcome_nothing_enters_the_book() -> None:
    assert late_of(BUY, None) is None
    assert late_of(BUY, unknown(BUY)) is not None, "whoever asks decides first whether it is an outcome"


def test_a_core_that_repeats_is_told_what_the_first_was_told(records: tuple[Record, ...], run: RunSlice) -> None:
    items = list(steps_of(records))
    first = next(each for each in items if isinstance(each, StepEnd))
    step = next(each for each in items if isinstance(each, Step))
    manifest = items[0]
    assert isinstance(manifest, Manifest)
    core = RecordedCore(decode(manifest.config, RunSlice), BTC, manifest.epoch, decode(first.state, CoreState))
    assert core.advance(step) == step.end.state_hash
