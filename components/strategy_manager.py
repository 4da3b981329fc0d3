"""Strategy Manager: what a trigger is answered with, and what becomes of the plan under way.

State between rows: whether the entry is done, the plan under way and the one that a withdrawal overtook, withdrawals
owed, and when what failed may be tried again.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import msgspec

from components.awaited import awaited
from components.deviation import DUST, Deviation, Unmended
from components.exposure_monitor import Exposure
from components.held_back import NEVER, Held, Why, asked_at_once
from components.levels import CRITICAL, Crossing
from components.manager_state import ManagerState
from components.model.awaited import Awaited
from components.model.errors import MissingData
from components.model.keys import (
    PositionKey,
    VenueName,
)
from components.model.measures import Kind, Measure, measure_of
from components.model.orders import Action
from components.model.requirements import DAY_NS, HOUR_NS
from components.model.slices import ModeSlice
from components.planner import Planner
from components.ports import Settlements
from components.refusals import Refusals
from components.risk_monitor import EMERGENCIES
from components.routing.plan import FULL, Plan, Urgency
from components.situation import Situation
from components.smallest_capital import least_worth_holding, smallest_capital
from components.strategies.strategy import Strategy
from components.triggers import Trigger, Triggers, is_flat
from components.utility_manager import UtilityManager

AT_END = "close at end"
REDUCIBLE = (
    Kind.CEX_MARGIN,
    Kind.LTV,
    Kind.LIQUIDATION,
    Kind.DELTA,
)  # the other measures are told, nothing can be reduced
FAR_ABOVE = 10.0  # times the smallest capital that works: it need not be worked out again
DEAR_DAYS = 3  # after which margin that was too dear to restore is asked for again: discounts move within days
EXITS = (Action.EXIT_FULL, Action.EXIT_PARTIAL)


class PlanResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan came to on one row."""

    worked: bool  # something moved, or may have
    paid: float  # out to the owner, share-class currency
    complete: bool  # nothing of it was left out
    blocked: bool  # a leg waits for its price
    disturbed: bool = False  # cut short from outside: a venue, an uncertain order, withheld authority
    refused: bool = False  # an order was refused for what it asks
    too_dear: bool = False


