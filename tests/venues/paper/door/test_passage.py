"""The way of one request: its stages, told apart by what the venue may have done."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.venues.paper.stage import Desk, played
from venues.paper.door.passage import Lost, Passage, Profile, Refused


def passage(desk: Desk, profile: Profile | None = None) -> Passage:
    return Passage("binance", desk.account, desk.clock, desk.plan, 5, profile or Profile())


def test_the_venue_acts_half_way() -> None:
    desk, at = Desk(), []
    way = passage(desk, Profile(latency_s=0.1, spread=0.0))

    async def play() -> float:
        began = trio.current_time()
        assert await way.request("submit", ("o1",), lambda: at.append(trio.current_time() - began)) is None
        return trio.current_time() - began

    assert played(play) == pytest.approx(0.1) and at == [pytest.approx(0.05)]
    assert way.travelling == []


async def test_what_was_refused_was_not_done_and_what_is_lost_may_be(autojump_clock: MockClock) -> None:
    desk, done = Desk(), []
    way = passage(desk)
    desk.faulty("maintenance", times=1)
    desk.faulty("truncated_json", times=1)
    with pytest.raises(Refused):
        await way.request("submit", ("o1",), lambda: done.append(1))
    assert done == []
    with pytest.raises(Lost):
        await way.request("submit", ("o1",), lambda: done.append(2))
    assert done == [2]
    assert way.requests == {"submit": 2} and way.refusals == {"submit": 1}


async def test_a_question_that_nobody_waits_for_is_not_asked(autojump_clock: MockClock) -> None:
    desk, done = Desk(), []
    way = passage(desk, Profile(latency_s=10.0, spread=0.0))
    with trio.move_on_after(1.0):
        await way.request("positions", (), lambda: done.append(1))
    with trio.move_on_after(1.0):
        await way.request("cancel", ("o1",), lambda: done.append(2))
    assert done == [2]


async def test_a_fault_of_one_endpoint_leaves_the_others_alone(autojump_clock: MockClock) -> None:
    desk = Desk()
    way = passage(desk)
    desk.faulty("connect_refused", endpoint="submit")
    assert await way.request("positions", (), lambda: "told") == "told"
    with pytest.raises(Refused):
        await way.request("submit", ("o1",), lambda: None)


def test_requests_come_from_the_same_seed_in_the_same_time() -> None:
    async def play() -> float:
        way = passage(Desk())
        began = trio.current_time()
        for _ in range(3):
            await way.request("positions", (), lambda: None)
        return trio.current_time() - began

    assert played(play) == played(play)
