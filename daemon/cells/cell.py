"""A cell: one strategy with its journal, venues, core and emergency path, from recovery to a clean stop.

It runs inside one nursery. The core actor takes rows from a mailbox of one; pollers, commands and the emergency path
work beside it on the event loop. An emergency closes the gate first, then cancels and discards the core; the cell stays
up, latched, until an operator resumes it.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog
import trio

from components.core import Core
from components.model.orders import Order
from components.model.slices import RunSlice
from components.ports import Happening
from daemon.cells.authority import Pause
from daemon.cells.beginning import begin
from daemon.cells.bridge import Bridge
from daemon.cells.closing import Closing
from daemon.cells.core_actor import CoreActor, Outbound, StepOutcome
from daemon.cells.desk import Desk
from daemon.cells.showing import Showing
from daemon.cells.step_ports import StepPorts
from daemon.journal.codec import encode
from daemon.journal.records import (
    Command,
    ConfigChanged,
    HandedIn,
)
from daemon.orders.keeper import bind
from daemon.recorded.core import make_core
from daemon.recorded.recovery import Recovered
from daemon.replica import CellState
from daemon.safety.books import Books, books_of
from daemon.world.rows import MarketRow
from daemon.world.world import Control

log = structlog.get_logger()


class Cell:
    """One strategy of the daemon; made anew for every start."""

    def __init__(self, desk: Desk, recovered: Recovered, capital: float, control: Control | None) -> None:
        self.desk, self.strategy = desk, desk.strategy
        self._recovered, self._capital, self._control = recovered, capital, control
        bind(desk.clients, desk.journal, desk.around.clock.now, recovered.signed.values())
        bridge = Bridge(desk.strategy, baton=desk.around.baton, progress=desk.progress)
        self._ports = StepPorts(bridge, Outbound(desk))
        core = make_core(desk.run, self._ports, desk.strategy, desk.epoch)
        self.actor = CoreActor(desk, core, self._ports, bridge)
        self.closing = Closing(desk, self._books)
        desk.publish = Showing(desk, self.actor, self.closing).publish
        self._ticked_every_ns = interval_ns(desk.run)  # of the ticks up to the next row
        self._last_at = recovered.last_at
        self._core_scope = trio.CancelScope()
        self._latched, self._core_ended, self._closing_ended = trio.Event(), trio.Event(), trio.Event()
        self.stopping = False
        self._next_run: tuple[RunSlice, Mapping[str, tuple[str, str]]] | None = None

    @property
    def core(self) -> Core:
        """The core of now: a reload makes another with the same state."""
        return self.actor.core

    # Life

    async def start(self, at: int) -> None:
        """Recovers: state, what was in flight, what nobody has booked. Durable when it returns."""
        await begin(self.desk, self.actor, self._recovered, self._capital, at)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Takes rows until it is stopped. Any error of the core ends it; the supervisor decides what then."""
        latch = self.desk.around.latches.of(self.strategy)
        if latch is not None:
            self.desk.gate.close(f"emergency stop: {latch.reason}")
            self._latched.set()
        self.desk.become(CellState.LATCHED if latch is not None else CellState.RUNNING, latch.reason if latch else "")
        task_status.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.desk.observer.watch, lambda: self.desk.around.poll_interval_s)
            nursery.start_soon(self._close_when_latched)
            while not self.stopping:
                if self.desk.gate.closed:
                    self._core_ended.set()
                    await self._closing_ended.wait()
                    break
                with self._core_scope:
                    await self._trade()
                if self._core_scope.cancelled_caught and not self.desk.gate.closed:
                    break
            self._core_ended.set()
            self._latched.set()
            await self._closing_ended.wait()
            nursery.cancel_scope.cancel()
        self.desk.become(CellState.STOPPED, self.desk.reason)

    @property
    def interval_ns(self) -> int:
        """Between two of its ticks, as configured now."""
        return interval_ns(self.desk.run)

    def tell(self, row: MarketRow) -> trio.Event:
        """A new row of the market; the event is set when it has been handled, or a newer one took its place."""
        return self.desk.mailbox.put(row)

    def stop(self) -> None:
        """Asks for a clean end after the step under way."""
        self.stopping = True
        self.closing.stop()
        self.desk.mailbox.close()

    def cut(self) -> None:
        """Ends the step under way at its next effect; an order in flight is still seen through, but at a door that
        takes longer than a stop: what is there stays uncertain."""
        self.stopping = True
        self.desk.dispatch.leave()
        self.closing.stop()
        self._core_scope.cancel()
        self.desk.mailbox.close()

    async def finish(self) -> list[Order]:
        """The last records of a clean stop; the orders that stay open as uncertain."""
        checkpoint = self.actor.checkpoint()
        if checkpoint is not None and self.core.events.step >= 0 and not self._core_scope.cancelled_caught:
            self.desk.journal.append(checkpoint)
        await self.desk.journal.commit()
        return list(self.core.positions.uncertain.values())

    # Trading

    async def _trade(self) -> None:
        while not (self.stopping or self.desk.gate.closed):
            row = await self.desk.mailbox.get()
            if row is None:
                return
            try:
                async with self.desk.book:
                    await self._take(row)
            finally:
                self.desk.mailbox.done()

    async def _take(self, row: MarketRow) -> None:
        last = self._last_at
        if last is not None and row.timestamp <= last:
            self.desk.counts.skipped += 1
            log.warning("tick.repeated", strategy=self.strategy, at=row.timestamp, last=last)
            return
        self.desk.counts.missed += 0 if last is None else missed_between(last, row.timestamp, self._ticked_every_ns)
        self.desk.last_row, self._last_at = row, row.timestamp
        self.desk.counts.ticks += 1
        self.desk.progress()
        self._take_configuration()
        asked = dict(self.desk.unbooked.commands)  # what comes while this row is handled is for the next one
        await self._serve(asked, row.timestamp)
        self.desk.is_stepping = True
        try:
            outcome = await self.actor.step(
                row, asked, positions=self.desk.counts.ticks % self.desk.around.poll_steps == 0
            )
        finally:
            self.desk.is_stepping = False
        self.desk.counts.last_step_s = outcome.seconds
        self.desk.progress()
        self.desk.around.telemetry.step(self.strategy, outcome.seconds, "decided" if outcome.decided else "skipped")
        if not outcome.decided:
            self.desk.counts.skipped += 1
            log.warning("step.skipped", strategy=self.strategy, tick=row.tick, reasons=outcome.reasons)
        self._judge_state(outcome)
        self.desk.publish()

    def _take_configuration(self) -> None:
        if self._next_run is not None:
            state = self.core.state()
            (self.desk.run, changes), self._next_run = self._next_run, None
            self.desk.journal.append(
                ConfigChanged(
                    at=self.desk.around.clock.now(),
                    changes=changes,
                    config=encode(self.desk.run),
                    config_hash=self.desk.run.config_hash,
                )
            )
            core = self.actor.core = make_core(self.desk.run, self._ports, self.strategy, self.desk.epoch)
            core.restore(state)
        self._ticked_every_ns = self.interval_ns

    def pause(self, pause: Pause) -> None:
        """Holds orders back from the next step on; shown at once."""
        self.desk.paused, self.desk.lifted, reason = pause, None, pause.reason
        if self.desk.state in (CellState.RUNNING, CellState.PAUSED):
            if self.desk.is_stepping:
                self.desk.become(self.desk.state, f"pausing: {reason}; the step under way ends first")
            else:
                self.desk.become(CellState.PAUSED, reason)
        self.desk.publish()

    def _resume(self) -> None:
        self.desk.paused, self.desk.lifted = None, self.desk.paused or self.desk.lifted
        if self.desk.state is CellState.PAUSED and not self.desk.gate.closed:
            self.desk.become(CellState.RUNNING, "resumed: it trades from the next full loop on")
        self.desk.publish()

    def _judge_state(self, outcome: StepOutcome) -> None:
        self.desk.lifted = None
        manager = self.core.manager
        if manager.halted and manager.awaited:
            self.desk.become(CellState.HALTED, f"it closes and awaits {', '.join(str(one) for one in manager.awaited)}")
        elif manager.halted:
            self.desk.become(CellState.HALTED, "everything is sold and stays so until it is resumed")
        elif self.desk.paused:
            self.desk.become(CellState.PAUSED, self.desk.paused.reason)
        else:
            self.desk.become(CellState.RUNNING, "; ".join(outcome.reasons))

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
        self.desk.gate.close(f"emergency stop: {reason}")
        self.desk.dispatch.leave()  # what waits for its block is found out about by whoever closes
        self._core_scope.cancel()
        self._latched.set()
        self.closing.ask()

    async def _close_when_latched(self) -> None:
        """Closing begins when the core has ended; one that cannot (its journal hangs) is not waited for longer than an
        order of it could still be under way: nothing of it leaves any more, the gate is closed."""
        await self._latched.wait()
        patience, doors = self.desk.around.patience, (each.terms for each in self.desk.clients)
        with trio.move_on_after(patience.seen_through_s(doors) + patience.legs_s):
            await self._core_ended.wait()
        if self.desk.gate.closed and not self.stopping:
            latch = self.desk.around.latches.of(self.strategy)
            self.desk.become(CellState.LATCHED, latch.reason if latch else self.desk.gate.reason)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._let_rows_go)
                await self.closing.run()
                nursery.cancel_scope.cancel()
        self._closing_ended.set()

    async def _let_rows_go(self) -> None:
        while (row := await self.desk.mailbox.get()) is not None:
            self.desk.last_row = row
            try:
                await self.desk.observer.refresh(positions=True)
                self.desk.publish()
            except Exception as error:  # an edge: what looks cannot stop what closes
                log.error("closing.look", strategy=self.strategy, error=repr(error), exc_info=error)
            self.desk.mailbox.done()

    def _books(self) -> Books:
        """What the core and the pollers know that may help closing."""
        positions, views = self.core.positions, self.desk.observer.views.items()
        return books_of(
            self.desk.unbooked.late.values(),
            in_flight=positions.in_flight,
            uncertain=positions.uncertain,
            row=self.desk.last_row,
            positions={name: dict(view.positions) for name, view in views if view.positions_at is not None},
        )

    # Commands

    async def order_in(self, command: Command) -> None:
        """A command of an operator: durable before it is acknowledged, done at the next row."""
        self.desk.journal.append(command)
        await self.desk.journal.commit()
        self.desk.unbooked.commands[command.id] = command
        if command.kind == "resume":
            self._resume()

    def reconfigure(self, run: RunSlice, changes: Mapping[str, tuple[str, str]]) -> None:
        """A new configuration, taken before the next step: the same state in a core with the new limits."""
        self._next_run = (run, changes)

    async def hand_in(self, id: str, happening: Happening, at: int) -> None:
        """An adoption or a resolution by hand: enters the book with the next row."""
        self.desk.journal.append(HandedIn(id=id, item=encode(happening)))
        await self.desk.journal.commit()
        self.desk.unbooked.late[id] = happening
        self.desk.unbooked.sent_at.pop(happening.resolves or "", None)


def interval_ns(run: RunSlice) -> int:
    """Time between two ticks of a strategy, nanoseconds."""
    return round(run.mode.time_throttle_interval * 1e9)


def missed_between(last: int, now: int, interval: int) -> int:
    """Ticks that fell between two rows and were not handled. They are counted by time, so that a changed interval
    leaves no gap and no tick counts twice."""
    return max((now - last) // interval - 1, 0)
