"""Planner: a plan for each purpose, from what is held to what a strategy wants; it remembers nothing.

When a plan is made and what becomes of it is the Strategy Manager's business. `owed` is what withdrawals still ask for,
share-class currency: it is never put to work.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

import msgspec

from components.hedge_room import HALF, held, unhedgeable
from components.levels import CRITICAL, Crossing
from components.margin import Pool, cut_pairs, margin_target, pool_of, urgent_cuts
from components.model.keys import WALLET, PositionKey, VenueName, a_token, base_token, debt_token, perp
from components.model.measures import Kind, Measure
from components.model.orders import Action
from components.model.requirements import reward_tokens
from components.model.slices import ModeSlice
from components.routing.plan import HEDGE, REDUCE, Plan, Urgency
from components.situation import Situation
from components.strategies.strategy import NOTHING, Strategy, Target, staked_leg

INSIDE = 0.25  # of the way from an end of the margin band to the target: how far a rebalance goes
SAFE = 1.15  # times the margin ratio of a warning: past the point where its level falls back to ok


class Planner:
    def __init__(self, mode: ModeSlice, strategy: Strategy) -> None:
        self._mode = mode
        self._strategy = strategy

    def full(self, action: Action, reason: str, now: Situation, step: int, owed: float) -> Plan:
        equity = now.equity()
        investable = (equity - self._gas_kept()) * (1.0 - self._mode.reserve_ratio) - owed
        reserve = max(equity, 0.0) * self._mode.reserve_ratio
        target = self._strategy.target(max(investable, 0.0), now.view())
        return Plan(action=action, reason=reason, target=target, step=step, reserve=reserve)

    def invest(self, reason: str, now: Situation, step: int, owed: float) -> Plan:
        """Capital put to work. Staked coin is not sold for that while the margin of all venues is inside its band: what
        is long is kept, all of it staked unless margin is thin, and the cash that is there is margin."""
        plan, mode = self.full(Action.ENTRY_PARTIAL, reason, now, step, owed), self._mode
        if now.lst is None or not mode.hedge_allocation:
            return plan
        wanted = -sum(plan.target.of(perp(venue, now.coin)) for venue in mode.hedge_allocation)
        long, short = now.long_coins(), -sum(now.size(venue) for venue in mode.hedge_allocation)
        pool = pool_of(now, now.wallet("USDT") - owed)
        reserve = self._refilled(now, pool, plan.reserve)
        pool = pool_of(now, now.wallet("USDT") - owed - max(reserve - now.reserve(), 0.0))
        is_hedged = abs(long - short) <= mode.max_delta_drift * long
        if wanted >= long or not is_hedged or pool.ratio is None or pool.ratio < mode.margin_ratio_band.low:
            return plan
        kept = margin_target(now, self._held(now), pool, 1.0)
        low, warning = mode.margin_ratio_band.low, mode.risk.margin.warning
        is_thin = pool.ratio < max(low + INSIDE * (mode.margin_ratio_target - low), SAFE * warning)
        more = {} if is_thin else staked_leg(mode, long, now.ratio)  # coins that would be sold again next
        target = Target({**kept.holdings, **more})
        return msgspec.structs.replace(plan, target=target, margin_ratio=pool.ratio, reserve=reserve)

    def _refilled(self, now: Situation, pool: Pool, wanted: float) -> float:
        """How far the reserve may be filled: margin gives it no more than it has above its target. Where the coins are
        at the venues both legs give it, for the price of a trade."""
        if now.lst is None:
            return wanted
        spare = pool.margin_usdt - self._mode.margin_ratio_target * pool.notional_usdt
        return min(wanted, now.reserve() + max(spare, 0.0))

    def hold(self, now: Situation, step: int) -> Plan:
        """A plan that moves nothing by itself: the target is what is held."""
        return Plan(
            action=Action.SELL_DUST, reason="hold", target=self._held(now), step=step, reserve=0.0, scope=REDUCE
        )

    def rebalance(
        self, measure: Measure, now: Situation, step: int, owed: float, refused: Container[VenueName] = ()
    ) -> Plan:
        """What brings a measure back to its target."""
        reason = str(measure)
        if measure.kind in (Kind.GAS_DEBT, Kind.GAS_RESERVE):
            return msgspec.structs.replace(
                self.hold(now, step), action=Action.ENTRY_PARTIAL, reason=reason, repay_gas=True
            )
        if measure.kind in (Kind.DELTA, Kind.LEGS):
            return self.hedge(reason, now, step, owed, refused)
        if measure.kind is Kind.MARGIN_RATIO and now.size(measure.venue):
            return self._margin(reason, measure.venue, now, step, owed)
        if measure.kind is Kind.ASKED:
            return self.full(Action.ENTRY_PARTIAL, reason, now, step, owed)
        return self.invest(reason, now, step, owed)

    def hedge(self, reason: str, now: Situation, step: int, owed: float, refused: Container[VenueName] = ()) -> Plan:
        """Shorts for what is long, where margin carries them; else the long leg shrinks and cash moves to its target,
        or to less where venues have `refused` larger shorts."""
        long = now.long_coins()
        if self._mode.lst_type is None or long <= 0.0:
            return self.full(Action.ENTRY_PARTIAL, reason, now, step, owed)
        if unhedgeable(now, refused) > 0.5 * self._mode.max_delta_drift * long:
            plan = self.full(Action.ENTRY_PARTIAL, reason, now, step, owed)
            wanted = {venue: -plan.target.of(perp(venue, now.coin)) for venue in self._mode.hedge_allocation}
            room = sum(held(now, venue) if venue in refused else amount / HALF for venue, amount in wanted.items())
            share = min(1.0, room / sum(wanted.values())) if any(wanted.values()) else 1.0
            return msgspec.structs.replace(plan, target=self._less_queued(plan.target.scaled(share), now))
        shorts = {perp(venue, now.coin): -long * weight for venue, weight in self._mode.hedge_allocation.items()}
        target = Target({**self._held(now).holdings, **shorts})
        return Plan(action=Action.ENTRY_PARTIAL, reason=reason, step=step, scope=HEDGE, target=target)

    def _less_queued(self, target: Target, now: Situation) -> Target:
        """Coins in an unstaking queue cannot be sold before they come: until then as many more must be."""
        if self._mode.max_ltv is not None or now.lst is None:
            return target
        key = base_token(WALLET, now.lst)
        left = max(0.0, target.of(key) - now.queued() / now.ratio)
        return Target({**target.holdings, key: left})

    def _margin(self, reason: str, venue: VenueName, now: Situation, step: int, owed: float) -> Plan:
        """A margin ratio outside its band is brought inside it by a quarter of the way to the target: by cash of other
        venues, and for the rest by shrinking, or growing, long and short together."""
        band, target = self._mode.margin_ratio_band, self._mode.margin_ratio_target
        pool = pool_of(now, now.wallet("USDT") - owed)
        reserve = self._refilled(now, pool, max(now.equity(), 0.0) * self._mode.reserve_ratio)
        pool = pool_of(now, now.wallet("USDT") - owed - max(reserve - now.reserve(), 0.0))
        ratio = pool.ratio or 0.0
        if now.account(venue) > target * abs(now.size(venue)) * now.mark(venue):
            goal = band.high - INSIDE * (band.high - target)
            if ratio > goal:
                plan = self.full(Action.ENTRY_PARTIAL, reason, now, step, owed)
                grown = margin_target(now, self._held(now), pool, pool.share_for(goal))
                return msgspec.structs.replace(plan, target=grown, margin_ratio=goal)
        goal = band.low + INSIDE * (target - band.low)
        plan = self._shrink(Action.ENTRY_PARTIAL, reason, now, step, pool, goal)
        return msgspec.structs.replace(plan, reserve=reserve)

    def _shrink(self, action: Action, reason: str, now: Situation, step: int, pool: Pool, goal: float) -> Plan:
        """Cash moved, and long and short made smaller by no more than the pool of margin needs for the ratio `goal`."""
        ratio = pool.ratio or 0.0
        share = min(1.0, pool.share_for(goal)) if ratio < goal else 1.0
        return Plan(
            action=action,
            reason=reason,
            target=margin_target(now, self._held(now), pool, share),
            step=step,
            scope=REDUCE,
            reserve=now.reserve(),
            margin_ratio=max(ratio, goal) if share == 1.0 else goal,
        )

    def withdraw(
        self, now: Situation, step: int, owed: float, *, again: bool = False, at_any_cost: bool = False
    ) -> Plan:
        """Fast from cash in the wallet and the reserve; else slow: that cash, and for the rest every leg × (E − W) ÷ E
        in one plan. What would cost more than its bound waits, unless the owner wants it at any cost; asked `again` it
        leaves the reserve to those who stay, of which it had its share."""
        cash = min(max(now.wallet(self._mode.share_class), 0.0), owed)
        invested = now.equity() - cash
        fast = cash + now.reserve() >= owed
        share = 1.0 if fast else max(0.0, 1.0 - (owed - cash) / invested) if invested > 0.0 else 0.0
        return Plan(
            action=Action.EXIT_PARTIAL if share > 0.0 else Action.EXIT_FULL,
            reason="withdrawal from the reserve" if fast else "slow withdrawal",
            target=self._held(now).scaled(share),
            step=step,
            scope=REDUCE,
            urgency=Urgency.ASKED if at_any_cost else Urgency.PAYMENT,
            reserve=now.reserve() * (1.0 if again and share > 0.0 else share),
            pay_out=owed,
            from_reserve=fast,
            careful=share > 0.0,
        )

    def reduce(
        self, acting: Sequence[Crossing], now: Situation, step: int, owed: float, refused: Container[VenueName] = ()
    ) -> Plan:
        """The least that brings measures that rose back to safe: cash is moved first, then long and short are shrunk
        together; a short alone only where its liquidation is nearer than the long leg can be sold. Below critical no
        trade that is too small, or too dear, to be worth it."""
        # Of two levels that are the same, naked is worse than thin.
        worst = max(acting, key=lambda crossing: (crossing.level, crossing.measure.kind is Kind.DELTA))
        is_critical = worst.level == CRITICAL
        reason = f"{worst.name} {'critical' if is_critical else 'warning'}"
        kinds = {crossing.measure.kind for crossing in acting}
        if worst.measure.kind is Kind.DELTA:
            plan = self.hedge(reason, now, step, owed, refused)
        elif Kind.CEX_MARGIN in kinds and self._mode.collateral == "usdt":
            plan = self._rescue(reason, now, step, owed, is_critical=is_critical)
        elif Kind.CEX_MARGIN in kinds:
            plan = msgspec.structs.replace(self.full(Action.EXIT_PARTIAL, reason, now, step, owed), scope=REDUCE)
            plan = msgspec.structs.replace(
                plan, venues=tuple(c.measure.venue for c in acting if c.measure.kind is Kind.CEX_MARGIN)
            )
        else:
            held = self._held(now)
            plan = Plan(
                action=Action.EXIT_PARTIAL, reason=reason, target=held, step=step, scope=REDUCE, reserve=now.reserve()
            )
        if kinds & {Kind.LTV, Kind.LIQUIDATION}:
            plan = msgspec.structs.replace(plan, target=self._deleveraged(plan.target, now))
        urgency = Urgency.CRITICAL if is_critical else Urgency.WARNING
        return msgspec.structs.replace(plan, reason=reason, careful=not is_critical, urgency=urgency)

    def _rescue(self, reason: str, now: Situation, step: int, owed: float, *, is_critical: bool) -> Plan:
        """Margin that is in danger, brought just past the warning; what is critical may use the reserve."""
        goal = min(SAFE * self._mode.risk.margin.warning, self._mode.margin_ratio_target)
        spare = now.wallet("USDT") - owed
        pool = pool_of(now, spare)
        lent = min(max(goal * pool.notional_usdt - pool.margin_usdt, 0.0), now.reserve()) if is_critical else 0.0
        plan = self._shrink(Action.EXIT_PARTIAL, reason, now, step, pool_of(now, spare + lent), goal)
        if not is_critical:
            return plan
        cuts = urgent_cuts(now, goal)
        if now.lst is None and cuts:  # the coins are at the venue: both legs are cut there, and no cash is waited for
            plan = msgspec.structs.replace(plan, target=cut_pairs(now, plan.target, list(cuts), goal))
            cuts = {}
        return msgspec.structs.replace(plan, reserve=now.reserve() - lent, cuts=cuts)

    def _deleveraged(self, target: Target, now: Situation) -> Target:
        """Collateral and debt made smaller by the same value: half way from the warning to the target LTV, or to where
        the health factor is past its warning."""
        risk, aimed = self._mode.risk, self._mode.target_ltv
        safe = now.run.chain.e_mode.liquidation_threshold / (1.0 + SAFE * risk.liquidation.warning)
        goal = max(aimed, min(0.5 * (risk.ltv.warning + aimed), safe))
        lst, debt = a_token(now.lst or ""), debt_token("WETH")
        own = target.of(lst) * now.ratio - target.of(debt)
        collateral = max(own, 0.0) / (1.0 - goal)
        if collateral >= target.of(lst) * now.ratio:
            return target
        return Target({**target.holdings, lst: collateral / now.ratio, debt: collateral * goal})

    def exit(self, reason: str, now: Situation, step: int, urgency: Urgency = Urgency.CRITICAL) -> Plan:
        """Everything sold, minimum sizes ignored."""
        return Plan(
            action=Action.EXIT_FULL,
            reason=reason,
            target=NOTHING,
            step=step,
            scope=REDUCE,
            careful=False,
            urgency=urgency,
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
