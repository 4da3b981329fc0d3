"""Events: canonical bytes, the chain over them, and batches of quiet settlements spelt out."""

from __future__ import annotations

from hashlib import sha256

import msgspec
import numpy as np
import pytest

from components.model.events import (
    EVENT_MEANINGS,
    GENESIS,
    Event,
    EventType,
    PaymentBatch,
    canonical_bytes,
    chain_hash,
)
from tests.builders import HOUR_NS, START, key

BTC, USDT, OKX = key("binance:BaseToken:BTC"), key("binance:BaseToken:USDT"), key("okx:BaseToken:USDT")


def event(**changes: object) -> Event:
    plain = Event(
        timestamp=START, sequence=3, event_type=EventType.TRADE, venue="binance", token="BTC", amount=0.5,
        status="filled", strategy="btc_basis", correlation_id="run/1", detail="", balances={BTC: 0.5, USDT: 7.0},
    )  # fmt: skip
    return msgspec.structs.replace(plain, **changes)


def batch(which: list[int], row: list[int], amount: list[float]) -> PaymentBatch:
    rows = np.array(row)
    return PaymentBatch(
        first_sequence=10, strategy="btc_basis", correlation_id="run/1",
        event_types=(EventType.FUNDING, EventType.FUNDING, EventType.INTEREST), tokens=("USDT",) * 3,
        keys=(USDT, OKX, USDT), details=("binance BTCUSDT", "okx BTCUSDT", "interest"), which=np.array(which), row=rows,
        at=START + rows * HOUR_NS, amount=np.array(amount), balances={BTC: 0.5, USDT: 100.0},
    )  # fmt: skip


def test_the_bytes_do_not_depend_on_the_order_of_balances() -> None:
    assert canonical_bytes(event()) == canonical_bytes(event(balances={USDT: 7.0, BTC: 0.5}))
    assert canonical_bytes(event()) != canonical_bytes(event(balances={BTC: 0.5, USDT: 7.0000001}))


def test_the_bytes_are_the_fields_in_order_of_definition() -> None:
    names = list(msgspec.json.decode(canonical_bytes(event())))
    assert names == [field.encode_name for field in msgspec.structs.fields(Event)]


def test_every_record_carries_the_hash_of_the_one_before() -> None:
    first = chain_hash(GENESIS, b"one")
    assert first == sha256(b"0" * 64 + b"one").hexdigest()
    assert chain_hash(first, b"two") != chain_hash(GENESIS, b"two")


def test_a_batch_becomes_events_with_the_balances_after_each() -> None:
    events = batch([0, 1, 0], [1, 1, 2], [1.5, 2.0, -0.5]).events()
    assert [(e.sequence, e.timestamp, e.amount) for e in events] == [
        (10, START + HOUR_NS, 1.5), (11, START + HOUR_NS, 2.0), (12, START + 2 * HOUR_NS, -0.5),
    ]  # fmt: skip
    assert [e.balances.get(USDT) for e in events] == [101.5, 101.5, 101.0]
    assert [e.balances.get(OKX, 0.0) for e in events] == [0.0, 2.0, 2.0]
    assert {e.balances[BTC] for e in events} == {0.5}
    assert [e.venue for e in events] == ["binance", "okx", "binance"]
    assert {(e.status, e.correlation_id) for e in events} == {("settled", "run/1")}


def test_what_changes_one_key_on_one_row_is_added_up_first_as_the_book_does() -> None:
    events = batch([0, 2, 0], [1, 1, 1], [0.1, 0.2, 0.3]).events()
    assert events[-1].balances[USDT] == 100.0 + ((0.1 + 0.2) + 0.3)
    assert [e.event_type for e in events] == [EventType.FUNDING, EventType.INTEREST, EventType.FUNDING]


def test_a_batch_is_as_long_as_its_items() -> None:
    assert len(batch([0, 0], [1, 2], [1.0, 1.0])) == 2
    assert batch([], [], []).events() == []


def test_a_batch_of_uneven_columns_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        batch([0, 0], [1], [1.0]).events()


def test_each_event_has_one_meaning_of_its_own() -> None:
    assert set(EVENT_MEANINGS) == set(EventType)
    assert len(set(EVENT_MEANINGS.values())) == len(EVENT_MEANINGS)
