"""Strategies as their journals leave them, for who comes while no daemon writes: the offline views, and the next start.

Reads only, and takes no lock: what a daemon may be writing at this moment is simply not there yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from components.model.errors import MissingData, Stop
from components.model.keys import GAS, PositionKey, PositionType, token_of
from components.model.slices import RunSlice
from components.utility_manager import UtilityManager
from daemon.backtest.sold import exit_value_of
from daemon.control.shown import positions_shown
from daemon.journal.codec import decode
from daemon.journal.journal import record_of
from daemon.journal.opening import Resume
from daemon.journal.queries import IN_MEMORY, Queries
from daemon.journal.reader import DAEMON, Located, journal_folder, journals
from daemon.journal.records import Manifest, Record
from daemon.journal.walk import Walk
from daemon.provenance import code_hash
from daemon.recorded.configuration import last_configuration
from daemon.recorded.core import RecordedCore
from daemon.recorded.recovery import Recovered, recover
from daemon.replica import LEVELS, CellState, Replica
from daemon.state.disk import Disk, RealDisk
from daemon.state.latch import Latch, Latches, Phase
from daemon.world.rows import MarketRow, window_of

AMOUNT = 1e-9  # native units; less is what rounding leaves


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What one journal says. `at` is the time of its last row (UTC ns), None before the first."""

    strategy: str
    run: RunSlice
    recovered: Recovered

    @property
    def at(self) -> int | None:
        return self.recovered.previous.timestamp if self.recovered.previous is not None else None

    @property
    def expected(self) -> Mapping[PositionKey, float]:
        """The book, native units; what is late or uncertain is not in it."""
        state = self.recovered.state
        return {} if state is None else dict(sorted(state.positions.expected.items()))

    def holds(self) -> tuple[str, ...]:
        """What is more than cash, gas and dust, in words; empty for a strategy that is flat."""
        found = [
            f"{amount:.6g} {key}"
            for key, amount in self.expected.items()
            if abs(amount) > AMOUNT and not self._is_cash(key) and self._is_worth(key, amount)
        ]
        state = self.recovered.state
        uncertain = [*self.recovered.uncertain, *(state.positions.uncertain.values() if state is not None else ())]
        return (*found, *dict.fromkeys(f"uncertain order {order.id}" for order in uncertain))

    def _is_cash(self, key: PositionKey) -> bool:
        if key.position_type is not PositionType.BASE_TOKEN:
            return False
        return token_of(key) == self.run.mode.share_class or key.venue == GAS

    def _is_worth(self, key: PositionKey, amount: float) -> bool:
        """Unknown counts as worth something."""
        row = self.recovered.previous
        if row is None:
            return True
        value = value_of(self.run, row, key, amount)
        return value is None or abs(value) > self.run.mode.dust_threshold


def value_of(run: RunSlice, row: MarketRow, key: PositionKey, amount: float) -> float | None:
    """What it was worth at a row, share-class currency; None when the row does not say."""
    try:
        return amount * UtilityManager(run.mode.share_class).value_at(window_of(row, None).row(0), key)
    except (KeyError, MissingData):
        return None


def seen(disk: Disk, journal: Located) -> Seen | None:
    """The strategy of one journal; None when it never began. JournalBroken or Stop when the journal cannot tell."""
    walk, resume = Walk(disk, journal.folder, journal.name), Resume()
    for frame in walk:
        resume.saw(frame.sequence, frame.payload)
    records = _from_a_manifest(disk, journal, max(resume.at - 1, 0))
    first = next(records, None)
    if not isinstance(first, Manifest):
        return None
    run = decode(first.config, RunSlice)
    recovered = recover(chain([first], records), run, journal.name, code_hash())
    return Seen(strategy=journal.name, run=recovered.run or run, recovered=recovered)


def all_seen(disk: Disk, state: Path) -> tuple[dict[str, Seen], dict[str, str]]:
    """Every strategy that has a journal; those that cannot be read, with the reason."""
    found: dict[str, Seen] = {}
    failed: dict[str, str] = {}
    for journal in journals(disk, state):
        if journal.name == DAEMON:
            continue
        try:
            one = seen(disk, journal)
        except Stop as error:
            failed[journal.name] = error.message
            continue
        if one is not None:
            found[journal.name] = one
    return found, failed


def _from_a_manifest(disk: Disk, journal: Located, after: int) -> Iterator[Record]:
    begun = False
    for frame in Walk(disk, journal.folder, journal.name, after=after):
        record = record_of(journal.name, frame)
        begun = begun or isinstance(record, Manifest)
        if begun:
            yield record


