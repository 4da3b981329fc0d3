"""What the venues report is booked once, in order, and whatever the stream does to it."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from components.model.errors import Refuse
from components.model.events import EventType
from components.model.keys import PositionKey, base_token
from components.model.orders import Order, Verb
from components.ports import Happening
from daemon.cells.observer import RESYNC_POLLS, Observer, Taken, key_of
from daemon.recorded.unbooked import Unbooked, unbooked_of
from tests.daemon.fakes import CASH, SECOND_NS, HandClock, HandVenue, Quiet, settled
from venues.interfaces import Unavailable

OKX_CASH = base_token("okx", "USDT")
LATER = 10**18


class Desk:
    """Two venues and the observer of their account."""

    def __init__(self) -> None:
        self.binance, self.okx = HandVenue("binance"), HandVenue("okx")
        self.metrics = Quiet()
        self.unbooked = Unbooked()
        self.observer = self.fresh()

    def fresh(self) -> Observer:
        """The observer of a new life."""
        self.observer = Observer((self.binance, self.okx), HandClock(), self.metrics, self.unbooked)
        return self.observer

    async def poll(self, *, positions: bool = False, times: int = 1) -> None:
        for _ in range(times):
            await self.observer.refresh(positions=positions)

    def book(self, until: int = LATER) -> list[str]:
        """What the next step takes, durable at once."""
        taken = self.observer.take(until)
        self.unbooked.book(taken.ids, (), taken.cursors)
        return ids(taken)


def ids(taken: Taken) -> list[str]:
    return [each.partition("|")[2] for each in taken.ids]


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_items_of_all_venues_are_taken_in_the_order_in_which_they_became_known(
    desk: Desk,
    autojump_clock: MockClock,
) -> None:
    desk.okx.items = [settled("b", venue="okx", at=1, known_at=5), settled("a", venue="okx", at=2, known_at=5)]
    desk.binance.items = [settled("z", at=9, known_at=9), settled("y", at=0, known_at=5), settled("x", known_at=3)]
    await desk.poll()
    taken = desk.observer.take(8)
    assert [(each.venue, each.at) for each in taken.settlements.happenings] == [
        ("binance", 0), ("binance", 0), ("okx", 2), ("okx", 1),
    ]  # fmt: skip
    assert ids(taken) == ["x", "y", "a", "b"]
    assert ids(desk.observer.take(9)) == ["x", "y", "a", "b", "z"], "until they are booked they are handed out again"


async def test_an_item_is_booked_once_however_often_it_is_repeated(desk: Desk, autojump_clock: MockClock) -> None:
    reward = settled("r1")
    desk.binance.items = [reward, reward]
    await desk.poll()
    assert desk.book() == ["r1"]
    desk.binance.items.append(reward)
    await desk.poll(times=RESYNC_POLLS)
    assert desk.book() == []


async def test_the_same_id_at_two_venues_is_two_items(desk: Desk, autojump_clock: MockClock) -> None:
    desk.binance.items, desk.okx.items = [settled("1")], [settled("1", venue="okx")]
    await desk.poll()
    assert len(desk.book()) == 2
    assert key_of(settled("1")) != key_of(settled("1", venue="okx"))


async def test_an_item_that_arrives_late_falls_into_the_current_row(desk: Desk, autojump_clock: MockClock) -> None:
    desk.binance.items = [settled("new", at=50)]
    await desk.poll()
    assert desk.book(60) == ["new"]
    desk.binance.items.append(settled("old", at=10))
    await desk.poll()
    taken = desk.observer.take(120)
    assert ids(taken) == ["old"]
    assert taken.settlements.happenings[0].at == 10, "with the stamp of its venue"


async def test_an_item_is_not_taken_before_it_is_known(desk: Desk, autojump_clock: MockClock) -> None:
    desk.binance.items = [settled("r", at=10, known_at=70)]
    await desk.poll()
    assert desk.book(60) == []
    assert desk.book(120) == ["r"]


async def test_a_frame_that_got_lost_is_found_by_reading_again_from_a_little_earlier(
    desk: Desk,
    autojump_clock: MockClock,
) -> None:
    desk.binance.items = [settled("a"), settled("b"), settled("c")]
    desk.binance.skip = {"b"}
    await desk.poll()
    assert desk.book() == ["a", "c"]
    await desk.poll(times=RESYNC_POLLS - 2)
    assert desk.book() == []
    await desk.poll()
    assert desk.book() == ["b"]


async def test_a_venue_that_does_not_agree_is_read_again_at_once(desk: Desk, autojump_clock: MockClock) -> None:
    desk.binance.items, desk.binance.book = [settled("a")], {CASH: 1.0}
    desk.binance.skip = {"a"}
    await desk.poll(positions=True)
    assert desk.book() == []
    desk.observer.compare({CASH: 0.0})
    await desk.poll(positions=True)
    assert desk.book() == ["a"]


async def test_cursors_and_ids_go_over_a_restart(desk: Desk, autojump_clock: MockClock) -> None:
    desk.binance.items = [settled("a"), settled("b"), settled("c", at=90)]
    await desk.poll()
    taken = desk.observer.take(60)
    desk.unbooked.book(taken.ids, (), taken.cursors)
    assert ids(taken) == ["a", "b"] and taken.cursors == {"binance": 3, "okx": 0}

    desk.unbooked = unbooked_of(desk.unbooked.snapshot(at=0, previous=None, last_tick=None))
    again = desk.fresh()
    desk.binance.items.append(settled("d", at=91))
    desk.binance.cursors.clear()
    await desk.poll(times=RESYNC_POLLS)
    assert desk.binance.cursors[0] == 3, "it goes on where the last step was"
    assert ids(again.take(LATER)) == ["c", "d"], "c was read and not booked: reading again finds it"


async def test_without_a_cursor_everything_is_read_and_what_was_booked_is_left_out(
    desk: Desk,
    autojump_clock: MockClock,
) -> None:
    desk.binance.items = [settled("a"), settled("b")]
    desk.unbooked.booked["binance|a"] = None
    await desk.poll()
    assert desk.book() == ["b"]


async def test_a_question_without_an_answer_changes_nothing_but_the_count(
    desk: Desk,
    autojump_clock: MockClock,
) -> None:
    desk.binance.book, desk.okx.book = {CASH: 5.0}, {OKX_CASH: 7.0}
    await desk.poll(positions=True)
    desk.binance.down, desk.binance.book = True, {}
    await desk.poll(positions=True, times=3)
    assert desk.observer.observed() == {CASH: 5.0, OKX_CASH: 7.0}
    view = desk.observer.views["binance"]
    assert (view.failures, view.errors, view.error) == (3, 3, "binance is down")
    binance, okx = desk.observer.states()
    assert not binance.reachable and okx.reachable
    assert ("binance", "settled", "error") in desk.metrics.asked
    desk.binance.down = False
    await desk.poll(positions=True)
    assert view.failures == 0 and desk.observer.states()[0].reachable


async def test_a_venue_that_hangs_is_given_up_within_the_time_out_and_does_not_hold_up_the_others(
    desk: Desk,
    autojump_clock: MockClock,
) -> None:
    desk.binance.slow_s = 1000.0
    desk.okx.items = [settled("o", venue="okx")]
    await desk.poll(positions=True)
    assert trio.current_time() == pytest.approx(2.0)
    assert desk.book() == ["o"]
    assert desk.observer.views["binance"].error == "settled: no answer in time"


async def test_positions_asked_by_the_core_are_all_or_unavailable(desk: Desk, autojump_clock: MockClock) -> None:
    desk.binance.book, desk.okx.book = {CASH: 5.0, PositionKey("king:BaseToken:KING"): 1.0}, {OKX_CASH: 7.0}
    asked = await desk.observer.positions(frozenset({"binance", "okx"}))
    assert asked == {CASH: 5.0, OKX_CASH: 7.0}, "what a venue says of others is not its word"
    desk.okx.down = True
    with pytest.raises(Unavailable, match="okx is down"):
        await desk.observer.positions(frozenset({"binance", "okx"}))
    assert await desk.observer.positions(frozenset({"binance"})) == {CASH: 5.0}
    assert desk.observer.views["okx"].failures == 0, "the pollers judge who is reachable"


async def test_a_difference_is_counted_per_poll_and_forgotten_when_it_is_gone(
    desk: Desk,
    autojump_clock: MockClock,
) -> None:
    desk.binance.book, desk.okx.book = {CASH: 5.0}, {}
    expected = {CASH: 6.0}
    view = desk.observer.views["binance"]
    for count in (1, 2):
        await desk.poll(positions=True)
        desk.observer.compare(expected)
        assert view.mismatched == count
    assert view.mismatches == (f"{CASH} expected 6.0 observed 5.0",)
    assert desk.observer.views["okx"].mismatched == 0
    desk.binance.down = True
    await desk.poll(positions=True)
    desk.observer.compare({CASH: 7.0})
    assert view.mismatched == 2, "who did not answer is not compared"
    desk.binance.down, desk.binance.book = False, {CASH: 6.0 + 1e-9}
    await desk.poll(positions=True)
    desk.observer.compare(expected)
    assert (view.mismatched, view.mismatches) == (0, ())


async def test_what_travels_between_venues_is_nobody_s_mismatch(desk: Desk, autojump_clock: MockClock) -> None:
    chain = HandVenue("chain", venues=frozenset({"wallet", "transit"}))
    observer = Observer((chain,), HandClock(), Quiet(), Unbooked())
    await observer.refresh(positions=True)
    observer.compare({base_token("transit", "USDT"): 100.0})
    assert observer.views["chain"].mismatched == 0
    observer.compare({base_token("wallet", "USDT"): 100.0})
    assert observer.views["chain"].mismatched == 1


async def test_an_adoption_leaves_out_what_the_next_step_books_by_itself(desk: Desk, autojump_clock: MockClock) -> None:
    desk.binance.book = {CASH: 13.0}
    desk.binance.items = [settled("r", 2.0, at=-1)]
    await desk.poll(positions=True)
    resolved = Happening(
        event_type=EventType.ORDER_RESOLVED, at=0, venue="binance", token="USDT", amount=1.0,
        changes={CASH: 1.0}, part="late",
    )  # fmt: skip
    desk.unbooked.late["o1"] = resolved
    assert desk.observer.differences("binance", {CASH: 9.5}) == {CASH: 0.5}
    assert desk.observer.differences("binance", {CASH: 10.0}) == {}


async def test_what_happened_after_the_positions_were_read_is_not_in_them(
    desk: Desk,
    autojump_clock: MockClock,
) -> None:
    desk.binance.book = {CASH: 10.0}
    await trio.sleep(10.0)
    await desk.poll(positions=True)
    desk.binance.items = [settled("r", 2.0, at=60 * SECOND_NS)]
    await desk.poll()
    assert desk.observer.differences("binance", {CASH: 10.0}) == {}


async def test_nothing_is_adopted_while_an_order_is_uncertain(desk: Desk, autojump_clock: MockClock) -> None:
    order = Order(id="o1", verb=Verb.SPOT, venue="binance", token="BTC", amount=1.0, leg="spot")
    late = Happening(
        event_type=EventType.ORDER_UNKNOWN, at=0, venue="binance", token="BTC", amount=0.0, changes={}, part=None,
        unknown=order,
    )  # fmt: skip
    desk.unbooked.late["o1"] = late
    with pytest.raises(Refuse, match="o1 is uncertain"):
        desk.observer.differences("binance", {CASH: 10.0})


async def test_small_payments_of_one_kind_come_together(desk: Desk, autojump_clock: MockClock) -> None:
    funding = {"event_type": EventType.FUNDING, "part": "funding", "cash": True, "detail": "BTCUSDT"}
    desk.binance.items = [
        settled("f1", 1.5, at=8, **funding), settled("f2", -0.5, at=16, **funding), settled("r", 3.0, at=9),
    ]  # fmt: skip
    await desk.poll()
    taken = desk.observer.take(LATER).settlements
    (flow,) = taken.cash
    assert (flow.key, flow.part, flow.at.tolist(), flow.amount.tolist()) == (CASH, "funding", [8, 16], [1.5, -0.5])
    assert [each.amount for each in taken.happenings] == [3.0]
    assert taken.rows == 1


async def test_a_foreign_hand_is_seen_until_it_is_adopted_and_over_a_restart(
    desk: Desk,
    autojump_clock: MockClock,
) -> None:
    desk.binance.strange = [settled("foreign/1")]
    await desk.poll(positions=True)
    before = desk.observer.take(LATER)
    assert list(desk.observer.views["binance"].foreign) == ["binance|foreign/1"]
    assert before.cursors == {"binance": 0, "okx": 0}, "not adopted: the next life must see it again"

    desk.unbooked.book(before.ids, (), before.cursors)
    again = desk.fresh()
    await desk.poll(positions=True)
    view = again.views["binance"]
    assert len(view.foreign) == 1 and again.states()[0].foreign == 1
    view.foreign = {}
    after = again.take(LATER)
    desk.unbooked.book(after.ids, (), after.cursors)
    third = desk.fresh()
    desk.binance.strange.append(settled("foreign/2"))
    await desk.poll(positions=True)
    assert list(third.views["binance"].foreign) == ["binance|foreign/2"]


async def test_pollers_look_between_rows_until_they_are_cancelled(desk: Desk, autojump_clock: MockClock) -> None:
    desk.binance.items, desk.okx.down = [settled("r")], True
    with trio.move_on_after(35.0):
        await desk.observer.watch(lambda: 10.0)
    assert desk.observer.views["binance"].polls == 3
    assert desk.observer.views["okx"].failures == 3
    assert desk.book() == ["r"]
