"""One strategy that raises, hangs, floods or loses its disk is not felt by the others: they decide the same.

Their journals are compared with those of a run in which nothing is wrong, record by record; only stamps and the order
of things that happen at one instant may differ.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import trio

from components.model.events import Event
from daemon.cells.cell import Cell
from daemon.journal.codec import encode
from daemon.journal.records import Events, Intent, Note, Outcome, Record, StepBegin, StepEnd
from daemon.process.daemon import Daemon
from tests.simulation.harness import THREE, Run, simulate
from tests.simulation.host_faults import HostFault
from tests.simulation.oracles import judged

BAD, GOOD = THREE[0], THREE[1:]
HOURS = 0.6
AT_S, CALM_S = 600.0, 300.0
Script = Callable[[Daemon, Run, float], Any]


def decided(run: Run, strategy: str) -> list[tuple[object, ...]]:
    """What a strategy was told, decided, sent and booked, without process time."""
    return [each for record in run.records[strategy] if (each := plain(record))]


def plain(record: Record) -> tuple[object, ...]:
    match record:
        case StepBegin():
            return record.tick, record.values, record.previous, record.settlements, record.standing, record.commands
        case Intent():
            return encode(record.group), record.origin
        case StepEnd():
            return record.tick, record.state_hash, tuple(record.row.items())
        case Events():
            return tuple(told(event) for event in record.events)
        case _:
            return ()


def told(event: Event) -> tuple[object, ...]:
    return event.sequence, event.timestamp, event.event_type, event.amount, event.correlation_id


def outcomes(run: Run, strategy: str) -> set[tuple[object, ...]]:
    return {
        (record.order_id, record.state, tuple(record.trade.changes.items()) if record.trade else ())
        for record in run.records[strategy]
        if isinstance(record, Outcome)
    }


@cache
def undisturbed() -> Run:
    return simulate(61, HOURS, calm_s=CALM_S)


async def raises(daemon: Daemon, run: Run, until: float) -> None:
    """The core fails at every row, until its restarts are used up."""

    async def fail(*_: object, **__: object) -> None:
        await trio.lowlevel.checkpoint()
        raise RuntimeError("the strategy has a bug")

    await trio.sleep(AT_S)
    while True:
        if cell := daemon.supervisor.cells.get(BAD):
            cell.actor.step = fail  # type: ignore[method-assign,assignment]
        await trio.sleep(1.0)


async def hangs(daemon: Daemon, run: Run, until: float) -> None:
    """The step under way never ends."""

    async def hang(*_: object, **__: object) -> None:
        await trio.sleep_forever()

    await trio.sleep(AT_S)
    daemon.supervisor.cells[BAD].actor.step = hang  # type: ignore[method-assign,assignment]
    await trio.sleep_forever()


async def floods(daemon: Daemon, run: Run, until: float) -> None:
    """It writes thousands of records a second and asks its venues without a pause."""

    async def ask(cell: Cell) -> None:
        while True:
            await cell.desk.observer.refresh(positions=True)

    await trio.sleep(AT_S)
    cell = daemon.supervisor.cells[BAD]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, cell)
        for _ in range(300):
            for number in range(100):
                cell.desk.journal.append(Note(at=number, kind="flood", detail="x" * 200))
            await trio.sleep(0.1)
        nursery.cancel_scope.cancel()
    await trio.sleep_forever()


@pytest.mark.parametrize("misbehaves", [raises, hangs, floods], ids=lambda each: each.__name__)
def test_the_others_decide_the_same(misbehaves: Script) -> None:
    run = simulate(61, HOURS, calm_s=CALM_S, script=misbehaves)
    assert run.heads[BAD] != undisturbed().heads[BAD]
    for strategy in GOOD:
        ours, theirs = decided(run, strategy), decided(undisturbed(), strategy)
        both = min(len(ours), len(theirs)) - 1  # the market stood a while; a run ends with a checkpoint
        assert ours[:both] == theirs[:both] and both > 0.9 * len(theirs)
        assert outcomes(run, strategy) == outcomes(undisturbed(), strategy)
        assert run.replicas[strategy].missed == 0


@pytest.mark.parametrize("kind", ["sync_error", "write_error"])
def test_a_journal_that_fails_halts_only_its_strategy(kind: str) -> None:
    run = simulate(61, HOURS, calm_s=CALM_S, host=(HostFault(kind=kind, strategy=BAD, after_s=AT_S),))
    assert [fault.kind for fault in run.struck] == [kind]
    assert run.replicas[BAD].restarts == 1
    for strategy in GOOD:
        assert decided(run, strategy) == decided(undisturbed(), strategy)
        assert run.replicas[strategy].restarts == 0
    assert judged(run) == []
