"""Bugs that users of other daemons reported, put in one by one: the simulation must catch each.

A scenario without the bug is clean; the same with it is not. Sources: NOTES-reliability §2.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from components.model.errors import BasisError
from components.model.keys import PositionKey, PositionType, perp
from components.model.orders import Order, OrderGroup, OrderState, Trade
from components.position_monitor import PositionMonitor
from components.utility_manager import UtilityManager
from daemon.cells import observer
from daemon.cells.authority import Authority
from daemon.cells.bridge import Bridge
from daemon.cells.cell import Cell
from daemon.cells.supervisor import Supervisor
from daemon.config.daemon_file import DaemonSlice, StrategyEntry
from daemon.control.commands import Request
from daemon.journal.errors import JournalBroken
from daemon.journal.records import Outcome
from daemon.monitoring.health import Health
from daemon.orders.dispatch import Dispatch
from daemon.orders.gate import Gate
from daemon.process.daemon import Daemon
from daemon.process.journals import Journals
from daemon.process.mending import Mending
from daemon.recorded.recovery import Recovered, recover_journal
from daemon.safety import emergency
from daemon.safety.emergency import Emergency
from daemon.safety.flat import Flatness
from daemon.safety.marks import marked_row
from daemon.state.latch import Latch, Latches, replace_durably
from daemon.state.latch_keeper import LatchKeeper
from daemon.world.rows import EmbeddedMarket, MarketRow
from tests.simulation.hands import INJECTED
from tests.simulation.harness import HOUR_NS, Run, operator, simulate
from tests.simulation.host_faults import HostDisk, HostFault
from tests.simulation.oracles import DISK_ERRORS, judged
from venues.interfaces import Settled
from venues.paper.door.faults import Fault

ONE, NEUTRAL = ("btc-basis",), ("market-neutral",)
MINUTE_NS = HOUR_NS // 60
EXCHANGES = ("binance", "bybit", "okx")
Patch = Callable[[pytest.MonkeyPatch], None]


def every(kind: str, minutes: float, *, lasts_s: float, venues: Sequence[str], hours: float = 1.0, **words: Any) -> Any:
    """The same fault again and again."""

    def planned(strategy: str, start: int) -> tuple[Fault, ...]:
        count = int(hours * 60.0 / minutes)
        return tuple(
            Fault(
                kind=kind,
                venue=venue,
                at=start + int((5.0 + i * minutes) * MINUTE_NS),
                duration_s=lasts_s,
                parameters=words,
            )
            for i in range(count)
            for venue in venues
        )

    return planned


def before_funding(config: DaemonSlice) -> DaemonSlice:
    """The market begins half an hour before funding is paid."""
    assert config.market.start is not None
    market = msgspec.structs.replace(config.market, start=config.market.start + int(7.5 * HOUR_NS))
    return msgspec.structs.replace(config, market=market)


def lost_answers() -> Run:
    """Answers to orders are lost; the orders are done."""
    planned = every("reset_after_send", 4.0, lasts_s=70.0, venues=("binance", "bybit"), endpoint="submit")
    return simulate(3, 1.6, ids=ONE, planned=planned, script=operator(3, least_s=60.0, most_s=120.0))


def silence() -> Run:
    """Answers are lost and the venue does not say anything for a while after."""
    planned = every("black_hole", 6.0, lasts_s=100.0, venues=("binance", "okx"))
    return simulate(4, 1.6, ids=ONE, planned=planned, script=operator(4, least_s=60.0, most_s=120.0))


def repeated_frames() -> Run:
    """What venues report comes twice, and is read again."""
    planned = every("duplicate_frame", 3.0, lasts_s=170.0, venues=("binance", "bybit", "okx"))
    return simulate(5, 1.6, ids=ONE, planned=planned, changed=before_funding)


def lost_frames() -> Run:
    """What venues report is left out of a page once."""
    planned = every("dropped_frame", 10.0, lasts_s=590.0, venues=("binance", "bybit", "okx"))
    return simulate(6, 1.6, ids=ONE, planned=planned, changed=before_funding)


def stopped_in_flight() -> Run:
    """An emergency stop while orders are under way that others of the same step wait for."""

    async def script(daemon: Daemon, result: Run, until: float) -> None:
        await trio.sleep(600.0)
        await _asked(daemon, "withdraw", "stop1")
        in_flight = daemon.supervisor.cells[ONE[0]].desk.dispatch.in_flight
        while not any(order.venue in EXCHANGES for order in in_flight.values()):
            await trio.sleep(0.01)
        await trio.sleep(0.02)
        await daemon.operator.emergency(None, "test", 0)
        await trio.sleep(1200.0)

    planned = every("latency", 1.0, lasts_s=59.0, venues=("okx",), factor=40.0, endpoint="submit")
    return simulate(7, 1.0, ids=ONE, planned=planned, script=script)


def late_fills() -> Run:
    """The stop comes while an order that the venue has accepted is not filled yet and cannot be taken back."""

    async def script(daemon: Daemon, result: Run, until: float) -> None:
        await trio.sleep(600.0)
        await _deposit(daemon, "late1")
        while not daemon.supervisor.cells[ONE[0]].desk.dispatch.in_flight:
            await trio.sleep(0.01)
        await daemon.operator.emergency(None, "test", 0)
        account = result.accounts[ONE[0]]
        await trio.sleep(6.0)
        # A fill that the venue tells nobody of until now.
        account.world.adjust({perp("okx", "BTC"): -0.05})
        await trio.sleep(1200.0)

    return simulate(8, 1.0, ids=ONE, script=script)


def torn_step() -> Run:
    """The core fails right after its orders were done; the cell starts again."""

    async def script(daemon: Daemon, result: Run, until: float) -> None:
        for i in range(3):
            await trio.sleep(400.0 + 100.0 * i)
            cell = daemon.supervisor.cells[ONE[0]]
            send = cell.desk.dispatch.send
            hit = []

            async def once(group: OrderGroup, send: Any = send, hit: list[int] = hit, **words: Any) -> Any:
                trades = await send(group, **words)
                if not hit:
                    hit.append(1)
                    raise RuntimeError("the core fails after its orders were done")
                return trades

            cell.desk.dispatch.send = once  # type: ignore[method-assign]
            await _deposit(daemon, f"torn{i}")

    run = simulate(9, 1.2, ids=ONE, script=script)
    run.crashes = [crash for crash in run.crashes if "the core fails after" not in crash]
    return run


def wild_price() -> Run:
    """One row of the market says something impossible."""
    row = EmbeddedMarket.row

    def wild(self: EmbeddedMarket, index: int, tick: int) -> MarketRow:
        told = row(self, index, tick)
        if index == 30:
            values = {**told.values, "binance.spot.BTC": told.values["binance.spot.BTC"] * 3.0}
            return msgspec.structs.replace(told, values=values)
        return told

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EmbeddedMarket, "row", wild)
        return simulate(10, 0.8, ids=ONE)


def stopped_while_coins_travel() -> Run:
    """An emergency stop right after the entry of a strategy whose coins take longer than every grace to arrive."""

    async def script(daemon: Daemon, result: Run, until: float) -> None:
        await _entered(daemon, NEUTRAL[0])
        await daemon.operator.emergency(None, "test", 0)

    return simulate(11, 1.2, ids=NEUTRAL, script=script)


def stopped_with_an_airdrop() -> Run:
    """Tokens that nobody has a price of lie in the account when it is stopped."""

    async def script(daemon: Daemon, result: Run, until: float) -> None:
        await _entered(daemon, ONE[0])
        spam = PositionKey("wallet:BaseToken:PEPE")
        result.accounts[ONE[0]].foreign_transfer("spam", None, spam, 1e6, daemon.clock.now())
        await trio.sleep(120.0)
        words = {"venue": "chain"}
        await daemon.operator.handle(Request(kind="adopt", strategy=ONE[0], arguments=words, key="adopt"), 0)
        await trio.sleep(300.0)
        await daemon.operator.emergency(None, "test", 0)

    return simulate(12, 0.8, ids=ONE, script=script)


def adopted_after_the_entry() -> Run:
    """An operator adopts what a venue holds right after the strategy has traded there."""

    async def script(daemon: Daemon, result: Run, until: float) -> None:
        await _entered(daemon, ONE[0])
        for venue in ("binance", "bybit"):
            words = {"venue": venue}
            await daemon.operator.handle(Request(kind="adopt", strategy=ONE[0], arguments=words, key=venue), 0)

    return simulate(13, 0.8, ids=ONE, script=script)


def stopped_with_a_broken_journal() -> Run:
    """The journal of a strategy with positions is damaged, its cell is started again, and then it is stopped."""

    async def script(daemon: Daemon, result: Run, until: float) -> None:
        await _entered(daemon, ONE[0])
        cell = daemon.supervisor.cells[ONE[0]]
        await trio.sleep(300.0)

        async def unreadable(*_: object) -> Any:
            await trio.lowlevel.checkpoint()
            raise JournalBroken(ONE[0], "record 7", "a byte is changed")

        daemon.supervisor._make_cell = unreadable
        cell.cut()
        daemon.supervisor.restart(ONE[0])
        await trio.sleep(60.0)
        await daemon.operator.emergency(None, "test", 0)

    run = simulate(14, 2.2, ids=ONE, script=script)
    run.crashes = [crash for crash in run.crashes if "a byte is changed" not in crash]
    return run


def stopped_on_a_full_disk() -> Run:
    """The latch cannot be written, and the cell of the strategy is started again while that is so."""

    async def script(daemon: Daemon, result: Run, until: float) -> None:
        await _entered(daemon, ONE[0])
        with pytest.MonkeyPatch.context() as full:
            full.setattr("daemon.state.latch.replace_durably", _no_room)
            daemon.latches._replace = _no_room
            await daemon.operator.emergency(None, "test", 0)
            await trio.sleep(300.0)
            daemon.supervisor.restart(ONE[0])
            await trio.sleep(600.0)
        daemon.latches._replace = replace_durably

    return simulate(15, 2.0, ids=ONE, script=script)


def closed_without_a_journal() -> Run:
    """No journal can be had when a strategy is closed: the disk is full, its cell starts again and again, and what the
    emergency does is read by nobody until the operator resumes it."""

    async def script(daemon: Daemon, result: Run, until: float) -> None:
        await _entered(daemon, ONE[0])
        assert isinstance(result.disk, HostDisk)
        result.disk.is_full = True
        while not daemon._journals.of[ONE[0]].journal.closed:
            await trio.sleep(1.0)
        await daemon.operator.emergency(ONE[0], "test", 0)
        await trio.sleep(300.0)
        result.disk.is_full = False
        await trio.sleep(60.0)
        await daemon.operator.handle(Request(kind="resume", strategy=ONE[0], key="resume"), 0)

    run = simulate(16, 1.2, ids=ONE, script=script)
    run.crashes = [crash for crash in run.crashes if not any(error in crash for error in DISK_ERRORS)]
    return run


def suspended() -> Run:
    """The whole process does not run for longer than any step may take."""
    fault = HostFault(kind="suspend", strategy=ONE[0], after_s=1200.0)
    return simulate(17, 1.2, ids=ONE, host=(fault,))


def naked_before_its_first_step() -> Run:
    """The shorts of a strategy are gone, and its cell ends before it has finished a step, again and again."""

    async def script(daemon: Daemon, result: Run, until: float) -> None:
        await _entered(daemon, ONE[0])
        account = result.accounts[ONE[0]]
        perps = [key for key in account.balances if key.position_type is PositionType.PERP]
        make = daemon.supervisor._make_cell

        async def failing(*_: object, **__: object) -> None:
            await trio.lowlevel.checkpoint()
            raise RuntimeError(INJECTED)

        async def made(entry: Any) -> Cell:
            cell = await make(entry)
            cell.actor.step = failing  # type: ignore[method-assign,assignment]
            return cell

        daemon.supervisor._make_cell = made
        daemon.supervisor.replicas.clear()
        daemon.supervisor.restart(ONE[0])
        account.world.adjust({key: -account.balances[key] for key in perps})

    run = simulate(18, 1.2, ids=ONE, script=script)
    run.crashes = [crash for crash in run.crashes if INJECTED not in crash]
    run.struck.append(HostFault(kind="crash", strategy=ONE[0], after_s=0.0))
    return run


def failed_audit_journal() -> Run:
    """A write of the daemon's own journal fails once."""

    async def script(daemon: Daemon, result: Run, until: float) -> None:
        await _entered(daemon, ONE[0])
        assert isinstance(result.disk, HostDisk)
        result.disk.fail_next("daemon", "sync")
        await trio.sleep(300.0)
        await _deposit(daemon, "poison")
        await trio.sleep(300.0)

    return simulate(19, 0.8, ids=ONE, script=script)


