"""How small an order may be: above the minimum trade, and a transfer well above its fee."""

from __future__ import annotations

from collections.abc import Iterator

from components.model.orders import GroupKind, Order, TradeStatus, Verb
from tests.decisions.book import value_at
from tests.decisions.judging import Finding, is_asked, is_forced
from tests.decisions.playing import Done, Played

OWN = ("wallet", "reserve", "gas")
SIZED = frozenset({Verb.SPOT, Verb.PERP, Verb.TRANSFER, Verb.STAKE, Verb.SUPPLY, Verb.WITHDRAW, Verb.SWAP,
                   Verb.REQUEST_UNSTAKE})  # fmt: skip
FEES = 20.0  # a transfer moves at least this many times what it costs
CLOSE = 1.0 - 1e-9
OWED = 0.5  # of the minimum: the last of what an owner is owed may be this small


def orders_are_worth_sending(played: Played) -> Iterator[Finding]:
    """No order below the minimum trade and no transfer near its fee, unless everything is closed or it is critical."""
    if played.run.mode.costs == "none":
        return
    for done in played.done:
        if is_forced(done) or all(trade.status is TradeStatus.REJECTED for trade in done.trades):
            continue
        yield from _small(played, done)


def _small(played: Played, done: Done) -> Iterator[Finding]:
    least = played.run.mode.minimum_trade_usdt * CLOSE * (OWED if is_asked(done) else 1.0)
    sizes = [(order, _size(played, done.row, order)) for order in done.group.orders if order.verb in SIZED]
    if done.group.kind is GroupKind.ATOMIC:
        sizes = [max(sizes, key=lambda one: one[1])] if sizes else []
    for order, size in sizes:
        if size < least and not order.everything and not _is_inside(order) and not _is_small_by_rule(order):
            yield Finding(done.row, f"{order.verb.value} {order.leg}: {size:.2f} USDT for {done.group.reason!r}")
        if order.verb is Verb.TRANSFER and not _is_inside(order):
            fee = _fee(played, done.row, order)
            if size < FEES * fee * (OWED if is_asked(done) else 1.0):
                yield Finding(done.row, f"{order.leg}: {size:.2f} USDT sent for a fee of {fee:.2f}")


def _size(played: Played, row: int, order: Order) -> float:
    if order.verb is Verb.PERP:
        return abs(order.amount) * float(played.market.columns[f"{order.venue}.perp.{order.token}"][row])
    price = 1.0 if order.token == "USDT" else value_at(played.market, f"{order.venue}:BaseToken:{order.token}", row)
    return abs(order.amount) * price


def _fee(played: Played, row: int, order: Order) -> float:
    exchange = played.run.exchanges.get(order.venue)
    terms = played.run.chain.transfers if exchange is None else exchange.transfers
    return terms[order.token].fee * value_at(played.market, f"{order.venue}:BaseToken:{order.token}", row)


def _is_inside(order: Order) -> bool:
    """A booking inside one's own wallet: no venue, no cost."""
    return order.verb is Verb.TRANSFER and order.target is not None and {order.venue, order.target.venue} <= set(OWN)


def _is_small_by_rule(order: Order) -> bool:
    """Rewards are sold by `dust_threshold` and gas is bought by `gas_debt_limit`, whatever one token comes to."""
    return order.leg.startswith("sell_") or order.leg == "repay_gas"
