"""Repair of legs that parted: some of a `together` group filled, another surely did not.

What filled is taken back as far as that makes the net exposure smaller: first at venues whose other leg failed, then
anywhere. A leg whose outcome is open is neither completed nor taken back, and nothing is touched at its venue;
elsewhere only what surely parted is, as far as that makes the worst end smaller.
"""

from __future__ import annotations

from hashlib import sha256

from components.maths.costs import round_to_lot
from components.model.orders import (
    Action,
    GroupKind,
    Order,
    OrderGroup,
    Trade,
    TradeStatus,
    Verb,
    coins_moved,
)
from components.price_caps import capped
from components.situation import Situation


def repair_group(group: OrderGroup, trades: tuple[Trade, ...], now: Situation) -> OrderGroup | None:
    """The orders that take back all that the failed legs left unhedged; None when nothing parted or nothing helps."""
    if group.kind is not GroupKind.TOGETHER:
        return None
    legs = list(zip(group.orders, trades, strict=True))
    uncertain = {order.venue for order, trade in legs if trade.status is TradeStatus.UNKNOWN}
    failed = {order.venue for order, trade in legs if trade.quantity == 0.0} - uncertain
    filled = [(order, trade) for order, trade in legs if trade.quantity != 0.0 and order.venue not in uncertain]
    if uncertain:
        filled = [(order, trade) for order, trade in filled if order.venue in failed]
    if not failed or not filled:
        return None
    net = sum(now.net_coins()) / 2.0  # moving the middle of the interval to zero makes its worst end smallest
    filled.sort(key=lambda leg: leg[0].venue not in failed)
    orders = []
    for order, trade in filled:
        moved = coins_moved(order, now.coin, now.reference()) * abs(trade.quantity / order.amount)
        if moved * net <= 0.0:
            continue
        back = _back(group, order, trade, min(1.0, net / moved), now)
        if back is not None:
            orders.append(back)
            net += coins_moved(back, now.coin, now.reference())
    if not orders:
        return None
    kind = GroupKind.TOGETHER if len(orders) > 1 else GroupKind.ONE
    return OrderGroup(
        id=f"{group.id}/unwind", kind=kind, action=Action.EXIT_PARTIAL, reason="legs parted", orders=tuple(orders)
    )


def _back(group: OrderGroup, order: Order, trade: Trade, share: float, now: Situation) -> Order | None:
    """The order that takes back a share of what filled, rounded to the venue's lot; None when that is nothing."""
    if order.verb is Verb.SWAP and order.token == "USDT":
        return _swapped_back(group, order, share, now)
    if order.verb not in (Verb.PERP, Verb.SPOT):
        return None
    instrument = now.run.exchanges[order.venue].instruments[f"{order.verb.value}.{order.token}"]
    lot = instrument.lot
    amount = round_to_lot(abs(trade.quantity) * share, lot)
    price = now.mark(order.venue) if order.verb is Verb.PERP else now.spot_price(order.venue)
    if amount <= 0.0 or (order.verb is Verb.SPOT and amount * price < instrument.minimum_notional_usdt):
        return None
    if trade.quantity > 0.0:
        amount = -amount
    size = now.size(order.venue) if order.verb is Verb.PERP else 0.0
    back = Order(
        id=sha256(f"{group.id}/{order.leg}/unwind".encode()).hexdigest()[:28],
        verb=order.verb,
        venue=order.venue,
        token=order.token,
        amount=amount,
        leg=f"{order.leg}_back",
        reduce_only=size * amount < 0.0 and abs(amount) <= abs(size),  # taking back a close opens again
    )
    return capped(back, now, now.mode.price_caps.widest)


def _swapped_back(group: OrderGroup, order: Order, share: float, now: Situation) -> Order | None:
    """Coins bought on a DEX, sold there again."""
    amount = min(coins_moved(order, now.coin, now.reference()) * share, now.wallet(now.coin))
    if amount * now.reference() <= now.mode.minimum_trade_usdt:
        return None
    back = Order(
        id=sha256(f"{group.id}/{order.leg}/unwind".encode()).hexdigest()[:28],
        verb=Verb.SWAP,
        venue=order.venue,
        token=now.coin,
        into_token="USDT",
        amount=amount,
        leg=f"{order.leg}_back",
    )
    return capped(back, now, now.mode.price_caps.widest)
