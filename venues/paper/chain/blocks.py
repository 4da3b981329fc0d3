"""A chain that can reorganise: mempool, nonces, blocks, confirmations and finality, in front of a simulated world.

Theory of operation. Time is cut into blocks; `mine_to` makes those that are due. A block takes transactions in the
order of their nonces, for as long as they offer its base fee; what they do is done by the world on the row where it
stands. A transaction that fails there pays gas. A reorganisation takes the last blocks away with all they did, and its
transactions wait again, are forgotten, or find that another one has their nonce. What has arrived elsewhere came of a
block that was final for whoever credited it: that block and those below it stay. Nothing here is left to chance.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Protocol

import msgspec

from components.model.events import EventType
from components.model.keys import GAS, base_token
from components.model.orders import Order, OrderGroup, OrderId, Trade
from components.model.transactions import Transaction
from venues.interfaces import Settled
from venues.paper.chain.raw import body_of, orders_of, stranger
from venues.paper.chain.state import LEAST_BUMP, ChainState, ChainTerms, Included
from venues.paper.door.faults import CHAIN, Fault, FaultPlan
from venues.paper.filling import Handling, Mined

WALLET = "wallet"
GAS_KEY = base_token(GAS, "ETH")
ENDPOINT = "blocks"  # of faults that hit what a block does


class Machine(Protocol):
    """The world as a block sees it. Times are market time, UTC ns."""

    def gas_price_gwei(self) -> float: ...

    def carry_out(self, group: OrderGroup, at: int, handling: Handling) -> tuple[Trade, ...]: ...

    def take_nonce(self, cancelled: tuple[Order, ...], at: int, mined: Mined, factor: float) -> tuple[Trade, ...]:
        """An empty transaction: its gas is paid; what it takes the place of will not be done."""
        ...

    def take_back(self, trades: tuple[Trade, ...]) -> bool: ...

    def finalise(self, trades: tuple[Trade, ...]) -> None: ...

    def tell(self, item: Settled) -> None: ...


class Underpriced(Exception):
    """There is one of this nonce already that offers nearly as much."""


class NonceTaken(Exception):
    """A transaction of this nonce, or a later one, is in the chain already."""


class PaperChain:
    def __init__(self, machine: Machine, start: int, terms: ChainTerms | None = None) -> None:
        self.terms = terms or ChainTerms()
        self.plan = FaultPlan()
        self._machine = machine
        self.head = start // self.terms.block_ns
        self.fork = 0
        self.nonce = 0
        self.pool: list[Transaction] = []
        self.included: list[Included] = []
        self.heard: dict[str, Transaction] = {}  # all that a node was given since it was opened, by hash

    def __repr__(self) -> str:
        return f"<PaperChain at block {self.head}, {len(self.pool)} waiting, {len(self.included)} not final>"

    def statistics(self) -> dict[str, int]:
        return {"head": self.head, "waiting": len(self.pool), "not final": len(self.included), "forks": self.fork}

    def state(self) -> ChainState:
        return ChainState(
            head=self.head, fork=self.fork, nonce=self.nonce, pool=tuple(self.pool), included=tuple(self.included)
        )

    def restore(self, state: ChainState) -> None:
        self.head, self.fork, self.nonce = state.head, state.fork, state.nonce
        self.pool, self.included = list(state.pool), list(state.included)

    # As a node tells it

    def base_fee_gwei(self, at: int) -> float:
        """What a unit of gas costs in the next block."""
        fault = self.plan.find("gas_spike", CHAIN, at, ENDPOINT)
        return self._machine.gas_price_gwei() * (fault.number("factor") if fault else 1.0)

    def waits(self, transaction: Transaction) -> bool:
        return any(each.hash == transaction.hash for each in self.pool)

    def find(self, order_id: OrderId) -> Included | None:
        """The transaction that settled this order, where that is not final yet."""
        for each in self.included:
            if any(trade.order_id == order_id for trade in each.trades):
                return each
        return None

    def confirmations(self, included: Included) -> int:
        return self.head - included.number + 1

    def owner_of(self, nonce: int) -> Included | None:
        """What has this nonce, where it is not final yet."""
        return next((each for each in self.included if each.transaction.nonce == nonce), None)

    def broadcast(self, transaction: Transaction, at: int) -> None:
        """Takes a transaction into the mempool; one that is there already, or in a block, stays where it is.

        NonceTaken or Underpriced when it is not taken. `tx_dropped`: it is taken, and forgotten.
        """
        self.heard.setdefault(transaction.hash, transaction)
        if self.waits(transaction) or any(each.transaction.hash == transaction.hash for each in self.included):
            return
        if transaction.nonce < self.nonce:
            raise NonceTaken(f"nonce {transaction.nonce} is below {self.nonce}")
        rival = next((each for each in self.pool if each.nonce == transaction.nonce), None)
        if rival is not None and transaction.max_fee_gwei < LEAST_BUMP * rival.max_fee_gwei:
            raise Underpriced("a replacement offers at least a tenth more")
        if self._hit("tx_dropped", at, "submit") is not None:
            return
        if rival is not None:
            self.pool.remove(rival)
        if transaction.orders and self._hit("tx_replaced", at, "submit") is not None:
            transaction = stranger(transaction)
        self.pool = sorted([*self.pool, transaction], key=lambda each: each.nonce)

    # Blocks

    def mine_to(self, chain_at: int, at: int) -> bool:
        """Makes the blocks that are due at `chain_at`, on the row where the world stands; whether anything happened.
        The chain may run ahead of the market, which stands while somebody waits for a block: `at` is market time."""
        due, happened = chain_at // self.terms.block_ns, False
        while self.head < due:
            if not self.pool:
                self.head = due
                break
            self.head += 1
            happened |= self._make_block(at)
            happened |= self._reorganise(at)
        happened |= self._reorganise(at)
        return self._finalise(at) or happened

    def _make_block(self, at: int) -> bool:
        spike = self.plan.find("gas_spike", CHAIN, at, ENDPOINT)
        base, happened = self.base_fee_gwei(at), False
        for transaction in list(self.pool):
            if transaction.nonce < self.nonce:
                self.pool.remove(transaction)
                continue
            if transaction.nonce > self.nonce or transaction.max_fee_gwei < base:
                break
            self.pool.remove(transaction)
            self.nonce += 1
            self._include(transaction, at, spike)
            happened = True
        return happened

    def _include(self, transaction: Transaction, at: int, spike: Fault | None) -> None:
        block = self._hash(self.head)
        mined = Mined(block=block, hash=transaction.hash)
        body, factor = body_of(transaction), spike.number("factor") if spike else 1.0
        if spike is not None:
            self.plan.note(spike)
        if body.group is None:
            trades = self._machine.take_nonce(body.cancels, at, mined, factor)
        else:
            revert = "execution reverted" if self._hit("revert", at, "submit") is not None else ""
            trades = self._machine.carry_out(body.group, at, Handling(revert=revert, gas_factor=factor, mined=mined))
        self.included.append(Included(transaction=transaction, number=self.head, block=block, trades=trades))

    def _reorganise(self, at: int) -> bool:
        """Takes the last blocks away, where a fault says so and there is something in them."""
        fault = self.plan.find("reorg", CHAIN, at, ENDPOINT)
        if fault is None:
            return False
        lowest = self.head - int(fault.number("depth"))
        undone: list[Included] = []
        while self.included and self.included[-1].number > lowest:
            last = self.included[-1]
            if not last.trades or not self._machine.take_back(last.trades):
                break
            undone.append(self.included.pop())
        if not undone:
            return False
        self.plan.note(fault, in_flight=True)
        self.fork += 1
        undone.reverse()
        self.nonce = undone[0].transaction.nonce
        again = [each.transaction for each in undone]
        match fault.word("fate"):
            case "lost":
                again = []
            case "replaced":
                again[0] = stranger(again[0])
        self.pool = sorted([*again, *self.pool], key=lambda each: each.nonce)
        for each in undone:
            for trade in each.trades:
                self._machine.tell(_said(EventType.UNDONE, each, trade, at))
        return True

    def _finalise(self, at: int) -> bool:
        final = [each for each in self.included if each.number <= self.head - self.terms.final_blocks]
        for each in final:
            self._machine.finalise(each.trades)
            for trade in each.trades:
                self._machine.tell(_said(EventType.FINAL, each, trade, at))
        self.included = self.included[len(final) :]
        return bool(final)

    def _hash(self, number: int) -> str:
        return "0x" + sha256(f"block {self.fork} {number}".encode()).hexdigest()[:16]

    def _hit(self, kind: str, at: int, endpoint: str) -> Fault | None:
        return self.plan.hit(kind, CHAIN, at, endpoint, in_flight=kind != "revert")


def gas_fact(mined: Mined, paid: float, at: int) -> Settled:
    """Gas of a transaction that no order of ours was."""
    return Settled(
        id=f"chain/gas/{mined.hash}",
        venue=GAS,
        at=at,
        known_at=at,
        event_type=EventType.GAS,
        token="ETH",
        amount=-paid,
        changes={GAS_KEY: -paid},
        part="transaction_costs",
        detail=f"transaction {mined.hash}",
    )


def waiting(pool: Iterable[Transaction]) -> tuple[Order, ...]:
    """Orders whose transactions wait in the mempool."""
    return tuple(order for each in pool if each.orders for order in orders_of(each))


def _said(kind: EventType, included: Included, trade: Trade, at: int) -> Settled:
    said = msgspec.structs.replace(
        _NOTHING,
        id=f"chain/{kind.value}/{included.block}/{trade.order_id}",
        venue=trade.venue,
        at=at,
        known_at=at,
        event_type=kind,
        token=trade.token,
        block=included.block,
        detail=trade.order_id,
    )
    if kind is EventType.UNDONE:
        return msgspec.structs.replace(said, undoes=trade.order_id)
    return msgspec.structs.replace(said, finalizes=trade.order_id)


_NOTHING = Settled(
    id="", venue=WALLET, at=0, known_at=0, event_type=EventType.FINAL, token="", amount=0.0, changes={}, part=None
)