def reloaded() -> Run:
    """A limit of the daemon and a threshold of every strategy are reloaded while it runs."""
    return simulate(20, 0.8, ids=ONE, host=(HostFault(kind="reload", strategy=ONE[0], after_s=600.0),))


def _no_room(path: Path, data: bytes) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


async def _entered(daemon: Daemon, strategy: str) -> None:
    """Right after the step of the entry, before anybody has looked again."""
    while daemon.supervisor.cells[strategy].actor.steps < 1:
        await trio.sleep(0.05)
    await trio.sleep(0.1)


async def _deposit(daemon: Daemon, key: str) -> None:
    await _asked(daemon, "deposit", key)


async def _asked(daemon: Daemon, kind: str, key: str) -> None:
    words = {"amount": "30000"}
    try:
        await daemon.operator.handle(Request(kind=kind, strategy=ONE[0], arguments=words, key=key), 0)
    except BasisError:
        await trio.lowlevel.checkpoint()


# The bugs


def timeout_is_failure(patch: pytest.MonkeyPatch) -> None:
    """hummingbot#8457, barter-rs: an order whose answer is late counts as one that failed."""

    async def give_up(self: Dispatch, leg: OrderGroup, reason: str) -> Sequence[Trade]:
        await trio.lowlevel.checkpoint()
        return [self._nothing(order, "timeout") for order in leg.orders]

    patch.setattr(Dispatch, "_find_out", give_up)


