"""What it pays: of each decision in proportion to what it moves, and of a run's first days in proportion to equity.

A cost is the value that the changes of a trade destroy at the prices of its own row, worked out here: fees, impact, gas
and the discount of an exit alike. A coin that travels keeps the price of where it came from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from components.model.events import Event, EventType
from components.model.orders import Action, CostKind, GroupKind, Trade, Verb
from components.model.requirements import DAY_NS
from tests.decisions.book import value_at
from tests.decisions.judging import Finding, is_asked, is_forced
from tests.decisions.playing import Done, Played, row_at, shown

MOVING = frozenset({Verb.SPOT, Verb.PERP, Verb.SWAP, Verb.STAKE, Verb.TRANSFER, Verb.SUPPLY, Verb.WITHDRAW, Verb.UNWRAP,
                    Verb.REQUEST_UNSTAKE})  # fmt: skip
SLACK = 1.05  # on a bound: it is judged before the trade, at the size that was planned
ENTRY_SHARE = 0.0045  # of equity, in the first five days
ENTRY_FIXED_USDT = 250.0  # gas of getting in, which does not shrink with the capital
LEAST_USDT = 1.0  # rounding of a lot


def discretionary_costs_are_in_proportion(played: Played) -> Iterator[Finding]:
    """No group that could have waited costs more basis points of what it moves than the mode allows."""
    if played.run.mode.costs == "none":
        return
    for done in played.done:
        if is_forced(done) or is_asked(done):
            continue
        bound, cost, moved = bound_bp(played, done), cost_usdt(played, done), moved_usdt(played, done)
        if cost > SLACK * bound * 1e-4 * moved + LEAST_USDT:
            paid = f"{cost / moved * 1e4:.0f} basis points" if moved else "for nothing"
            text = f"{done.group.reason!r} cost {cost:.2f} USDT to move {moved:.2f}, {paid}; {bound:.0f} are allowed"
            yield Finding(done.row, text)


def bound_bp(played: Played, done: Done) -> float:
    """What the mode file allows a group of this kind, basis points of what it moves."""
    bounds = played.run.mode.cost_bounds
    if any(order.verb is Verb.TRANSFER for order in done.group.orders):
        return max(bounds.transfer, bounds.warning) if "warning" in done.group.reason else bounds.transfer
    if done.group.action is Action.SELL_DUST or any(order.leg == "repay_gas" for order in done.group.orders):
        return bounds.dust
    if "warning" in done.group.reason:
        return bounds.warning
    sells = any(order.leg in ("swap_lst", "unstake") for order in done.group.orders)
    return bounds.unwind if sells and done.group.reason.startswith("margin_ratio") else bounds.routine


def getting_in_is_cheap(played: Played) -> Iterator[Finding]:
    """The first five days of a calm run cost no more than 0.45 % of its capital, gas of a small account aside."""
    stamps = played.result.timestamps
    if not played.case.is_calm or played.case.flows or _troubled(played):
        return
    until = int(stamps[0]) + 5 * DAY_NS
    equity = played.result.initial_equity * usdt_per_unit(played, 0)
    paid = sum(cost_usdt(played, done) for done in played.done if done.at < until)
    allowed = ENTRY_SHARE * equity + (ENTRY_FIXED_USDT if equity < 100_000.0 else 0.0)
    if paid > allowed:
        last = row_at(played, until)
        yield Finding(last, f"{paid:.2f} USDT were paid by {shown(played, last)}, {allowed:.2f} are allowed")


def cost_usdt(played: Played, done: Done) -> float:
    """What a group cost, USDT."""
    return sum(_cost(played, done.row, trade) for trade in done.trades)


def moved_usdt(played: Played, done: Done) -> float:
    """The notional a group moved, USDT; of an atomic group, which hands the same coins on, its largest step. A stake
    tells what it got, in another token: there the order says what was moved."""
    sizes = [
        abs(order.amount if trade.verb is Verb.STAKE else trade.quantity) * _token_usdt(played, done.row, trade)
        for order, trade in zip(done.group.orders, done.trades, strict=True)
        if trade.verb in MOVING and trade.quantity
    ]
    return max(sizes, default=0.0) if done.group.kind is GroupKind.ATOMIC else sum(sizes)


def costs_by_kind(played: Played) -> dict[str, float]:
    """Costs as the trades themselves name them, USDT by kind."""
    out: dict[str, float] = defaultdict(float)
    for done in played.done:
        for trade in done.trades:
            for cost in trade.costs:
                out[cost.kind.value] += cost.amount * value_at(played.market, f"gas:BaseToken:{cost.token}", done.row)
    return dict(out)


def usdt_per_unit(played: Played, row: int) -> float:
    """USDT per unit of share-class currency."""
    return 1.0 if played.run.mode.share_class == "USDT" else value_at(played.market, "gas:BaseToken:ETH", row)


def _cost(played: Played, row: int, trade: Trade) -> float:
    if trade.verb is Verb.TRANSFER:
        named = [cost for cost in trade.costs if cost.kind is not CostKind.REVALUATION]
        return sum(cost.amount * value_at(played.market, f"wallet:BaseToken:{cost.token}", row) for cost in named)
    paid_out = trade.verb is Verb.PAY_OUT
    return -sum(
        change * value_at(played.market, key, row)
        for key, change in trade.changes.items()
        if not paid_out or key.venue == "gas"
    )


def _token_usdt(played: Played, row: int, trade: Trade) -> float:
    token = trade.token
    return 1.0 if token == "USDT" else value_at(played.market, f"{trade.venue}:BaseToken:{token}", row)


def _troubled(played: Played) -> bool:
    return any(
        isinstance(event, Event) and event.event_type in (EventType.LIQUIDATION, EventType.EMERGENCY_STOP)
        for event in played.result.events
    )
