"""Strategy Manager: finds the first row that needs an action, and turns target minus current into a plan.

Triggers in order: risk, capital flows (and what arrived for a plan under way), deviation, dust. Each fires on a change,
not on every row. State between rows: whether the entry is done, the plan under way, withdrawals owed, and when a
deviation that could not be cured may be tried again.
"""

from __future__ import annotations

import msgspec
import numpy as np

from components.exposure_monitor import Exposure
from components.model.events import EventType
from components.model.keys import GAS, KING, WALLET, PositionKey, a_token, base_token, debt_token, perp
from components.model.market import Column, Flags
from components.model.orders import Action
from components.model.requirements import DAY_NS, reward_tokens
from components.model.slices import ModeSlice
from components.ports import Settlements
from components.risk_monitor import CRITICAL, EMERGENCIES, Crossing
from components.routing.plan import FULL, HEDGE, REDUCE, Plan
from components.situation import Situation
from components.strategies.strategy import NOTHING, Strategy, Target
from components.utility_manager import UtilityManager

FLOWS = {
    EventType.TRANSFER_ARRIVED: "arrival",
    EventType.DEPOSIT: "deposit",
    EventType.WITHDRAWAL_REQUESTED: "withdrawal",
}
REDUCIBLE = ("cex_margin", "ltv", "liquidation", "delta")  # the other measures are told, nothing can be reduced


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


