"""What an operator may ask of the running daemon, and what happens then. The control socket and signals both end here.

Everything that changes something is journaled (the daemon's audit journal, and the strategy's own where it concerns its
money) before it is acknowledged; an idempotency key makes it happen once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import structlog
import trio

from components.core import CLOSE
from components.model.capital import above_equity, costs_to_free
from components.model.errors import BasisError, Refuse, Stop
from daemon.cells.authority import Pause
from daemon.cells.cell import Cell
from daemon.cells.supervisor import Supervisor
from daemon.config.daemon_file import DaemonSlice
from daemon.control.accepted import ACCEPTED, ASKED, PAUSED, STOPPED
from daemon.control.by_hand import adopt, trade_by_hand
from daemon.control.commands import Request, Response, answer
from daemon.control.questions import QUESTIONS, Questions, Whole
from daemon.errors import OPS_NOT_FOUND, OPS_REFUSED
from daemon.journal.errors import JournalPoisoned
from daemon.journal.records import Command, LatchChanged, Record
from daemon.orders.dispatch import OrderLog
from daemon.orders.outcomes import late_of
from daemon.replica import CellState
from daemon.state.latch import ALL, Phase, requested
from daemon.state.latch_keeper import LatchKeeper

log = structlog.get_logger()
FIRST_LOOK_S = 2.0  # most that an answer waits for what the venues say first
JOURNAL_S = 0.5


class Operator:
    """Answers requests; `uid` is that of the peer on the socket, -1 for a signal."""

    def __init__(
        self,
        supervisor: Supervisor,
        latches: LatchKeeper,
        audit: OrderLog,
        market_now: Callable[[], int],
        whole: Whole,
        answered: Mapping[str, Command],
    ) -> None:
        self._supervisor = supervisor
        self._latches = latches
        self._audit = audit
        self._now = market_now
        self._whole = whole
        self._questions = Questions(supervisor, whole, market_now)
        self._answered = dict(answered)
        self._under_way: dict[str, trio.Event] = {}

    @property
    def config(self) -> DaemonSlice:
        return self._supervisor.config

    async def handle(self, request: Request, uid: int) -> Response:
        """One request; a BasisError is a refusal with its reason."""
        if request.strategy is not None and request.strategy not in self._ids():
            raise Refuse(OPS_NOT_FOUND, f"no strategy {request.strategy!r}: there are {', '.join(self._ids())}")
        while request.key in self._under_way:  # the same request came twice at once
            await self._under_way[request.key].wait()
        if request.key and request.key in self._answered:
            before = self._answered[request.key]
            if (before.kind, dict(before.arguments)) != (request.kind, self._arguments(request)):
                raise Refuse(OPS_REFUSED, f"key {request.key!r} was used for another request ({before.kind})")
            return answer({"id": before.id, "again": True}, message=f"already {before.answer}", market_now=self._now())
        match request.kind:
            case kind if kind in QUESTIONS:
                return await self._questions.answered(request)
            case "backup":
                await self._audit.commit()
                made = await self._whole.backup(Path(request.arguments["folder"]))
                return answer(made, market_now=self._now())
            case _ if not request.key:
                return await self._act(request, uid)
            case _:
                self._under_way[request.key] = trio.Event()
                try:
                    return await self._act(request, uid)
                finally:
                    self._under_way.pop(request.key).set()

    async def _act(self, request: Request, uid: int) -> Response:
        """Journaled as asked for before it is done, and as accepted or refused before that is acknowledged."""
        asked = self._command(request, uid)
        is_emergency = request.kind == "emergency_stop"  # that one goes on without a journal, and before it
        if not is_emergency:
            await self._record(asked)
        command = msgspec.structs.replace(asked, answer=ACCEPTED)
        try:
            message, data = await self._do(request, command, uid)
        except BasisError as error:
            with suppress(Stop):
                await self._record(msgspec.structs.replace(asked, answer=f"refused: {error.message}"))
            raise
        if request.key:
            self._answered[request.key] = command
        if is_emergency:
            await self._journaled(command)
        else:
            await self._record(command)
        log.info("operator.asked", kind=request.kind, strategy=request.strategy, uid=uid, id=command.id)
        return answer({"id": command.id, **data}, message=message, market_now=self._now())

    async def _do(self, request: Request, command: Command, uid: int) -> tuple[str, dict[str, Any]]:
        strategy = request.strategy or ""
        match request.kind:
            case "stop":
                return await self._stopped(request, command)
            case "pause":
                cell = self._running(strategy)
                pause = self._supervisor.paused[strategy] = Pause(reason=request.arguments.get("reason", PAUSED))
                cell.pause(pause)
                return f"{strategy} is paused: it values, watches, and sends only what reduces risk", {}
            case "resume":
                return await self._resume(strategy, command)
            case "emergency_stop":
                reason, id = request.arguments.get("reason", "by an operator"), request.arguments.get("latch", "")
                message, data = await self.emergency(request.strategy, reason, uid, id=id)
                return await self._first_look(request.strategy, message, data)
            case "deposit" | "withdraw" | "rebalance":
                told = ""
                if request.kind == "withdraw":
                    told = self._covered(strategy, request.arguments)
                await self._running(strategy).order_in(command)
                return f"{request.kind} accepted; it takes effect at the next full loop{told}", {}
            case "pay":
                return await self._pay(strategy, command)
            case "adopt":
                return await self._adopt(strategy, request.arguments["venue"], command)
            case "resolve":
                return await self._resolve(request, command)
            case _:
                raise Refuse(OPS_REFUSED, f"{request.kind} is not something the daemon does")

    async def emergency(
        self, strategy: str | None, reason: str, uid: int, *, id: str = ""
    ) -> tuple[str, dict[str, Any]]:
        """Latch first, in memory, then the gates, then what can be written; idempotent while one stands. `id` is that
        of a latch which the asker has put on the disk already."""
        scope = strategy or ALL
        standing = self._latches.under_way(scope, self._ids())
        if standing is None:
            standing = requested(scope, reason, at=self._now(), uid=uid)
            if id:
                standing = msgspec.structs.replace(standing, id=id)
            self._latches.set(standing)
        for name in [strategy] if strategy else self._ids():
            self._supervisor.emergency_stop(name, reason)
        log.critical("emergency.requested", scope=scope, reason=reason, uid=uid)
        unwritten = await self._latches.written()
        message = "emergency stop: nothing new leaves, everything is being closed"
        if self._is_read_only:
            message = "emergency stop: nothing leaves, and READ_ONLY is set: close by hand at the venues"
        if unwritten:
            why = "; ".join(dict.fromkeys(unwritten.values()))
            message += f". THE LATCH COULD NOT BE WRITTEN ({why}): after a restart nobody knows of it"
        if not await self._journaled(
            LatchChanged(at=self._now(), phase="requested", scope=scope, reason=reason, uid=uid)
        ):
            message += ". The audit journal takes nothing: who asked is in the log only"
        return message, {"latch": standing.id, "unwritten": unwritten}

    async def _journaled(self, record: Record) -> bool:
        """Whether the audit journal has it; an emergency does not wait for a disk that hangs."""
        with trio.move_on_after(JOURNAL_S):
            try:
                await self._record(record)
            except Stop as error:
                log.critical("emergency.not_journaled", error=str(error))
                return False
            return True
        log.critical("emergency.not_journaled", error="the disk does not answer")
        return False

    async def _first_look(self, strategy: str | None, message: str, data: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """What the venues said when closing first asked them; it does not wait for a slow one."""
        names = [strategy] if strategy else list(self._ids())
        with trio.move_on_after(FIRST_LOOK_S):
            for name in names:
                while (closing := self._supervisor.closing_of(name)) is None:
                    await trio.sleep(0.05)
                await closing.looked.wait()
        awaited = {
            name: [str(each) for each in closing.awaited]
            for name in names
            if (closing := self._supervisor.closing_of(name)) is not None
        }
        told = "; ".join(f"{name} awaits {', '.join(what)}" for name, what in awaited.items() if what)
        return message + (f". {told}" if told else ""), {**data, "awaited": awaited}

    @property
    def _is_read_only(self) -> bool:
        return self.config.guard.read_only

    async def _record(self, record: Record) -> None:
        self._audit.append(record)
        await self._audit.commit()

    async def _stopped(self, request: Request, command: Command) -> tuple[str, dict[str, Any]]:
        positions = request.arguments.get("positions")
        if request.strategy is None:
            if positions == "close":
                raise Refuse(OPS_REFUSED, "close strategy by strategy first: basis stop STRATEGY --positions close")
            self._whole.stop()
            closed = [entry.id for entry in self.config.strategies if entry.run.mode.on_stop == "close"]
            if not closed:
                return "the daemon stops after the steps under way; positions are held", {}
            held = [name for name in self._ids() if name not in closed]
            kept = f"; those of {', '.join(held)} are held" if held else ""
            return (
                f"the daemon stops after the steps under way; {', '.join(closed)}: closed as far as there is time, the "
                f"next start or the timer of 'basis safety finish' goes on{kept}",
                {},
            )
        cell = self._running(request.strategy)
        again = f"'basis resume {request.strategy}' starts it again"
        if (positions or cell.desk.run.mode.on_stop) == "close":
            await cell.order_in(msgspec.structs.replace(command, kind=CLOSE))
            return f"{request.strategy} sells everything from the next full loop on, and stays out; {again}", {}
        self._supervisor.paused[request.strategy] = STOPPED
        cell.pause(STOPPED)
        return f"{request.strategy} holds its positions and no longer trades; {again}", {}

    async def _resume(self, strategy: str, command: Command) -> tuple[str, dict[str, Any]]:
        latch = self._latches.of(strategy)
        cell = self._supervisor.cells.get(strategy)
        if latch is not None:
            if not latch.is_closed and latch.phase is not Phase.FAILED:
                awaits = ", ".join(str(each) for each in latch.awaited)
                raise Refuse(
                    OPS_REFUSED,
                    f"{strategy} is still being closed (phase {latch.phase.value}"
                    + (f", awaits {awaits}" if awaits else "")
                    + "); wait until it is flat",
                )
            self._supervisor.paused.pop(strategy, None)
            if cell is not None:
                with suppress(JournalPoisoned):  # then it starts with what its journal holds, and 'rebalance' enters
                    await cell.order_in(command)  # its next core takes it from the journal
            if self._latches.of(strategy) != latch:
                raise Refuse(OPS_REFUSED, f"another emergency stop of {strategy} came meanwhile; wait until it is flat")
            self._latches.release(strategy, self._ids())
            self._audit.append(
                LatchChanged(at=self._now(), phase="cleared", scope=strategy, reason=latch.reason, uid=command.uid)
            )
            await self._audit.commit()
            self._supervisor.restart(strategy)
            return f"{strategy} starts again; what the emergency stop did enters its books first", {}
        self._supervisor.paused.pop(strategy, None)
        if cell is None:
            self._supervisor.restart(strategy)
            return f"{strategy} starts again", {}
        await cell.order_in(command)
        return f"{strategy} trades again from the next full loop", {}

    async def _adopt(self, strategy: str, venue: str, command: Command) -> tuple[str, dict[str, Any]]:
        cell = self._running(strategy)
        if venue not in cell.desk.observer.views:
            raise Refuse(
                OPS_NOT_FOUND, f"{strategy} has no venue {venue!r}: it has {', '.join(cell.desk.observer.views)}"
            )
        changes, foreign = await adopt(cell, command.id, venue, command.uid)
        return (
            f"adopted {len(changes)} difference(s) and {foreign} foreign item(s) at {venue}; "
            "the value is booked as adjustment at the next full loop",
            {"changes": {str(key): change for key, change in changes.items()}},
        )

    async def _resolve(self, request: Request, command: Command) -> tuple[str, dict[str, Any]]:
        id = request.arguments["order"]
        for cell in self._supervisor.cells.values():
            order = cell.core.positions.uncertain.get(id)
            if order is not None:
                trade = trade_by_hand(order, request.arguments, self._now())
                happening = late_of(order, trade)
                assert happening is not None
                await cell.hand_in(id, happening, self._now())
                return f"order {id} is resolved as {request.arguments['as']} at the next full loop", {}
        raise Refuse(OPS_NOT_FOUND, f"no order {id!r} is uncertain")

    async def _pay(self, strategy: str, command: Command) -> tuple[str, dict[str, Any]]:
        """What is owed, at any cost; refused when nothing is, or the next withdrawal would be paid so."""
        cell = self._running(strategy)
        owed = cell.core.manager.owed
        if owed <= 0.0:
            raise Refuse(OPS_REFUSED, f"{strategy} owes nothing")
        await cell.order_in(command)
        currency = cell.desk.run.mode.share_class
        return f"{strategy} pays the {owed:,.6g} {currency} it owes from the next full loop on, at any cost", {}

    def _covered(self, strategy: str, arguments: Mapping[str, str]) -> str:
        """Refuses a withdrawal above the equity last shown, the core judges again at the row; else what it would cost
        to free the money now, and what to do about it."""
        replica, amount = self._supervisor.replicas.get(strategy), float(arguments["amount"])
        if replica is None or replica.equity is None:
            return ""
        if amount > replica.equity:
            raise Refuse(OPS_REFUSED, above_equity(amount, replica.equity, replica.share_class))
        valued = self._questions.valued(replica)
        cost, left = valued.cost_of_freeing(amount), valued.exit_value
        if not cost:
            return ""
        told = f". {costs_to_free(amount, cost, replica.share_class)}"
        if left is not None and amount > left:
            told += f"; all of it would leave {left:,.6g}, and nothing for who stays"
        if arguments.get("at_any_cost"):
            return f"{told}; it is paid at once"
        bound = "cost_bounds.withdrawal, in basis points of what is sold for it, not of the payment"
        return f"{told}. What would cost more than its bound waits ({bound}); 'basis pay {strategy}' does not"

    def _running(self, strategy: str) -> Cell:
        cell = self._supervisor.cells.get(strategy)
        if cell is None or cell.desk.state in (CellState.STARTING, CellState.RECOVERING):
            raise Refuse(OPS_REFUSED, f"{strategy} is not running; see 'basis status --why {strategy}'")
        if cell.desk.gate.closed:
            raise Refuse(OPS_REFUSED, f"{strategy} stands under an emergency stop; 'basis resume {strategy}' first")
        return cell

    def _ids(self) -> tuple[str, ...]:
        return tuple(entry.id for entry in self.config.strategies)

    def _arguments(self, request: Request) -> dict[str, str]:
        return {**request.arguments, **({"strategy": request.strategy} if request.strategy else {})}

    def _command(self, request: Request, uid: int) -> Command:
        at = self._now()
        text = request.key or f"{request.kind}/{request.strategy}/{at}/{sorted(request.arguments.items())}"
        return Command(
            at=at,
            id=sha256(text.encode()).hexdigest()[:16],
            kind=request.kind,
            arguments=self._arguments(request),
            uid=uid,
            key=request.key,
            answer=ASKED,
        )
