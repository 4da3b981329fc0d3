"""What an operator takes over is what the venue holds now: never a look from before a trade, and whatever the token."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from components.model.errors import Refuse
from components.model.keys import PositionKey, base_token
from daemon.cells.observer import Observer
from daemon.process.daemon import Daemon
from daemon.recorded.unbooked import Unbooked
from daemon.replica import CellState
from tests.daemon.fakes import HandClock, HandVenue, Quiet
from tests.daemon.house import BTC, House, ask, cell_of, in_state, replica_of, ticked, until

PEPE = PositionKey("wallet:BaseToken:PEPE")
DUSTY = PositionKey("binance:BaseToken:BNB")
EXCHANGES = ("binance", "bybit", "okx")


def held(house: House, venue: str = "binance") -> dict[str, float]:
    return {str(key): amount for key, amount in house.accounts[BTC].positions(venue).items() if amount}


@pytest.mark.parametrize("venue", EXCHANGES)
@pytest.mark.parametrize("then", ["nothing", "rebalance"])
def test_adopting_right_after_an_entry_changes_nothing(tmp_path: Path, venue: str, then: str) -> None:
    house = House(tmp_path, BTC)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC)
        seen = cell_of(daemon, BTC).desk.observer.views[venue]
        assert not any(":Perp:" in str(key) for key in seen.positions), "the last look is from before the entry"
        told = await ask(daemon, "adopt", BTC, key="a", venue=venue)
        assert "adopted 0 difference(s)" in told.message
        if then == "rebalance":
            await ask(daemon, "rebalance", BTC, key="r")
        before = held(house, venue)
        await ticked(daemon, BTC, 4)
        assert held(house, venue) == before, "no order left on a false book"
        replica = replica_of(daemon, BTC)
        assert (replica.withheld, replica.pnl["adjustment"]) == ((), 0.0)
        assert {key: replica.positions.get(key) for key in before} == pytest.approx(before)

    house.live(play)
    assert house.crashes.seen == []


def test_a_venue_that_does_not_answer_now_is_not_adopted_from_memory(tmp_path: Path) -> None:
    house = House(tmp_path, BTC)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 3)
        house.accounts[BTC].world.adjust({base_token("okx", "USDT"): 5.0})
        after_s = (daemon.clock.now() - house.begin) / 1e9
        house.fault(BTC, "connect_refused", "okx", after_s=after_s)
        with pytest.raises(Refuse, match="okx does not answer"):
            await ask(daemon, "adopt", BTC, key="a", venue="okx")

    house.live(play)


@pytest.mark.parametrize(("key", "venue"), [(PEPE, "chain"), (DUSTY, "binance")])
def test_a_token_without_a_price_is_adopted_and_poisons_no_later_step(
    tmp_path: Path, key: PositionKey, venue: str
) -> None:
    house = House(tmp_path, BTC)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 2)
        equity = replica_of(daemon, BTC).equity
        house.accounts[BTC].foreign_transfer("spam", None, key, 1000.0, daemon.clock.now())
        await until(lambda: cell_of(daemon, BTC).desk.observer.views[venue].foreign)
        assert (
            "adopted 1 difference(s) and 1 foreign" in (await ask(daemon, "adopt", BTC, key="a", venue=venue)).message
        )
        await ticked(daemon, BTC, 30)
        replica = replica_of(daemon, BTC)
        assert (replica.state, replica.restarts, replica.withheld) == (CellState.RUNNING, 0, ())
        assert [(each.key, each.amount) for each in replica.unvalued] == [(str(key), 1000.0)], (
            "shown, and not in equity"
        )
        assert replica.equity == pytest.approx(equity, rel=0.01)

    async def again(daemon: Daemon) -> None:
        await in_state(daemon, CellState.RUNNING, BTC)
        await ticked(daemon, BTC, 3)
        assert [each.key for each in replica_of(daemon, BTC).unvalued] == [str(key)]

    house.live(play)
    house.live(again)
    assert house.crashes.seen == []


def observed(venue: HandVenue) -> Observer:
    return Observer([venue], HandClock(), Quiet(), Unbooked())


async def test_an_answer_to_an_older_question_does_not_replace_a_newer_one(autojump_clock: MockClock) -> None:
    venue = HandVenue()
    observer = observed(venue)
    venue.book, venue.slow_s = {base_token("binance", "USDT"): 1.0}, 1.5
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: observer.refresh(positions=True))
        await trio.sleep(4.0)  # the first question for positions is under way
        venue.book, venue.slow_s = {base_token("binance", "USDT"): 2.0}, 0.0
    await observer.refresh(positions=True)
    newest = observer.views["binance"].asked_at
    observer.views["binance"].asked_at = (newest or 0.0) + 100.0  # as if one that was asked later had answered
    venue.book = {base_token("binance", "USDT"): 3.0}
    await observer.refresh(positions=True)
    assert observer.views["binance"].positions == {base_token("binance", "USDT"): 2.0}


async def test_the_core_is_not_told_the_same_again_at_once(autojump_clock: MockClock) -> None:
    """A venue that did not agree is asked again a little later, as its answer at once would be the same."""
    venue = HandVenue()
    observer, began = observed(venue), trio.current_time()
    for _ in range(3):
        await observer.positions(frozenset({"binance"}))
    assert trio.current_time() - began == pytest.approx(1.0), "two pauses between three questions"
