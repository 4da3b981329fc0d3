"""Transactions of a wallet on a chain, as they are kept before anybody else sees them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from components.model.orders import OrderId


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """One signed transaction. `orders` are those it carries out, none when it only takes its nonce; `replaces` is the
    hash of the one before it with the same nonce. `max_fee_gwei` is the most it pays per unit of gas."""

    wallet: str
    nonce: int
    hash: str
    raw: bytes
    orders: tuple[OrderId, ...]
    max_fee_gwei: float
    at: int  # signed, UTC ns
    replaces: str = ""


def kept_after(kept: Mapping[str, Transaction], nonce: int, hash: str = "") -> dict[str, Transaction]:
    """What is still kept once a nonce, or one transaction of it, is closed."""
    return {
        each: transaction for each, transaction in kept.items() if transaction.nonce != nonce or (hash and each != hash)
    }
