"""Announcer: what is told once, and how levels and what is held back are called."""

from __future__ import annotations

from components.announcer import Announcer
from components.deviation import Unmended
from components.event_logger import EventLogger
from components.held_back import NEVER, Held, Why
from components.levels import CRITICAL, WARNING, Crossing
from components.model.events import Event, EventType
from components.model.market import Row
from components.position_monitor import PositionMonitor
from daemon.backtest.replay import MemorySink
from tests.builders import START, keyed, market

ROW = Row(market({"binance.spot.BTC": 60_000.0}, rows=1), 0)


def on_air() -> tuple[Announcer, MemorySink]:
    sink, positions = MemorySink(), PositionMonitor()
    positions.place(keyed({"okx:BaseToken:USDT": 5.0}))
    return Announcer(EventLogger(sink, "a-strategy", "a-run"), positions), sink


def told(sink: MemorySink) -> list[tuple[EventType, str, str]]:
    return [(e.event_type, e.venue, e.detail) for e in sink.events if isinstance(e, Event)]


def test_a_level_is_called_by_what_it_means() -> None:
    announcer, sink = on_air()
    announcer.crossings(
        [
            Crossing(0, "cex_margin:okx", WARNING, 0.2),
            Crossing(0, "daily_loss", CRITICAL, 0.07),
            Crossing(0, "divergence", CRITICAL, 0.02),
            Crossing(0, "reserve", WARNING, 0.9),
        ],
        START,
    )
    assert told(sink) == [
        (EventType.RISK_LEVEL, "okx", "cex_margin:okx"),
        (EventType.EMERGENCY_STOP, "", "daily_loss"),
        (EventType.PRICE_DIVERGENCE, "", "divergence"),
        (EventType.RESERVE_LOW, "", "reserve"),
    ]
    assert all(isinstance(e, Event) and e.balances == keyed({"okx:BaseToken:USDT": 5.0}) for e in sink.events)


def test_what_is_held_back_says_what_and_why() -> None:
    announcer, sink = on_air()
    announcer.unmended([Unmended("margin_ratio:okx", 0.4, Held(None, NEVER, Why.TOO_DEAR))], START)
    assert told(sink) == [(EventType.HELD_BACK, "okx", f"margin_ratio: {Why.TOO_DEAR.value}")]


def test_why_legs_are_left_out_is_told_once_until_it_changes() -> None:
    announcer, sink = on_air()
    for reasons in (["a", "a"], ["a"], ["a", "b"], [], ["a"]):
        announcer.left_out(reasons, ROW)
    assert [detail for _, _, detail in told(sink)] == ["a", "b", "a"]


def test_closing_is_told_when_what_is_awaited_changes_and_flat_once() -> None:
    announcer, sink = on_air()
    announcer.close([], ROW)
    announcer.close([], ROW)
    assert [kind for kind, _, _ in told(sink)] == [EventType.FLAT]
