"""All doors at once: a dead one delays none, what it told last is kept and said to be old."""

from __future__ import annotations

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from components.model.keys import base_token
from daemon.safety.doors import Doors
from tests.daemon.fakes import HandVenue
from venues.interfaces import RestingOrder


async def nothing_rests(at: str, resting: RestingOrder) -> str:
    raise AssertionError(f"{resting.reference} rests at {at}")


async def test_a_dead_door_costs_its_time_out_and_no_more(autojump_clock: MockClock) -> None:
    quick, dead = HandVenue("okx"), HandVenue("bybit")
    quick.book, dead.book = {base_token("okx", "USDT"): 1.0}, {base_token("bybit", "USDT"): 2.0}
    doors = Doors([quick, dead], 3.0)
    assert (await doors.read()).silent == {}
    dead.slow_s, began = 60.0, trio.current_time()
    reading = await doors.read(nothing_rests)
    assert trio.current_time() - began == pytest.approx(9.0), "three questions to it, each within the time-out"
    assert reading.silent == {"bybit": "no answer in time"}
    assert reading.positions == {**quick.book, **dead.book}, "what it told last"
    assert reading.unknown == frozenset()


async def test_one_that_never_told_anything_is_unknown_and_somebody_elses_look_helps(autojump_clock: MockClock) -> None:
    dead = HandVenue("bybit")
    dead.down = True
    doors = Doors([dead], 3.0)
    assert (await doors.read()).unknown == frozenset({"bybit"})
    doors.remember("bybit", {base_token("bybit", "USDT"): 2.0})
    reading = await doors.read()
    assert reading.unknown == frozenset()
    assert reading.positions == {base_token("bybit", "USDT"): 2.0}
    assert reading.trouble["bybit"] == "bybit is down"


async def test_what_rests_is_cancelled_unless_it_is_only_looked_at(autojump_clock: MockClock) -> None:
    venue = HandVenue("okx")
    taken: list[tuple[str, str]] = []

    async def take_back(at: str, resting: RestingOrder) -> str:
        taken.append((at, resting.reference))
        return "" if resting.order_id else "somebody else's, and the venue is closed"

    ours = RestingOrder(reference="7", order_id="a", key=base_token("okx", "BTC"), left=1.0)
    venue.resting = (ours, replace(ours, reference="8", order_id=None))
    await Doors([venue], 3.0).read()
    assert taken == []
    reading = await Doors([venue], 3.0).read(take_back)
    assert (taken, reading.resting) == ([("okx", "7"), ("okx", "8")], {"8": "okx"})
    assert reading.trouble == {"okx": "open orders not cancelled: somebody else's, and the venue is closed"}


async def test_what_we_did_at_a_door_that_falls_silent_is_booked_on_what_it_told_and_handed_on(
    autojump_clock: MockClock,
) -> None:
    usdt, venue = base_token("okx", "USDT"), HandVenue("okx")
    venue.book = {usdt: 5.0}
    doors, later = Doors([venue], 3.0), Doors([venue], 3.0)
    await doors.read()
    venue.down = True
    doors.booked({usdt: -2.0, base_token("bybit", "USDT"): 1.0})
    later.inherit(doors)
    later.remember("okx", {usdt: 5.0})
    for each in (doors, later):
        assert (await each.read()).positions == {usdt: 3.0}
