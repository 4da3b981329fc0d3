"""Planner: a plan for each purpose, from what is held to what a strategy wants; it remembers nothing.

When a plan is made and what becomes of it is the Strategy Manager's business. `owed` is what withdrawals still ask for,
share-class currency: it is never put to work.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

import msgspec

from components.hedge_room import HALF, held, unhedgeable
from components.model.keys import WALLET, PositionKey, VenueName, a_token, base_token, debt_token, perp
from components.model.orders import Action
from components.model.requirements import reward_tokens
from components.model.slices import ModeSlice
from components.risk_monitor import CRITICAL, Crossing
from components.routing.plan import HEDGE, REDUCE, Plan, Urgency
from components.situation import Situation
from components.strategies.strategy import NOTHING, Strategy, Target


class Planner:
    def __init__(self, mode: ModeSlice, strategy: Strategy) -> None:
        self._mode = mode
        self._strategy = strategy

    def full(self, action: Action, reason: str, now: Situation, step: int, owed: float) -> Plan:
        equity = now.equity()
        investable = (equity - self._gas_kept()) * (1.0 - self._mode.reserve_ratio) - owed
        return Plan(
            action=action,
            reason=reason,
            target=self._strategy.target(max(investable, 0.0), now.view()),
            step=step,
            reserve=max(equity, 0.0) * self._mode.reserve_ratio,
        )

    def hold(self, now: Situation, step: int) -> Plan:
        """A plan that moves nothing by itself: the target is what is held."""
        return Plan(
            action=Action.SELL_DUST, reason="hold", target=self._held(now), step=step, reserve=0.0, scope=REDUCE
        )

    def rebalance(
        self, reason: str, now: Situation, step: int, owed: float, refused: Container[VenueName] = ()
    ) -> Plan:
        if reason in ("gas_debt", "gas_reserve"):
            return msgspec.structs.replace(
                self.hold(now, step), action=Action.ENTRY_PARTIAL, reason=reason, repay_gas=True
            )
        if reason == "delta" or reason.startswith("legs:"):
            return self.hedge(reason, now, step, owed, refused)
        return self.full(Action.ENTRY_PARTIAL, reason, now, step, owed)

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

    def withdraw(self, now: Situation, step: int, owed: float) -> Plan:
        """Fast from the reserve; else slow: every leg × (E − W) ÷ E in one plan."""
        equity = now.equity()
        fast = now.reserve() >= owed
        share = 1.0 if fast else max(0.0, (equity - owed) / equity) if equity > 0.0 else 0.0
        return Plan(
            action=Action.EXIT_PARTIAL if share > 0.0 else Action.EXIT_FULL,
            reason="withdrawal from the reserve" if fast else "slow withdrawal",
            target=self._held(now).scaled(share),
            step=step,
            scope=REDUCE,
            urgency=Urgency.ASKED,
            reserve=now.reserve() * share,
            pay_out=owed,
            from_reserve=fast,
            careful=share > 0.0,
        )

    def reduce(
        self, acting: Sequence[Crossing], now: Situation, step: int, owed: float, refused: Container[VenueName] = ()
    ) -> Plan:
        """What brings measures that rose back to safe: the breached group and its hedge only, and below critical no
        trade that is too small to be worth it."""
        worst = max(acting, key=lambda crossing: (crossing.level, crossing.name == "delta"))  # naked is worse than thin
        group = worst.name.split(":")[0]
        careful = worst.level < CRITICAL
        urgency = Urgency.WARNING if careful else Urgency.CRITICAL
        reason = f"{worst.name} {'critical' if worst.level == CRITICAL else 'warning'}"
        if group == "delta":
            plan = self.hedge(reason, now, step, owed, refused)
            return msgspec.structs.replace(plan, careful=careful, urgency=urgency)
        plan = self.full(Action.EXIT_PARTIAL, reason, now, step, owed)
        venues = None
        if group == "cex_margin" and self._mode.lst_type is None:
            venues = tuple(c.name.split(":")[1] for c in acting if c.name.startswith("cex_margin:"))
        return msgspec.structs.replace(plan, scope=REDUCE, venues=venues, careful=careful, urgency=urgency)

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
