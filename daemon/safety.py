"""The safety program: brings the accounts of a daemon that is not running to safety, by itself and reduce-only.

`check` runs after the daemon has failed: it pages, cancels resting orders, and closes a strategy only if its latch asks
for it or its net exposure at the worst end is beyond the critical limit. `flatten` closes what it is told to. Both take
the locks of the daemon first: as long as it runs, it is the one that acts.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

import msgspec
import structlog
import trio

from components.model.errors import Refuse, Stop
from components.model.keys import PositionKey
from components.position_monitor import PositionMonitor
from components.situation import Situation
from components.utility_manager import UtilityManager
from daemon.control.protocol import OPS_NOT_FOUND
from daemon.daemon import patience_of
from daemon.daemon_config import DaemonSlice, StrategyEntry
from daemon.disk import RealDisk
from daemon.dispatch import Dispatch, Gate
from daemon.emergency import BestEffortLog, Emergency
from daemon.exits import Exit
from daemon.journal.committer import Committer
from daemon.journal.journal import Journal
from daemon.journal.records import Record
from daemon.journal_log import JournalLog
from daemon.latch import Latch, Latches, Phase, requested
from daemon.lock import Holder, held, state_lock
from daemon.metrics import Metrics
from daemon.paper import PaperWorld
from daemon.paper_places import open_world
from daemon.recovery import Recovered, recover_journal
from daemon.ticks import MarketRow, window_of
from venues.interfaces import NotSent, OutcomeUnknown, Unavailable, VenueClient

log = structlog.get_logger()
ANSWER_S = 10.0
Action = Literal["held", "closed", "not closed", "paged", "unknown"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What was found at one strategy, and what was done about it."""

    strategy: str
    action: Action
    reason: str
    net_delta: float | None = None
    doubts: int = 0
    left: tuple[str, ...] = ()


def record_of(finding: Finding) -> dict[str, object]:
    """A finding as the command prints it."""
    record: dict[str, object] = msgspec.to_builtins(finding)
    return record


def check(config: DaemonSlice, environ: Mapping[str, str] = os.environ) -> list[Finding]:
    """After a failure. A configuration that does not load (exit 78) changed nothing: then it only pages."""
    latches = Latches(config.state_dir)
    only_page = environ.get("MONITOR_EXIT_STATUS") == str(int(Exit.CONFIG))
    if only_page and not any(latches.of(entry.id) for entry in config.strategies):
        return [
            Finding(strategy=entry.id, action="paged", reason="the configuration was refused; nothing was changed")
            for entry in config.strategies
        ]
    return _locked(config, latches, None)


def flatten(config: DaemonSlice, strategies: tuple[str, ...]) -> list[Finding]:
    """Closes these strategies (all, when none is named) whatever their state; leaves them latched."""
    known = {entry.id for entry in config.strategies}
    for name in strategies:
        if name not in known:
            raise Refuse(OPS_NOT_FOUND, f"no strategy {name!r}: there are {', '.join(sorted(known))}")
    return _locked(config, Latches(config.state_dir), strategies or tuple(sorted(known)))


def _locked(config: DaemonSlice, latches: Latches, asked: tuple[str, ...] | None) -> list[Finding]:
    started = datetime.now(UTC).isoformat(timespec="seconds")
    with held(state_lock(config.state_dir), Holder(pid=os.getpid(), started=started), "the state directory"):
        return trio.run(_bring_to_safety, config, latches, asked)


async def _bring_to_safety(config: DaemonSlice, latches: Latches, asked: tuple[str, ...] | None) -> list[Finding]:
    world = open_world(config)
    world.clock.raise_ceiling(world.clock.now() + 1)
    committer = Committer(threads=True)
    findings = []
    async with trio.open_nursery() as nursery:
        await nursery.start(committer.run)
        for entry in config.strategies:
            program = _Program(config, entry, world, latches, committer)
            findings.append(await program.run(None if asked is None else entry.id in asked))
        nursery.cancel_scope.cancel()
    for finding in findings:
        log.critical("safety.finding", **msgspec.to_builtins(finding))
    return findings


