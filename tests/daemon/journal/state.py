"""A state directory with journals of a daemon and two strategies, as a short sitting leaves it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from components.model.events import Event, EventType
from components.model.keys import base_token
from components.model.orders import Action, GroupKind, Order, OrderGroup, Trade, TradeStatus, Verb
from daemon.journal.codec import encode
from daemon.journal.journal import Journal
from daemon.journal.reader import journal_folder
from daemon.journal.records import (
    Answer,
    Command,
    Events,
    Intent,
    LatchChanged,
    Outcome,
    Record,
    StepAborted,
    StepBegin,
    StepEnd,
)
from daemon.state.disk import Disk

AT = 1_717_200_000_000_000_000  # 2024-06-01T00:00Z
CASH = base_token("binance", "USDT")


def order(id: str) -> Order:
    return Order(id=id, verb=Verb.SPOT, venue="binance", token="BTC", amount=0.5, leg="spot")


def intent(*ids: str) -> Intent:
    orders = tuple(order(id) for id in ids)
    group = OrderGroup(id="g1", kind=GroupKind.TOGETHER, action=Action.ENTRY_FULL, reason="enter", orders=orders)
    return Intent(at=AT, group=group)


def filled(id: str) -> Outcome:
    trade = Trade(
        order_id=id, status=TradeStatus.FILLED, verb=Verb.SPOT, venue="binance", token="BTC", quantity=0.5,
        changes={CASH: -30_000.0}, at=AT + 5, price=60_000.0, venue_reference="77",
    )  # fmt: skip
    return Outcome(at=AT + 6, order_id=id, state="filled", trade=trade)


def unknown(id: str) -> Outcome:
    return Outcome(at=AT + 3, order_id=id, state="unknown", reason="no answer")


def event(number: int, amount: float | None = 1.0, kind: EventType = EventType.TRADE) -> Event:
    return Event(
        timestamp=AT, sequence=number, event_type=kind, venue="binance", token="BTC", amount=amount, status="ok",
        strategy="btc", correlation_id="run/1", detail="", balances={CASH: 1.5},
    )  # fmt: skip


def begin(tick: int) -> StepBegin:
    return StepBegin(
        tick=tick, timestamp=AT, previous_timestamp=AT - 60, names=("price", "rate"),
        values=np.array([60_000.0, math.nan]).tobytes(), previous=b"", derived={}, stale=(), ages={"price": 0.5},
        settlements=encode(("settled",)), standing=b"",
    )  # fmt: skip


BTC: tuple[Record, ...] = (
    begin(1),
    intent("a", "b", "c"),
    unknown("a"),
    filled("b"),
    Answer(tick=1, effect=1, port="positions", value=encode({CASH: math.inf, "path": np.array([1.0, math.nan])})),
    Events(events=(event(1), event(2, math.nan), event(3, None, EventType.FUNDING))),
    StepEnd(tick=1, timestamp=AT, state_hash="ab", state=b"\x01\x02", row={"equity": -math.inf}),
    filled("a"),
    unknown("a"),
    StepAborted(tick=2, reason="stopped"),
)
DAEMON_RECORDS: tuple[Record, ...] = (
    Command(at=AT, id="c1", kind="pause", arguments={"strategy": "btc"}, uid=1000, key="k-1", answer="paused"),
    LatchChanged(at=AT, phase="requested", scope="*", reason="test"),
    Command(at=AT, id="c2", kind="status", arguments={}, uid=1000),
)


def write(disk: Disk, state: Path, name: str, records: Iterable[Record], rotate_bytes: int = 2_000) -> None:
    """Appends to a journal, each record durable on its own, and closes it in order."""
    journal = Journal.open(journal_folder(state, name), disk, name=name, now=lambda: AT, rotate_bytes=rotate_bytes)
    for record in records:
        journal.append(record)
        journal.flush(0.0)
    journal.flush(9.0, anchor=True)
    journal.shut()


def written(disk: Disk, state: Path) -> None:
    write(disk, state, "btc", BTC)
    write(disk, state, "eth", [intent("a"), filled("a"), Events(events=(event(1),))])
    write(disk, state, "daemon", DAEMON_RECORDS)
