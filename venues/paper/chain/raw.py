"""Raw transactions of the simulated chain: what a wallet signs, and the hash that everybody knows it by."""

from __future__ import annotations

from hashlib import sha256

from components.model.orders import Order, OrderGroup
from components.model.transactions import Transaction
from venues.paper.chain.state import Body
from venues.paper.codec import decode, encode


def signed(
    wallet: str,
    nonce: int,
    max_fee_gwei: float,
    at: int,
    *,
    group: OrderGroup | None = None,
    cancels: tuple[Order, ...] = (),
    replaces: str = "",
) -> Transaction:
    """The same content gives the same bytes and the same hash, whenever it is signed."""
    body = Body(wallet=wallet, nonce=nonce, max_fee_gwei=max_fee_gwei, group=group, cancels=cancels)
    raw = encode(body)
    return Transaction(
        wallet=wallet,
        nonce=nonce,
        hash="0x" + sha256(raw).hexdigest(),
        raw=raw,
        orders=tuple(order.id for order in group.orders) if group is not None else (),
        max_fee_gwei=max_fee_gwei,
        at=at,
        replaces=replaces,
    )


def body_of(transaction: Transaction) -> Body:
    """What a transaction of `signed` says."""
    return decode(transaction.raw, Body)


def stranger(transaction: Transaction) -> Transaction:
    """An empty transaction of a foreign hand that takes the nonce of this one."""
    return signed(transaction.wallet, transaction.nonce, 2.0 * transaction.max_fee_gwei, transaction.at)


def orders_of(transaction: Transaction) -> tuple[Order, ...]:
    """The orders it carries out or takes the place of."""
    body = body_of(transaction)
    return body.group.orders if body.group is not None else body.cancels
