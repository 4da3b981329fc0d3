"""Price caps: the worst price at which an order may be done, made from the price that is known of it.

An order within its cap is done at once, as far as it can be; what is left of it is dead, nothing rests. Pure.
"""

from __future__ import annotations

from math import isfinite

from msgspec import structs

from components.maths.costs import BP
from components.model.orders import Order, Verb
from components.situation import Situation

EXCHANGED = (Verb.SPOT, Verb.PERP)


def capped(order: Order, now: Situation, cap_bp: float | None) -> Order:
    """`order` with its limit at `cap_bp` basis points from the price of the row; without one when there is no cap, no
    price, or nothing that has a price. A sale is never limited to less than nothing."""
    price = None if cap_bp is None else quoted(order, now)
    if price is None or cap_bp is None:
        has_limit = order.limit_price is not None or order.at_least is not None
        return structs.replace(order, limit_price=None, at_least=None) if has_limit else order
    room = cap_bp * BP
    if order.verb is Verb.SWAP:
        return structs.replace(order, limit_price=None, at_least=order.amount * price * max(1.0 - room, 0.0))
    limit = price * (1.0 + room) if order.amount > 0.0 else price * max(1.0 - room, 0.0)
    return structs.replace(order, limit_price=limit, at_least=None)


def quoted(order: Order, now: Situation) -> float | None:
    """The price that the row knows of an order, before fees and impact: USDT per unit at an exchange, units of
    `into_token` per unit on a DEX; None when it knows none, or the order has none."""
    if order.verb in EXCHANGED:
        return _value(now, f"{order.venue}.{order.verb}.{order.token}")
    return _pool(order, now) if order.verb is Verb.SWAP else None


def _pool(order: Order, now: Situation) -> float | None:
    token, into, free = order.token, order.into_token, now.mode.costs == "none"
    if token == now.lst:
        return now.ratio if free else _value(now, f"dex.ratio.{token}")
    ether, pool = now.eth_usdt(), "uniswap.spot.ETH"
    if {token, into} == {"USDT", "ETH"}:
        price = _value(now, pool) if not free and pool in now.row.market.columns else ether
        return price if price is None or token == "ETH" else 1.0 / price
    price = _value(now, f"uniswap.eth_price.{token}")
    return None if price is None else price * (ether if into == "USDT" else 1.0)


def _value(now: Situation, name: str) -> float | None:
    value = now.value(name) if name in now.row.market.columns else None
    return value if value is not None and isfinite(value) and value > 0.0 else None
