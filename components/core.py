"""The core: the full loop over a window, as one readable page.

`advance` takes a window of any length and returns the first row it has not handled. Within it: settlements → positions
→ exposure → risk → first trigger → quiet rows are recorded → at the trigger: decide → tight loops → P&L on what is then
held. Nothing here knows whether the ports behind it are simulated or real.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from components.announcer import Announcer
from components.data_provider import DataProvider
from components.event_logger import EventLogger
from components.exposure_monitor import Exposure, ExposureMonitor
from components.manager_state import ManagerState
from components.model.capital import above_equity
from components.model.events import EventType
from components.model.keys import GAS, PositionKey
from components.model.market import Row, Window
from components.model.measures import Kind, Measure
from components.model.orders import DONE, TradeStatus, Verb
from components.model.slices import RunSlice
from components.pieces import prices_of
from components.pnl_monitor import PnlMonitor, PnlState, Steps
from components.ports import (
    FLOW,
    GRANTED,
    PAID,
    Execution,
    MarketData,
    Observation,
    Settlements,
    Sink,
    Standing,
)
from components.position_monitor import BookColumns, PositionMonitor, PositionState
from components.position_update_handler import PositionUpdateHandler
from components.reconciliation import Reconciliation
from components.risk_monitor import RiskMonitor, RiskState
from components.routing.plan import HEDGE, Plan, Urgency
from components.routing.repair import repair_group
from components.routing.route import Route
from components.situation import Situation
from components.strategies.factory import make_strategy
from components.strategy_manager import AT_END, EXITS, PlanResult, StrategyManager
from components.triggers import Trigger
from components.utility_manager import UtilityManager
from components.venue_interface_manager import VenueInterfaceManager
from components.venue_manager import Uncertainty, VenueManager

SHORTEST, LONGEST = 64, 8192
AFTER_TRIGGER = 1024  # rows looked at next: a window costs far more than its rows
CLOSE = "close"
PAY = "pay"  # what is owed, at any cost
WITHDRAW = "withdraw"  # its account tells the core what it comes to, on this row or a later one
ASKED = Measure(Kind.ASKED)
# Somebody waits for the answer: told whether anything can be done or not. Any other decision is asked again and again
# while nothing can, and told when the first of its orders leaves.
TOLD_AT_ONCE = frozenset({"risk", "deposit", "withdrawal", "too_small", CLOSE})
OWN_WISH = (Urgency.ASKED, Urgency.PAYMENT)
NEW_MEANS = frozenset({EventType.TRANSFER_ARRIVED, EventType.DEPOSIT})
ROUNDING = 1e-9  # of equity: as much above it is no more than rounding
WAYS = 3  # in which what leaves or hedges is tried on one row, when venues refuse


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """What is plugged into the core."""

    market_data: MarketData
    observation: Observation
    execution: Mapping[str, Execution]
    sink: Sink


class CoreState(msgspec.Struct, frozen=True, kw_only=True):
    """All that the core carries from step to step: restoring it gives a core that goes on byte for byte."""

    events: int
    step: int
    positions: PositionState
    risk: RiskState
    manager: ManagerState
    pnl: PnlState
    mismatches: int
    trades: int
    liquidations: int
    skipped: tuple[str, ...]
    withheld: tuple[str, ...]
    rejected: int = 0
    closing: tuple[str, ...] | None = None


class Core:
    """One strategy: its components, wired once."""

    def __init__(self, run: RunSlice, ports: Ports, *, strategy_id: str, run_id: str) -> None:
        mode = run.mode
        self.run = run
        self._run_id = run_id
        self._ports = ports
        self.data = DataProvider(ports.market_data)
        self.events = EventLogger(ports.sink, strategy_id, run_id)
        self.prices = UtilityManager.of(mode)
        self.positions = PositionMonitor()
        self.exposure = ExposureMonitor(mode, run.exchanges, self.prices)
        self.risk = RiskMonitor(mode, run.chain)
        self.strategy = make_strategy(mode)
        self.manager = StrategyManager(mode, self.strategy, self.prices)
        self.venues = VenueManager(VenueInterfaceManager(ports.execution), run.exchanges)
        self.pnl = PnlMonitor(run, self.prices, self.positions, ports.sink)
        self.announcer = Announcer(self.events, self.positions)
        self.reconciliation = Reconciliation()
        self.handler = PositionUpdateHandler(
            self.venues, self.positions, ports.observation, self.reconciliation, self.events
        )
        self.trades = 0  # filled, at least in part
        self.rejected = 0
        self.liquidations = 0
        self._rows = SHORTEST

    def start(self, balances: Mapping[PositionKey, float], capital: float, at: int) -> None:
        """Capital is where the run begins; the first row decides what to do with it."""
        self.positions.place(balances)
        self.pnl.start(capital)
        self.events.record(
            EventType.CAPITAL_PLACED, at, self.positions.snapshot(), token=self.run.mode.share_class, amount=capital
        )

    def state(self) -> CoreState:
        return CoreState(
            events=self.events.sequence,
            step=self.events.step,
            positions=self.positions.state(),
            risk=self.risk.state(),
            manager=self.manager.state(),
            pnl=self.pnl.state(),
            mismatches=self.reconciliation.mismatches,
            trades=self.trades,
            rejected=self.rejected,
            liquidations=self.liquidations,
            skipped=self.announcer.skipped,
            withheld=self.handler.told,
            closing=self.announcer.closing,
        )

    def restore(self, state: CoreState) -> None:
        """Goes on where a core with this state stopped."""
        self.events.sequence, self.events.step = state.events, state.step
        self.positions.restore(state.positions)
        self.risk.restore(state.risk)
        self.manager.restore(state.manager)
        self.pnl.restore(state.pnl, peak=state.risk.peak)
        self.reconciliation.mismatches = state.mismatches
        self.trades, self.rejected, self.liquidations = state.trades, state.rejected, state.liquidations
        self.announcer.skipped, self.announcer.closing = state.skipped, state.closing
        self.handler.told = state.withheld

    def run_row(self, start: int, *, until: int, rows: int | None = None, close: bool = False) -> int:
        """Advances over the next window, not beyond `until`; its length adapts: short after a trigger, longer while it
        is quiet, and no longer than to a row that is known to ask for something."""
        window = self.data.window(start, min(rows or self._rows, until - start))
        asks = int(window.timestamps.searchsorted(self.manager.asks_again_at))
        if rows is None and not close and 0 < asks < len(window):
            window = window.head(asks + 1)
        done = self.advance(window, close=close)
        self._rows = min(2 * self._rows, LONGEST) if done == window.stop else AFTER_TRIGGER
        return done

    def advance(
        self, window: Window, *, close: bool = False, standing: Standing = GRANTED, commands: tuple[str, ...] = ()
    ) -> int:
        """Handles rows of `window` up to and including the first that needs an action; returns the next row.

        `close` asks for everything to be sold on the last row of the window, if it is reached. `standing` is the
        authority to trade in this window; `commands` are what an operator asked for: `rebalance`, `resume`, `close`
        (sell everything and stay out until `resume`), `pay` (what is owed, and what is asked for on this row, at any
        cost).
        """
        settlements = self._ports.observation.settle(window, self.positions.expected)
        whole = settlements.rows == len(window)
        window = window if whole else window.head(settlements.rows)
        book = self.positions.project(window, settlements)
        if "resume" in commands:
            self.manager.resume(book.quantities)
            self.announcer.closing = None
        if PAY in commands and (self.manager.owed or WITHDRAW in commands or _asks_for_money(settlements)):
            self.manager.pay_at_any_cost()
        exposure = self.exposure.measure(book)
        self._take_flows(settlements, exposure)
        if any(happening.event_type in NEW_MEANS for happening in settlements.happenings):
            self.manager.means_arrived()
            self.risk.means_arrived()
        unmended = self.manager.unmended(exposure)
        risk = self.risk.assess(exposure, self.pnl.units)
        crossing = self.risk.first_crossing(risk) if self.run.mode.rebalance == "auto" else None
        trigger = self.manager.first_trigger(exposure, settlements, crossing, commands)
        if close and whole and (trigger is None or trigger.row == len(window) - 1):
            trigger = Trigger(len(window) - 1, CLOSE, AT_END)
        if CLOSE in commands:
            trigger = Trigger(0, CLOSE, CLOSE)
        rows = len(window) if trigger is None else trigger.row + 1
        if unmended and rows > 1:
            rows, trigger = 1, None
        crossings = self.risk.crossings_at(risk, rows - 1) if crossing is not None else ()

        self.events.payments(settlements.cash, rows, self._before(book, settlements))
        self.positions.happened(book, settlements, rows)
        self._ports.observation.accept(window, settlements, rows)
        self.liquidations += sum(h.event_type is EventType.LIQUIDATION for h in settlements.happenings)
        self.announcer.happenings(settlements.happenings, book)
        self.announcer.crossings(crossings, int(window.timestamps[rows - 1]))
        self.announcer.unmended(unmended, int(window.timestamps[0]))
        self.risk.advance(risk, rows, crossings)
        self.manager.advance(exposure, rows)
        steps = self.pnl.attribute(book, settlements, risk, rows)
        if trigger is not None:
            halted = self.manager.halted
            self.manager.halted = halted or CLOSE in commands
            first = msgspec.structs.replace(trigger, crossings=crossings)
            for one in self.manager.in_turn(first, settlements, commands):
                self._act(one, settlements, window.row(rows - 1), steps, standing)
            if self.manager.halted and not halted:
                self.announcer.halt(trigger.reason, window.row(rows - 1))
        self.pnl.commit(steps)
        return window.start + rows

    def _act(
        self, trigger: Trigger, settlements: Settlements, row: Row, steps: Steps, standing: Standing = GRANTED
    ) -> None:
        """Decide and do, on one row."""
        now = Situation(self.run, row, self.positions, self.prices)
        asked = self._granted(settlements, now) if trigger.kind == "withdrawal" else 0.0
        if trigger.kind == "withdrawal" and not asked and not self.manager.owed:
            self.manager.at_any_cost = False  # said of a withdrawal that was refused
            return
        self.events.step += 1
        plan = self.manager.decide(trigger, now, self.events.step, asked)
        told = trigger.kind in TOLD_AT_ONCE or trigger.measure == ASKED
        if plan is not None and told:
            self.announcer.decision(plan, trigger.kind, row)
        for _ in range(WAYS):
            if plan is None:
                break
            refused = self._do(plan, trigger, now, row, steps, standing, told)
            self.events.step += refused
            plan = msgspec.structs.replace(plan, step=self.events.step) if refused else None
            told = True
        if self.manager.halted or self.manager.dormant:
            self.announcer.close(self.manager.awaited, row)
        else:
            self.announcer.closing = None

    def _do(
        self, plan: Plan, trigger: Trigger, now: Situation, row: Row, steps: Steps, standing: Standing, told: bool
    ) -> bool:
        """One way of a plan; whether a venue refused an order of one that leaves or hedges, so that there may be
        another way."""
        route = Route(plan, now, self._run_id, self.manager.owed, self.manager.refusals)
        result = self.handler.run(
            route.groups(),
            row.timestamp,
            lambda group: prices_of(group, now),
            standing,
            lambda: self._uncertainty(now),
            lambda group, trades: repair_group(group, trades, now),
            leaving=None if told else lambda: self.announcer.decision(plan, trigger.kind, row),
        )
        statuses = [trade.status for trade in result.trades]
        self.trades += sum(statuses.count(status) for status in DONE)
        self.rejected += statuses.count(TradeStatus.REJECTED)
        if result.trades:
            cost = self.pnl.trade(steps, result.trades, row, leaver_pays=plan.leaver_pays)
            self.risk.forgive(cost if plan.urgency in OWN_WISH and not plan.leaver_pays else 0.0)
        self.manager.refusals.note(result.orders, result.trades, now)
        self.announcer.left_out([*route.skipped, *route.stays, *([result.stopped] if result.stopped else [])], row)
        came = PlanResult(
            worked=any(t.changes or t.status is TradeStatus.UNKNOWN for t in result.trades),
            paid=sum(abs(t.quantity) for t in result.trades if t.verb is Verb.PAY_OUT),
            complete=not route.skipped,
            blocked=route.blocked,
            disturbed=result.disturbed or route.waiting,
            refused=result.refused,
            too_dear=bool(route.too_dear),
        )
        self.manager.finish(plan, trigger, now, came)
        if plan.pay_out > 0.0 and route.too_dear and not now.travelling():  # what arrives is paid, and asks again
            self.announcer.payment_waits(self.manager.owed, route.too_dear.values(), now)
        pressing = plan.action in EXITS or plan.scope == HEDGE or not plan.careful
        return pressing and result.refused and not result.disturbed

    def _granted(self, settlements: Settlements, now: Situation) -> float:
        """What withdrawals of this row are granted, share-class currency; one above the equity is refused whole."""
        left, granted = now.equity() - self.manager.owed, 0.0
        for happening in settlements.happenings:
            if happening.event_type is not EventType.WITHDRAWAL_REQUESTED:
                continue
            if happening.amount <= left * (1.0 + ROUNDING):
                left, granted = left - happening.amount, granted + happening.amount
                continue
            self.events.record(
                EventType.WITHDRAWAL_REFUSED,
                now.row.timestamp,
                self.positions.snapshot(),
                venue=happening.venue,
                token=happening.token,
                amount=happening.amount,
                status="refused",
                detail=above_equity(happening.amount, max(left, 0.0), happening.token),
            )
        return granted

    def _take_flows(self, settlements: Settlements, exposure: Exposure) -> None:
        """Deposits buy units at the value just before they came; a payment that was made earlier redeems them now."""
        row, flow, flowed = exposure.window.row(0), 0.0, False
        for happening in settlements.happenings:
            if happening.part in (FLOW, PAID):
                flowed = True
                for key, change in happening.changes.items():
                    if happening.part == FLOW or key.venue != GAS:
                        flow += change * self.prices.value_at(row, key)
            if happening.part == PAID:
                paid = abs(happening.amount)
                self.manager.take_payment(-paid if happening.undoes else paid)
        if flowed:
            self.pnl.take_flow(flow, float(exposure.equity[0]) - flow, row)

    def _uncertainty(self, now: Situation) -> Uncertainty:
        low, high = now.net_coins()
        reference = now.reference() if self.run.mode.hedge_allocation else 1.0
        return Uncertainty(now.coin, reference, low, high, tuple(self.positions.uncertain), now.open_legs())

    def _before(self, book: BookColumns, settlements: Settlements) -> Mapping[PositionKey, float]:
        """Balances before the cash flows of a window; its happenings are told after them."""
        return {key: amount for key, amount in book.held.items() if amount != 0.0} if settlements.cash else {}


def _asks_for_money(settlements: Settlements) -> bool:
    return any(each.event_type is EventType.WITHDRAWAL_REQUESTED for each in settlements.happenings)
