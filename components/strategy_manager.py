"""Strategy Manager: finds the first row that needs an action, and turns target minus current into a plan.

Triggers in order: risk, capital flows (and what arrived for a plan under way), what is still owed or was cut short,
deviation, dust. Each fires on a change, not on every row. State between rows: whether the entry is done, the plan under
way and the one that a withdrawal overtook, withdrawals owed, and when what failed may be tried again.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import msgspec
import numpy as np

from components.awaited import awaited
from components.deviation import DUST, Deviation, Unmended
from components.exposure_monitor import Exposure
from components.held_back import NEVER, Held, Why, asked_at_once
from components.model.awaited import Awaited
from components.model.errors import MissingData
from components.model.events import EventType
from components.model.keys import (
    GAS,
    RESERVE,
    PositionKey,
    PositionType,
    VenueName,
    base_token,
    token_of,
)
from components.model.measures import Kind
from components.model.orders import Action
from components.model.requirements import DAY_NS, HOUR_NS, reference_price
from components.model.slices import ModeSlice
from components.planner import Planner
from components.ports import Settlements
from components.refusals import Refusal, Refusals
from components.risk_monitor import CRITICAL, EMERGENCIES, Crossing
from components.routing.plan import FULL, Plan, Urgency
from components.situation import Situation
from components.smallest_capital import smallest_capital
from components.strategies.strategy import Strategy
from components.utility_manager import UtilityManager

FLOWS = {
    EventType.LIQUIDATION: "liquidated",
    EventType.TRANSFER_ARRIVED: "arrival",
    EventType.WITHDRAWAL_REQUESTED: "withdrawal",
    EventType.DEPOSIT: "deposit",
}
AT_END = "close at end"
ASKED_FOR = Kind.ASKED.value
REDUCIBLE = (
    Kind.CEX_MARGIN,
    Kind.LTV,
    Kind.LIQUIDATION,
    Kind.DELTA,
)  # the other measures are told, nothing can be reduced
EXITS = (Action.EXIT_FULL, Action.EXIT_PARTIAL)
BARELY = 0.8  # of the smallest capital that works: what is left of one that began just above it
LEAST_COINS = 1e-9  # less of a leg than this is none


class Trigger(msgspec.Struct, frozen=True):
    """Why row `row` of the window needs the manager: its kind, what to call it, and the levels that rose."""

    row: int
    kind: str
    reason: str
    crossings: tuple[Crossing, ...] = ()


class ManagerState(msgspec.Struct, frozen=True, kw_only=True):
    """What the Strategy Manager carries from step to step."""

    entered: bool
    halted: bool
    plan: Plan | None
    owed: float
    blocked: bool
    retry_at: dict[str, int]
    unfinished: bool
    again_at: int
    overtaken: Plan | None
    held: dict[str, Held] = {}
    worked: bool = False
    refusals: dict[str, Refusal] = {}
    awaited: tuple[Awaited, ...] = ()
    least: float = 0.0
    dormant: bool = False


class StrategyManager:
    def __init__(self, mode: ModeSlice, strategy: Strategy, prices: UtilityManager) -> None:
        self._mode = mode
        self.planner = Planner(mode, strategy)
        self._deviation = Deviation(mode, prices)
        self._auto = mode.rebalance == "auto"
        self.entered = False
        self.halted = False
        self.plan: Plan | None = None
        self.owed = 0.0
        self._blocked = False
        self._retry_at: dict[str, int] = {}
        self._unfinished = False  # the plan under way was cut short: tried again, and not before `_again_at` (UTC ns)
        self._again_at = 0
        self._overtaken: Plan | None = None  # under way when a withdrawal came, which goes first
        self._held: dict[str, Held] = {}  # measures that a finished plan left outside their band
        self._worked = False  # the plan under way has done something
        self.refusals = Refusals()
        self._least = 0.0  # the smallest capital that works, as of the last plan, share-class currency
        self.dormant = False  # sold out because there is too little: entered again when enough is paid in
        self.awaited: tuple[Awaited, ...] = ()  # while halted: everything between now and flat

    def state(self) -> ManagerState:
        return ManagerState(
            entered=self.entered,
            halted=self.halted,
            plan=self.plan,
            owed=self.owed,
            blocked=self._blocked,
            retry_at=dict(self._retry_at),
            unfinished=self._unfinished,
            again_at=self._again_at,
            overtaken=self._overtaken,
            held=dict(self._held),
            worked=self._worked,
            refusals=self.refusals.state(),
            awaited=self.awaited,
            least=self._least,
            dormant=self.dormant,
        )

    def restore(self, state: ManagerState) -> None:
        self.entered, self.halted, self.plan, self.owed = state.entered, state.halted, state.plan, state.owed
        self._blocked, self._retry_at, self._unfinished = state.blocked, dict(state.retry_at), state.unfinished
        self._again_at, self._overtaken = state.again_at, state.overtaken
        self._held, self._worked = dict(state.held), state.worked
        self.refusals.restore(state.refusals)
        self.awaited = state.awaited
        self._least, self.dormant = state.least, state.dormant

    def resume(self, book: Mapping[PositionKey, float]) -> None:
        """An operator wants it to trade: what is flat enters anew, anything else is brought to its target."""
        was_halted, self.halted = self.halted, False
        self.dormant = False
        self.awaited = ()
        self.refusals.forget()
        if self._is_flat(book):
            self.entered, self.plan, self._overtaken = False, None, None
            self._blocked = self._unfinished = False
        elif was_halted:
            self.plan, self._unfinished = None, True
        self._again_at = 0

    def take_payment(self, amount: float) -> None:
        """A payment of an earlier row is known only now, share-class currency."""
        self.owed = max(0.0, self.owed - amount)

    def means_arrived(self) -> None:
        """Cash or coin came in: what was held back is worth another try."""
        self._held = asked_at_once(self._held)

    def unmended(self, exposure: Exposure) -> tuple[Unmended, ...]:
        """What finished plans are seen to have left outside its band on the first row, told once."""
        return self._deviation.unmended(exposure, self._held) if self._held else ()

    def advance(self, exposure: Exposure, rows: int) -> None:
        """The first `rows` rows of a window have happened."""
        if self._held:
            self._held = self._deviation.advance(exposure, self._held, rows)

    # Triggers

    def first_trigger(
        self,
        exposure: Exposure,
        settlements: Settlements,
        crossing: Crossing | None,
        commands: tuple[str, ...] = (),
    ) -> Trigger | None:
        """The first row that needs an action; on one row risk comes before flows, flows before deviation, then dust."""
        again = int(np.searchsorted(exposure.window.timestamps, self._again_at))
        if not self.entered and again == 0 and not self.halted:
            return Trigger(0, "entry", "first row")
        found = [None if crossing is None else Trigger(crossing.row, "risk", crossing.name)]
        found += self._flows(settlements)
        found += self._asked(commands)
        if self._blocked:
            found.append(Trigger(0, "blocked", "a stale leg"))
        if (self.entered or self.halted) and self._unfinished:
            found.append(Trigger(again, "retry", "cut short"))
        if not self.entered and not self.halted:
            found.append(Trigger(again, "entry", "first row"))
        found += [self._debt(exposure), self._shrunk(exposure)]
        if self._auto and self.entered and not self.halted and not self.dormant and self.plan is None:
            if deviation := self._deviation.first(exposure, self._held):
                found.append(Trigger(deviation[0], "deviation", deviation[1]))
            if (dust := self._deviation.dust(exposure, self._held)) is not None:
                found.append(Trigger(dust, "dust", "dust above threshold"))
        best: Trigger | None = None
        for trigger in found:
            if trigger is not None and (best is None or trigger.row < best.row):
                best = trigger
        return None if best is None or best.row >= len(exposure.window) else best

    def in_turn(self, first: Trigger, settlements: Settlements, commands: tuple[str, ...] = ()) -> tuple[Trigger, ...]:
        """All that the row of `first` asks for, in order: no flow and no command is lost because something else came on
        its row."""
        flows = self._flows(settlements)
        match first.kind:
            case "risk":
                lost = next((flow for flow in flows if flow.kind == "liquidated"), None)
                if lost is not None and self._mode.hedge_allocation:
                    # A hedge that is gone comes before what is merely too thin: making it good thickens that too.
                    first = first if any(_outranks_a_loss(each) for each in first.crossings) else lost
                others = (flow for flow in flows if flow.kind != "liquidated")
                return (first, *others, *self._asked(commands))
            case "entry" | "close":
                return (*(flow for flow in flows if flow.kind == "withdrawal"), first)
            case "arrival" | "deposit" | "withdrawal" | "liquidated":
                return (*flows, *self._asked(commands))
            case _:
                return (first,)

    def _flows(self, settlements: Settlements) -> tuple[Trigger, ...]:
        """Liquidations, arrivals, withdrawals and deposits of the first row, one trigger for each kind, in this order:
        what came in on the row pays what is asked for on it, and only the net of both is put to work, or unwound."""
        found: dict[str, Trigger] = {}
        for happening in settlements.happenings:
            kind = FLOWS.get(happening.event_type)
            if kind == "liquidated" and not self._auto:
                continue
            if kind is not None and (kind != "deposit" or (self._auto and not self.halted)):
                found.setdefault(kind, Trigger(0, kind, happening.detail))
        return tuple(found[kind] for kind in FLOWS.values() if kind in found)

    # Decisions

    def decide(self, trigger: Trigger, now: Situation, step: int, withdrawals: float) -> Plan | None:
        """The plan for a trigger, or None when there is nothing to do. `withdrawals` were asked for on this row."""
        plan: Plan | None
        match trigger.kind:
            case "entry":
                plan = self.planner.full(Action.ENTRY_FULL, "enter", now, step, self.owed)
            case "withdrawal" | "owed":
                self.owed += min(withdrawals, max(now.equity() - self.owed, 0.0))
                plan = self.planner.withdraw(now, step, self.owed)
            case "too_small":
                self.dormant = True
                plan = self.planner.exit(trigger.reason, now, step, Urgency.ASKED)
            case "deposit" if self.dormant and now.equity() < smallest_capital(now.run, now.row).capital:
                plan = None
            case "deposit" if self._is_spent(now):
                plan = None
            case "deposit":
                self.dormant = False
                plan = self.planner.invest("deposit", now, step, self.owed)
            case "arrival" | "blocked":
                plan = self._resume(now, step)
            case "retry":
                plan = self._again(now, step)
            case "liquidated":
                plan = self._on_liquidation(now, step)
            case "risk":
                plan = self._on_risk(trigger, now, step)
            case "dust":
                plan = msgspec.structs.replace(
                    self.planner.hold(now, step), action=Action.SELL_DUST, reason=trigger.reason, sell_dust=True
                )
            case "close":
                reason = AT_END if trigger.reason == AT_END else "closed by the operator"
                plan = self.planner.exit(reason, now, step, Urgency.ASKED)
            case _:
                plan = self.planner.rebalance(trigger.reason, now, step, self.owed, self._resting(now))
        if plan is not None and trigger.kind in ("deviation", DUST):
            plan = msgspec.structs.replace(plan, cause=DUST if trigger.kind == DUST else trigger.reason)
        return plan

    def finish(
        self,
        plan: Plan,
        trigger: Trigger,
        now: Situation,
        *,
        worked: bool,
        paid: float,
        complete: bool,
        blocked: bool,
        disturbed: bool = False,
        refused: bool = False,
        too_dear: bool = False,
    ) -> None:
        """What became of a plan at this row: it stays under way while anything travels, a leg waits for its price, or
        it was cut short: by something outside (`disturbed`: a venue, an open outcome, withheld authority), or because
        an order was `refused` for what it asks. What leaves a position is tried again on the next row, what was
        refused on the way in after an hour."""
        self.owed = min(max(0.0, self.owed - paid), max(now.equity(), 0.0)) if self.owed else 0.0
        if trigger.kind == "entry" and (worked or (complete and not refused)):
            self.entered = True
        small = trigger.kind in ("deviation", DUST)  # found again by itself
        self._worked = worked or (self._worked and not small)
        cut_short = disturbed or (refused and not small)
        waits = refused and not disturbed and plan.action not in EXITS
        self._again_at = now.row.timestamp + HOUR_NS if waits else 0
        self._blocked = blocked
        self._unfinished = cut_short and self.entered
        overtaken = self.plan if trigger.kind in ("withdrawal", "owed") else None
        if overtaken is not None and not overtaken.pay_out:
            self._overtaken = overtaken
        elif trigger.kind in ("deposit", "entry", "close"):
            self._overtaken = None
        if now.travelling() or blocked or self._unfinished:
            self.plan = plan
        else:
            if plan.cause:
                self._hold(plan.cause, now.row.timestamp, too_dear)
            self.plan, self._overtaken = self._overtaken, None
            self._unfinished = self.plan is not None
            if self.owed < 1e-9:
                self.owed = 0.0
        if self.halted or self.dormant:
            self._keep_closing(plan, now, worked)
        elif self._auto:
            with suppress(MissingData):  # then it stays what it was
                self._least = smallest_capital(now.run, now.row).capital
        if trigger.kind == "owed":
            self._retry_at[trigger.kind] = now.row.timestamp + DAY_NS

    def _hold(self, name: str, at: int, too_dear: bool) -> None:
        """A plan is finished: its measure waits, if the next row shows that it still stands."""
        before = self._held.get(name)
        why = Why.TOO_DEAR if too_dear else Why.DONE if self._worked else Why.TOO_SMALL
        told = before is not None and before.told and before.why is why
        again_at = NEVER if self._worked else at + DAY_NS
        self._held[name] = Held(None, again_at, why, told)

    def _keep_closing(self, plan: Plan, now: Situation, worked: bool) -> None:
        """Halted means flat: as long as anything is awaited, what can be closed is tried again; on the next row when
        something was done, else after an hour."""
        self.awaited = awaited(now, lambda key: self.refusals.speaks_of(key.venue))
        if not self.awaited:
            self.plan, self._overtaken, self._unfinished, self._blocked = None, None, False, False
        elif self.plan is None:
            self.plan, self._unfinished = plan, True
            self._again_at = 0 if worked else now.row.timestamp + HOUR_NS

    def _asked(self, commands: tuple[str, ...]) -> tuple[Trigger, ...]:
        wanted = "rebalance" in commands and self.entered and not (self.halted or self.dormant)
        return (Trigger(0, "deviation", ASKED_FOR),) if wanted else ()

    def _debt(self, exposure: Exposure) -> Trigger | None:
        """What unwinding cost is still owed after a slow withdrawal: paid from the reserve as soon as that is enough,
        else worth another unwinding once a day."""
        if self.owed <= 0.0 or self.plan is not None or not self.entered:
            return None
        usdt = 1.0 if self._mode.share_class == "USDT" else exposure.window.row(0).value(reference_price("ETH"))
        if self.owed * usdt <= self._mode.minimum_trade_usdt:
            return None
        key = base_token(RESERVE, self._mode.share_class)
        if exposure.book.quantities.get(key, 0.0) >= self.owed:
            return Trigger(0, "owed", "still owed")
        row = int(np.searchsorted(exposure.window.timestamps, self._retry_at.get("owed", 0)))
        return Trigger(row, "owed", "still owed")

    def _shrunk(self, exposure: Exposure) -> Trigger | None:
        """The first row on which what is left is clearly less than the smallest capital that works, although something
        is held: legs would be left out one by one."""
        floor = BARELY * self._least
        if floor <= 0.0 or self.halted or self.dormant or not self.entered or self.plan is not None:
            return None
        equity = exposure.equity - self.owed
        if equity.min() >= floor or self._is_flat(exposure.book.quantities):
            return None
        reason = f"less is left than the {self._least:.6g} {self._mode.share_class} that work"
        return Trigger(int((equity < floor).argmax()), "too_small", reason)

    def _is_flat(self, book: Mapping[PositionKey, float]) -> bool:
        """Whether nothing is held but cash, rewards and gas."""
        coin = self._mode.lst_type or self._mode.asset
        legs = (PositionType.PERP, PositionType.A_TOKEN, PositionType.DEBT_TOKEN)
        cash = "USDT" if self._mode.share_class == "USDT" else "ETH"
        return not any(
            abs(amount) > LEAST_COINS
            and (key.position_type in legs or (token_of(key) == coin != cash and key.venue != GAS))
            for key, amount in book.items()
        )

    def _resume(self, now: Situation, step: int) -> Plan | None:
        """What arrived belongs to the plan under way; without one the target is made anew."""
        if self.plan is not None:
            action = self.plan.action
            if action is Action.ENTRY_FULL:
                action = Action.ENTRY_PARTIAL
            careful = self.plan.careful or self.plan.scope == FULL  # what pressed was done on the row it pressed
            return msgspec.structs.replace(self.plan, step=step, action=action, careful=careful)
        if self.halted or self.dormant:
            return self.planner.exit("halted" if self.halted else "too small", now, step)
        return self.planner.invest("arrival", now, step, self.owed) if self._auto else None

    def _again(self, now: Situation, step: int) -> Plan | None:
        """The plan that was cut short, made anew where it grows: what is wanted has moved on since."""
        if self.halted or self.dormant:
            return self.planner.exit("halted" if self.halted else "too small", now, step)
        if self.plan is not None and self.plan.scope == FULL:
            return self.planner.invest(self.plan.reason, now, step, self.owed)
        return self._resume(now, step)

    def _is_spent(self, now: Situation) -> bool:
        """Whether withdrawals of the row took, or will take, what a deposit brought."""
        currency = self._mode.share_class
        left = (now.wallet(currency) - self.owed) * (now.eth_usdt() if currency == "ETH" else 1.0)
        return self.entered and left <= self._mode.minimum_trade_usdt

    def _on_liquidation(self, now: Situation, step: int) -> Plan | None:
        """A venue closed something of its own accord: the other side follows, or the hedge is made good elsewhere."""
        if self.halted or self.dormant:
            return self.planner.exit("halted" if self.halted else "too small", now, step)
        if not self._mode.hedge_allocation:
            return None
        plan = self.planner.hedge("a liquidation", now, step, self.owed, self._resting(now))
        return msgspec.structs.replace(plan, careful=False, urgency=Urgency.CRITICAL)

    def _on_risk(self, trigger: Trigger, now: Situation, step: int) -> Plan | None:
        emergencies = [c for c in trigger.crossings if c.level == CRITICAL and c.measure.kind in EMERGENCIES]
        if emergencies:
            self.halted = True
            return self.planner.exit(f"emergency: {emergencies[0].name}", now, step)
        acting = [c for c in trigger.crossings if c.measure.kind in REDUCIBLE]
        if not acting:
            return None
        if self.halted or self.dormant:
            return self.planner.exit("halted" if self.halted else "too small", now, step)
        return self.planner.reduce(acting, now, step, self.owed, self._resting(now))

    def _resting(self, now: Situation) -> frozenset[VenueName]:
        """Venues that would open no larger short now."""
        return frozenset(venue for venue in self._mode.hedge_allocation if self.refusals.short_rests(venue, now))


def _outranks_a_loss(crossing: Crossing) -> bool:
    """Whether a level that rose decides what is done on a row on which a venue liquidated something."""
    return crossing.level == CRITICAL and (crossing.measure.kind in EMERGENCIES or crossing.measure.kind is Kind.DELTA)
