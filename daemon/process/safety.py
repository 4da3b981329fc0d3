"""The safety program: brings the accounts of a daemon that is not running to safety, by itself.

`check` runs after the daemon has failed: it pages, cancels resting orders, and closes a strategy only if its latch asks
for it or its net exposure at the worst end is beyond the critical limit. `flatten` closes what it is told to, `finish`
goes on with what an earlier run, or a stop that closes, has left. All take the locks of the daemon first: as long as
one of them runs, it is the one that acts. Strategies are closed side by side; the paper market goes on meanwhile, so
that what travels arrives. What is still awaited at the end is kept in the latch, for the next run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Literal

import msgspec
import structlog
import trio
from msgspec.structs import replace

from components.model.awaited import Awaited, Unsellable, Unvalued
from components.model.errors import Refuse, Stop
from daemon.cells.account import Account
from daemon.cells.authority import Limits
from daemon.cells.closing import READ_ONLY, Closing
from daemon.cells.surroundings import Surroundings
from daemon.config.daemon_file import DaemonSlice, StrategyEntry
from daemon.errors import OPS_NOT_FOUND
from daemon.exits import Exit
from daemon.journal.committer import Committer
from daemon.journal.index import applied_sequences
from daemon.journal.journal import Journal
from daemon.journal.log import JournalLog
from daemon.journal.owed import Owed
from daemon.journal.queries import INDEX_FILE
from daemon.monitoring.metrics import Metrics
from daemon.monitoring.output import outputs, shout
from daemon.monitoring.readers import Reader
from daemon.monitoring.told import ToldMetrics
from daemon.orders.patience import patience_of
from daemon.provenance import code_hash
from daemon.recorded.recovery import Recovered, recover_journal
from daemon.safety.books import Books, books_of
from daemon.state.disk import RealDisk
from daemon.state.latch import Latch, Latches, Phase, mark, requested
from daemon.state.latch_keeper import HUNG, LatchKeeper
from daemon.state.lock import SAFETY, Holder, accounts_held, held, state_lock
from daemon.world.awake import AwakeClock
from daemon.world.paper_places import open_world
from daemon.world.world import World

log = structlog.get_logger()
ANSWER_S = 10.0
WAIT_S = 60.0  # for what travels, before the rest is left to the next run
Action = Literal["held", "closed", "closing", "not closed", "paged", "unknown"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What was found at one strategy, and what was done about it. `awaited` is what stands between it and flat."""

    strategy: str
    action: Action
    reason: str
    net_delta: float | None = None
    uncertain: int = 0  # orders whose outcome nobody knows
    left: tuple[str, ...] = ()
    awaited: tuple[Awaited, ...] = ()
    unvalued: tuple[Unvalued, ...] = ()
    unsellable: tuple[Unsellable, ...] = ()


def record_of(finding: Finding) -> dict[str, object]:
    """A finding as the command prints it."""
    record: dict[str, object] = msgspec.to_builtins(finding)
    return record


def check(config: DaemonSlice, environ: Mapping[str, str] = os.environ, *, wait_s: float = WAIT_S) -> list[Finding]:
    """After a failure. A configuration that does not load (exit 78) changed nothing: then it only pages."""
    latches = Latches(config.state_dir)
    only_page = environ.get("MONITOR_EXIT_STATUS") == str(Exit.CONFIG.value)
    if only_page and not any(latches.of(entry.id) for entry in config.strategies):
        return [
            Finding(strategy=entry.id, action="paged", reason="the configuration was refused; nothing was changed")
            for entry in config.strategies
        ]
    return _locked(config, None, wait_s)


def flatten(config: DaemonSlice, strategies: tuple[str, ...], *, wait_s: float = WAIT_S) -> list[Finding]:
    """Closes these strategies (all, when none is named) whatever their state; leaves them latched."""
    known = {entry.id for entry in config.strategies}
    for name in strategies:
        if name not in known:
            raise Refuse(OPS_NOT_FOUND, f"no strategy {name!r}: there are {', '.join(sorted(known))}")
    return _locked(config, strategies or tuple(sorted(known)), wait_s)


def finish(config: DaemonSlice, *, wait_s: float = WAIT_S) -> list[Finding]:
    """Goes on with what is under a latch and not flat yet; nothing else is touched, and nobody is asked for nothing."""
    unfinished = _unfinished(config)
    if not unfinished:
        mark(config.state_dir, False)
        return []
    return _locked(config, unfinished, wait_s)


def _unfinished(config: DaemonSlice) -> tuple[str, ...]:
    """Strategies under a latch that are not flat yet, whoever asked for it and when."""
    latches = Latches(config.state_dir)
    standing = {entry.id: latches.of(entry.id) for entry in config.strategies}
    return tuple(id for id, latch in standing.items() if latch is not None and not latch.is_closed)