class StrategyManager:
    def __init__(self, mode: ModeSlice, strategy: Strategy, prices: UtilityManager) -> None:
        self._mode = mode
        self._strategy = strategy
        self._prices = prices
        self._auto = mode.rebalance == "auto"
        self.entered = False
        self.halted = False
        self.plan: Plan | None = None
        self.owed = 0.0
        self._blocked = False
        self._retry_at: dict[str, int] = {}
        self._unfinished = False  # the plan under way was cut short by trouble outside: tried again on the next row

    def state(self) -> ManagerState:
        return ManagerState(
            entered=self.entered,
            halted=self.halted,
            plan=self.plan,
            owed=self.owed,
            blocked=self._blocked,
            retry_at=dict(self._retry_at),
            unfinished=self._unfinished,
        )

    def restore(self, state: ManagerState) -> None:
        self.entered, self.halted, self.plan, self.owed = state.entered, state.halted, state.plan, state.owed
        self._blocked, self._retry_at, self._unfinished = state.blocked, dict(state.retry_at), state.unfinished

    # Triggers

    def first_trigger(
        self,
        exposure: Exposure,
        settlements: Settlements,
        crossing: Crossing | None,
        commands: tuple[str, ...] = (),
    ) -> Trigger | None:
        """The first row that needs an action; on one row risk comes before flows, flows before deviation, then dust."""
        if not self.entered:
            return Trigger(0, "entry", "first row")
        found = [None if crossing is None else Trigger(crossing.row, "risk", crossing.name)]
        found += self._flows(settlements)
        if self._blocked:
            found.append(Trigger(0, "blocked", "a stale leg"))
        if self._unfinished:
            found.append(Trigger(0, "retry", "cut short"))
        if "rebalance" in commands and not self.halted:
            found.append(Trigger(0, "deviation", "asked for"))
        if self._auto and not self.halted and self.plan is None:
            found.append(self._deviation(exposure))
            found.append(self._dust(exposure))
        best: Trigger | None = None
        for trigger in found:
            if trigger is not None and (best is None or trigger.row < best.row):
                best = trigger
        return best

    def in_turn(self, first: Trigger, settlements: Settlements) -> tuple[Trigger, ...]:
        """All that the row of `first` asks for, in order: no flow is lost because something else came on its row."""
        flows = self._flows(settlements)
        match first.kind:
            case "risk":
                return (first, *flows)
            case "entry" | "close":
                return (*(flow for flow in flows if flow.kind == "withdrawal"), first)
            case "arrival" | "deposit" | "withdrawal":
                return flows
            case _:
                return (first,)

    def _flows(self, settlements: Settlements) -> tuple[Trigger, ...]:
        """Arrivals, deposits and withdrawals of the first row, one trigger for each kind."""
        found: dict[str, Trigger] = {}
        for happening in settlements.happenings:
            kind = FLOWS.get(happening.event_type)
            if kind is not None and (kind != "deposit" or (self._auto and not self.halted)):
                found.setdefault(kind, Trigger(0, kind, happening.detail))
        return tuple(found[kind] for kind in FLOWS.values() if kind in found)

    def _deviation(self, exposure: Exposure) -> Trigger | None:
        """Legs that parted, a margin ratio outside its band, LTV off target, net delta, idle cash, gas."""
        timestamps = exposure.window.timestamps
        best: Trigger | None = None
        for name, column, low, high in self._bands(exposure):
            if isinstance(column, float):
                if low <= column <= high:
                    continue
                row = 0
            elif column.min() >= low and column.max() <= high:
                continue
            else:
                row = _first((column < low) | (column > high), 0)
            retry = self._retry_at.get(name, 0)
            if row < len(timestamps) and int(timestamps[row]) < retry:
                later = int(np.searchsorted(timestamps, retry))
                row = later if isinstance(column, float) else _first((column < low) | (column > high), later)
            if row < len(timestamps) and (best is None or row < best.row):
                best = Trigger(row, "deviation", name)
        return best

    def _bands(self, exposure: Exposure) -> list[tuple[str, Column | float, float, float]]:
        mode, book = self._mode, exposure.book
        bands: list[tuple[str, Column | float, float, float]] = []
        threshold = mode.position_deviation_threshold
        for venue, account in exposure.accounts.items():
            if account.margin_ratio is not None and mode.collateral == "usdt":
                band = mode.margin_ratio_band
                bands.append((f"margin_ratio:{venue}", account.margin_ratio, band.low, band.high))
            if mode.lst_type is None:
                spot = book.quantities.get(base_token(venue, mode.asset), 0.0)
                size = book.quantities.get(perp(venue, mode.asset), 0.0)
                larger = max(abs(spot), abs(size))
                if larger > 0.0:
                    bands.append((f"legs:{venue}", abs(spot + size) / larger, 0.0, threshold))
        if exposure.ltv is not None:
            target = mode.target_ltv
            bands.append(("ltv", exposure.ltv, target * (1.0 - threshold), target * (1.0 + threshold)))
        if exposure.net_coin is not None and exposure.gross_coin is not None:
            drift = _ratio(exposure.net_coin, exposure.gross_coin)
            if drift is not None:
                bands.append(("delta", drift, -1.0, mode.max_delta_drift))
        idle = self._idle(exposure)
        if idle is not None:
            bands.append(("idle", idle, -1.0, threshold))
        gas = book.quantities.get(base_token(GAS, "ETH"), 0.0)
        if mode.costs == "default":
            if mode.share_class == "USDT":
                bands.append(("gas_debt", -gas, -np.inf, mode.gas_debt_limit))
            else:
                bands.append(("gas_reserve", gas, 0.25 * mode.gas_reserve, np.inf))
        return bands

    def _idle(self, exposure: Exposure) -> Column | None:
        """Cash in the wallet and coins waiting to be staked, as a share of equity."""
        window, book = exposure.window, exposure.book
        total: Column | float = 0.0
        keys = [base_token(WALLET, "USDT"), base_token(WALLET, "ETH")]
        if self._mode.lst_type is not None and self._mode.spot_venue in self._mode.hedge_allocation:
            keys.append(base_token(self._mode.spot_venue or "", "ETH"))
        for key in keys:
            native = book.quantities.get(key, 0.0)
            if native > 0.0:
                value = self._prices.unit(window.market, key).value
                total = total + native * (value if isinstance(value, float) else window.cut(value))
        if isinstance(total, float) and total == 0.0:
            return None
        return total / np.maximum(exposure.equity, total)  # after a full payout equity may be a gas debt

    def _dust(self, exposure: Exposure) -> Trigger | None:
        window, book = exposure.window, exposure.book
        total: Column | float = 0.0
        for token in reward_tokens(self._mode):
            for venue in (KING, WALLET):
                key = base_token(venue, token)
                native = book.quantities.get(key, 0.0)
                if native > 0.0:
                    value = self._prices.unit(window.market, key).value
                    total = total + native * (value if isinstance(value, float) else window.cut(value))
        if isinstance(total, float):
            return None
        above = total > self._mode.dust_threshold
        ready = window.timestamps >= self._retry_at.get("dust", 0)
        hit = above & ready
        return Trigger(int(hit.argmax()), "dust", "dust above threshold") if hit.any() else None

    # Decisions

    def decide(self, trigger: Trigger, now: Situation, step: int, withdrawals: float) -> Plan | None:
        """The plan for a trigger, or None when there is nothing to do. `withdrawals` were asked for on this row."""
        plan: Plan | None
        match trigger.kind:
            case "entry":
                plan = self._full(Action.ENTRY_FULL, "enter", now, step)
            case "withdrawal":
                plan = self._withdraw(now, step, withdrawals)
            case "deposit":
                plan = self._full(Action.ENTRY_PARTIAL, "deposit", now, step)
            case "arrival" | "blocked":
                plan = self._resume(now, step)
            case "retry":
                plan = self._again(now, step)
            case "risk":
                plan = self._on_risk(trigger, now, step)
            case "dust":
                plan = msgspec.structs.replace(
                    self._hold(now, step), action=Action.SELL_DUST, reason=trigger.reason, sell_dust=True
                )
            case "close":
                plan = self.exit_plan("close at end", now, step)
            case _:
                plan = self._rebalance(trigger, now, step)
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
    ) -> None:
        """What became of a plan at this row: it stays under way while anything travels, a leg waits for its price, or
        something outside (`disturbed`: a venue, an open outcome, withheld authority) cut it short."""
        self.owed = max(0.0, self.owed - paid)
        if trigger.kind == "entry" and (worked or complete):
            self.entered = True
        self._blocked = blocked
        self._unfinished = disturbed and self.entered
        if now.travelling() or blocked or self._unfinished:
            self.plan = plan
        else:
            self.plan = None
            if self.owed < 1e-9:
                self.owed = 0.0
        if not worked and not disturbed and trigger.kind in ("deviation", "dust"):
            name = "dust" if trigger.kind == "dust" else trigger.reason
            self._retry_at[name] = now.row.timestamp + DAY_NS

    def _full(self, action: Action, reason: str, now: Situation, step: int) -> Plan:
        equity = now.equity()
        investable = (equity - self._gas_kept()) * (1.0 - self._mode.reserve_ratio) - self.owed
        return Plan(
            action=action,
            reason=reason,
            target=self._strategy.target(max(investable, 0.0), now.view()),
            step=step,
            reserve=max(equity, 0.0) * self._mode.reserve_ratio,
            careful=action is not Action.ENTRY_FULL,
        )

    def _hold(self, now: Situation, step: int) -> Plan:
        """A plan that moves nothing by itself: the target is what is held."""
        return Plan(
            action=Action.SELL_DUST, reason="hold", target=self._held(now), step=step, reserve=0.0, scope=REDUCE
        )

    def _rebalance(self, trigger: Trigger, now: Situation, step: int) -> Plan:
        if trigger.reason in ("gas_debt", "gas_reserve"):
            return msgspec.structs.replace(
                self._hold(now, step), action=Action.ENTRY_PARTIAL, reason=trigger.reason, repay_gas=True
            )
        parted = trigger.reason == "delta" or trigger.reason.startswith("legs:")
        if parted and now.long_coins() > 0.0 and self._mode.lst_type is not None:
            held = self._held(now)
            shorts = {
                perp(venue, now.coin): -now.long_coins() * weight
                for venue, weight in self._mode.hedge_allocation.items()
            }
            return Plan(
                action=Action.ENTRY_PARTIAL,
                reason=trigger.reason,
                step=step,
                scope=HEDGE,
                target=Target({**held.holdings, **shorts}),
            )
        return self._full(Action.ENTRY_PARTIAL, trigger.reason, now, step)

    def _withdraw(self, now: Situation, step: int, amount: float) -> Plan:
        """Fast from the reserve; else slow: every leg × (E − W) ÷ E in one plan."""
        equity = now.equity()
        self.owed += min(amount, max(equity - self.owed, 0.0))
        fast = now.reserve() >= self.owed
        share = 1.0 if fast else max(0.0, (equity - self.owed) / equity) if equity > 0.0 else 0.0
        return Plan(
            action=Action.EXIT_PARTIAL if share > 0.0 else Action.EXIT_FULL,
            reason="withdrawal from the reserve" if fast else "slow withdrawal",
            target=self._held(now).scaled(share),
            step=step,
            scope=REDUCE,
            reserve=now.reserve() * share,
            pay_out=self.owed,
            from_reserve=fast,
            careful=fast,
        )

    def _resume(self, now: Situation, step: int) -> Plan | None:
        """What arrived belongs to the plan under way; without one the target is made anew."""
        if self.plan is not None:
            action = self.plan.action
            if action is Action.ENTRY_FULL:
                action = Action.ENTRY_PARTIAL
            return msgspec.structs.replace(self.plan, step=step, action=action)
        if self.halted:
            return self.exit_plan("halted", now, step)
        return self._full(Action.ENTRY_PARTIAL, "arrival", now, step) if self._auto else None

    def _again(self, now: Situation, step: int) -> Plan | None:
        """The plan that was cut short, made anew where it grows: what is wanted has moved on since."""
        if self.halted:
            return self.exit_plan("halted", now, step)
        if self.plan is not None and self.plan.scope == FULL:
            return self._full(Action.ENTRY_PARTIAL, self.plan.reason, now, step)
        return self._resume(now, step)

    def _on_risk(self, trigger: Trigger, now: Situation, step: int) -> Plan | None:
        emergencies = [c for c in trigger.crossings if c.level == CRITICAL and c.name in EMERGENCIES]
        if emergencies:
            self.halted = True
            return self.exit_plan(f"emergency: {emergencies[0].name}", now, step)
        acting = [c for c in trigger.crossings if c.name.split(":")[0] in REDUCIBLE]
        if self.halted or not acting:
            return None
        worst = max(acting, key=lambda crossing: crossing.level)
        group = worst.name.split(":")[0]
        careful = worst.level < CRITICAL
        reason = f"{worst.name} {'critical' if worst.level == CRITICAL else 'warning'}"
        if group == "delta":
            plan = self._rebalance(Trigger(0, "deviation", "delta"), now, step)
            return msgspec.structs.replace(plan, reason=reason, careful=careful)
        plan = self._full(Action.EXIT_PARTIAL, reason, now, step)
        venues = None
        if group == "cex_margin" and self._mode.lst_type is None:
            venues = tuple(c.name.split(":")[1] for c in acting if c.name.startswith("cex_margin:"))
        return msgspec.structs.replace(plan, scope=REDUCE, venues=venues, careful=careful)

    def exit_plan(self, reason: str, now: Situation, step: int) -> Plan:
        """Everything sold, minimum sizes ignored."""
        return Plan(
            action=Action.EXIT_FULL,
            reason=reason,
            target=NOTHING,
            step=step,
            scope=REDUCE,
            careful=False,
            reserve=now.reserve(),
            sell_dust=bool(reward_tokens(self._mode)),
        )

    def _held(self, now: Situation) -> Target:
        """The target that is what is held, underlying units."""
        holdings: dict[PositionKey, float] = {a_token("USDT"): now.lent()}
        if now.lst is not None:
            if self._mode.max_ltv is None:
                holdings[base_token(WALLET, now.lst)] = now.lst_in_wallet()
            else:
                holdings[a_token(now.lst)] = now.collateral()
                holdings[debt_token("WETH")] = now.debt()
        for venue in self._mode.hedge_allocation:
            holdings[perp(venue, now.coin)] = now.size(venue)
            holdings[base_token(venue, "USDT")] = now.account(venue)
            if now.lst is None:
                holdings[base_token(venue, now.coin)] = now.coins(venue)
        return Target(holdings)

    def _gas_kept(self) -> float:
        return self._mode.gas_reserve if self._mode.share_class == "ETH" and self._mode.costs == "default" else 0.0


def _first(flags: Flags, start: int) -> int:
    """The first row at or after `start` that is flagged; the length when there is none."""
    rest = flags[start:]
    return start + int(rest.argmax()) if rest.any() else len(flags)


def _ratio(net: Column | float, gross: Column | float) -> Column | float | None:
    if isinstance(net, float) and isinstance(gross, float):
        return abs(net) / gross if gross > 0.0 else None
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.abs(net) / gross
