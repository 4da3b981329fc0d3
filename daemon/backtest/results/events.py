"""The event log of a run as CSV: one line per event in global order, the balances after it, and the chain of hashes.

A settlement batch becomes its single events here. `hash` is SHA-256 over the hash of the line before and the canonical
bytes of the event, so a line cannot be changed, dropped or moved without breaking every later one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import numpy as np

from components.model.events import GENESIS, Event, PaymentBatch, canonical_bytes, chain_hash
from components.model.keys import PositionKey
from daemon.backtest.results.tables import BALANCE, cells_of, iso_stamps, quoted

FIELDS = (
    "timestamp", "order", "event_type", "venue", "token", "amount", "status", "strategy", "correlation_id", "detail",
)  # fmt: skip
BLOCK = 4096


class EventLog(msgspec.Struct, frozen=True):
    """What was written: how many events, and the hash of the last."""

    events: int
    last_hash: str


def write_events(path: Path, events: Iterable[Event | PaymentBatch]) -> EventLog:
    recorded = tuple(events)
    keys = position_keys(recorded)
    count, last = 0, GENESIS
    with path.open("wb") as file:
        header = [*FIELDS, *(BALANCE + key for key in keys), "hash"]
        file.write(",".join(map(quoted, header)).encode() + b"\n")
        for block in _blocks(single_events(recorded)):
            lines = []
            stamps = iso_stamps(np.array([event.timestamp for event in block], dtype=np.int64))
            for event, stamp in zip(block, stamps, strict=True):
                last = chain_hash(last, canonical_bytes(event))
                numbers = cells_of([event.amount, *(event.balances.get(key, 0.0) + 0.0 for key in keys)])
                words = (event.status, event.strategy, event.correlation_id, event.detail)
                lines.append(
                    b"%b,%d,%b,%b,%b,%b,%b,%b,%b\n"
                    % (
                        stamp,
                        event.sequence,
                        event.event_type.encode(),
                        quoted(event.venue).encode(),
                        quoted(event.token).encode(),
                        numbers[0],
                        ",".join(map(quoted, words)).encode(),
                        b",".join(numbers[1:]),
                        last.encode(),
                    )
                )
            file.writelines(lines)
            count += len(block)
    return EventLog(count, last)


def single_events(events: Iterable[Event | PaymentBatch]) -> Iterator[Event]:
    for event in events:
        if isinstance(event, PaymentBatch):
            yield from event.events()
        else:
            yield event


def position_keys(events: Iterable[Event | PaymentBatch]) -> list[PositionKey]:
    """Every position that occurs in a balance, sorted."""
    keys: dict[PositionKey, None] = {}
    for event in events:
        keys.update(dict.fromkeys(event.balances))
        if isinstance(event, PaymentBatch):
            keys.update(dict.fromkeys(event.keys))
    return sorted(keys)


def _blocks(events: Iterator[Event]) -> Iterator[list[Event]]:
    block: list[Event] = []
    for event in events:
        block.append(event)
        if len(block) == BLOCK:
            yield block
            block = []
    if block:
        yield block
