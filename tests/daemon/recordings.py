"""Recorded runs that tests read: made once, by a daemon that lived through what it is named after."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from components.model.slices import RunSlice
from daemon.config.daemon_file import DaemonSlice
from daemon.journal.journal import Journal
from daemon.journal.records import Record
from daemon.process.daemon import Daemon
from daemon.replica import CellState
from daemon.state.disk import RealDisk
from daemon.state.latch import Phase
from tests.daemon.house import BTC, House, ask, cell_of, in_state, replica_of, ticked, until


def run_of(config: DaemonSlice, strategy: str = BTC) -> RunSlice:
    return next(entry.run for entry in config.strategies if entry.id == strategy)


def with_other_threshold(config: DaemonSlice) -> DaemonSlice:
    """What a reload finds: every strategy calls twice as much dust."""
    entries = []
    for entry in config.strategies:
        mode = msgspec.structs.replace(entry.run.mode, dust_threshold=2.0 * entry.run.mode.dust_threshold)
        run = msgspec.structs.replace(entry.run, mode=mode, config_hash=f"{entry.run.config_hash}*")
        entries.append(msgspec.structs.replace(entry, run=run))
    return msgspec.structs.replace(config, strategies=tuple(entries))


@cache
def eventful() -> tuple[RunSlice, tuple[Record, ...]]:
    """Two lives of `btc-basis`: an entry, a deposit, an uncertain order that is resolved, a reload, power lost with
    orders in flight; then an emergency stop, a resume and an ordinary end."""
    with TemporaryDirectory() as folder:
        house = House(Path(folder), BTC)

        async def first(daemon: Daemon) -> None:
            await ticked(daemon, BTC, 5)
            for kind, endpoint, times in (("reset_after_send", "submit", 1), ("black_hole", "query", 3)):
                house.fault(BTC, kind, "binance", after_s=300.0, endpoint=endpoint, times=times)
            await ask(daemon, "deposit", BTC, key="k1", amount="20000")
            await until(lambda: replica_of(daemon, BTC).uncertain)
            await until(lambda: not replica_of(daemon, BTC).uncertain)
            await daemon.reload()
            await ticked(daemon, BTC, 2)
            await ask(daemon, "deposit", BTC, key="k2", amount="15000")
            await until(lambda: cell_of(daemon, BTC).desk.dispatch.in_flight, every_s=0.01)
            house.cut_power()

        async def second(daemon: Daemon) -> None:
            await ticked(daemon, BTC, 3)
            await daemon.emergency("a test")
            await until(lambda: (latch := daemon.latches.of(BTC)) is not None and latch.phase is Phase.FLAT)
            await ask(daemon, "resume", BTC)
            await in_state(daemon, CellState.RUNNING, BTC)
            await ticked(daemon, BTC, 3)

        house.live(first, reload=lambda: with_other_threshold(house.config))
        house.config = with_other_threshold(house.config)
        house.live(second)
        assert house.crashes.seen == []
        return run_of(house.config), tuple(house.records(BTC))


def journal_with(records: Iterable[Record], folder: Path, name: str = BTC) -> Path:
    """The records in a journal of their own that verifies; its folder."""
    target = folder / name / "journal"
    target.mkdir(parents=True)
    journal = Journal.open(target, RealDisk(), name=name, now=lambda: 0)
    for record in records:
        journal.append(record)
    journal.flush(0.0, anchor=True)
    journal.shut()
    return target