class StrategyManager:
    def __init__(self, mode: ModeSlice, strategy: Strategy, prices: UtilityManager) -> None:
        self._mode = mode
        self.planner = Planner(mode, strategy)
        self._deviation = Deviation(mode, prices)
        self._triggers = Triggers(mode, self._deviation)
        self._auto = mode.rebalance == "auto"
        self.entered = False
        self.halted = False
        self.plan: Plan | None = None
        self.owed = 0.0
        self.at_any_cost = False  # what is owed is paid whatever it costs, as its owner said
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
            at_any_cost=self.at_any_cost,
            dormant=self.dormant,
        )

    def restore(self, state: ManagerState) -> None:
        self.entered, self.halted, self.plan, self.owed = state.entered, state.halted, state.plan, state.owed
        self._blocked, self._retry_at, self._unfinished = state.blocked, dict(state.retry_at), state.unfinished
        self._again_at, self._overtaken = state.again_at, state.overtaken
        self._held, self._worked = dict(state.held), state.worked
        self.refusals.restore(state.refusals)
        self.awaited = state.awaited
        self._least, self.dormant, self.at_any_cost = state.least, state.dormant, state.at_any_cost

    def resume(self, book: Mapping[PositionKey, float]) -> None:
        """An operator wants it to trade: what is flat enters anew, anything else is brought to its target."""
        was_halted, self.halted = self.halted, False
        self.dormant = False
        self.awaited = ()
        self.refusals.forget()
        if is_flat(self._mode, book):
            self.entered, self.plan, self._overtaken = False, None, None
            self._blocked = self._unfinished = False
        elif was_halted:
            self.plan, self._unfinished = None, True
        self._again_at = 0

    def take_payment(self, amount: float) -> None:
        """A payment of an earlier row is known only now, share-class currency."""
        self._owe(max(0.0, self.owed - amount))

    def pay_at_any_cost(self) -> None:
        """The owner does not wait: what is owed is paid now, whatever it costs, and what is asked for on this row."""
        self.at_any_cost = True
        self._retry_at.pop("owed", None)
        if self.plan is not None and self.plan.pay_out > 0.0:
            self.plan, self._unfinished = msgspec.structs.replace(self.plan, urgency=Urgency.ASKED), True
            self._again_at = 0

    def _owe(self, amount: float) -> None:
        """What is still owed; when the last of it is paid, no later withdrawal is paid at any cost."""
        if self.owed and amount < 1e-9:
            self.at_any_cost = False
        self.owed = amount

    def means_arrived(self) -> None:
        """Cash or coin came in: what was held back is worth another try."""
        self._held = asked_at_once(self._held)

    def unmended(self, exposure: Exposure) -> tuple[Unmended, ...]:
        """What finished plans are seen to have left outside its band on the first row, told once."""
        return self._deviation.unmended(exposure, self._held) if self._held else ()

    @property
    def asks_again_at(self) -> int:
        """UTC ns at which something that is held back is asked again though nothing has changed."""
        return min((held.again_at for held in self._held.values()), default=NEVER)

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
        """The first row of the window that needs an action."""
        return self._triggers.first(self.state(), exposure, settlements, crossing, commands)

    def in_turn(self, first: Trigger, settlements: Settlements, commands: tuple[str, ...] = ()) -> tuple[Trigger, ...]:
        """All that the row of `first` asks for, in order."""
        return self._triggers.in_turn(self.state(), first, settlements, commands)

    # Decisions

    def decide(self, trigger: Trigger, now: Situation, step: int, withdrawals: float) -> Plan | None:
        """The plan for a trigger, or None when there is nothing to do. `withdrawals` were asked for on this row."""
        plan: Plan | None
        match trigger.kind:
            case "entry":
                plan = self.planner.full(Action.ENTRY_FULL, "enter", now, step, self.owed)
            case "withdrawal" | "owed":
                self.owed += min(withdrawals, max(now.equity() - self.owed, 0.0))
                again = trigger.kind == "owed"
                plan = self.planner.withdraw(now, step, self.owed, again=again, at_any_cost=self.at_any_cost)
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
            case _ if trigger.measure is not None:
                plan = self.planner.rebalance(trigger.measure, now, step, self.owed, self._refusing(now))
            case _:
                raise ValueError(f"nobody plans for a trigger of kind {trigger.kind}")
        if plan is not None and trigger.kind in ("deviation", DUST):
            plan = msgspec.structs.replace(plan, cause=DUST if trigger.kind == DUST else trigger.reason)
        return plan

    def finish(
        self,
        plan: Plan,
        trigger: Trigger,
        now: Situation,
        came: PlanResult,
    ) -> None:
        """What becomes of a plan after this row: it stays under way while anything travels, a leg waits for its price,
        or it was cut short. What leaves a position is tried again on the next row, what was refused on the way in after
        an hour."""
        self._owe(min(max(0.0, self.owed - came.paid), max(now.equity(), 0.0)) if self.owed else 0.0)
        if trigger.kind == "entry" and (came.worked or (came.complete and not came.refused)):
            self.entered = True
        small = trigger.kind in ("deviation", DUST)  # found again by itself
        self._worked = came.worked or (self._worked and not small)
        cut_short = came.disturbed or (came.refused and not small)
        waits = came.refused and not came.disturbed and plan.action not in EXITS
        self._again_at = now.row.timestamp + HOUR_NS if waits else 0
        self._blocked = came.blocked
        self._unfinished = cut_short and self.entered
        overtaken = self.plan if trigger.kind in ("withdrawal", "owed") else None
        if overtaken is not None and not overtaken.pay_out:
            self._overtaken = overtaken
        elif trigger.kind in ("deposit", "entry", "close"):
            self._overtaken = None
        if now.travelling() or came.blocked or self._unfinished:
            self.plan = plan
        else:
            if plan.cause:
                self._hold(plan.cause, now.row.timestamp, came.too_dear)
            self.plan, self._overtaken = self._overtaken, None
            self._unfinished = self.plan is not None
            if self.owed < 1e-9:
                self.owed = 0.0
        if self.halted or self.dormant:
            self._keep_closing(plan, now, came.worked)
        elif self._auto and (now.equity() < FAR_ABOVE * self._least or not self._least):
            with suppress(MissingData):  # then it stays what it was
                self._least = least_worth_holding(now.run, now.row).capital
        if came.too_dear and plan.pay_out > 0.0 or (trigger.kind == "owed" and not (self.at_any_cost and came.worked)):
            self._retry_at["owed"] = now.row.timestamp + DAY_NS

    def _hold(self, name: str, at: int, too_dear: bool) -> None:
        """A plan is finished: its measure waits, if the next row shows that it still stands."""
        before = self._held.get(name)
        why = Why.TOO_DEAR if too_dear else Why.DONE if self._worked else Why.TOO_SMALL
        told = before is not None and before.told and before.why is why
        is_margin = too_dear and measure_of(name).kind is Kind.MARGIN_RATIO
        days = DEAR_DAYS if is_margin else 1
        again_at = NEVER if self._worked and not too_dear else at + days * DAY_NS
        self._held[name] = Held(None, again_at, why, told)
        if is_margin:  # one pool of margin: as dear for every venue
            for venue in self._mode.hedge_allocation:
                other = str(Measure(Kind.MARGIN_RATIO, venue))
                if other != name:  # what it was left at before is what it must be worse than
                    held = self._held.get(other, Held(None, again_at, why, told=True))
                    self._held[other] = msgspec.structs.replace(held, again_at=again_at)

    def _keep_closing(self, plan: Plan, now: Situation, worked: bool) -> None:
        """Halted means flat: as long as anything is awaited, what can be closed is tried again; on the next row when
        something was done, else after an hour."""
        self.awaited = awaited(now, lambda key: self.refusals.speaks_of(key.venue))
        if not self.awaited:
            self.plan, self._overtaken, self._unfinished, self._blocked = None, None, False, False
        elif self.plan is None:
            self.plan, self._unfinished = plan, True
            self._again_at = 0 if worked else now.row.timestamp + HOUR_NS

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
        plan = self.planner.hedge("a liquidation", now, step, self.owed, self._refusing(now))
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
        return self.planner.reduce(acting, now, step, self.owed, self._refusing(now))

    def _refusing(self, now: Situation) -> frozenset[VenueName]:
        """Venues that would open no larger short now."""
        return frozenset(venue for venue in self._mode.hedge_allocation if self.refusals.refuses_short(venue, now))
