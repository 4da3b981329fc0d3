"""Plan: where a route goes and how far, and the words of its orders.

The base of the stages: it makes orders and groups with ids from their content, and knows the small amounts."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from hashlib import sha256

import msgspec

from components.maths.costs import impact_fraction, round_to_lot
from components.model.keys import (
    GAS,
    WALLET,
    PositionKey,
    a_token,
    base_token,
    debt_token,
    perp,
)
from components.model.orders import Action, GroupKind, Order, OrderGroup, Verb
from components.price_caps import capped
from components.refusals import Refusals
from components.routing.worth import Worth, gas_of
from components.situation import Situation
from components.strategies.strategy import Target

GAS_KEY = base_token(GAS, "ETH")
CASH_KEPT = 0.1  # of the notional of a short: cash for fees and funding while the rest of its margin is unrealised
FULL, REDUCE, HEDGE = "full", "reduce", "hedge"
PART_OF_A_PAYMENT, LEAST_PART = 0.01, 0.5  # of what is owed, but no less than this share of a minimum trade
PART_OF_EQUITY = 1e-4  # a correction that a fund of any size does not notice: the interest of an hour on its debt
NEAR_ITS_FEE = 10.0  # times its fee: a smaller transfer for a payment waits until there is more to send


class Urgency(StrEnum):
    """How much a plan may cost: routine, warnings and payments within their bounds (`cost_bounds`), what is critical or
    wanted at any cost whatever it takes. What is critical sells on the market, never through a queue."""

    ROUTINE = "routine"
    WARNING = "warning"
    PAYMENT = "payment"
    CRITICAL = "critical"
    ASKED = "asked"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Where to and how far: `scope` full, reduce (nothing grows) or hedge (perps only); `venues` None = all.

    `careful` keeps minimum trade sizes; a critical reduction and a full exit ignore them. `pay_out` is owed to the
    owner, share-class currency. `sell_dust` sells reward tokens on the way. `cause` is the measure that asked for it.
    `margin_ratio` is what a venue keeps when cash leaves it, None for what the mode aims at. `cuts`: coins that may
    stay short at a venue, hedged or not.
    """

    action: Action
    reason: str
    target: Target
    step: int
    scope: str = FULL
    venues: tuple[str, ...] | None = None
    careful: bool = True
    reserve: float = 0.0
    pay_out: float = 0.0
    from_reserve: bool = False
    sell_dust: bool = False
    repay_gas: bool = False
    urgency: Urgency = Urgency.ROUTINE
    cause: str = ""
    margin_ratio: float | None = None
    cuts: Mapping[str, float] = {}

    @property
    def leaver_pays(self) -> bool:
        """Whether what it costs is borne by the units that leave: money is freed for an owner, and others stay."""
        return self.pay_out > 0.0 and self.action is not Action.EXIT_FULL