def exit_code(findings: list[Finding]) -> Exit:
    """The worst of the findings: not safe, else still closing, else done."""
    actions = {finding.action for finding in findings}
    if actions & {"not closed", "unknown"}:
        return Exit.CHECK
    return Exit.CLOSING if "closing" in actions else Exit.DONE


def _locked(config: DaemonSlice, asked: tuple[str, ...] | None, wait_s: float) -> list[Finding]:
    started = datetime.now(UTC).isoformat(timespec="seconds")
    holder = Holder(pid=os.getpid(), started=started, doing=SAFETY)
    with ExitStack() as owned:
        owned.enter_context(held(state_lock(config.state_dir), holder, "the state directory"))
        if config.execution_mode == "live":
            accounts = [entry.account for entry in config.strategies]
            owned.enter_context(accounts_held(os.environ, config.environment, accounts, holder))
        owned.enter_context(outputs())
        return trio.run(_bring_to_safety, config, asked, wait_s, clock=AwakeClock())


async def _bring_to_safety(config: DaemonSlice, asked: tuple[str, ...] | None, wait_s: float) -> list[Finding]:
    world = open_world(config, threads=True, remembered=applied_sequences(config.state_dir / INDEX_FILE))
    committer, latches = Committer(threads=True), LatchKeeper(config.state_dir)
    findings: dict[str, Finding] = {}
    reader = trio.CapacityLimiter(1)

    async def one(entry: StrategyEntry) -> None:
        wanted = None if asked is None else entry.id in asked
        try:
            program = _Program(config, entry, world, latches, committer, reader)
            findings[entry.id] = await program.run(wanted, wait_s)
        except Exception as error:  # an edge: what is wrong with one strategy keeps no other from being closed
            log.critical("safety.failed", strategy=entry.id, error=repr(error), exc_info=error)
            reason = error.message if isinstance(error, Stop) else repr(error)
            findings[entry.id] = Finding(strategy=entry.id, action="not closed", reason=reason)

    async with trio.open_nursery() as around:
        await around.start(committer.run)
        around.start_soon(latches.run)
        around.start_soon(lambda: world.drive({}, step_budget_s=lambda: ANSWER_S))
        async with trio.open_nursery() as nursery:
            for entry in config.strategies:
                nursery.start_soon(one, entry)
        for scope, why in (await latches.written()).items():
            log.critical("latch.not_written", scope=scope, error=why)
            if scope in findings and findings[scope].action == "closing":  # nobody would know of it: not gone on with
                reason = f"something is awaited, and the latch could not be written ({why}): run this again"
                findings[scope] = replace(findings[scope], action="not closed", reason=reason)
        left = any(finding.action in ("closing", "not closed") for finding in findings.values())
        await latches.mark(left or bool(_unfinished(config)))
        around.cancel_scope.cancel()
    with suppress(Stop, OSError):
        world.close()
    ordered = [findings[entry.id] for entry in config.strategies]
    for finding in ordered:
        log.critical("safety.finding", **msgspec.to_builtins(finding))
    return ordered


