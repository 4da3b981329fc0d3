"""A start that reads from its last snapshot knows what one knows that reads the whole journal."""

from __future__ import annotations

from functools import cache

import pytest

from daemon.journal.codec import encode
from daemon.journal.records import Manifest, Record, Snapshot
from daemon.recorded.recovery import Recovered, recover
from tests.simulation.harness import THREE, Run
from tests.simulation.test_determinism import run


@cache
def lived() -> Run:
    return run(19, 5.0)


def known(records: list[Record], strategy: str) -> dict[str, object]:
    config = lived().config
    assert config is not None
    entry = next(each for each in config.strategies if each.id == strategy)
    found: Recovered = recover(records, entry.run, strategy)
    return {
        "epoch": found.epoch,
        "state": encode(found.state),
        "hash": found.state_hash,
        "previous": encode(found.previous),
        "tick": found.last_tick,
        "late": sorted((id, encode(each)) for id, each in found.unbooked.late.items()),
        "open": sorted(encode(each) for each in found.uncertain),
        "commands": sorted(encode(each) for each in found.unbooked.commands.values()),
        "cursors": found.unbooked.cursors,
        "adjusted": found.unbooked.adjusted,
        "booked": list(found.unbooked.booked),
    }


@pytest.mark.parametrize("strategy", THREE)
def test_reading_from_any_snapshot_on_gives_the_same(strategy: str) -> None:
    records = lived().records[strategy]
    starts = []
    for i, record in enumerate(records):
        if isinstance(record, Manifest):
            manifest = i
        elif isinstance(record, Snapshot):
            starts.append(manifest)
    assert len(starts) >= 2, "the run restarted this strategy"
    # wherever the journal ends: at the end, in the middle of steps, and shortly after each start
    ends = [len(records), *range(starts[-1] + 8, len(records), 97), *(start + 40 for start in starts[1:])]
    for end in ends:
        usable = [start for start in starts if start + 12 < end]
        whole = known(records[:end], strategy)
        assert known(records[usable[-1] : end], strategy) == whole, end


def test_the_snapshots_had_something_to_carry() -> None:
    snapshots = [each for strategy in THREE for each in lived().records[strategy] if isinstance(each, Snapshot)]
    assert any(snapshot.late for snapshot in snapshots)
    assert any(snapshot.booked and snapshot.previous for snapshot in snapshots)
    assert any(snapshot.adjusted for snapshot in snapshots)
