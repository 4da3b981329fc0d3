"""Steps as the journal holds them: what one was told, what its ports answered, what it did, and the state after it.

Whoever writes a step and whoever reads it again use the same words from here, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256

import msgspec
import numpy as np

from components.model.errors import BasisError
from components.model.events import Event
from components.ports import Settlements, Standing
from daemon.journal.codec import encode
from daemon.journal.records import (
    Answer,
    ConfigChanged,
    Events,
    Intent,
    Manifest,
    Record,
    StepAborted,
    StepBegin,
    StepEnd,
)
from daemon.world.rows import MarketRow

NOTHING_SETTLED = Settlements(rows=1, cash=(), happenings=())


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One finished step as the journal holds it."""

    begin: StepBegin
    answers: tuple[Answer, ...]
    intents: tuple[Intent, ...]
    events: tuple[Event, ...]
    end: StepEnd


class Refusal(msgspec.Struct, frozen=True):
    """An error as it is journaled."""

    family: str
    code: str
    message: str


def steps_of(records: Iterable[Record]) -> Iterator[Manifest | ConfigChanged | Step | StepEnd]:
    """Manifests, reloads, finished steps and the checkpoint an epoch starts from, in order; no aborted steps."""
    begin: StepBegin | None = None
    answers: list[Answer] = []
    intents: list[Intent] = []
    events: list[Event] = []
    for record in records:
        match record:
            case Manifest():
                begin = None
                yield record
            case ConfigChanged():
                yield record
            case StepBegin():
                begin, answers, intents, events = record, [], [], []
            case Answer() if begin is not None:
                answers.append(record)
            case Intent(origin="core") if begin is not None:
                intents.append(record)
            case Events() if begin is not None:
                events += record.events
            case StepAborted():
                begin = None
            case StepEnd() if begin is None:
                yield record
            case StepEnd() if begin is not None:
                yield Step(
                    begin=begin, answers=tuple(answers), intents=tuple(intents), events=tuple(events), end=record
                )
                begin = None
            case _:
                pass


def begin_of(
    row: MarketRow, previous: MarketRow | None, settlements: Settlements, standing: Standing, **rest: object
) -> StepBegin:
    """The record of what a step is told, floats as raw bytes."""
    names = tuple(sorted(row.values))
    return StepBegin(
        tick=row.tick,
        timestamp=row.timestamp,
        previous_timestamp=previous.timestamp if previous else 0,
        names=names,
        values=np.array([row.values[name] for name in names]).tobytes(),
        previous=np.array([previous.values.get(name, row.values[name]) for name in names]).tobytes()
        if previous
        else b"",
        derived={**row.derived},
        stale=row.stale,
        ages=row.ages_s,
        settlements=encode(settlements),
        standing=encode(standing),
        **rest,  # type: ignore[arg-type]
    )


def rows_of(begin: StepBegin) -> tuple[MarketRow, MarketRow | None]:
    """The row of a recorded step and the one before it, bit for bit."""
    values = np.frombuffer(begin.values)
    row = MarketRow(
        tick=begin.tick,
        timestamp=begin.timestamp,
        values=dict(zip(begin.names, values.tolist(), strict=True)),
        derived=begin.derived,
        stale=begin.stale,
        ages_s=begin.ages,
    )
    if not begin.previous:
        return row, None
    before = np.frombuffer(begin.previous)
    previous = MarketRow(
        tick=begin.tick - 1,
        timestamp=begin.previous_timestamp,
        values=dict(zip(begin.names, before.tolist(), strict=True)),
    )
    return row, previous


def hash_of(state: bytes) -> str:
    return sha256(state).hexdigest()


def shown(value: object) -> str:
    """A struct as people read it."""
    return msgspec.json.encode(msgspec.to_builtins(value, str_keys=True, enc_hook=str)).decode()


def family_of(error: BasisError) -> str:
    """Retry, Refuse or Stop: what decides how the core goes on."""
    return next(
        each.__name__ for each in type(error).__mro__ if each.__name__ in ("Retry", "Refuse", "Stop", "BasisError")
    )
