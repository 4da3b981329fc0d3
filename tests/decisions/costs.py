"""What it pays: of each decision in proportion to what it moves, and of a run's first days in proportion to equity.

A cost is the value that the changes of a trade destroy at the prices of its own row, worked out here: fees, impact, gas
and the discount of an exit alike. A coin that travels keeps the price of where it came from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import msgspec

from components.model.events import Event, EventType
from components.model.orders import CostKind, GroupKind, Trade, Verb
from components.model.requirements import DAY_NS
from tests.decisions.book import value_at
from tests.decisions.judging import Finding, is_asked, is_forced
from tests.decisions.playing import Done, Played, row_at, shown

MOVING = frozenset({Verb.SPOT, Verb.PERP, Verb.SWAP, Verb.STAKE, Verb.TRANSFER, Verb.SUPPLY, Verb.WITHDRAW,
                    Verb.REQUEST_UNSTAKE})  # fmt: skip
BOUND_BPS = 60.0
ENTRY_SHARE = 0.0045  # of equity, in the first five days
ENTRY_FIXED_USDT = 250.0  # gas of getting in, which does not shrink with the capital
LEAST_USDT = 1.0  # rounding of a lot


class Bill(msgspec.Struct):
    """What one decision cost and moved, USDT."""

    at: int
    reason: str
    cost: float = 0.0
    moved: float = 0.0


def discretionary_costs_are_in_proportion(played: Played) -> Iterator[Finding]:
    """No decision that could have waited costs more than 60 basis points of what it moves."""
    for bill in bills(played, lambda done: not is_forced(done) and not is_asked(done)):
        if bill.cost > BOUND_BPS * 1e-4 * bill.moved + LEAST_USDT:
            text = f"{bill.reason!r} cost {bill.cost:.2f} USDT to move {bill.moved:.2f}"
            yield Finding(
                row_at(played, bill.at), f"{text}: {_bps(bill):.0f} basis points, {BOUND_BPS:.0f} are allowed"
            )


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


def bills(played: Played, chosen: object = None) -> list[Bill]:
    """One bill per decision step and reason, of the groups that `chosen` picks."""
    found: dict[tuple[str, str], Bill] = {}
    for done in played.done:
        if callable(chosen) and not chosen(done):
            continue
        step = done.group.id.split("/")[1]
        bill = found.setdefault((step, done.group.reason), Bill(done.at, done.group.reason))
        bill.cost += cost_usdt(played, done)
        bill.moved += moved_usdt(played, done)
    return list(found.values())


def cost_usdt(played: Played, done: Done) -> float:
    """What a group cost, USDT."""
    return sum(_cost(played, done.row, trade) for trade in done.trades)


def moved_usdt(played: Played, done: Done) -> float:
    """The notional a group moved, USDT; of an atomic group, which hands the same coins on, its largest step."""
    sizes = [
        abs(trade.quantity) * _token_usdt(played, done.row, trade)
        for trade in done.trades
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


def _bps(bill: Bill) -> float:
    return bill.cost / bill.moved * 1e4 if bill.moved else float("inf")
