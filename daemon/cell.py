"""A cell: one strategy with its journal, venues, core and emergency path, from recovery to a clean stop.

It runs inside one nursery. The core actor takes rows from a mailbox of one; pollers, commands and the emergency path
work beside it on the event loop. An emergency closes the gate first, then cancels and discards the core; the cell stays
up, latched, until an operator resumes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import msgspec
import structlog
import trio

from components.core import Core
from components.model.errors import Severity, Stop, catalogued
from components.model.events import EventType
from components.model.keys import VenueName
from components.model.orders import Order, OrderGroup
from components.model.slices import RunSlice
from components.ports import Happening
from daemon.authority import Authority, Circumstances, Limits
from daemon.bridge import NO_BATON, Baton, Bridge
from daemon.dispatch import Dispatch, Gate, OrderLog, Patience, Telemetry
from daemon.emergency import BestEffortLog, Emergency, ReserveLog
from daemon.journal.codec import encode
from daemon.journal.frames import Head
from daemon.journal.records import Command, ConfigChanged, LatchChanged, Manifest, Note, Record, Settlement, StepEnd
from daemon.latch import Latches, Phase
from daemon.mailbox import RowMailbox
from daemon.observer import Observer, VenueTelemetry
from daemon.recorded import hash_of, make_core
from daemon.recovery import Recovered, late_of
from daemon.replica import CellState, OpenOrder, Replica
from daemon.step_ports import StepPorts
from daemon.stepping import CoreActor, Outbound, StepOutcome
from daemon.ticks import MarketRow
from venues.interfaces import VenueClient
from venues.transport import Clock

log = structlog.get_logger()

LIV_STUCK = catalogued(
    "LIV-001",
    Severity.CRITICAL,
    "A strategy cannot make its records durable",
    "Trading stopped and the books are kept; free or replace the disk, then: basis resume STRATEGY",
)


class Account(Protocol):
    """What the daemon may ask of a paper account beside trading on it."""

    async def deposit(self, id: str, amount: float, at: int) -> None: ...

    async def withdrawal(self, id: str, amount: float, at: int) -> None: ...


class CellLog(OrderLog, ReserveLog, Protocol):
    """The journal of a cell."""

    @property
    def head(self) -> Head:
        """The last record appended."""
        ...


class CellTelemetry(Telemetry, VenueTelemetry, Protocol):
    """All that a cell tells metrics as it happens."""

    def step(self, strategy: str, seconds: float, outcome: str) -> None: ...


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What a cell is given by the daemon."""

    clock: Clock
    patience: Patience
    limits: Limits
    latches: Latches
    telemetry: CellTelemetry
    publish: Callable[[Replica], None]
    shout: Callable[[str], None]
    free_bytes: Callable[[], int | None]
    clock_offset_ms: Callable[[], float | None]
    max_trade_usdt: float | None = None
    read_only: bool = False
    poll_steps: int = 1  # positions are asked for on every n-th row
    poll_interval_s: float = 10.0  # and this often in between, process time
    step_budget_s: float = 30.0
    baton: Baton = NO_BATON
    provenance: Mapping[str, str] = {}  # version, code_hash, data_hash, numpy, platform