class View(msgspec.Struct, frozen=True, kw_only=True):
    """An answer without a daemon: what it would have told, and how old and how whole that is, in words."""

    data: Any
    notes: tuple[str, ...]


def view(state: Path, kind: str, strategy: str | None, arguments: Mapping[str, str], now_s: float) -> View | None:
    """What the journals say to `status`, `positions`, `orders` or `events`; None where there is no journal of it.

    `now_s` is the wall clock, UTC seconds. Positions are those of the book: nobody asks a venue.
    """
    disk = RealDisk()
    names = [each.name for each in journals(disk, state) if each.name != DAEMON]
    if not names or (strategy is not None and strategy not in names):
        return None
    notes = [f"the daemon does not run: this is what the journals say, last written {_age(state, names, now_s)}"]
    if kind in ("orders", "events"):
        queries = Queries(disk, state, file=IN_MEMORY)
        limit = int(arguments.get("limit", "50"))
        data: Any = queries.orders(strategy) if kind == "orders" else queries.events(strategy, limit)
        trouble = queries.trouble(strategy)
        queries.close()
        return View(data=data, notes=(*notes, trouble) if trouble else tuple(notes))
    found, failed = all_seen(disk, state)
    latches = Latches(state)
    last = last_configuration(state)
    accounts = {entry.id: entry.account for entry in last.strategies} if last is not None else {}
    replicas = [
        valued(replica_of(each, latches.of(name), accounts.get(name, "unknown")), each.run)
        for name, each in found.items()
        if strategy in (None, name)
    ]
    notes += [f"{name}: {why}" for name, why in failed.items() if strategy in (None, name)]
    notes += [_closed_since(each) for each in replicas if each.state is CellState.LATCHED]
    shown = replicas if kind == "status" else positions_shown(replicas)
    return View(data=shown, notes=tuple(notes))


def _closed_since(replica: Replica) -> str:
    later = (
        "it at 'basis resume', with a daemon" if replica.phase == Phase.FLAT else "later; 'basis safety finish' goes on"
    )
    sold = "what that sold is in 'basis orders', and enters"
    return f"{replica.strategy}: this book is of before its emergency stop; {sold} {later}"


def valued(replica: Replica, run: RunSlice) -> Replica:
    """With what a full exit would have left at its last row."""
    return msgspec.structs.replace(replica, exit_value=exit_value_of(run, replica))


def replica_of(seen: Seen, latch: Latch | None, account: str) -> Replica:
    """A strategy as a cell would publish it after its last finished step; what venues hold is not known."""
    recovered, mode = seen.recovered, seen.run.mode
    row = recovered.previous
    replica = Replica(
        strategy=seen.strategy,
        mode=mode.mode,
        share_class=mode.share_class,
        account=account,
        state=CellState.STOPPED if latch is None else CellState.LATCHED,
        reason="the daemon does not run" + (f"; emergency stop: {latch.reason}, {latch.phase.value}" if latch else ""),
        phase=latch.phase.value if latch else "",
        awaited=latch.awaited if latch else (),
        epoch=recovered.epoch,
        tick=recovered.last_tick,
        timestamp=seen.at,
        interval_s=mode.time_throttle_interval,
        columns=dict(recovered.columns),
        positions={str(key): amount for key, amount in seen.expected.items() if amount},
        prices=dict(row.values) if row is not None else {},
    )
    if recovered.state is None:
        return replica
    core = RecordedCore(seen.run, seen.strategy, recovered.epoch, recovered.state).core
    return msgspec.structs.replace(
        replica,
        step=core.events.step,
        equity=core.pnl.equity if row is not None else None,
        initial=core.pnl.initial,
        external_flows=core.pnl.external_flows,
        owed=core.manager.owed,
        pnl={**core.pnl.sums, "residual": core.pnl.residual},
        risk_levels={name: LEVELS[level] for name, level in core.risk.levels().items()},
        trades=core.trades,
        events=core.events.sequence,
    )


def _age(state: Path, names: Iterable[str], now_s: float) -> str:
    files = [path for name in names for path in journal_folder(state, name).glob("*.journal")]
    newest = max((path.stat().st_mtime for path in files), default=now_s)
    at = datetime.fromtimestamp(newest, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return f"{max(now_s - newest, 0.0):.0f} s ago ({at})"
