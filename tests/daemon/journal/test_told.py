"""What people are told of a journal goes on under a latch, where no core makes events."""

from __future__ import annotations

from pathlib import Path

from components.model.events import EventType
from components.model.orders import OrderState
from daemon.journal.records import LatchChanged, Note, Outcome
from daemon.journal.told import events_of
from daemon.process.daemon import Daemon
from daemon.state.latch import Phase
from tests.daemon.house import BTC, House, ask_events, replica_of, ticked, until


def test_outcomes_without_a_core_are_told_by_what_became_of_them() -> None:
    for state, kind in (
        (OrderState.UNKNOWN, EventType.ORDER_UNKNOWN),
        (OrderState.REJECTED, EventType.ORDER_REJECTED),
        (OrderState.NOT_SENT, EventType.ORDER_REJECTED),
    ):
        outcome = Outcome(at=5, order_id="o", state=state, origin="emergency", reason="no margin")
        (told,) = events_of("btc", outcome)
        assert (told.timestamp, told.strategy, told.event_type, told.status) == (5, "btc", kind, state)
        assert told.detail == "o: no margin"
    assert events_of("btc", Outcome(at=5, order_id="o", state="rejected")) == (), "the core makes an event of it"
    assert events_of("btc", Note(at=5, kind="x", detail="y")) == ()
    (latch,) = events_of("btc", LatchChanged(at=5, phase="closing", scope="btc", reason="a look", awaited=("coins",)))
    assert (latch.event_type, latch.status, latch.detail) == (
        EventType.EMERGENCY_STOP,
        "closing",
        "a look; awaits coins",
    )


def test_events_and_narration_go_on_under_a_latch(tmp_path: Path) -> None:
    house = House(tmp_path, BTC)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 3)
        before = len(await ask_events(daemon, BTC))
        said = len(house.told)
        await daemon.operator.emergency(BTC, "a look", 0)
        await until(lambda: replica_of(daemon, BTC).phase == Phase.FLAT)
        events = (await ask_events(daemon, BTC))[before:]
        phases = [each["status"] for each in events if each["event_type"] == EventType.EMERGENCY_STOP]
        assert phases[0] == "closing" and phases[-1] == "flat"
        trades = [each for each in events if each["event_type"] == EventType.TRADE]
        assert {each["venue"] for each in trades} >= {"binance", "bybit", "okx"}
        told = house.told[said:]
        assert any("closes everything: a look" in line for line in told)
        assert sum("sells" in line or "buys" in line for line in told) >= len(trades) / 2
        assert any("is flat; it stays so" in line for line in told)

    house.live(play)
