"""A strategy under a latch: closes its account by the emergency path, then watches until an operator resumes it.

It has no core and needs none: a cell has one closing, and so has a strategy whose cell cannot live (a broken journal, a
crash). It closes as often as a latch asks for it anew, and goes on for as long as something is awaited.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf

import structlog
import trio

from components.model.awaited import Awaited, AwaitedKind, Unsellable, Unvalued
from components.model.errors import Stop
from daemon.cells.account import Account
from daemon.cells.surroundings import Surroundings
from daemon.journal.best_effort import BestEffortLog
from daemon.journal.records import LatchChanged
from daemon.orders.dispatch import Dispatch
from daemon.orders.gate import Gate
from daemon.orders.keeper import bind
from daemon.safety.books import Books
from daemon.safety.doors import Doors, Reading
from daemon.safety.emergency import LOOK_S, Bounds, Emergency, Progress
from daemon.safety.flat import flatness, overdue
from daemon.safety.marks import marked_row
from daemon.safety.plan import Planned, projected
from daemon.safety.route import row_of, worst_delta
from daemon.state.latch import Latch, Phase

log = structlog.get_logger()
AGAIN_S = 60.0
LOOKS_UNTIL_FINAL = 16  # of a flat account, at most so far apart as the one after a failure
READ_ONLY = "READ_ONLY: nothing is sent, close by hand at the venues"


class Closing:
    """What happens to one account while its gate is closed."""

    def __init__(self, account: Account, books: Callable[[], Books] = Books) -> None:
        self.account, self.strategy = account, account.strategy
        self.books = books
        self.stopping = False
        self.until: float | None = None  # of a stop that closes: what does not fit into it is awaited
        self.wait_until = inf  # process time; what still travels then is left to whoever comes next
        self.wake = trio.Event()
        self.looked = trio.Event()  # something is known of what is awaited
        self.program: Emergency | None = None
        self._paged: set[str] = set()
        self._stands_at = -inf  # process time: until then a chain may take back what has made it flat

    @property
    def progress(self) -> Progress:
        return self.program.progress if self.program is not None else Progress()

    @property
    def awaited(self) -> tuple[Awaited, ...]:
        """Of this life, or of the one before as the latch remembers it."""
        latch = self._around.latches.of(self.strategy)
        return self.progress.awaited if self.program is not None else latch.awaited if latch is not None else ()

    @property
    def unvalued(self) -> tuple[Unvalued, ...]:
        return self.progress.unvalued

    @property
    def unsellable(self) -> tuple[Unsellable, ...]:
        return self.progress.unsellable

    @property
    def equity(self) -> float | None:
        """Of what the venues said last, share-class currency; None while one of them is silent."""
        return self.program.worth if self.program is not None else None

    @property
    def reason(self) -> str:
        latch = self._around.latches.of(self.strategy)
        return "" if latch is None else latch.reason

    @property
    def phase(self) -> str:
        latch = self._around.latches.of(self.strategy)
        return "" if latch is None else latch.phase.value

    @property
    def error(self) -> str:
        latch = self._around.latches.of(self.strategy)
        if self._around.read_only and latch is not None and not latch.is_closed:
            return READ_ONLY
        return self.progress.error

    def stop(self) -> None:
        """Asks `run` to end; a group under way is seen through."""
        self.stopping = True
        if self.program is not None:
            self.program.stop()
        self.wake.set()

    def ask(self) -> None:
        """There may be a new latch."""
        self.wake.set()

    @property
    def _around(self) -> Surroundings:
        """As a reload has left them."""
        return self.account.around

    async def run(self) -> None:
        """Closes until it is stopped; ends by itself when the latch is gone."""
        tries = 0
        self._stands_at = trio.current_time() + self._final_s
        while not self.stopping:
            self.wake = trio.Event()
            latch = self._around.latches.of(self.strategy)
            if latch is None or latch.is_closed or self._around.read_only or self._is_late():
                self.account.publish()
                self.looked.set()
                if not await self._is_taken_back(latch) or latch is None:
                    continue
            if latch.phase is Phase.FAILED and tries:  # a life before may have failed for what is over now
                with trio.move_on_after(AGAIN_S):  # somebody is paged; a venue may answer again before they come
                    await self.wake.wait()
                    if not self.stopping:
                        continue
            if self.stopping:
                return
            tries += 1
            # ids of its own for every life and every try
            await self._flatten(f"{latch.id}/{self.account.life}.{tries}")

    async def once(self, wait_s: float) -> Phase:
        """Closes what the latch asks for, and waits at most so long (process time) for what travels; how far it got."""
        latch = self._around.latches.of(self.strategy)
        if latch is not None and not latch.is_closed:
            self.wait_until = trio.current_time() + wait_s
            await self._flatten(f"{latch.id}/{self.account.life}")
        latch = self._around.latches.of(self.strategy)
        return Phase.FLAT if latch is None else latch.phase

    async def exposure(self) -> float | None:
        """|net coins| ÷ gross at the worst end of what is uncertain, by what the venues say now; 0 for a strategy that
        is not hedged, None when a venue does not say: nobody knows then."""
        run, books = self.account.run, self.books()
        if not run.mode.hedge_allocation:
            return 0.0
        reading = await Doors(self.account.clients, LOOK_S).read()
        if reading.silent:
            return None
        marked = marked_row(run, self._around.clock.now(), reading.marks, books.row, reading.positions)
        return worst_delta(run, marked, reading.positions, books.uncertain.values())

    async def look(self, *, take_back: bool) -> Reading:
        """What the doors say now; with `take_back` what rests at them is taken back on the way."""
        log = BestEffortLog(self.account.reserve, self._around.shout, partial(self._around.owe, self.strategy))
        path = Dispatch(self.account.line, log, Gate())
        return await Doors(self.account.clients, LOOK_S).read(path.take_back if take_back else None, marks=False)

    async def plan(self) -> list[Planned]:
        """Everything that an emergency stop would do from here, wave by wave, and what it would cost."""
        run, books = self.account.run, self.books()
        doors = Doors(self.account.clients, LOOK_S)
        for door, held in books.positions.items():
            doors.remember(door, held)
        reading = await doors.read()
        row = marked_row(run, self._around.clock.now(), reading.marks, books.row, reading.positions)
        return projected(run, reading.positions, row, books.in_flight.values())

    async def _flatten(self, id: str) -> None:
        around, books, until, before = self._around, self.books(), self.until, self.program
        best = BestEffortLog(self.account.reserve, around.shout, partial(around.owe, self.strategy))
        bounds = Bounds(until=until, wait_until=self.wait_until, max_trade_usdt=around.max_trade_usdt)
        account, path = self.account, Dispatch(self.account.line, best, Gate())  # its gate is open
        bind(account.clients, best, around.clock.now, account.signed)
        program = Emergency(account.run, account.clients, path, best, bounds, books=self.books, told=self._tell)
        self.program = program
        if before is not None:
            program.carry_on(before)
        for door, held in books.positions.items():
            program.doors.remember(door, held)
        await self._phase(best, Phase.CLOSING)
        flat = await program.flatten(id)
        progress = program.progress
        cut_short = self.stopping or until is not None or progress.waits
        if flat:
            self._stands_at = trio.current_time() + self._final_s
            await self._phase(best, Phase.FLAT)
        elif not cut_short:
            await self._phase(best, Phase.FAILED)
        log.critical(
            "emergency.flat" if flat else "emergency.closing" if cut_short else "emergency.failed",
            strategy=self.strategy,
            attempts=progress.attempts,
            left=progress.left,
            unvalued=[each.key for each in progress.unvalued],
            unsellable=[each.key for each in progress.unsellable],
            error=progress.error,
        )

    @property
    def _final_s(self) -> float:
        """How long the slowest door may take back what it has done, seconds of process time."""
        return max((client.terms.final_s for client in self.account.clients), default=0.0)

    async def _is_taken_back(self, latch: Latch | None) -> bool:
        """Waits until it is woken; whether a chain has meanwhile taken back what had made the account flat."""
        pause = max(min(AGAIN_S, self._final_s / LOOKS_UNTIL_FINAL), 1.0)
        is_flat = latch is not None and latch.is_closed and not self._around.read_only and not self._is_late()
        while is_flat and trio.current_time() < self._stands_at + pause:
            with trio.move_on_after(pause):
                await self.wake.wait()
                return False
            if opened := await self._open_on_chain():
                if self._around.latches.of(self.strategy) != latch:
                    return False
                log.critical("emergency.taken_back", strategy=self.strategy, open=opened)
                return True
        await self.wake.wait()
        return False

    async def _open_on_chain(self) -> list[str]:
        """What is open at doors that may take back what they have done, by what they say now."""
        run, doors = self.account.run, Doors(self.account.clients, LOOK_S)
        reading = await doors.read()
        marked = marked_row(run, self._around.clock.now(), reading.marks, self.books().row, reading.positions)
        revocable = {key: x for key, x in reading.positions.items() if doors.terms_of(key.venue).final_s}
        state = flatness(run, row_of(marked), revocable, now=marked.row.timestamp)
        return [str(each) for each in state.awaited]

    def _is_late(self) -> bool:
        """Whether the time of a stop is over; a new try needs a little of it."""
        return self.until is not None and trio.current_time() >= self.until - 1.0

    def _tell(self, progress: Progress) -> None:
        """After every reading: the latch remembers what is awaited, people are told what changed, and paged when
        something is overdue."""
        latches, before = self._around.latches, self._around.latches.of(self.strategy)
        if before is not None and _names(before.awaited) != _names(progress.awaited):
            self._kept(lambda: latches.advance(self.strategy, before.phase, progress.awaited))
            log.warning("emergency.awaits", strategy=self.strategy, awaited=progress.left, error=progress.error)
        self.looked.set()
        for each in overdue(progress.awaited):
            if each.detail not in self._paged:
                self._paged.add(each.detail)
                log.critical("transfer.overdue", strategy=self.strategy, what=str(each))
        self.account.publish()

    async def _phase(self, best: BestEffortLog, phase: Phase) -> None:
        around = self._around
        latch = around.latches.of(self.strategy)
        if latch is not None and latch.phase is not phase:
            self._kept(lambda: around.latches.advance(self.strategy, phase, self.progress.awaited))
        best.append(
            LatchChanged(
                at=around.clock.now(),
                phase=phase.value,
                scope=self.strategy,
                reason=latch.reason if latch else "",
                awaited=self.progress.left,
            )
        )
        await best.commit()
        self.account.publish()

    def _kept(self, write: Callable[[], object]) -> None:
        try:
            write()
        except (OSError, Stop, ValueError) as error:  # resumed meanwhile, or the disk: it stands in memory
            self.progress.error = f"the latch could not be written: {error}"


def _names(awaited: tuple[Awaited, ...]) -> list[tuple[str, str, str, bool, int | None]]:
    """What is told again when it changes; why a venue is silent changes with every look."""
    return [
        (each.kind.value, each.what, each.detail if each.kind is AwaitedKind.POSITION else "", each.overdue, each.until)
        for each in awaited
    ]