def network_error_is_not_found(patch: pytest.MonkeyPatch) -> None:
    """hummingbot client_order_tracker: a question that fails counts as "no such order"."""
    ask = Dispatch.ask

    async def hasty(self: Dispatch, order: Order) -> Trade | None:
        return await ask(self, order) or self._nothing(order, "not found")

    patch.setattr(Dispatch, "ask", hasty)


def new_id_after_unknown(patch: pytest.MonkeyPatch) -> None:
    """hummingbot#493, nautilus#4215: an order whose outcome is not known is placed again."""
    find_out = Dispatch._find_out

    async def again(self: Dispatch, leg: OrderGroup, reason: str) -> Sequence[Trade]:
        orders = tuple(msgspec.structs.replace(order, id=f"{order.id}x") for order in leg.orders)
        with contextlib.suppress(BasisError):
            await self._clients[orders[0].venue].submit(msgspec.structs.replace(leg, orders=orders))
        return await find_out(self, leg, reason)

    patch.setattr(Dispatch, "_find_out", again)


def kill_switch_leaks(patch: pytest.MonkeyPatch) -> None:
    """hummingbot#2534: the kill switch fires and the strategy goes on placing orders."""

    def stop(self: Cell, reason: str) -> None:
        self.desk.gate.close(reason)  # the core is not cancelled, and dispatch does not look

    async def send(self: Dispatch, group: OrderGroup, **words: Any) -> tuple[Trade, ...]:
        return await real(self, group, origin="emergency")

    real = Dispatch.send
    patch.setattr(Cell, "emergency_stop", stop)
    patch.setattr(Dispatch, "send", send)