class Stage:
    """What every stage of a route shares: the plan, the situation, and making orders."""

    def __init__(self, plan: Plan, now: Situation, run_id: str, owed: float, refusals: Refusals | None = None) -> None:
        self._plan = plan
        self._now = now
        self._target = plan.target
        self._mode = now.mode
        self._run_id = run_id
        self._owed = owed
        self._refusals = refusals or Refusals()
        self._groups = 0
        self._done = 0
        self._gas_bought = False
        self.blocked = False  # a leg was left out because its price is stale
        self.too_dear: dict[str, Worth] = {}  # what was left out because it costs too much for what it moves, by leg
        self.waiting = False  # a leg was left out because the outcome of an order on it is not known
        self.paid = 0.0
        self.skipped: list[str] = []
        self.stays: list[str] = []  # what is left where it is on purpose, and why
        self._minimum = self._smallest_worth_it()
        # Coins to be short at each venue, and over all of them, as the target has it.
        self._shorts_wanted = {venue: -plan.target.of(perp(venue, now.coin)) for venue in now.mode.hedge_allocation}
        self._short_wanted = sum(self._shorts_wanted.values())

    def _smallest_worth_it(self) -> float:
        """USDT that a correction must exceed; a payment is owed, so a small one is put together from smaller parts."""
        if not self._plan.careful or self._mode.costs != "default":
            return 1e-6
        if self._plan.pay_out <= 0.0:
            return max(self._mode.minimum_trade_usdt, PART_OF_EQUITY * self._now.equity() * self._eth_or_one())
        least = self._mode.minimum_trade_usdt
        return min(least, max(LEAST_PART * least, PART_OF_A_PAYMENT * self._plan.pay_out * self._eth_or_one()))

    def _bound(self, verbs: Sequence[Verb]) -> float | None:
        """The most that orders of these verbs may cost under the plan, basis points of what they move; None where they
        have no bound."""
        bounds, urgency = self._mode.cost_bounds, self._plan.urgency
        if urgency in (Urgency.CRITICAL, Urgency.ASKED) or verbs.count(Verb.PAY_OUT) == len(verbs):
            return None
        routine = bounds.unwind if self._plan.scope == REDUCE else bounds.routine
        bound = {Urgency.WARNING: bounds.warning, Urgency.PAYMENT: bounds.withdrawal}.get(urgency, routine)
        if verbs.count(Verb.TRANSFER) == len(verbs):
            return max(bound, bounds.routine, bounds.transfer)
        return max(bound, bounds.dust) if self._plan.sell_dust or self._plan.repay_gas else bound

    def _cap(self) -> float | None:
        """How far from the price known an order of the plan may be done, basis points; None at any price."""
        caps = self._mode.price_caps
        return caps.widest if self._plan.urgency is Urgency.CRITICAL else caps.order

    def _is_pairs(self) -> bool:
        """Spot and perp live on the same exchange (basis), not coins on chain against shorts."""
        return self._now.lst is None

    def _chain_need(self) -> float:
        """ETH the chain leg still wants."""
        now, target = self._now, self._target
        lst = now.lst or ""
        if self._mode.max_ltv is None:
            return (target.of(base_token(WALLET, lst)) - now.lst_in_wallet()) * now.ratio
        more = (target.of(a_token(lst)) - now.collateral()) * now.ratio
        return more - (target.of(debt_token("WETH")) - now.debt())

    def _venue_scope(self) -> bool:
        return self._plan.venues is not None and self._is_pairs()

    def _swap_gas(self) -> float:
        """ETH that one swap costs at the gas price of the row."""
        return 0.0 if self._mode.costs == "none" else gas_of("swap", self._now)

    def _eth_usdt(self) -> float:
        return self._now.eth_usdt()

    def _eth_or_one(self) -> float:
        return self._eth_usdt() if self._mode.share_class == "ETH" else 1.0

    def _stale_exit(self) -> bool:
        if self._mode.costs == "none":
            return self._stale_ratio()
        stale = self._now.stale(f"dex.ratio.{self._now.lst}")
        if stale:
            self._block(f"stale {', '.join(stale)}")
        return bool(stale)

    def _stale_ratio(self) -> bool:
        protocol = "etherfi" if self._now.lst == "weETH" else "lido"
        stale = self._now.stale(f"{protocol}.ratio.{self._now.lst}")
        if stale:
            self._block(f"stale {', '.join(stale)}")
        return bool(stale)

    def _skip(self, reason: str) -> None:
        if reason not in self.skipped:
            self.skipped.append(reason)

    def _block(self, reason: str) -> None:
        """A leg that waits for a fresh price: the plan stays under way."""
        self.blocked = True
        self._skip(reason)

    def _wait(self, leg: str) -> None:
        self.waiting = True
        self._skip(f"{leg}: the outcome of an order is not known")

    def _smallest(self, venue: str, product: str, reduces: bool) -> float:
        """USDT that a trade must exceed: ours, and the venue's own minimum unless it only reduces."""
        if reduces or self._mode.costs == "none":
            return self._minimum
        instrument = self._now.run.exchanges[venue].instruments[f"{product}.{self._now.coin}"]
        return max(self._minimum, instrument.minimum_notional_usdt)

    def _buying_costs(self, venue: str, notional_usdt: float) -> float:
        """Fee and impact of buying spot, fraction of the known price: what a purchase must leave room for."""
        if self._mode.costs == "none":
            return 0.0
        exchange = self._now.run.exchanges[venue]
        impact = impact_fraction(notional_usdt, exchange.spot_impact)
        return (1.0 + impact) * (1.0 + exchange.spot_fees.taker) - 1.0

    def _swap_keeps(self, usdt: float) -> float:
        """What is left of one unit that is swapped between USDT and ETH on the DEX, after pool fee and impact."""
        if self._mode.costs == "none":
            return 1.0
        chain = self._now.run.chain
        return (1.0 - chain.swap_fee["USDT/ETH"]) * (1.0 - impact_fraction(usdt, chain.swap_impact["USDT/ETH"]))

    def _swap_needs(self, usdt: float) -> float:
        """USDT to swap so that ETH worth `usdt` at the known price arrives; the cost grows with the size, so it is
        found by steps."""
        needs = usdt
        for _ in range(8):
            needs = usdt / self._swap_keeps(needs)
        return needs

    def _flash_premium(self) -> float:
        chain = self._now.run.chain
        return 0.0 if self._mode.costs == "none" else chain.flash_premium[chain.flash_venue]

    def _mode_flash(self) -> str:
        return self._now.run.chain.flash_venue

    def _round(self, venue: str, change: float) -> float:
        if self._mode.costs == "none":
            return change
        return round_to_lot(change, self._now.run.exchanges[venue].instruments[f"perp.{self._now.coin}"].lot)

    def _arrives(self, source: str, token: str, amount: float) -> bool:
        """Whether anything is left of a transfer after its fee, and not little of one that can wait."""
        if self._mode.costs == "none":
            return True
        exchange = self._now.run.exchanges.get(source)
        terms = self._now.run.chain.transfers if exchange is None else exchange.transfers
        return amount > terms[token].fee * (NEAR_ITS_FEE if self._plan.careful else 1.0)

    def _transfer(self, source: str, sink: str, token: str, amount: float) -> OrderGroup:
        keys = {"source": base_token(source, token), "target": base_token(sink, token)}
        order = self._order(Verb.TRANSFER, source, token, amount, f"{source}_to_{sink}")
        return self._group(GroupKind.ONE, [msgspec.structs.replace(order, **keys)])

    def _one(
        self,
        verb: Verb,
        venue: str,
        token: str,
        amount: float,
        leg: str,
        *,
        into: str | None = None,
        everything: bool = False,
        source: PositionKey | None = None,
    ) -> OrderGroup:
        order = self._order(verb, venue, token, amount, leg, into=into, everything=everything, source=source)
        return self._group(GroupKind.ONE, [order])

    def _order(
        self,
        verb: Verb,
        venue: str,
        token: str,
        amount: float,
        leg: str,
        *,
        into: str | None = None,
        everything: bool = False,
        reduce_only: bool = False,
        source: PositionKey | None = None,
    ) -> Order:
        content = f"{self._run_id}/{self._plan.step}/{self._groups}/{leg}/0"
        order = Order(
            id=sha256(content.encode()).hexdigest()[:28],
            verb=verb,
            venue=venue,
            token=token,
            amount=amount,
            leg=leg,
            into_token=into,
            everything=everything,
            reduce_only=reduce_only,
            source=source,
        )
        return capped(order, self._now, self._cap())

    def _group(self, kind: GroupKind, orders: list[Order]) -> OrderGroup:
        self._groups += 1
        return OrderGroup(
            id=f"{self._run_id}/{self._plan.step}/{self._groups}",
            kind=kind,
            action=self._plan.action,
            reason=self._plan.reason,
            orders=tuple(orders),
        )
