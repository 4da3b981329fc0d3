"""The emergency program: closes everything of one account by its own path, and proves that it is flat.

It needs no core, no core thread, no journal, no file and no market row: it reads what the venues hold and say of
prices, plans a full exit with the same routing the core uses, and sends it through a dispatch of its own. Flat is
judged by positions: two readings in a row with nothing to await, the second later than any order of before could still
arrive. What travels keeps its hedge and is closed when it arrives; a venue that is silent delays no other. Orders are
limited by what the doors quote, wider with every try, and are market orders at last. Order ids
come from the latch, the attempt and the leg, so a restart that closes again never does the same thing twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from math import inf

import msgspec
import structlog
import trio
from msgspec.structs import replace

from components.model.awaited import Awaited, Unsellable, Unvalued
from components.model.keys import WALLET, PositionKey, perp
from components.model.orders import Order, OrderGroup, OrderId, TradeStatus, coins_moved
from components.model.slices import RunSlice
from components.pieces import Limits, pieces, prices_of
from components.position_monitor import PositionMonitor
from components.situation import Situation
from daemon.journal.records import Intent, Note
from daemon.orders.dispatch import Dispatch, OrderLog
from daemon.safety.books import Books
from daemon.safety.doors import Doors, Reading
from daemon.safety.flat import Flatness, flatness, worth
from daemon.safety.marks import Marked, marked_row
from daemon.safety.rescue import rescues
from daemon.safety.route import exit_route, limited, reachable, row_of, situation
from venues.interfaces import VenueClient

log = structlog.get_logger()
ARRIVED = 0.9  # of a flight: so much at its target is it, less what a venue keeps
TRIES = 3  # of what fails for the moment, before another way is looked for
WAIT_S = 5.0  # between two looks while something travels
LOOK_S = 4.0  # most that one question may take: a venue that is slower is silent in this reading


class Progress(msgspec.Struct):
    """How far closing is; read by status while it runs. `waits` = nothing can be sent before something arrives."""

    attempts: int = 0
    sent: int = 0
    error: str = ""
    awaited: tuple[Awaited, ...] = ()
    unvalued: tuple[Unvalued, ...] = ()
    unsellable: tuple[Unsellable, ...] = ()
    waits: bool = False

    @property
    def left(self) -> tuple[str, ...]:
        """What is awaited, in words."""
        return tuple(str(each) for each in self.awaited)


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how much. Process times: after `until` no further group is begun and nothing is waited for, after
    `wait_until` nothing that travels."""

    attempts: int = 40
    pause_s: float = 1.0
    until: float | None = None
    wait_until: float = inf
    max_trade_usdt: float | None = None


