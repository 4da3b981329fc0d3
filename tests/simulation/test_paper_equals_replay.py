"""A paper daemon to which nothing happens decides and values as the replay of the same market does."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from components.model.events import Event, EventType
from daemon.backtest.replay import Replay, ReplayRequest
from daemon.config.daemon_file import DaemonSlice
from daemon.journal.records import Events, StepEnd
from tests.simulation.harness import FIVE, HOUR_NS, Run, simulate

HOURS = 1.5
RELATIVE = 1e-9
DECIDED = frozenset(
    {EventType.DECISION, EventType.ORDER_INTENT, EventType.TRADE, EventType.ATOMIC_STEP, EventType.TRANSFER_SENT}
)


def before_funding(config: DaemonSlice) -> DaemonSlice:
    """The market begins half an hour before funding is paid."""
    assert config.market.start is not None
    return replace(config, market=replace(config.market, start=config.market.start + int(7.5 * HOUR_NS)))


@pytest.fixture(scope="module")
def paper() -> Run:
    return simulate(51, HOURS, ids=FIVE, changed=before_funding)


def rows_of(run: Run, strategy: str) -> list[StepEnd]:
    return [record for record in run.records[strategy] if isinstance(record, StepEnd) and record.row]


def replayed(run: Run, strategy: str) -> Replay:
    """The same strategy on the same rows, without a daemon."""
    assert run.config is not None
    entry = next(each for each in run.config.strategies if each.id == strategy)
    job = Replay(entry.run, run.accounts[strategy]._market, ReplayRequest(run_id="same", capital=entry.capital))
    row, rows = 0, len(rows_of(run, strategy))
    while row < rows:
        row = job.core.run_row(row, until=rows)
    return job


def done(event: Event) -> tuple[object, ...]:
    amount = None if event.amount is None else float(f"{event.amount:.9e}")
    return event.timestamp, event.event_type, event.venue, event.token, amount, event.status


@pytest.mark.parametrize("strategy", FIVE)
def test_equity_is_the_same_on_every_row(paper: Run, strategy: str) -> None:
    rows = rows_of(paper, strategy)
    assert len(rows) >= HOURS * 60 - 1
    result = replayed(paper, strategy).result()
    assert [record.timestamp for record in rows] == result.timestamps.tolist()
    np.testing.assert_allclose([record.row["equity"] for record in rows], result.columns["equity"], rtol=RELATIVE)
    for part, total in result.parts.items():
        assert sum(record.row[part] for record in rows) == pytest.approx(total, rel=1e-6, abs=1e-6), part


@pytest.mark.parametrize("strategy", FIVE)
def test_the_same_is_traded_and_held(paper: Run, strategy: str) -> None:
    job = replayed(paper, strategy)
    told = [event for record in paper.records[strategy] if isinstance(record, Events) for event in record.events]
    ours = [done(event) for event in told if event.event_type in DECIDED]
    theirs = [done(event) for event in job.sink.events if isinstance(event, Event) and event.event_type in DECIDED]
    assert ours == theirs
    assert len(ours) > 0
    held = {str(key): amount for key, amount in job.core.positions.snapshot().items()}
    assert paper.replicas[strategy].positions == pytest.approx(held, rel=RELATIVE, abs=1e-9)


def test_funding_was_paid_meanwhile(paper: Run) -> None:
    assert any(record.row["funding"] for record in rows_of(paper, "btc-basis"))
