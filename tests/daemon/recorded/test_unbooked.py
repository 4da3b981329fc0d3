"""What no step has booked: kept by a life, handed to the next."""

from __future__ import annotations

import pytest

from components.model.events import EventType
from components.model.keys import base_token
from components.ports import Happening
from daemon.journal.codec import encode
from daemon.journal.records import Command
from daemon.recorded.unbooked import DAY_NS, REMEMBERED, Unbooked, unbooked_of
from daemon.world.rows import MarketRow

LATE = Happening(
    event_type=EventType.ORDER_RESOLVED,
    at=3,
    venue="binance",
    token="BTC",
    amount=1.0,
    changes={base_token("binance", "BTC"): 1.0},
    part="late",
)


def command(id: str) -> Command:
    return Command(at=1, id=id, kind="rebalance", arguments={}, uid=7, answer="accepted")


def held() -> Unbooked:
    return Unbooked(
        late={"o1": LATE},
        commands={"c1": command("c1"), "c2": command("c2")},
        cursors={"binance": 4, "okx": 2},
        booked={"binance|2": None, "binance|3": None},
        adjusted={5: 0.25},
        sent_at={"o2": 11},
    )


def test_a_snapshot_hands_over_all_of_it() -> None:
    row = MarketRow(tick=9, timestamp=90, values={"reference": 1.5})
    record = held().snapshot(7, row, 9)
    assert encode(unbooked_of(record)) == encode(held())
    assert (record.at, record.last_tick, record.previous) == (7, 9, encode(row))


def test_every_field_is_handed_over() -> None:
    """A field that a snapshot forgets would be empty in the next life."""
    assert all(getattr(held(), name) for name in Unbooked.__struct_fields__)
    empty, again = Unbooked(), unbooked_of(held().snapshot(0, None, None))
    assert all(getattr(again, name) != getattr(empty, name) for name in Unbooked.__struct_fields__)


def test_a_durable_step_lets_go_of_what_it_took_and_served() -> None:
    unbooked = held()
    unbooked.book(["okx|9", "o1"], ["c1"], {"binance": 4, "okx": 10})
    assert (unbooked.late, list(unbooked.commands)) == ({}, ["c2"])
    assert list(unbooked.booked) == ["binance|2", "binance|3", "okx|9", "o1"]
    assert unbooked.cursors == {"binance": 4, "okx": 10} and unbooked.sent_at == {"o2": 11}


def test_the_oldest_booked_ids_are_forgotten_first() -> None:
    unbooked = Unbooked()
    unbooked.book([str(n) for n in range(REMEMBERED + 3)], (), {})
    assert len(unbooked.booked) == REMEMBERED and next(iter(unbooked.booked)) == "3"


def test_what_was_adjusted_counts_for_its_day_alone() -> None:
    unbooked = Unbooked()
    unbooked.adjust(DAY_NS, {"adjustment": -2.0}, 100.0)
    unbooked.adjust(DAY_NS + 5, {"adjustment": 1.0}, 100.0)
    unbooked.adjust(DAY_NS + 6, {}, 100.0)
    assert unbooked.adjusted == {1: pytest.approx(0.03)}
    unbooked.adjust(2 * DAY_NS, {"adjustment": 5.0}, 100.0)
    assert unbooked.adjusted == {2: 0.05}
