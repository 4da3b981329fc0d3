"""The supervisor: keeps every strategy running in a cell of its own, and lets no cell feel another's end.

The edge around a cell is the only place that catches whatever a strategy throws. Restarts are counted in a sliding
window and back off; when they are used up, the policy of the strategy decides between holding and closing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from math import inf

import msgspec
import structlog
import trio

from components.model.errors import CFG_STATE, BasisError, Stop
from components.model.orders import Order
from daemon.cells.authority import Pause
from daemon.cells.cell import Cell
from daemon.cells.closing import Closing
from daemon.config.daemon_file import DaemonSlice, StrategyEntry
from daemon.errors import first, short
from daemon.exits import Exit, exit_of
from daemon.journal.errors import is_wanting
from daemon.monitoring.beside import DOUBLINGS, LONGEST_BACKOFF_S
from daemon.replica import CellState, Replica
from daemon.state.latch import Latches, requested
from daemon.world.traces import ACCOUNT_BROKEN

log = structlog.get_logger()

MakeCell = Callable[[StrategyEntry], Awaitable[Cell]]
MakeClosing = Callable[[StrategyEntry, Callable[[], None]], Closing]
CLOSE_AGAIN_S = 5.0
ASK_AGAIN_S, ASKED_FOR_S = 5.0, 60.0  # venues that do not say whether an account is hedged


class Ended(msgspec.Struct, frozen=True):
    """How a stop went: orders that stay open, by strategy."""

    uncertain: Mapping[str, tuple[str, ...]]
    broken: Mapping[str, Exit] = {}  # strategies that cannot start, and what that means for the whole

    def in_words(self) -> str:
        uncertain = {name: ids for name, ids in self.uncertain.items() if ids}
        if not uncertain:
            return "clean; no order is open"
        return "; ".join(f"{name}: order {', '.join(ids)} uncertain" for name, ids in uncertain.items())


class Supervisor:
    def __init__(
        self,
        config: DaemonSlice,
        make_cell: MakeCell,
        make_closing: MakeClosing,
        latches: Latches,
        crashed: Callable[[str, BaseException], None],
        market_now: Callable[[], int],
    ) -> None:
        self.config = config
        self._make_cell = make_cell
        self._make_closing = make_closing
        self._latches = latches
        self._crashed = crashed  # tells people far away, in a task of its own
        self._market_now = market_now
        self.cells: dict[str, Cell] = {}
        self.closings: dict[str, Closing] = {}  # of latched strategies whose cell cannot live
        self.replicas: dict[str, Replica] = {}
        self.restarts: dict[str, int] = {entry.id: 0 for entry in config.strategies}
        self.paused: dict[str, Pause] = {}  # why, by strategy: a pause outlives its cell
        self._restart_now: dict[str, trio.Event] = {}
        self._published: dict[str, Callable[[Replica], None]] = {}  # where the cells' pictures go
        self._up: dict[str, bool] = {}
        self._first_try = trio.Event()
        self._stopping = False
        self._uncertain: dict[str, tuple[str, ...]] = {}
        self._nursery: trio.Nursery | None = None
        self.broken: dict[str, BasisError] = {}  # whose files are damaged, or do not fit the configuration

    def publish(self, replica: Replica) -> None:
        """Cells put their pictures here; readers take them from here."""
        self.replicas[replica.strategy] = msgspec.structs.replace(
            replica, restarts=self.restarts.get(replica.strategy, 0)
        )

    async def run(self, task_status: trio.TaskStatus[Mapping[str, bool]] = trio.TASK_STATUS_IGNORED) -> Ended:
        """Runs all strategies until `stop`; started once each is up or has failed its first start."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for entry in self.config.strategies:
                nursery.start_soon(self._keep, entry)
            await self._first_try.wait()
            task_status.started(dict(self._up))
        return Ended(dict(self._uncertain), {name: exit_of(error) for name, error in self.broken.items()})

    def stop(self) -> None:
        """A clean end of every cell after the step under way."""
        self._stopping = True
        for cell in self.cells.values():
            cell.stop()
        for closing in self.closings.values():
            closing.stop()
        for event in self._restart_now.values():
            event.set()

    def cut(self) -> None:
        """Every step under way ends at its next effect; orders in flight are seen through."""
        self.stop()
        for cell in self.cells.values():
            cell.cut()

    def cancel(self) -> None:
        """Whatever is left of the cells ends now."""
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()

    def emergency_stop(self, strategy: str, reason: str) -> None:
        """The latch stands already: gate, cancel, close."""
        cell, closing = self.cells.get(strategy), self.closings.get(strategy)
        if cell is not None:
            cell.emergency_stop(reason)
        elif closing is not None:
            closing.ask()
        else:  # backing off or given up: a cell that starts under the latch closes
            self._restart_now.setdefault(strategy, trio.Event()).set()

    def closing_of(self, strategy: str) -> Closing | None:
        """Who closes this strategy, or would."""
        cell = self.cells.get(strategy)
        return cell.closing if cell is not None else self.closings.get(strategy)

    def planner_of(self, strategy: str) -> Closing:
        """Who can say what closing this strategy would take, whether it lives or not."""
        entry = next(entry for entry in self.config.strategies if entry.id == strategy)
        return self.closing_of(strategy) or self._make_closing(entry, lambda: None)

    def restart(self, strategy: str) -> None:
        """Ends a latched, held or failed cell and starts it anew."""
        cell = self.cells.get(strategy)
        if cell is not None:
            cell.stop()
        self._restart_now.setdefault(strategy, trio.Event()).set()

    async def _keep(self, entry: StrategyEntry) -> None:
        crashes: deque[float] = deque()
        while not self._stopping:
            self._restart_now[entry.id] = trio.Event()
            error = await self._live(entry)
            entry = self._now(entry)
            if self._stopping:
                return
            if error is None:
                continue  # asked to start anew
            self._report(entry.id, error)
            if self._is_to_close(entry.id):
                try:
                    await self._close_without_cell(entry, error)
                except Exception as failed:  # its account cannot even be reached: nobody can close it from here
                    reason = f"cannot be closed from here: {short(failed)}"
                    log.critical("closing.impossible", strategy=entry.id, error=short(failed), exc_info=failed)
                    self._tell(entry, CellState.FAILED, reason, None)
                    with trio.move_on_after(LONGEST_BACKOFF_S):
                        await self._restart_now[entry.id].wait()
                continue
            now = trio.current_time()
            crashes.append(now)
            while crashes and crashes[0] < now - entry.restart.window_s:
                crashes.popleft()
            root = first(error)
            if isinstance(root, BasisError) and (exit_of(root) is Exit.DAMAGED or root.code == CFG_STATE):
                self.broken[entry.id] = root  # starting again reads the same file
                if root.code == CFG_STATE or root.code in ACCOUNT_BROKEN:  # nothing is wrong with the positions
                    await self._hold(entry, error)
                else:
                    await self._give_up(entry, error)
                continue
            if len(crashes) > entry.restart.max_restarts:
                crashes.clear()
                await self._give_up(entry, error)
                continue
            self.restarts[entry.id] += 1
            pause = min(entry.restart.backoff_s * 2.0 ** min(len(crashes) - 1, DOUBLINGS), LONGEST_BACKOFF_S)
            self._tell(entry, CellState.BACKING_OFF, f"{short(error)}; starts again in {pause:.0f} s", now + pause)
            with trio.move_on_after(pause):
                await self._restart_now[entry.id].wait()

    def _report(self, strategy: str, error: Exception) -> None:
        """Tells people far away; that this fails is no reason for anything."""
        try:
            self._crashed(strategy, error)
        except Exception as failure:  # the edge around a report
            log.error("report.failed", strategy=strategy, error=short(failure), exc_info=failure)

    async def _live(self, entry: StrategyEntry) -> Exception | None:
        """One life of a cell; what ended it, None for a clean end."""
        cell: Cell | None = None
        try:
            cell = await self._make_cell(entry)
            self._published[entry.id] = cell.desk.around.publish
            cell.desk.counts.restarts = self.restarts[entry.id]
            self.cells[entry.id] = cell
            await cell.start(self._market_now())
            self._started(entry.id, True)
            if self._stopping:
                cell.stop()
            await cell.run()
            self._uncertain[entry.id] = tuple(order.id for order in await self._finish(cell))
            return None
        except Exception as error:  # the edge: whatever a strategy throws ends here
            log.error("cell.crashed", strategy=entry.id, error=short(error), exc_info=error)
            self._started(entry.id, False)
            return error
        finally:
            self.cells.pop(entry.id, None)

    async def _finish(self, cell: Cell) -> list[Order]:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 10.0):
            return await cell.finish()
        return []

    def _is_to_close(self, strategy: str) -> bool:
        latch = self._latches.of(strategy)
        return latch is not None and not latch.is_closed

    async def _close_without_cell(self, entry: StrategyEntry, error: Exception) -> None:
        """Under a latch, and the cell cannot live: its account is closed without journal and core, and stays so until
        it is resumed."""

        def publish() -> None:
            if closing.program is not None:
                self._tell_closing(entry, closing, f"{closing.reason}; without its cell: {short(error)}")

        closing = self.closings[entry.id] = self._make_closing(entry, publish)
        log.critical("closing.without_cell", strategy=entry.id, error=short(error))
        self._tell(entry, CellState.LATCHED, f"{closing.reason}; without its cell: {short(error)}", None)
        self._restart_now[entry.id] = trio.Event()
        if self._stopping:
            closing.stop()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._close_for_ever, entry, closing)
                await self._restart_now[entry.id].wait()
                closing.stop()
        finally:
            self.closings.pop(entry.id, None)

    async def _close_for_ever(self, entry: StrategyEntry, closing: Closing) -> None:
        """What goes wrong with closing is told, and closing goes on."""
        while not closing.stopping:
            try:
                await closing.run()
            except Exception as error:  # the edge, as around a cell
                log.critical("closing.crashed", strategy=entry.id, error=short(error), exc_info=error)
                await trio.sleep(CLOSE_AGAIN_S)

    async def _give_up(self, entry: StrategyEntry, error: Exception) -> None:
        """Restarts are used up: hold what is hedged, or close, and wait for an operator. A journal that a disk keeps
        from being had is no fault of the strategy: it is tried again, and so is what the positions are, for as long as
        they may be held."""
        is_stop = isinstance(first(error), Stop)
        flatten = entry.on_failure == "flatten" and not is_stop
        if entry.on_failure == "default":
            flatten = await self._is_exposed(entry)
        log.critical("cell.failed", strategy=entry.id, error=short(error), positions="close" if flatten else "hold")
        if flatten:
            try:
                self._latches.set(requested(entry.id, "restarts used up", at=self._market_now(), uid=-1))
            except OSError as failed:  # held, and said; the safety program is the way that is left
                log.critical("latch.not_written", strategy=entry.id, error=str(failed))
            else:
                return
        await self._hold(entry, error, LONGEST_BACKOFF_S if is_wanting(first(error)) else inf)

    async def _hold(self, entry: StrategyEntry, error: Exception, again_s: float = inf) -> None:
        at = None if again_s == inf else trio.current_time() + again_s
        self._tell(entry, CellState.FAILED, f"restarts used up: {short(error)}", at)
        with trio.move_on_after(again_s):
            await self._restart_now[entry.id].wait()

    def _now(self, entry: StrategyEntry) -> StrategyEntry:
        """An entry as the last reload has left it."""
        return next((each for each in self.config.strategies if each.id == entry.id), entry)

    async def _is_exposed(self, entry: StrategyEntry) -> bool:
        """Whether the account is naked beyond its limit, by what its venues hold. One that does not say is asked again:
        to close a hedged book for a minute's silence costs more than the minute; whom it goes on for is naked."""
        until = trio.current_time() + ASKED_FOR_S
        while True:
            try:
                delta = await self._make_closing(entry, lambda: None).exposure()
            except Exception as error:  # the edge: not to know is the worst end
                log.error("exposure.unknown", strategy=entry.id, error=short(error), exc_info=error)
                delta = None
            if delta is not None or trio.current_time() >= until:
                return delta is None or delta > entry.run.mode.risk.delta.critical
            await trio.sleep(ASK_AGAIN_S)
            if self._is_asked_otherwise(entry.id):
                return False

    def _is_asked_otherwise(self, strategy: str) -> bool:
        """Whether somebody has stopped or closed it meanwhile, or has it start again."""
        return self._stopping or self._is_to_close(strategy) or self._restart_now[strategy].is_set()

    def _started(self, strategy: str, up: bool) -> None:
        self._up.setdefault(strategy, up)
        if len(self._up) == len(self.config.strategies):
            self._first_try.set()

    def _tell_closing(self, entry: StrategyEntry, closing: Closing, reason: str) -> None:
        """What is known of an account that is closed without a cell: what its venues say."""
        observed = closing.program.observed if closing.program is not None else {}
        picture = msgspec.structs.replace(
            self._last(entry, CellState.LATCHED),
            state=CellState.LATCHED,
            reason=reason,
            restart_at=None,
            heartbeat=trio.current_time(),
            phase=closing.phase,
            awaited=closing.awaited,
            unvalued=closing.unvalued,
            unsellable=closing.unsellable,
            closing_error=closing.error,
            equity=closing.equity,
            equity_is_observed=True,
            positions={},
            observed={str(key): amount for key, amount in observed.items() if amount},
        )
        self._published.get(entry.id, self.publish)(picture)

    def _last(self, entry: StrategyEntry, state: CellState) -> Replica:
        return self.replicas.get(entry.id) or Replica(
            strategy=entry.id,
            mode=entry.mode,
            share_class=entry.run.mode.share_class,
            account=entry.account,
            state=state,
        )

    def _tell(self, entry: StrategyEntry, state: CellState, reason: str, at: float | None) -> None:
        last = self._last(entry, state)
        publish = self._published.get(entry.id, self.publish)
        publish(msgspec.structs.replace(last, state=state, reason=reason, restart_at=at, heartbeat=trio.current_time()))
        log.warning("cell.desk.state", strategy=entry.id, state=state.value, reason=reason)
