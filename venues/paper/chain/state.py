"""What a simulated chain carries from block to block, and the rules it goes by."""

from __future__ import annotations

import msgspec

from components.model.orders import Order, OrderGroup, Trade
from components.model.transactions import Transaction
from venues.interfaces import DoorTerms

SECOND_NS = 1_000_000_000


class ChainTerms(msgspec.Struct, frozen=True, kw_only=True):
    """Rules of a chain and of how we deal with it, as on Ethereum.

    A transaction is acted on at so many `confirmations` and final `final_blocks` below the head. It offers `headroom`
    times the base fee it sees; one that waits is replaced by one that offers at least `bump` times as much, up to
    `dearest` times the gas price of the market. Somebody who waits gives up after `wait_blocks`.
    """

    block_s: float = 12.0
    confirmations: int = 2
    final_blocks: int = 64
    headroom: float = 2.0
    bump: float = 1.125  # nodes take no replacement that offers less than a tenth more
    dearest: float = 200.0
    wait_blocks: int = 5

    @property
    def block_ns(self) -> int:
        return int(self.block_s * SECOND_NS)


LEAST_BUMP = 1.1
SLACK_S = 5.0  # of process time, for the way to the node and back


def terms_of(chain: ChainTerms, speed: float) -> DoorTerms:
    """How slow the door of such a chain is where market time runs `speed` times as fast as process time."""
    block_s = chain.block_s / speed
    return DoorTerms(
        answer_s=chain.wait_blocks * block_s + SLACK_S,
        look_s=block_s / 4.0,
        final_s=chain.final_blocks * block_s,
        cancel_costs=True,
    )


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """What a raw transaction says: the orders it carries out, or those whose nonce it takes; none of both is a
    stranger's."""

    wallet: str
    nonce: int
    max_fee_gwei: float
    group: OrderGroup | None = None
    cancels: tuple[Order, ...] = ()


class Included(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction in a block, and what it did."""

    transaction: Transaction
    number: int
    block: str
    trades: tuple[Trade, ...]


class ChainState(msgspec.Struct, frozen=True, kw_only=True):
    """`nonce` is that of the next transaction; `included` are those that are not final, in order of their nonces."""

    head: int
    fork: int
    nonce: int
    pool: tuple[Transaction, ...] = ()
    included: tuple[Included, ...] = ()