def naive_shield(patch: pytest.MonkeyPatch) -> None:
    """NOTES-async §4: an effect starts although the step is cancelled; all remaining orders are still placed."""

    async def run(self: Bridge, effect: Any, arguments: tuple[object, ...], critical: bool) -> Any:
        with trio.CancelScope(shield=True):
            async with self._baton.put_down():
                return await effect(*arguments)

    patch.setattr(Bridge, "_run", run)
    patch.setattr(Gate, "closed", property(lambda self: False if _in_dispatch() else bool(self.reason)))


def _in_dispatch() -> bool:
    import sys

    frame: Any = sys._getframe(2)
    return bool(frame.f_code.co_filename.endswith("dispatch.py"))


def flat_once_is_flat(patch: pytest.MonkeyPatch) -> None:
    """nautilus#2572: fills that arrive between cancel and close leave a position after the stop."""

    async def flatten(self: Emergency, latch: str) -> bool:
        reading = await self.doors.read()
        marked = marked_row(self._run, self._clock.now(), reading.marks, self._last(), reading.positions)
        await self._close(reading, marked, f"{self._strategy}/{latch}/1")
        return True

    patch.setattr(Emergency, "flatten", flatten)


def booked_twice(patch: pytest.MonkeyPatch) -> None:
    """freqtrade#13263: the same payment counts again when it is read again."""

    def forgetful(self: observer.Observer) -> Iterable[Settled]:
        found = not_booked(self)
        self._unbooked.booked.clear()
        return found

    not_booked = observer.Observer._not_booked
    patch.setattr(observer.Observer, "_not_booked", forgetful)
    patch.setattr(observer, "RESYNC_POLLS", 2)