class Cell:
    """One strategy of the daemon; made anew for every start."""

    def __init__(
        self,
        strategy: str,
        mode: str,
        account: str,
        capital: float,
        run: RunSlice,
        clients: Iterable[VenueClient],
        control: Account | None,
        journal: CellLog,
        recovered: Recovered,
        around: Surroundings,
    ) -> None:
        self.strategy = strategy
        self._mode = mode
        self._account = account
        self._capital = capital
        self.run_slice = run
        self._control = control
        self._journal = journal
        self._recovered = recovered
        self._around = around
        self._clients = tuple(clients)
        self.epoch = recovered.epoch + 1
        self.gate = Gate()
        by_venue: dict[VenueName, VenueClient] = {v: client for client in self._clients for v in client.venues}
        by_venue |= {client.name: client for client in self._clients}
        self.dispatch = Dispatch(
            strategy,
            by_venue,
            journal,
            self.gate,
            around.clock,
            around.patience,
            around.telemetry,
            self._moved_bps,
        )
        self.observer = Observer(self._clients, around.clock, around.telemetry)
        bridge = Bridge(strategy, baton=around.baton, progress=self._progress)
        self._ports = StepPorts(bridge, Outbound(journal, self.dispatch, self.observer, around.clock))
        self.core: Core = make_core(run, self._ports, strategy, self.epoch)
        self.authority = Authority(around.limits)
        self.actor = CoreActor(
            self.core,
            self._ports,
            bridge,
            journal,
            self.dispatch,
            self.observer,
            self.authority,
            around.clock,
            self._circumstances,
        )
        self.state = CellState.STARTING
        self.reason = ""
        self.paused = ""
        self.heartbeat = 0.0
        self.missed = 0
        self.skipped = 0
        self.ticks = 0
        self.restarts = 0
        self._last_step_s = 0.0
        self._last_row: MarketRow | None = None
        self._last_tick = recovered.last_tick
        self._latest: list[MarketRow] = []
        self._core_scope = trio.CancelScope()
        self._stopping = False
        self._close_asked = False
        self.emergency: Emergency | None = None
        self._mailbox = RowMailbox()
        self._wake = trio.Event()
        self._last: Replica | None = None
        self._next_run: tuple[RunSlice, Mapping[str, tuple[str, str]]] | None = None

    # Life

    async def start(self, at: int) -> None:
        """Recovers: state, what was in flight, what nobody has booked. Durable when it returns."""
        self._set(CellState.RECOVERING)
        recovered, core = self._recovered, self.core
        if recovered.state is not None:
            core.restore(recovered.state)
            self.actor.previous = recovered.previous
        if recovered.cut_tick is not None:
            self._note("step.cut", f"the step of tick {recovered.cut_tick} was cut short; it is not resumed", at)
        self._journal.append(self._manifest(recovered.state_hash))
        if recovered.state is None:
            gas = 0.0 if self.run_slice.mode.costs == "none" else self.run_slice.mode.gas_reserve
            core.start(core.strategy.initial(self._capital, gas), self._capital, at)
            for record in self._ports.drain():
                self._journal.append(record)
        state = encode(core.state())
        self.actor.state_hash = hash_of(state)
        self._journal.append(StepEnd(tick=-1, timestamp=at, state_hash=self.actor.state_hash, state=state))
        self.observer.resume(recovered.cursors, recovered.booked)
        self.actor.late = {each.resolves or each.detail: each for each in recovered.late}
        self.actor.commands = {command.id: command for command in recovered.commands}
        await self._settle_open(recovered.open_orders)
        await self._journal.commit()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Takes rows until it is stopped. Any error of the core ends it; the supervisor decides what then."""
        latch = self._around.latches.of(self.strategy)
        if latch is not None:
            self.gate.close(f"emergency stop: {latch.reason}")
        self._set(CellState.LATCHED if latch is not None else CellState.RUNNING, latch.reason if latch else "")
        task_status.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.observer.watch, self._around.poll_interval_s)
            while not self._stopping:
                if self.gate.closed:
                    await self._latched()
                else:
                    with self._core_scope:
                        await self._trade()
                if self._core_scope.cancelled_caught and not self.gate.closed:
                    break
            nursery.cancel_scope.cancel()
        self._set(CellState.STOPPED, self.reason)

    def tell(self, row: MarketRow) -> trio.Event:
        """A new row of the market; the event is set when it has been handled, or a newer one took its place."""
        return self._mailbox.put(row)

    def stop(self) -> None:
        """Asks for a clean end after the step under way."""
        self._stopping = True
        self._mailbox.close()
        self._wake.set()

    def cut(self) -> None:
        """Ends the step under way at its next effect; an order in flight is still seen through."""
        self._stopping = True
        self._core_scope.cancel()
        self._mailbox.close()
        self._wake.set()

    async def finish(self) -> list[Order]:
        """The last records of a clean stop; the orders that stay open as uncertain."""
        checkpoint = self.actor.checkpoint()
        if checkpoint is not None and self.core.events.step >= 0 and not self._core_scope.cancelled_caught:
            self._journal.append(checkpoint)
        await self._journal.commit()
        return list(self.core.positions.doubts.values())

    # Trading

    async def _trade(self) -> None:
        while not (self._stopping or self.gate.closed):
            row = await self._mailbox.get()
            if row is None:
                return
            try:
                await self._take(row)
            finally:
                self._mailbox.done()

    async def _take(self, row: MarketRow) -> None:
        last = self._last_tick
        if last is not None and row.tick <= last:
            self.skipped += 1
            log.warning("tick.repeated", strategy=self.strategy, tick=row.tick, last=last)
            return
        self.missed += 0 if last is None else row.tick - last - 1
        self._last_row, self._last_tick = row, row.tick
        self._latest = [row]
        self.ticks += 1
        self._progress()
        self._take_configuration()
        await self._serve_commands(row.timestamp)
        outcome = await self.actor.step(row, positions=self.ticks % self._around.poll_steps == 0)
        self._last_step_s = outcome.seconds
        self._progress()
        self._around.telemetry.step(self.strategy, outcome.seconds, "decided" if outcome.decided else "skipped")
        if not outcome.decided:
            self.skipped += 1
            log.warning("step.skipped", strategy=self.strategy, tick=row.tick, reasons=outcome.reasons)
        self._judge_state(outcome)
        self.publish()

    def _take_configuration(self) -> None:
        if self._next_run is not None:
            state = self.core.state()
            (self.run_slice, changes), self._next_run = self._next_run, None
            self._journal.append(
                ConfigChanged(
                    at=self._around.clock.now(),
                    changes=changes,
                    config=encode(self.run_slice),
                    config_hash=self.run_slice.config_hash,
                )
            )
            self.core = self.actor.core = make_core(self.run_slice, self._ports, self.strategy, self.epoch)
            self.core.restore(state)

    def _judge_state(self, outcome: StepOutcome) -> None:
        if self.core.manager.halted:
            self._set(CellState.HALTED, "everything is sold and stays so until it is resumed")
        elif self.paused:
            self._set(CellState.PAUSED, self.paused)
        else:
            self._set(CellState.RUNNING, "; ".join(outcome.reasons))

    async def _serve_commands(self, at: int) -> None:
        """What an operator asked for and the account itself must do: it tells us in its own words."""
        for command in list(self.actor.commands.values()):
            if command.kind in ("deposit", "withdraw") and self._control is not None:
                amount = float(command.arguments["amount"])
                act = self._control.deposit if command.kind == "deposit" else self._control.withdrawal
                await act(command.id, amount, at)

    # Emergency

    def emergency_stop(self, reason: str) -> None:
        """Closes the gate at once and discards the core; closing goes on in `run`."""
        self.gate.close(f"emergency stop: {reason}")
        self._core_scope.cancel()
        self._wake.set()

    async def _latched(self) -> None:
        """Closes everything if that is not done yet, then waits for a stop; rows are taken and let go."""
        latch = self._around.latches.of(self.strategy)
        self._set(CellState.LATCHED, latch.reason if latch else self.gate.reason)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._let_rows_go)
            tried = ""
            self.publish()
            while not self._stopping:
                self._wake = trio.Event()
                latch = self._around.latches.of(self.strategy)
                if latch is None or latch.is_closed or latch.id == tried or self._around.read_only:
                    await self._wake.wait()
                    continue
                tried = latch.id
                await self._flatten(f"{latch.id}/{self.epoch}")  # an id of its own for every life of the cell
                self.publish()
            nursery.cancel_scope.cancel()

    async def _flatten(self, latch: str) -> None:
        around = self._around
        row = self._last_row
        while row is None and not self._stopping:
            await trio.sleep(0.05)
            row = self._latest[-1] if self._latest else None
        if row is None:
            return
        await self._phase(Phase.CLOSING)
        best = BestEffortLog(self._journal, around.shout)
        by_venue = {v: client for client in self._clients for v in (*client.venues, client.name)}
        path = Dispatch(self.strategy, by_venue, best, Gate(), around.clock, around.patience, around.telemetry)
        self.emergency = Emergency(
            self.run_slice, self.strategy, self._clients, path, best, around.clock, around.patience
        )
        flat = await self.emergency.flatten(latch, row, self._latest)
        await self._phase(Phase.FLAT if flat else Phase.FAILED)
        log.critical(
            "emergency.flat" if flat else "emergency.failed",
            strategy=self.strategy,
            attempts=self.emergency.progress.attempts,
            left=self.emergency.progress.left,
            error=self.emergency.progress.error,
        )

    async def _phase(self, phase: Phase) -> None:
        around = self._around
        latch = around.latches.of(self.strategy)
        try:
            if latch is not None:
                around.latches.advance(self.strategy, phase)
            self._journal.append(
                LatchChanged(
                    at=around.clock.now(),
                    phase=phase.value,
                    scope=self.strategy,
                    reason=latch.reason if latch else "",
                )
            )
            await self._journal.commit()
        except (OSError, Stop) as error:
            around.shout(f"{self.strategy}: latch phase {phase.value} could not be written: {error}")
        self.publish()

    async def _let_rows_go(self) -> None:
        while (row := await self._mailbox.get()) is not None:
            self._last_row = row
            self._latest[:] = [row]
            await self.observer.refresh(positions=True)
            self.publish()
            self._mailbox.done()

    def emergency_plan(self) -> list[OrderGroup]:
        """What an emergency stop would send first, at the last row and what the venues hold now."""
        around, row = self._around, self._last_row
        if row is None:
            return []
        program = Emergency(
            self.run_slice, self.strategy, self._clients, self.dispatch, self._journal, around.clock, around.patience
        )
        return program.plan(self.observer.observed() or dict(self.core.positions.snapshot()), row)

    # Commands

    async def order_in(self, command: Command) -> None:
        """A command of an operator: durable before it is acknowledged, done at the next row."""
        self._journal.append(command)
        await self._journal.commit()
        if command.kind == "resume":
            self.paused = ""
        self.actor.commands[command.id] = command

    def reconfigure(self, run: RunSlice, changes: Mapping[str, tuple[str, str]]) -> None:
        """A new configuration, taken before the next step: the same state in a core with the new limits."""
        self._next_run = (run, changes)

    async def settle(self, id: str, happening: Happening, at: int) -> None:
        """An adoption or a resolution by hand: enters the book with the next row."""
        self._journal.append(Settlement(id=id, item=encode(happening)))
        await self._journal.commit()
        self.actor.late[id] = happening

    async def _settle_open(self, orders: list[Order]) -> None:
        """Orders of a step that was cut short, outcome unknown: asked now, in doubt if nobody says."""
        for order in orders:
            trade = await self.dispatch.ask(order)
            happening = late_of(order, trade)
            if happening is None:
                happening = Happening(
                    event_type=EventType.ORDER_UNKNOWN,
                    at=self._around.clock.now(),
                    venue=order.venue,
                    token=order.token,
                    amount=0.0,
                    changes={},
                    part=None,
                    detail=f"{order.id} was sent before the restart; its outcome is not known",
                    unknown=order,
                )
            self.actor.late[order.id] = happening

    # What others see

    def publish(self) -> None:
        self._last = self.replica()
        self._around.publish(self._last)

    def replica(self) -> Replica:
        """An immutable picture of the cell as of its last row."""
        core, row, actor = self.core, self._last_row, self.actor
        head = self._journal.head
        doubts = [self._open_order(order) for order in core.positions.doubts.values()]
        return Replica(
            strategy=self.strategy,
            mode=self._mode,
            share_class=self.run_slice.mode.share_class,
            account=self._account,
            state=self.state,
            reason=self.reason,
            epoch=self.epoch,
            tick=row.tick if row else None,
            timestamp=row.timestamp if row else None,
            step=core.events.step,
            interval_s=self.run_slice.mode.time_throttle_interval,
            equity=core.pnl.equity if actor.previous is not None else None,
            initial=core.pnl.initial,
            external_flows=core.pnl.external_flows,
            pnl={**core.pnl.sums, "residual": core.pnl.residual},
            unexplained=actor.row.get("unexplained", 0.0),
            columns=dict(actor.row),
            risk_levels={name: ("ok", "warning", "critical")[level] for name, level in core.risk.levels().items()},
            positions={str(key): amount for key, amount in core.positions.snapshot().items()},
            observed={str(key): amount for key, amount in self.observer.observed().items() if amount},
            prices=dict(row.values) if row else {},
            ages_s=dict(row.ages_s) if row else {},
            uncertain=tuple(doubts),
            contracts=self.authority.contracts,
            venues=self.observer.states(),
            withheld=(*actor.standing.no_trade, *actor.standing.no_risk),
            ticks=self.ticks,
            missed=self.missed,
            skipped=self.skipped,
            restarts=self.restarts,
            trades=core.trades,
            events=core.events.order,
            journal_sequence=head.sequence,
            journal_hash=head.hash,
            heartbeat=self.heartbeat,
            step_s=self._last_step_s,
            mailboxes={"rows": self._mailbox.depth},
        )

    def _open_order(self, order: Order) -> OpenOrder:
        return OpenOrder(
            id=order.id,
            venue=order.venue,
            verb=order.verb.value,
            token=order.token,
            amount=order.amount,
            notional_usdt=None,
            sent_at=self._last_row.timestamp if self._last_row else 0,
            reason="outcome not known",
        )

    # Small things

    def _moved_bps(self, order: Order) -> float:
        """How far the price has moved against an exchange order since its row, as far as a newer row tells."""
        newer, decided = self._mailbox.waiting, self._last_row
        name = f"{order.venue}.{order.verb.value}.{order.token}"
        if newer is None or decided is None or name not in newer.values or not decided.values.get(name):
            return 0.0
        move = newer.values[name] / decided.values[name] - 1.0
        return 1e4 * (move if order.amount > 0.0 else -move)

    def _circumstances(self) -> Circumstances:
        around = self._around
        reasons = []
        if self.paused:
            reasons.append(f"paused: {self.paused}")
        if around.read_only:
            reasons.append("read only: orders are computed and not sent")
        day = around.clock.now() // 86_400_000_000_000
        return Circumstances(
            market_now=around.clock.now(),
            process_now=trio.current_time(),
            free_bytes=around.free_bytes(),
            clock_offset_ms=around.clock_offset_ms(),
            adjusted_share=self.actor.adjusted.get(day, 0.0),
            blocks_all=tuple(reasons),
            max_trade_usdt=around.max_trade_usdt,
        )

    def _manifest(self, state_hash: str) -> Manifest:
        about = self._around.provenance
        return Manifest(
            epoch=self.epoch,
            strategy=self.strategy,
            version=about.get("version", ""),
            code_hash=about.get("code_hash", ""),
            config_hash=self.run_slice.config_hash,
            data_hash=about.get("data_hash", ""),
            numpy=about.get("numpy", ""),
            platform=about.get("platform", ""),
            config=encode(self.run_slice),
            state_hash=state_hash,
        )

    def _note(self, kind: str, detail: str, at: int) -> None:
        record: Record = Note(at=at, kind=kind, detail=detail)
        self._journal.append(record)
        log.info(kind, strategy=self.strategy, detail=detail)

    def _progress(self) -> None:
        self.heartbeat = trio.current_time()

    def _set(self, state: CellState, reason: str = "") -> None:
        if (state, reason) != (self.state, self.reason):
            self.state, self.reason = state, reason
            log.info("cell.state", strategy=self.strategy, state=state.value, reason=reason)
            self.publish()