class _Program:
    """One strategy."""

    def __init__(
        self, config: DaemonSlice, entry: StrategyEntry, world: PaperWorld, latches: Latches, committer: Committer
    ) -> None:
        self._config = config
        self._entry = entry
        self._world = world
        self._latches = latches
        self._committer = committer

    async def run(self, asked: bool | None) -> Finding:
        entry, place = self._entry, self._world.places[self._entry.id]
        row = self._world.last_row(entry.id)
        latch = self._latches.of(entry.id)
        recovered, journal = self._journal()
        observed, silent = await self._look(place.clients)
        delta, doubts = self._worst_delta(observed, recovered, row)
        limit = entry.run.mode.risk.delta.critical
        exposed = delta is not None and delta > limit
        if asked is False or (asked is None and not (exposed and not silent) and (latch is None or latch.is_closed)):
            if asked is None:
                silent += await self._cancel_resting(place.clients)
            if silent:
                return Finding(strategy=entry.id, action="unknown", reason="; ".join(silent), doubts=doubts)
            reason = "hedged within its limit" if delta is not None else "nothing asks for closing"
            return Finding(strategy=entry.id, action="held", reason=reason, net_delta=delta, doubts=doubts)
        reason = "asked for" if asked else latch.reason if latch else f"net exposure {delta:.2%} beyond {limit:.2%}"
        latch = self._latched(latch, reason)
        best = BestEffortLog(journal or _NoLog(), lambda text: print(text, file=sys.stderr))
        by_venue = {venue: client for client in place.clients for venue in (*client.venues, client.name)}
        patience = patience_of(self._config.limits)
        telemetry = Metrics(now=lambda: 0.0)
        dispatch = Dispatch(entry.id, by_venue, best, Gate(), self._world.clock, patience, telemetry)
        emergency = Emergency(entry.run, entry.id, place.clients, dispatch, best, self._world.clock, patience)
        self._latches.advance(entry.id, Phase.CLOSING)
        flat = await emergency.flatten(f"{latch.id}/safety{self._world.row}", row, [])
        self._latches.advance(entry.id, Phase.FLAT if flat else Phase.FAILED)
        return Finding(
            strategy=entry.id,
            action="closed" if flat else "not closed",
            reason=reason if flat else emergency.progress.error or "attempts used up",
            net_delta=delta,
            doubts=doubts,
            left=emergency.progress.left,
        )

    async def _look(self, clients: tuple[VenueClient, ...]) -> tuple[dict[PositionKey, float], list[str]]:
        """What the venues say is held, and which of them say nothing: then nobody knows what would be right."""
        observed: dict[PositionKey, float] = {}
        silent = []
        for client in clients:
            try:
                with trio.fail_after(ANSWER_S):
                    observed.update(await client.positions())
            except (Unavailable, trio.TooSlowError) as error:
                silent.append(f"{client.name} does not say what is held: {error}")
        return observed, silent

    async def _cancel_resting(self, clients: tuple[VenueClient, ...]) -> list[str]:
        """Nobody watches an order that rests: it goes. What could not be cancelled, in words."""
        left = []
        for client in clients:
            try:
                with trio.fail_after(ANSWER_S):
                    for id in await client.open_orders():
                        await client.cancel(id)
            except (Unavailable, NotSent, OutcomeUnknown, trio.TooSlowError) as error:
                left.append(f"{client.name} may still hold orders: {error}")
        return left

    def _latched(self, latch: Latch | None, reason: str) -> Latch:
        if latch is None or latch.is_closed:
            latch = requested(self._entry.id, f"safety: {reason}", at=self._world.clock.now(), uid=os.getuid())
            self._latches.set(latch)
        return latch

    def _journal(self) -> tuple[Recovered | None, JournalLog | None]:
        """What the journal says; a damaged one is told and left alone, the venues say what is held."""
        folder = self._config.state_dir / "strategies" / self._entry.id / "journal"
        try:
            journal = Journal.open(folder, RealDisk(), name=self._entry.id, now=self._world.clock.now)
            recovered = recover_journal(journal, self._entry.run, self._entry.id)
        except Stop as error:
            log.critical("safety.journal", strategy=self._entry.id, error=str(error))
            return None, None
        return recovered, JournalLog(journal, self._committer, lambda _: None)

    def _worst_delta(
        self, observed: Mapping[PositionKey, float], recovered: Recovered | None, row: MarketRow
    ) -> tuple[float | None, int]:
        """|net coins| ÷ gross at the worst end of what is in doubt; None for a strategy that is not hedged."""
        run = self._entry.run
        positions = PositionMonitor()
        positions.place(observed)
        if recovered is not None:
            for order in recovered.open_orders:
                positions.doubt(order)
            for order in recovered.state.positions.doubts.values() if recovered.state else ():
                positions.doubt(order)
        if not run.mode.hedge_allocation:
            return None, len(positions.doubts)
        now = Situation(run, window_of(row, None).row(0), positions, UtilityManager(run.mode.share_class))
        short = sum(abs(now.size(venue)) for venue in run.mode.hedge_allocation)
        gross = max(abs(now.long_coins()), short)
        worst = max(abs(each) for each in now.net_coins())
        return (worst / gross if gross else 0.0), len(positions.doubts)


class _NoLog:
    """In the place of a journal that cannot be written: everything goes to standard error."""

    async def record_emergency(self, *records: Record) -> None:
        await trio.lowlevel.checkpoint()
        for record in records:
            print(f"not journaled: {record}", file=sys.stderr)