class Emergency:
    """Closing one account by a dispatch of its own; `books` are asked for the last row at each look."""

    def __init__(
        self,
        run: RunSlice,
        clients: Iterable[VenueClient],
        dispatch: Dispatch,
        log: OrderLog,
        bounds: Bounds,
        *,
        books: Callable[[], Books] = Books,
        told: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        self._run = run
        self._dispatch, self._log = dispatch, log
        self._strategy, self._clock, self._patience = dispatch.line.strategy, dispatch.line.clock, dispatch.patience
        self._bounds = bounds
        self.doors = Doors(clients, min(LOOK_S, self._patience.order_grace_s))
        self._books = books
        self._told = told
        self.in_flight, self.uncertain = dict(books().in_flight), dict(books().uncertain)
        self._since: dict[OrderId, float] = {}  # when each was first asked after here
        self._sent: dict[OrderId, dict[str, int]] = {}  # of these: how often each door had told when they left
        self._there: dict[OrderId, float] = {}  # of transfers among them: what was at the target before
        self.rescued: dict[str, str] = {}  # position key of a short → what was done last for its margin
        self._landed: set[str] = set()  # flights that are at their targets
        self._beyond: Counter[str] = Counter()  # legs that found no price within their limit, how often
        self._failed: Counter[str] = Counter()  # legs that failed for that: another way is looked for
        self._stopped = trio.Event()
        self.progress = Progress()
        self.observed: dict[PositionKey, float] = {}
        self.worth: float | None = None  # of these, share-class currency; None while it is not known

    async def flatten(self, latch: str) -> bool:
        """Cancels, closes, re-reads until flat twice. False when nothing could be done for `attempts` readings, or
        when time was up; waiting for what travels is no failure."""
        flat_readings = idle = attempt = 0
        while idle < self._bounds.attempts and not self._stopped.is_set():
            attempt += 1
            self.progress.attempts = attempt
            reading = await self.doors.read(self._dispatch.take_back)
            self._arrivals(reading)
            self.observed = {**reading.positions}
            await self._find_out(reading)
            marked = marked_row(self._run, self._clock.now(), reading.marks, self._books().row, reading.positions)
            if attempt == 1:  # a block takes its time: what is held is told before anything is waited for
                self._tell(self._judge(reading, marked), reading, waits=False)
            planned, done = await self._close(reading, marked, f"{self._strategy}/{latch}/{attempt}")
            state = self._judge(reading, marked)
            self.worth = None if reading.silent else worth(self._run, row_of(marked), reading.positions)
            waits = planned == 0 and (state.only_waits or bool(self._signed)) and not reading.silent
            self._tell(state, reading, waits)
            if state.is_flat and not done:
                flat_readings += 1
                if flat_readings == 2:
                    return True
                await self._rest(self._grace)
                continue
            flat_readings = 0
            idle = 0 if done or waits else idle + 1
            pause = WAIT_S if waits else self._bounds.pause_s
            if self._is_over(pause, waits):
                return False
            await self._rest(pause)
        return False

    def carry_on(self, before: Emergency) -> None:
        """Knows what a try before has learned: what it did at doors that are silent since, what has landed."""
        self.doors.inherit(before.doors)
        self.in_flight, self.uncertain = {**before.in_flight, **self.in_flight}, {**before.uncertain, **self.uncertain}
        self.rescued, self._landed = dict(before.rescued), set(before._landed)
        self._beyond = before._beyond.copy()
        self._sent, self._there = dict(before._sent), dict(before._there)

    def _arrivals(self, reading: Reading) -> None:
        """Where the door that tells what travels, or what was sent, is silent, coins that stand at their target travel
        no more, and are no more where they came from: counted twice, they would be sold without the shorts that hedge
        them. An order whose outcome is not known has sent what came."""
        now = self._clock.now()
        for id, flight in list(self.in_flight.items()):
            target = self.doors.door_of(flight.target.venue)
            is_there = reading.positions.get(flight.target, 0.0) >= ARRIVED * flight.amount
            if flight.arrives_at <= now and is_there and target not in reading.silent and id not in self._landed:
                self._landed.add(id)
                self.doors.arrived(flight, reading)
        for id, order in self.uncertain.items():
            source, target = order.source, order.target
            if source is None or target is None or id in self._landed or id not in self._there:
                continue
            came = reading.positions.get(target, 0.0) - self._there[id]
            doors = [self.doors.door_of(key.venue) for key in (source, target)]
            if came >= ARRIVED * order.amount and doors[0] in reading.silent and doors[1] not in reading.silent:
                self._landed.add(id)
                self.doors.left(source, order.amount, reading)

    def _is_over(self, pause: float, waits: bool) -> bool:
        """Whether the time there is ends before the next reading."""
        next_at = trio.current_time() + pause
        if self._bounds.until is not None:
            return waits or next_at > self._bounds.until
        return waits and next_at > self._bounds.wait_until

    def stop(self) -> None:
        """Ends `flatten` before its next group; the one that is being sent is seen through."""
        self._stopped.set()

    async def _rest(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self._stopped.wait()

    @property
    def _grace(self) -> float:
        """How long after a reading the slowest door may still do something that was asked of it before. On chain nobody
        has to wait for that: what is signed is kept, and uncertain until its nonce is used."""
        return self._patience.order_grace_s + self._patience.unknown_budget_s

    @property
    def _signed(self) -> dict[OrderId, Order]:
        """Of what is uncertain, what a wallet has signed: it may be mined at any time, so nothing is signed beside it
        that would only fail, and cost gas, behind it."""
        return {id: order for id, order in self.uncertain.items() if self.doors.terms_of(order.venue).cancel_costs}

    async def _close(self, reading: Reading, marked: Marked, run_id: str) -> tuple[int, bool]:
        """Sends the exit, group by group; (groups there were to send, whether a venue did anything)."""
        positions = PositionMonitor()
        positions.place(reading.positions)
        positions.in_flight, positions.uncertain = dict(self.in_flight), self._signed
        now = situation(self._run, marked, positions)
        margin = partial(self._margin, reading, marked, now, run_id)
        planned = 0
        for groups in (
            partial(exit_route, self._run, now, positions, reading, run_id, self._bounds.max_trade_usdt),
            margin,
        ):
            sent, done = await self._carry_out(groups, now, positions, reading, marked)
            planned += sent
            if done:
                return planned, True
        return planned, False

    async def _carry_out(
        self,
        groups: Callable[[], Iterable[OrderGroup]],
        now: Situation,
        positions: PositionMonitor,
        reading: Reading,
        marked: Marked,
    ) -> tuple[int, bool]:
        """Sends these groups as far as they go; as `_close`."""
        planned, done = 0, False
        try:
            for group in groups():
                for found in reachable(group, self.doors, reading, marked):
                    part = limited(found, now, marked, self._beyond)
                    if not self._fits(part, now.net_coins()):
                        return planned, done
                    planned += 1
                    if not await self._send(part, positions):
                        return planned, done
                    done = True
        except Exception as error:  # an edge: whatever is wrong with a plan, the next reading makes another
            log.error("emergency.plan", strategy=self._strategy, error=repr(error), exc_info=error)
            self.progress.error = f"no exit could be planned: {error!r}"
            planned += 1
        return planned, done

    def _margin(self, reading: Reading, marked: Marked, now: Situation, run_id: str) -> Iterable[OrderGroup]:
        """What keeps hedges that wait for their coins from being liquidated; said once for each thing that is done."""
        coin = self._run.mode.asset
        uncertain = {order.venue for order in self.uncertain.values()}
        untouchable = [
            venue
            for venue in (WALLET, *self._run.mode.hedge_allocation)
            if venue in uncertain
            or self.doors.door_of(venue) in reading.silent
            or f"{venue}.perp.{coin}" in marked.missing
        ]
        refused = {leg for leg, times in self._failed.items() if times >= TRIES}
        found = list(rescues(now, self.in_flight.values(), run_id, untouchable=untouchable, refused=refused))
        before = self.rescued
        self.rescued = {**before, **{str(perp(each.venue, coin)): each.said for each in found}}
        for rescue in found:
            if before.get(str(perp(rescue.venue, coin))) != rescue.said:
                log.warning(
                    "emergency.margin",
                    strategy=self._strategy,
                    venue=rescue.venue,
                    ratio=rescue.ratio,
                    done=rescue.said,
                )
                detail = f"{rescue.venue}: {rescue.said}"
                self._log.append(Note(at=self._clock.now(), kind="emergency margin", detail=detail))
        limits = Limits(self._run.exchanges, self._bounds.max_trade_usdt)
        return [
            part for rescue in found for group in rescue.groups for part in pieces(group, prices_of(group, now), limits)
        ]

    async def _send(self, group: OrderGroup, positions: PositionMonitor) -> bool:
        """One group; False when the list must be made anew from another reading."""
        self._log.append(Intent(at=self._clock.now(), group=group, origin="emergency"))
        await self._log.commit()
        trades = await self._dispatch.send(group, origin="emergency")
        self.progress.sent += len(group.orders)
        positions.expect(trades)
        for trade in trades:
            self.doors.booked(trade.changes)
        for order, trade in zip(group.orders, trades, strict=True):
            if trade.in_flight is not None:
                self.in_flight[trade.in_flight.id] = trade.in_flight
            if trade.status is TradeStatus.UNKNOWN:
                self.uncertain[order.id] = order
                self._sent[order.id] = dict(self.doors.told)
                if order.target is not None:
                    self._there[order.id] = positions.expected.of(order.target)
            self._beyond[order.leg] += trade.expired
            if trade.status is TradeStatus.REJECTED:
                self._failed[order.leg] += 1 if trade.transient or trade.expired else TRIES
        failed = [t for t in trades if t.status in (TradeStatus.UNKNOWN, TradeStatus.REJECTED)]
        self.progress.error = next((t.reason for t in failed if t.reason), "" if not failed else self.progress.error)
        return not failed

    def _fits(self, group: OrderGroup, net: tuple[float, float]) -> bool:
        """Without a limit of time everything does; with one, what can still be seen through and leaves the worst end of
        the net exposure no worse."""
        if self._stopped.is_set():
            return False
        if self._bounds.until is None:
            return True
        slowest = max(self._patience.grace_s(self.doors.terms_of(order.venue)) for order in group.orders)
        if trio.current_time() + slowest > self._bounds.until:
            return False
        coin = self._run.mode.asset
        moved = sum(coins_moved(order, coin, 1.0) for order in group.orders)
        worst = max(abs(net[0]), abs(net[1]))
        return max(abs(net[0] + moved), abs(net[1] + moved)) <= worst + 1e-9

    async def _find_out(self, reading: Reading) -> None:
        """Asks after what is uncertain. A "never heard of it" counts once nothing can be on its way any more; what was
        done is booked where no door has told since."""
        now = trio.current_time()
        for id in self.uncertain:
            self._since.setdefault(id, now)
        answers = await self._dispatch.ask_all(list(self.uncertain.values()), self._run.exchanges)
        for id, trade in answers.items():
            if trade.transient and now - self._since[id] < self._patience.absent_after_s:
                continue
            self.uncertain.pop(id, None)
            self.doors.booked(trade.changes, sent=self._sent.pop(id, {}), reading=reading)
            if trade.in_flight is not None:
                self.in_flight[trade.in_flight.id] = trade.in_flight

    def _judge(self, reading: Reading, marked: Marked) -> Flatness:
        state = flatness(
            self._run,
            row_of(marked),
            reading.positions,
            now=self._clock.now(),
            in_flight=tuple(self.in_flight.values()),
            uncertain=tuple(self.uncertain.values()),
            resting=[each for each in reading.resting if each not in self.uncertain],
            silent=reading.silent,
        )
        awaited = (replace(each, detail=self.rescued.get(each.what, each.detail)) for each in state.awaited)
        return replace(state, awaited=tuple(awaited)) if self.rescued else state

    def _tell(self, state: Flatness, reading: Reading, waits: bool) -> None:
        progress = self.progress
        progress.awaited, progress.waits = state.awaited, waits
        progress.unvalued, progress.unsellable = state.unvalued, state.unsellable
        if reading.silent or reading.trouble:
            door, why = next(iter((reading.silent or reading.trouble).items()))
            progress.error = f"{door} does not say what it holds: {why}" if reading.silent else f"{door}: {why}"
        elif state.is_flat or waits:
            progress.error = ""
        self._told(progress)