class _Program:
    """One strategy."""

    def __init__(
        self,
        config: DaemonSlice,
        entry: StrategyEntry,
        world: World,
        latches: LatchKeeper,
        committer: Committer,
        reader: trio.CapacityLimiter,
    ) -> None:
        self._config = config
        self._entry = entry
        self._world = world
        self._latches = latches
        self._committer = committer
        self._place = world.place(entry.id)
        self._owed = Owed()
        self._reader = reader  # journals are read one after the other, as in the daemon
        self._hangs = False  # the disk has not let the journal be opened yet

    async def run(self, asked: bool | None, wait_s: float) -> Finding:
        entry, latch = self._entry, self._latches.of(self._entry.id)
        if asked is False:
            return Finding(strategy=entry.id, action="held", reason="nobody asked for it")
        recovered, journal = await self._journal()
        closing = self._closing(recovered, journal)
        silent = await self._silent(closing, take_back=asked is None and not self._config.guard.read_only)
        delta = None if silent or not entry.run.mode.hedge_allocation else await closing.exposure()
        uncertain, limit = len(closing.books().uncertain), entry.run.mode.risk.delta.critical
        exposed = delta is not None and delta > limit
        if asked is None and not exposed and (latch is None or latch.is_closed):
            if silent:
                return Finding(strategy=entry.id, action="unknown", reason="; ".join(silent), uncertain=uncertain)
            reason = "hedged within its limit" if delta is not None else "nothing asks for closing"
            return Finding(strategy=entry.id, action="held", reason=reason, net_delta=delta, uncertain=uncertain)
        reason = "asked for" if asked else latch.reason if latch else f"net exposure {delta:.2%} beyond {limit:.2%}"
        if self._config.guard.read_only:
            return Finding(
                strategy=entry.id, action="not closed", reason=READ_ONLY, net_delta=delta, uncertain=uncertain
            )
        self._latched(latch, reason)
        await self._latches.mark(True)  # who is killed from here on is gone on for
        phase = await closing.once(wait_s)
        await self._pay(journal)
        progress = closing.progress
        actions: Mapping[Phase, Action] = {Phase.FLAT: "closed", Phase.CLOSING: "closing"}
        return Finding(
            strategy=entry.id,
            action=actions.get(phase, "not closed"),
            reason=reason if phase is not Phase.FAILED else progress.error or "attempts used up",
            net_delta=delta,
            uncertain=uncertain,
            left=progress.left,
            awaited=progress.awaited,
            unvalued=progress.unvalued,
            unsellable=progress.unsellable,
        )

    async def _silent(self, closing: Closing, *, take_back: bool) -> list[str]:
        """Which venues say nothing, or may still hold orders: then nobody knows what would be right. Nobody watches an
        order that rests: it is taken back on the way."""
        reading = await closing.look(take_back=take_back)
        return [
            *(f"{door} does not say what is held: {why}" for door, why in reading.silent.items()),
            *(f"{door} may still hold orders: {why}" for door, why in reading.trouble.items()),
        ]

    def _closing(self, recovered: Recovered | None, journal: JournalLog | None) -> Closing:
        entry, config = self._entry, self._config
        books = Books(row=self._world.last_row(entry.id))
        if recovered is not None:
            before = None if recovered.state is None else recovered.state.positions
            uncertain = {order.id: order for order in recovered.uncertain}
            books = books_of(
                recovered.unbooked.late.values(),
                in_flight={} if before is None else before.in_flight,
                uncertain={**uncertain, **({} if before is None else before.uncertain)},
                row=books.row,
            )
        around = Surroundings(
            clock=self._world.clock,
            patience=patience_of(config.limits),
            limits=Limits(),
            latches=self._latches,
            telemetry=ToldMetrics(Metrics(now=lambda: 0.0), Reader("metrics")),
            publish=lambda replica: None,
            shout=shout,
            owe=lambda strategy, record, told: self._owed.records.append(record),
            free_bytes=lambda: None,
            clock_offset_ms=lambda: None,
            max_trade_usdt=config.guard.max_trade_size_usd,
            read_only=config.guard.read_only,
        )
        life = f"safety{self._world.at // 10**9}.{os.getpid()}"
        account = Account(entry, self._place.clients, lambda: journal, around, life)
        account.signed = tuple(recovered.signed.values()) if recovered is not None else ()
        return Closing(account, lambda: books)

    def _latched(self, latch: Latch | None, reason: str) -> None:
        if latch is None or latch.is_closed:
            at, uid = self._world.clock.now(), os.getuid()
            self._latches.set(requested(self._entry.id, f"safety: {reason}", at=at, uid=uid))

    async def _pay(self, journal: JournalLog | None) -> None:
        """Once more, what could not be written while it was done: the next start reads the journal."""
        if not self._owed.records or self._hangs:  # somebody is opening it still: not twice at once
            return
        try:
            with trio.fail_after(ANSWER_S):
                if journal is not None and journal.journal.poisoned:
                    await self._committer.close(journal.journal)
                if journal is None or journal.journal.closed:
                    at = self._world.clock.now()
                    journal = await trio.to_thread.run_sync(
                        self._opened, at, abandon_on_cancel=True, limiter=self._reader
                    )
                reading = partial(trio.to_thread.run_sync, abandon_on_cancel=True)  # left behind, it reads
                await self._owed.pay(journal, self._world.clock.now(), reading)
        except (Stop, OSError, trio.TooSlowError) as error:
            log.critical("safety.journal", strategy=self._entry.id, error=str(error) or HUNG)

    def _opened(self, at: int) -> JournalLog:
        """In a thread, which has no clock: `at` is market time, UTC ns."""
        folder = self._config.state_dir / "strategies" / self._entry.id / "journal"
        journal = Journal.open(folder, RealDisk(), name=self._entry.id, now=lambda: at)
        return JournalLog(journal, self._committer, lambda _: None)

    async def _journal(self) -> tuple[Recovered | None, JournalLog | None]:
        """What the journal says; nothing when it is damaged, or its disk does not let it be opened or says nothing."""
        with trio.move_on_after(ANSWER_S):  # left behind, it opens a journal that nobody writes to
            at = self._world.clock.now()
            return await trio.to_thread.run_sync(self._recovered, at, abandon_on_cancel=True, limiter=self._reader)
        self._hangs = True
        log.critical("safety.journal", strategy=self._entry.id, error=HUNG)
        return None, None

    def _recovered(self, at: int) -> tuple[Recovered | None, JournalLog | None]:
        try:
            journal = self._opened(at)
            recovered = recover_journal(journal.journal, self._entry.run, self._entry.id, code_hash())
        except (Stop, OSError) as error:
            log.critical("safety.journal", strategy=self._entry.id, error=str(error))
            return None, None
        return recovered, journal
