"""The supervisor: keeps every strategy running in a cell of its own, and lets no cell feel another's end.

The edge around a cell is the only place that catches whatever a strategy throws. Restarts are counted in a sliding
window and back off; when they are used up, the policy of the strategy decides between holding and closing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import msgspec
import structlog
import trio

from components.model.errors import BasisError, InvalidInput, Stop
from components.model.orders import Order
from daemon.cell import Cell
from daemon.daemon_config import DaemonSlice, StrategyEntry
from daemon.daemon_restart import CFG_STATE
from daemon.exits import Exit, exit_of
from daemon.latch import Latches, requested
from daemon.replica import CellState, Replica

log = structlog.get_logger()

MakeCell = Callable[[StrategyEntry], Awaitable[Cell]]
LONGEST_BACKOFF_S = 60.0
DOUBLINGS = 30  # of a pause; more would only overflow


class Reports(Protocol):
    """Where an error of a cell is reported to people far away."""

    def crashed(self, strategy: str, error: BaseException) -> None: ...


class Ended(msgspec.Struct, frozen=True):
    """How a stop went: orders that stay open, by strategy."""

    uncertain: Mapping[str, tuple[str, ...]]
    broken: Mapping[str, Exit] = {}  # strategies that cannot start, and what that means for the whole


async def beside(
    name: str,
    serve: Callable[[], Awaitable[object]],
    crashed: Callable[[str, Exception], None],
    *,
    pause_s: float = 5.0,
) -> None:
    """Keeps a service running that trading does not depend on: when it fails, it is reported and started again.

    The same failure again is told in one line and less and less often; so is the next try.
    """
    last, again = "", 0
    while True:
        began = trio.current_time()
        try:
            await serve()
        except Exception as error:  # the same edge as around a cell
            text = _short(error)
            again = again + 1 if text == last and trio.current_time() - began < LONGEST_BACKOFF_S else 0
            last = text
            pause = min(pause_s * 2.0 ** min(again, DOUBLINGS), max(LONGEST_BACKOFF_S, pause_s))
            if again == 0:
                log.error("service.crashed", service=name, error=text, exc_info=error)
            elif again & (again - 1) == 0:
                log.warning("service.still_crashes", service=name, error=text, times=again + 1, again_in_s=pause)
            crashed(name, error)
            await trio.sleep(pause)
        else:
            await trio.sleep(pause_s)


class Supervisor:
    def __init__(
        self,
        config: DaemonSlice,
        make_cell: MakeCell,
        latches: Latches,
        reports: Reports,
        market_now: Callable[[], int],
    ) -> None:
        self.config = config
        self._make_cell = make_cell
        self._latches = latches
        self._reports = reports
        self._market_now = market_now
        self.cells: dict[str, Cell] = {}
        self.replicas: dict[str, Replica] = {}
        self.restarts: dict[str, int] = {entry.id: 0 for entry in config.strategies}
        self.paused: dict[str, str] = {}  # why, by strategy: a pause outlives its cell
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
        """The latch is written already: gate, cancel, close."""
        cell = self.cells.get(strategy)
        if cell is not None:
            cell.emergency_stop(reason)
        else:  # backing off or given up: a cell that starts under the latch closes
            self._restart_now.setdefault(strategy, trio.Event()).set()

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
            now = trio.current_time()
            crashes.append(now)
            while crashes and crashes[0] < now - entry.restart.window_s:
                crashes.popleft()
            root = _first(error)
            if isinstance(root, BasisError) and (exit_of(root) is Exit.DAMAGED or root.code == CFG_STATE):
                self.broken[entry.id] = root  # starting again reads the same file
                await self._give_up(entry, error)
                continue
            if len(crashes) > entry.restart.max_restarts:
                crashes.clear()
                await self._give_up(entry, error)
                continue
            self.restarts[entry.id] += 1
            pause = min(entry.restart.backoff_s * 2.0 ** min(len(crashes) - 1, DOUBLINGS), LONGEST_BACKOFF_S)
            self._tell(entry, CellState.BACKING_OFF, f"{_short(error)}; starts again in {pause:.0f} s", now + pause)
            with trio.move_on_after(pause):
                await self._restart_now[entry.id].wait()

    def _report(self, strategy: str, error: Exception) -> None:
        """Tells people far away; that this fails is no reason for anything."""
        try:
            self._reports.crashed(strategy, error)
        except Exception as failure:  # the edge around a report
            log.error("report.failed", strategy=strategy, error=_short(failure), exc_info=failure)

    async def _live(self, entry: StrategyEntry) -> Exception | None:
        """One life of a cell; what ended it, None for a clean end."""
        cell: Cell | None = None
        try:
            cell = await self._make_cell(entry)
            self._published[entry.id] = cell.around.publish
            cell.restarts = self.restarts[entry.id]
            self.cells[entry.id] = cell
            await cell.start(self._market_now())
            self._started(entry.id, True)
            if self._stopping:
                cell.stop()
            await cell.run()
            self._uncertain[entry.id] = tuple(order.id for order in await self._finish(cell))
            return None
        except Exception as error:  # the edge: whatever a strategy throws ends here
            log.error("cell.crashed", strategy=entry.id, error=_short(error), exc_info=error)
            self._started(entry.id, False)
            return error
        finally:
            self.cells.pop(entry.id, None)

    async def _finish(self, cell: Cell) -> list[Order]:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 10.0):
            return await cell.finish()
        return []

    async def _give_up(self, entry: StrategyEntry, error: Exception) -> None:
        """Restarts are used up: hold what is hedged, or close, and wait for an operator."""
        last = self.replicas.get(entry.id)
        exposed = last is not None and abs(last.columns.get("net_delta", 0.0)) > entry.run.mode.risk.delta.critical
        flatten = entry.on_failure == "flatten" or (entry.on_failure == "default" and exposed)
        log.critical("cell.failed", strategy=entry.id, error=_short(error), positions="close" if flatten else "hold")
        if flatten and not isinstance(_first(error), Stop):
            latch = requested(entry.id, "restarts used up", at=self._market_now(), uid=-1)
            self._latches.set(latch)
            return
        self._tell(entry, CellState.FAILED, f"restarts used up: {_short(error)}", None)
        await self._restart_now[entry.id].wait()

    def _now(self, entry: StrategyEntry) -> StrategyEntry:
        """An entry as the last reload has left it."""
        return next((each for each in self.config.strategies if each.id == entry.id), entry)

    def _started(self, strategy: str, up: bool) -> None:
        self._up.setdefault(strategy, up)
        if len(self._up) == len(self.config.strategies):
            self._first_try.set()

    def _tell(self, entry: StrategyEntry, state: CellState, reason: str, at: float | None) -> None:
        last = self.replicas.get(entry.id) or Replica(
            strategy=entry.id,
            mode=entry.mode,
            share_class=entry.run.mode.share_class,
            account=entry.account,
            state=state,
        )
        publish = self._published.get(entry.id, self.publish)
        publish(msgspec.structs.replace(last, state=state, reason=reason, restart_at=at, heartbeat=trio.current_time()))
        log.warning("cell.state", strategy=entry.id, state=state.value, reason=reason)


def _first(error: BaseException) -> BaseException:
    """The first real error in a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _short(error: BaseException) -> str:
    """The first line of the first real error in a group, and what it lists."""
    error = _first(error)
    text = str(error).partition("\n")[0]
    if isinstance(error, InvalidInput):
        text += f" {'; '.join(map(str, error.faults))}"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
