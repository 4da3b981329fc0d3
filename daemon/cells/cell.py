"""A cell: one strategy with its journal, venues, core and emergency path, from recovery to a clean stop.

It runs inside one nursery. The core actor takes rows from a mailbox of one; pollers, commands and the emergency path
work beside it on the event loop. An emergency closes the gate first, then cancels and discards the core; the cell stays
up, latched, until an operator resumes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import structlog
import trio

from components.core import Core
from components.model.keys import PositionKey, VenueName
from components.model.orders import Order, Trade
from components.model.slices import RunSlice
from components.ports import Happening
from daemon.cells.authority import Authority, Pause
from daemon.cells.beginning import begin
from daemon.cells.bridge import Bridge
from daemon.cells.closing import Books, Closing
from daemon.cells.conditions import Conditions
from daemon.cells.core_actor import CoreActor, Outbound, StepOutcome
from daemon.cells.mailbox import RowMailbox
from daemon.cells.observer import Observer
from daemon.cells.showing import Showing
from daemon.cells.step_ports import StepPorts
from daemon.cells.surroundings import Account, CellLog, Surroundings
from daemon.config.daemon_file import StrategyEntry
from daemon.journal.codec import encode
from daemon.journal.records import (
    Command,
    ConfigChanged,
    Settlement,
)
from daemon.orders.breaker import Breaker
from daemon.orders.dispatch import Dispatch
from daemon.orders.gate import Gate
from daemon.recorded.core import make_core
from daemon.recorded.recovery import Recovered
from daemon.replica import CellState
from daemon.world.rows import MarketRow
from venues.interfaces import VenueClient

log = structlog.get_logger()


class Cell:
    """One strategy of the daemon; made anew for every start."""

    def __init__(
        self,
        entry: StrategyEntry,
        clients: Iterable[VenueClient],
        control: Account | None,
        journal: CellLog,
        recovered: Recovered,
        around: Surroundings,
    ) -> None:
        strategy, run = entry.id, entry.run
        self.strategy = strategy
        self.account = entry.account
        self._capital = entry.capital
        self.run_slice = run
        self._control = control
        self.journal = journal
        self._recovered = recovered
        self.around = around
        self.clients = tuple(clients)
        self.epoch = recovered.epoch + 1
        self.gate = Gate()
        by_venue: dict[VenueName, VenueClient] = {v: client for client in self.clients for v in client.venues}
        by_venue |= {client.name: client for client in self.clients}
        self.breaker = Breaker(around.breaker)
        self._ticked_every_ns = interval_ns(run)  # of the ticks up to the next row
        conditions = Conditions(self)
        self.dispatch = Dispatch(
            strategy,
            by_venue,
            journal,
            self.gate,
            around.clock,
            around.patience,
            around.telemetry,
            conditions.moved_bps,
            self._heard,
            read_only=around.read_only,
            unfit=conditions.unfit,
        )
        self.observer = Observer(self.clients, around.clock, around.telemetry, recovered.unbooked)
        self.dispatch.sent_at = recovered.unbooked.sent_at
        bridge = Bridge(strategy, baton=around.baton, progress=self._progress)
        self.ports = StepPorts(bridge, Outbound(journal, self.dispatch, self.observer, around.clock))
        self.core: Core = make_core(run, self.ports, strategy, self.epoch)
        self.authority = Authority(around.limits)
        self.actor = CoreActor(
            self.core,
            self.ports,
            bridge,
            journal,
            self.dispatch,
            self.observer,
            self.authority,
            around.clock,
            conditions.circumstances,
            recovered.unbooked,
        )
        self.state = CellState.STARTING
        self.reason = ""
        self.paused: Pause | None = None
        self.lifted: Pause | None = None  # a pause that the last step still stood under
        self.is_stepping = False
        self._showing = Showing(self)
        self.heartbeat = 0.0
        self.missed = 0
        self.skipped = 0
        self.ticks = 0
        self.restarts = 0
        self.last_step_s = 0.0
        self.last_row: MarketRow | None = None
        self._last_at = recovered.last_at
        self.priced_keys: tuple[tuple[PositionKey, ...], frozenset[str]] = (
            (),
            frozenset(),
        )  # and those without a price
        self._core_scope = trio.CancelScope()
        self._latched, self._core_ended, self._closing_ended = trio.Event(), trio.Event(), trio.Event()
        self.stopping = False
        self.mailbox = RowMailbox()
        self.book = trio.Lock()  # the book changes in steps, and in what an operator takes over between two of them
        self.closing = Closing(
            strategy,
            lambda: self.run_slice,
            self.clients,
            lambda: self.around,
            lambda: journal,
            lambda: str(self.epoch),
            books=self._books,
            publish=self.publish,
        )
        self._next_run: tuple[RunSlice, Mapping[str, tuple[str, str]]] | None = None

    # Life

    async def start(self, at: int) -> None:
        """Recovers: state, what was in flight, what nobody has booked. Durable when it returns."""
        await begin(self, self._recovered, self._capital, at)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Takes rows until it is stopped. Any error of the core ends it; the supervisor decides what then."""
        latch = self.around.latches.of(self.strategy)
        if latch is not None:
            self.gate.close(f"emergency stop: {latch.reason}")
            self._latched.set()
        self.become(CellState.LATCHED if latch is not None else CellState.RUNNING, latch.reason if latch else "")
        task_status.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.observer.watch, lambda: self.around.poll_interval_s)
            nursery.start_soon(self._close_when_latched)
            while not self.stopping:
                if self.gate.closed:
                    self._core_ended.set()
                    await self._closing_ended.wait()
                    break
                with self._core_scope:
                    await self._trade()
                if self._core_scope.cancelled_caught and not self.gate.closed:
                    break
            self._core_ended.set()
            self._latched.set()
            await self._closing_ended.wait()
            nursery.cancel_scope.cancel()
        self.become(CellState.STOPPED, self.reason)

    @property
    def interval_ns(self) -> int:
        """Between two of its ticks, as configured now."""
        return interval_ns(self.run_slice)

    def tell(self, row: MarketRow) -> trio.Event:
        """A new row of the market; the event is set when it has been handled, or a newer one took its place."""
        return self.mailbox.put(row)

    def stop(self) -> None:
        """Asks for a clean end after the step under way."""
        self.stopping = True
        self.closing.stop()
        self.mailbox.close()

    def cut(self) -> None:
        """Ends the step under way at its next effect; an order in flight is still seen through."""
        self.stopping = True
        self.closing.stop()
        self._core_scope.cancel()
        self.mailbox.close()

    async def finish(self) -> list[Order]:
        """The last records of a clean stop; the orders that stay open as uncertain."""
        checkpoint = self.actor.checkpoint()
        if checkpoint is not None and self.core.events.step >= 0 and not self._core_scope.cancelled_caught:
            self.journal.append(checkpoint)
        await self.journal.commit()
        return list(self.core.positions.doubts.values())

    # Trading

    async def _trade(self) -> None:
        while not (self.stopping or self.gate.closed):
            row = await self.mailbox.get()
            if row is None:
                return
            try:
                async with self.book:
                    await self._take(row)
            finally:
                self.mailbox.done()

    async def _take(self, row: MarketRow) -> None:
        last = self._last_at
        if last is not None and row.timestamp <= last:
            self.skipped += 1
            log.warning("tick.repeated", strategy=self.strategy, at=row.timestamp, last=last)
            return
        self.missed += 0 if last is None else missed_between(last, row.timestamp, self._ticked_every_ns)
        self.last_row, self._last_at = row, row.timestamp
        self.ticks += 1
        self._progress()
        self._take_configuration()
        asked = dict(self.actor.unbooked.commands)  # what comes while this row is handled is for the next one
        await self._serve(asked, row.timestamp)
        self.is_stepping = True
        try:
            outcome = await self.actor.step(row, asked, positions=self.ticks % self.around.poll_steps == 0)
        finally:
            self.is_stepping = False
        self.last_step_s = outcome.seconds
        self._progress()
        self.around.telemetry.step(self.strategy, outcome.seconds, "decided" if outcome.decided else "skipped")
        if not outcome.decided:
            self.skipped += 1
            log.warning("step.skipped", strategy=self.strategy, tick=row.tick, reasons=outcome.reasons)
        self._judge_state(outcome)
        self.publish()

    def _take_configuration(self) -> None:
        if self._next_run is not None:
            state = self.core.state()
            (self.run_slice, changes), self._next_run = self._next_run, None
            self.journal.append(
                ConfigChanged(
                    at=self.around.clock.now(),
                    changes=changes,
                    config=encode(self.run_slice),
                    config_hash=self.run_slice.config_hash,
                )
            )
            self.core = self.actor.core = make_core(self.run_slice, self.ports, self.strategy, self.epoch)
            self.core.restore(state)
        self._ticked_every_ns = self.interval_ns

    def pause(self, pause: Pause) -> None:
        """Holds orders back from the next step on; shown at once."""
        self.paused, self.lifted, reason = pause, None, pause.reason
        if self.state in (CellState.RUNNING, CellState.PAUSED):
            if self.is_stepping:
                self.become(self.state, f"pausing: {reason}; the step under way ends first")
            else:
                self.become(CellState.PAUSED, reason)
        self.publish()

    def _resume(self) -> None:
        self.paused, self.lifted = None, self.paused or self.lifted
        if self.state is CellState.PAUSED and not self.gate.closed:
            self.become(CellState.RUNNING, "resumed: it trades from the next full loop on")
        self.publish()

    def _judge_state(self, outcome: StepOutcome) -> None:
        self.lifted = None
        manager = self.core.manager
        if manager.halted and manager.awaited:
            self.become(CellState.HALTED, f"it closes and awaits {', '.join(str(one) for one in manager.awaited)}")
        elif manager.halted:
            self.become(CellState.HALTED, "everything is sold and stays so until it is resumed")
        elif self.paused:
            self.become(CellState.PAUSED, self.paused.reason)
        else:
            self.become(CellState.RUNNING, "; ".join(outcome.reasons))

    async def _serve(self, asked: Mapping[str, Command], at: int) -> None:
        """What an operator asked for and the account itself must do: it tells us in its own words."""
        for command in asked.values():
            if command.kind in ("deposit", "withdraw") and self._control is not None:
                amount = float(command.arguments["amount"])
                act = self._control.deposit if command.kind == "deposit" else self._control.withdrawal
                await act(command.id, amount, at)

    # Emergency

    def emergency_stop(self, reason: str) -> None:
        """Closes the gate at once and discards the core; closing goes on in `run`."""
        self.gate.close(f"emergency stop: {reason}")
        self._core_scope.cancel()
        self._latched.set()
        self.closing.ask()

    async def _close_when_latched(self) -> None:
        """Closing begins when the core has ended; one that cannot (its journal hangs) is not waited for longer than an
        order of it could still be under way: nothing of it leaves any more, the gate is closed."""
        await self._latched.wait()
        patience = self.around.patience
        with trio.move_on_after(patience.order_grace_s + patience.unknown_budget_s + patience.legs_s):
            await self._core_ended.wait()
        if self.gate.closed and not self.stopping:
            latch = self.around.latches.of(self.strategy)
            self.become(CellState.LATCHED, latch.reason if latch else self.gate.reason)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._let_rows_go)
                await self.closing.run()
                nursery.cancel_scope.cancel()
        self._closing_ended.set()

    async def _let_rows_go(self) -> None:
        while (row := await self.mailbox.get()) is not None:
            self.last_row = row
            try:
                await self.observer.refresh(positions=True)
                self.publish()
            except Exception as error:  # an edge: what looks cannot stop what closes
                log.error("closing.look", strategy=self.strategy, error=repr(error), exc_info=error)
            self.mailbox.done()

    def _books(self) -> Books:
        """What the core and the pollers know that may help closing."""
        books = Books()
        books.row = self.last_row
        late = self.actor.unbooked.late.values()
        departed = {each.departed.id: each.departed for each in late if each.departed is not None}
        books.in_flight = {**self.core.positions.in_flight, **departed}
        books.doubts = dict(self.core.positions.doubts)
        books.positions = {
            name: dict(view.positions) for name, view in self.observer.views.items() if view.positions_at is not None
        }
        return books

    # Commands

    async def order_in(self, command: Command) -> None:
        """A command of an operator: durable before it is acknowledged, done at the next row."""
        self.journal.append(command)
        await self.journal.commit()
        self.actor.unbooked.commands[command.id] = command
        if command.kind == "resume":
            self._resume()

    def reconfigure(self, run: RunSlice, changes: Mapping[str, tuple[str, str]]) -> None:
        """A new configuration, taken before the next step: the same state in a core with the new limits."""
        self._next_run = (run, changes)

    def surround(self, around: Surroundings) -> None:
        """New limits, deadlines and intervals of the daemon, in force for whatever begins from now on."""
        self.around = around
        self.dispatch.patience = around.patience
        self.authority.limits = around.limits
        self.breaker.limits = around.breaker

    async def settle(self, id: str, happening: Happening, at: int) -> None:
        """An adoption or a resolution by hand: enters the book with the next row."""
        self.journal.append(Settlement(id=id, item=encode(happening)))
        await self.journal.commit()
        self.actor.unbooked.late[id] = happening
        self.actor.unbooked.sent_at.pop(happening.resolves or "", None)

    # What others see

    def publish(self) -> None:
        """Shows how it stands; never raises."""
        self._showing.publish()

    # Small things

    def _heard(self, order: Order, trade: Trade, at: float, market_now: int) -> None:
        self.breaker.heard(order, trade, at, market_now)
        if trade.changes or not trade.transient:
            self.observer.traded(order, trade)

    def _progress(self) -> None:
        self.heartbeat = trio.current_time()

    def become(self, state: CellState, reason: str = "") -> None:
        if (state, reason) != (self.state, self.reason):
            self.state, self.reason = state, reason
            log.info("cell.state", strategy=self.strategy, state=state.value, reason=reason)
            self.publish()


def interval_ns(run: RunSlice) -> int:
    """Time between two ticks of a strategy, nanoseconds."""
    return round(run.mode.time_throttle_interval * 1e9)


def missed_between(last: int, now: int, interval: int) -> int:
    """Ticks that fell between two rows and were not handled. They are counted by time, so that a changed interval
    leaves no gap and no tick counts twice."""
    return max((now - last) // interval - 1, 0)