def never_resynced(patch: pytest.MonkeyPatch) -> None:
    """LEAN TradeStation#101: a frame lost on a healthy stream is never asked for again."""
    patch.setattr(observer, "OVERLAP", 0)


def forgotten_outcomes(patch: pytest.MonkeyPatch) -> None:
    """freqtrade#4403: what was sent in a step that failed is not looked for after the restart."""

    def forgetful(*arguments: Any) -> Recovered:
        recovered = recover_journal(*arguments)
        recovered.unbooked.late, recovered.uncertain = {}, []
        return recovered

    patch.setattr("daemon.process.journals.recover_journal", forgetful)


def resurrected(patch: pytest.MonkeyPatch) -> None:
    """barter-rs#206: a late answer brings back an order that was settled before."""
    arrive = PositionMonitor._arrive

    def keeps(self: PositionMonitor, happening: Any) -> None:
        arrive(self, msgspec.structs.replace(happening, resolves=None))

    patch.setattr(PositionMonitor, "_arrive", keeps)


def outcomes_not_journaled(patch: pytest.MonkeyPatch) -> None:
    """freqtrade#6907: the record of an order is dropped when its answer is slow."""
    send = Dispatch.send

    async def lossy(self: Dispatch, group: OrderGroup, **words: Any) -> tuple[Trade, ...]:
        log = self._log

        class Lossy:
            def append(self, record: Any) -> int:
                return 0 if isinstance(record, Outcome) and record.state != OrderState.FILLED else log.append(record)

            async def commit(self) -> None:
                await log.commit()

        self._log = Lossy()
        try:
            return await send(self, group, **words)
        finally:
            self._log = log

    patch.setattr(Dispatch, "send", lossy)


def trades_on_anything(patch: pytest.MonkeyPatch) -> None:
    """nautilus#4298: a feed that tells nonsense, or nothing new, is traded on."""
    patch.setattr(Authority, "_market", lambda self, row, now: iter(()))


def flat_when_nothing_is_left_to_send(patch: pytest.MonkeyPatch) -> None:
    """Ours: flat was said when the plan was empty, with every short open and the coins on their way."""
    before = emergency.flatness

    def flatness(*arguments: Any, **words: Any) -> Flatness:
        before(*arguments, **words)
        return Flatness()

    patch.setattr(emergency, "flatness", flatness)


def every_token_has_a_price(patch: pytest.MonkeyPatch) -> None:
    """Ours: an airdrop raised in picture, emergency and core."""
    patch.setattr(UtilityManager, "_valued", UtilityManager._build)


def the_last_look_is_adopted(patch: pytest.MonkeyPatch) -> None:
    """Ours: a look from before the last trade was taken over."""

    async def look(self: observer.Observer, venue: str) -> observer.View:
        await trio.lowlevel.checkpoint()
        return self.views[venue]

    patch.setattr(observer.Observer, "look", look)
    patch.setattr(observer.View, "is_current", property(lambda self: True))


def only_a_cell_can_close(patch: pytest.MonkeyPatch) -> None:
    """Ours: the stop of a strategy without a cell was acknowledged, and nothing was sent."""
    patch.setattr(Supervisor, "_is_to_close", lambda self, strategy: False)


