"""Who looks cannot hurt who trades: readers that fail change no byte of a journal, and a suspend sells nothing."""

from __future__ import annotations

import pytest

from components.model.events import EventType
from daemon.journal.codec import encode
from daemon.journal.records import Events, LatchChanged
from daemon.monitoring.health import Health
from daemon.monitoring.metrics import Metrics
from tests.simulation.harness import FIVE, Run, simulate
from tests.simulation.host_faults import HostFault
from tests.simulation.oracles import judged

HOURS = 0.75


def journals(run: Run) -> dict[str, list[bytes]]:
    return {strategy: [encode(record) for record in records] for strategy, records in run.records.items()}


def test_readers_that_raise_at_everything_change_no_byte_of_a_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    clean = simulate(61, HOURS, faults=30)

    def raises(*_: object, **__: object) -> None:
        raise RuntimeError("a reader has gone mad")

    for owner, names in (
        (Metrics, ("publish", "event", "venue_request", "step", "commit", "order")),
        (Health, ("publish",)),
    ):
        for name in names:
            monkeypatch.setattr(owner, name, raises)
    blind = simulate(61, HOURS, faults=30)
    assert blind.daemon is not None
    assert sum(reader.errors for reader in blind.daemon.readers) > 100
    assert journals(blind) == journals(clean)
    assert judged(blind) == []


def test_a_suspend_of_many_intervals_sells_nothing() -> None:
    host = tuple(
        HostFault(kind="suspend", strategy="btc-basis", after_s=after) for after in (300.0, 317.3, 1200.07, 1900.0)
    )
    run = simulate(62, 2.0 * HOURS, ids=FIVE, host=host)
    assert [fault.kind for fault in run.struck] == ["suspend"] * 4 and run.lagged_ns > 1_000_000_000_000
    assert judged(run) == []
    for records in run.records.values():
        assert not any(isinstance(record, LatchChanged) for record in records)
        stopped = {EventType.HALTED, EventType.EMERGENCY_STOP}
        assert not any(
            e.event_type in stopped for record in records if isinstance(record, Events) for e in record.events
        )
