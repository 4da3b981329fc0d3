"""Routing: from what is held to a target, as order groups, one stage at a time.

Theory of operation. A route is a generator. It yields a group; the tight loop executes it; the route then looks at the
book afresh and goes on. One pass goes: pay withdrawals → free capital on chain → trade on exchanges together → put
capital to work on chain → move cash and coins. Passes repeat until nothing is left to do now; what is still on its way
is picked up when it arrives. The route trades no stale leg and never leaves the two sides of a hedge apart: coins are
bought only against margin that is there, and sold together with the shorts that hedge them. Nothing leaves that costs
more than its bound for what it moves.
"""

from collections.abc import Callable, Iterator

from components.model.orders import OrderGroup, leg_of
from components.routing.cash import CashStage
from components.routing.chain import ChainStage
from components.routing.exchanges import ExchangeStage
from components.routing.plan import FULL, HEDGE
from components.routing.worth import worth_of

PASSES = 6


class Route(CashStage, ChainStage, ExchangeStage):
    """The groups of one plan at one row."""

    def groups(self) -> Iterator[OrderGroup]:
        """What is to be done now; a group waits while the outcome of an order on one of its legs is not known, and one
        that a venue refused is not asked for again before something has changed."""
        for group in self._passes():
            if leg := self._open_leg(group):
                self._wait(leg)
            elif again := [order for order in group.orders if self._refusals.forbids(order, self._now)]:
                self._skip(f"{again[0].leg}: refused, and nothing has changed since")
            elif self._is_worth_it(group):
                self._done += 1
                missing = self._missing_gas(group)
                if missing <= 0.0:
                    yield group
                elif refill := self._gas_refill(missing):
                    yield refill  # and the group is made anew, from what is then there
                else:
                    self._done -= 1
                    self._skip(f"{group.orders[-1].leg}: no ETH for its gas")

    def _open_leg(self, group: OrderGroup) -> str | None:
        """The first leg of a group on which the outcome of an order is not known."""
        waiting = self._now.open_legs()
        if not waiting:
            return None
        return next((leg for order in group.orders if (leg := leg_of(order, self._now.run.exchanges)) in waiting), None)

    def _missing_gas(self, group: OrderGroup) -> float:
        """ETH that an ETH class lacks for the gas of a group: it keeps gas and owes none."""
        if self._mode.share_class != "ETH" or self._mode.costs == "none":
            return 0.0
        needed = worth_of(group, self._now).gas_eth
        return max(needed, self._mode.gas_reserve) - self._now.gas() if needed > self._now.gas() else 0.0

    def _is_worth_it(self, group: OrderGroup) -> bool:
        """Whether a group costs no more than its bound, in basis points of what it moves; what is critical or wanted
        at any cost has none."""
        bound = self._bound([order.verb for order in group.orders])
        if bound is None:
            return True
        worth = worth_of(group, self._now)
        if worth.within(bound):
            return True
        self.too_dear[group.orders[-1].leg] = worth
        self._skip(f"{group.orders[-1].leg}: would cost more than {bound:g} bp of what it moves")
        return False

    def _passes(self) -> Iterator[OrderGroup]:
        if self._plan.from_reserve:  # paid from cash at hand: nothing else moves
            yield from self._pay()
            return
        stages, quiet = self._stages(), 0
        for _ in range(PASSES):
            before = self._done
            for stage in stages:
                stands = (self._done, self.paid)
                yield from stage()
                quiet = quiet + 1 if stands == (self._done, self.paid) else 0
                if quiet == len(stages):  # none has found anything to do since the last that did
                    return
            if self._done == before:
                return

    def _stages(self) -> list[Callable[[], Iterator[OrderGroup]]]:
        """What one pass goes through, in order."""
        plan, is_whole = self._plan, self._plan.scope != HEDGE
        chosen = (
            (plan.sell_dust, self._dust),
            (plan.repay_gas, self._gas),
            (is_whole, self._pay),
            (is_whole, self._free_on_chain),
            (True, self._trade),
            (plan.scope == FULL, self._work_on_chain),
            (is_whole, self._move),
        )
        return [stage for is_wanted, stage in chosen if is_wanted]