def a_latch_is_a_file(patch: pytest.MonkeyPatch) -> None:
    """Ours: closing waited for ever for a latch that the disk did not take."""

    def write(self: LatchKeeper, scope: str, latch: Latch) -> None:
        with contextlib.suppress(OSError):
            Latches._write(self, scope, latch)

    patch.setattr(LatchKeeper, "_write", write)
    patch.setattr(LatchKeeper, "_read", Latches._read)


def only_shouted(patch: pytest.MonkeyPatch) -> None:
    """Ours: what an emergency did without a journal never came into the books."""
    patch.setattr(Journals, "owe", lambda self, strategy, record, told: None)


def waking_is_stuck(patch: pytest.MonkeyPatch) -> None:
    """Ours: a process that was stopped for a while took every cell for stuck when it woke, and sold everything."""
    patch.setattr(Health, "forgive", lambda self, since: None)


def unknown_is_hedged(patch: pytest.MonkeyPatch) -> None:
    """Ours: a cell that never finished a step has no figures, and its net exposure was taken for 0."""

    async def exposed(self: Supervisor, entry: StrategyEntry) -> bool:
        await trio.lowlevel.checkpoint()
        replica = self.replicas.get(entry.id)
        delta = replica.columns.get("net_delta", 0.0) if replica is not None else 0.0
        return delta > entry.run.mode.risk.delta.critical

    patch.setattr(Supervisor, "_is_exposed", exposed)


def never_mended(patch: pytest.MonkeyPatch) -> None:
    """Ours: after a moment without room the daemon's own journal took nothing until a restart."""

    async def mend(self: Mending, journal: Any) -> None:
        await trio.lowlevel.checkpoint()

    patch.setattr(Mending, "_mend", mend)


def journaled_and_not_taken(patch: pytest.MonkeyPatch) -> None:
    """Ours: limits were told and journaled as reloaded, and none of them was in force."""

    async def take(self: Daemon, config: DaemonSlice) -> None:
        await trio.lowlevel.checkpoint()

    patch.setattr(Daemon, "_take_configuration", take)


def thresholds_of_before(patch: pytest.MonkeyPatch) -> None:
    """Ours: the threshold of a strategy was reloaded, and its core went by the one of before."""
    patch.setattr(Cell, "reconfigure", lambda self, run, changes: None)


BUGS: tuple[tuple[Callable[[], Run], Patch], ...] = (
    (silence, timeout_is_failure),
    (silence, network_error_is_not_found),
    (lost_answers, new_id_after_unknown),
    (stopped_in_flight, kill_switch_leaks),
    (stopped_in_flight, naive_shield),
    (late_fills, flat_once_is_flat),
    (repeated_frames, booked_twice),
    (lost_frames, never_resynced),
    (torn_step, forgotten_outcomes),
    (silence, resurrected),
    (silence, outcomes_not_journaled),
    (wild_price, trades_on_anything),
    (stopped_while_coins_travel, flat_when_nothing_is_left_to_send),
    (stopped_with_an_airdrop, every_token_has_a_price),
    (adopted_after_the_entry, the_last_look_is_adopted),
    (stopped_with_a_broken_journal, only_a_cell_can_close),
    (stopped_on_a_full_disk, a_latch_is_a_file),
    (closed_without_a_journal, only_shouted),
    (suspended, waking_is_stuck),
    (naked_before_its_first_step, unknown_is_hedged),
    (failed_audit_journal, never_mended),
    (reloaded, journaled_and_not_taken),
    (reloaded, thresholds_of_before),
)
SCENARIOS = tuple(dict.fromkeys(scenario for scenario, _ in BUGS))


@cache
def clean(scenario: Callable[[], Run]) -> tuple[str, ...]:
    return tuple(judged(scenario()))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.__name__)
def test_the_scenario_is_clean_without_the_bug(scenario: Callable[[], Run]) -> None:
    assert clean(scenario) == ()


@pytest.mark.parametrize(("scenario", "bug"), BUGS, ids=lambda each: each.__name__)
def test_the_simulation_catches(scenario: Callable[[], Run], bug: Patch, monkeypatch: pytest.MonkeyPatch) -> None:
    bug(monkeypatch)
    assert judged(scenario()), "nobody noticed"
