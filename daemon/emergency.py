"""The emergency program: closes everything of one account by its own path, and proves that it is flat.

It needs no core and no core thread: it reads what the venues hold, plans a full exit with the same routing the core
uses, and sends it reduce-only through a dispatch of its own. It is flat when two readings in a row leave nothing to
close, the second taken later than any order of before could still arrive. Its order ids come from the latch, the
attempt and the leg, so a restart that closes again never does the same thing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import msgspec
import trio

from components.model.errors import Stop
from components.model.keys import PositionKey
from components.model.orders import OrderGroup, TradeStatus
from components.model.slices import RunSlice
from components.planner import Planner
from components.position_monitor import PositionMonitor
from components.routing.route import Route
from components.situation import Situation
from components.strategies.factory import make_strategy
from components.utility_manager import UtilityManager
from daemon.dispatch import Dispatch, OrderLog, Patience
from daemon.journal.records import Intent, Record
from daemon.ticks import MarketRow, window_of
from venues.interfaces import NotSent, OutcomeUnknown, Unavailable, VenueClient
from venues.transport import Clock

SILENCES = 3  # readings in which a venue says nothing, before the others are closed without it


class Progress(msgspec.Struct):
    """How far closing is; read by status while it runs."""

    attempts: int = 0
    sent: int = 0
    left: tuple[str, ...] = ()
    error: str = ""


class ReserveLog(Protocol):
    """A journal that keeps some room for an emergency, even when it takes nothing else any more."""

    async def record_emergency(self, *records: Record) -> None: ...


class BestEffortLog:
    """The journal, else its reserve, else standard error: the one exception to "durable before it is sent"."""

    def __init__(self, log: ReserveLog, shout: Callable[[str], None]) -> None:
        self._log = log
        self._shout = shout
        self._waiting: list[Record] = []

    def append(self, record: Record) -> int:
        """Kept until `commit`; the sequence is given out there."""
        self._waiting.append(record)
        return -1

    async def commit(self) -> None:
        records, self._waiting = self._waiting, []
        try:
            await self._log.record_emergency(*records)
        except Stop as error:
            for record in records:
                self._shout(f"not journaled ({error.message}): {record}")


class Emergency:
    """Closing one strategy's account."""

    def __init__(
        self,
        run: RunSlice,
        strategy: str,
        clients: Iterable[VenueClient],
        dispatch: Dispatch,
        log: OrderLog,
        clock: Clock,
        patience: Patience,
        *,
        attempts: int = 40,
        pause_s: float = 1.0,
    ) -> None:
        self._run = run
        self._strategy = strategy
        self._clients = tuple(clients)
        self._dispatch = dispatch
        self._log = log
        self._clock = clock
        self._patience = patience
        self._attempts = attempts
        self._pause = pause_s
        self.progress = Progress()
        self.observed: dict[PositionKey, float] = {}

    async def flatten(self, latch: str, row: MarketRow, latest: list[MarketRow]) -> bool:
        """Cancels, closes, re-reads until flat twice; False when the attempts are used up.

        `latest` holds the newest row the feed has told, if any came since `row`.
        """
        flat_readings = silences = 0
        for attempt in range(1, self._attempts + 1):
            self.progress.attempts = attempt
            await self._cancel_resting()
            observed, silent = await self._read()
            if silent:
                flat_readings, silences = 0, silences + 1
                if silences >= SILENCES and self._is_pairs and observed:
                    await self._close(observed, f"{self._strategy}/{latch}/{attempt}", latest[-1] if latest else row)
                await trio.sleep(self._pause)
                continue
            silences = 0
            self.observed = observed
            groups = await self._close(observed, f"{self._strategy}/{latch}/{attempt}", latest[-1] if latest else row)
            flat_readings = flat_readings + 1 if groups == 0 else 0
            if flat_readings == 2:
                self.progress.left = ()
                return True
            grace = self._patience.order_grace_s + self._patience.unknown_budget_s
            await trio.sleep(grace if flat_readings == 1 else self._pause)
        return False

    def plan(self, observed: Mapping[PositionKey, float], row: MarketRow) -> list[OrderGroup]:
        """The first groups that closing would send now; nothing is sent."""
        route, _ = self._route(observed, f"{self._strategy}/plan", row)
        first = next(route.groups(), None)
        return [] if first is None else [first]

    async def _close(self, observed: Mapping[PositionKey, float], run_id: str, row: MarketRow) -> int:
        """Sends the exit, group by group; the number of groups there were to send."""
        route, positions = self._route(observed, run_id, row)
        count = 0
        for group in route.groups():
            count += 1
            self._log.append(Intent(at=self._clock.now(), group=group, origin="emergency"))
            await self._log.commit()
            trades = await self._dispatch.send(group, origin="emergency")
            self.progress.sent += len(group.orders)
            positions.expect(trades)
            self.progress.left = tuple(str(key) for key in positions.snapshot())
            if any(t.status in (TradeStatus.UNKNOWN, TradeStatus.REJECTED) for t in trades):
                self.progress.error = next((t.reason for t in trades if t.reason), "")
                break
        return count

    def _route(
        self, observed: Mapping[PositionKey, float], run_id: str, row: MarketRow
    ) -> tuple[Route, PositionMonitor]:
        positions = PositionMonitor()
        positions.place(observed)
        prices = UtilityManager(self._run.mode.share_class)
        now = Situation(self._run, window_of(row, None).row(0), positions, prices)
        plan = Planner(self._run.mode, make_strategy(self._run.mode)).exit("emergency stop", now, 0)
        return Route(plan, now, run_id, 0.0), positions

    async def _cancel_resting(self) -> None:
        for client in self._clients:
            try:
                with trio.fail_after(self._patience.order_grace_s):
                    for order_id in await client.open_orders():
                        await client.cancel(order_id)
            except (Unavailable, NotSent, OutcomeUnknown, trio.TooSlowError) as error:
                self.progress.error = f"{client.name}: open orders not cancelled: {error}"

    @property
    def _is_pairs(self) -> bool:
        """Each venue is hedged by itself, so that one may be closed while another says nothing. Where coins on chain
        stand against shorts elsewhere, closing a part of it would leave the rest naked: it waits for all."""
        return self._run.mode.lst_type is None and bool(self._run.mode.hedge_allocation)

    async def _read(self) -> tuple[dict[PositionKey, float], tuple[str, ...]]:
        """What venues hold now, and which of them do not say."""
        found: dict[PositionKey, float] = {}
        silent = []
        for client in self._clients:
            try:
                with trio.fail_after(self._patience.order_grace_s):
                    found.update(await client.positions())
            except (Unavailable, trio.TooSlowError) as error:
                self.progress.error = f"{client.name} does not say what it holds: {error}"
                silent.append(client.name)
        return dict(sorted(found.items())), tuple(silent)
