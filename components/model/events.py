"""Events: facts that change or explain money, in one global order, with the balances after them.

An event's canonical bytes are its fields as JSON in a fixed order; each record of a chain carries the hash of the one
before. Quiet settlements of a whole window travel as one `PaymentBatch` and become events when they are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from hashlib import sha256

import msgspec
import numpy as np
import numpy.typing as npt

from components.model.keys import PositionKey
from components.model.market import Column


class EventType(StrEnum):
    RUN_STARTED = "run_started"
    CAPITAL_PLACED = "capital_placed"
    DECISION = "decision"
    ORDER_INTENT = "order_intent"
    TRADE = "trade"
    ATOMIC_GROUP = "atomic_group"
    ATOMIC_STEP = "atomic_step"
    ORDER_WITHHELD = "order_withheld"
    ORDER_REJECTED = "order_rejected"
    TRANSFER_SENT = "transfer_sent"
    TRANSFER_ARRIVED = "transfer_arrived"
    FUNDING = "funding"
    INTEREST = "interest"
    REWARD = "reward"
    LIQUIDATION = "liquidation"
    SETTLED_PROFIT = "settled_profit"
    DEPOSIT = "deposit"
    WITHDRAWAL_REQUESTED = "withdrawal_requested"
    WITHDRAWAL_REFUSED = "withdrawal_refused"
    WITHDRAWAL_WAITS = "withdrawal_waits"
    WITHDRAWAL_PAID = "withdrawal_paid"
    RESERVE_LOW = "reserve_low"
    RISK_LEVEL = "risk_level"
    EMERGENCY_STOP = "emergency_stop"
    HALTED = "halted"
    CLOSING = "closing"
    FLAT = "flat"
    RECONCILIATION_MISMATCH = "reconciliation_mismatch"
    RECONCILIATION_FAILED = "reconciliation_failed"
    PRICE_DIVERGENCE = "price_divergence"
    BREAK_EVEN_ALARM = "break_even_alarm"
    ENTRY_SKIPPED = "entry_skipped"
    HELD_BACK = "held_back"
    REWARDS_MISSING = "rewards_missing"
    RUN_FINISHED = "run_finished"
    ORDER_UNKNOWN = "order_unknown"
    ORDER_RESOLVED = "order_resolved"
    ADJUSTMENT = "adjustment"
    GAS = "gas"
    UNDONE = "undone"
    FINAL = "final"


EVENT_MEANINGS: Mapping[EventType, str] = {
    EventType.RUN_STARTED: "a backtest begins",
    EventType.CAPITAL_PLACED: "the capital of a run lies where it starts",
    EventType.DECISION: "the strategy decided to act; `status` is the action, `detail` the trigger",
    EventType.ORDER_INTENT: "a group of orders is about to be sent",
    EventType.TRADE: "an exchange order or a chain operation was done",
    EventType.ATOMIC_GROUP: "an atomic transaction was done; its steps follow",
    EventType.ATOMIC_STEP: "one step of an atomic transaction",
    EventType.ORDER_WITHHELD: "a group did not leave; `detail` has every reason, told once until they change",
    EventType.ORDER_REJECTED: "a venue refused an order, or it never left",
    EventType.TRANSFER_SENT: "tokens left for another place and travel",
    EventType.TRANSFER_ARRIVED: "travelling tokens arrived",
    EventType.FUNDING: "a perp paid or received funding",
    EventType.INTEREST: "interest on negative USDT was charged",
    EventType.REWARD: "a staking reward was credited",
    EventType.LIQUIDATION: "a venue liquidated a position",
    EventType.SETTLED_PROFIT: "funding used up the cash of a venue: the profit of the position there became cash",
    EventType.DEPOSIT: "capital came in",
    EventType.WITHDRAWAL_REQUESTED: "the owner asked for capital",
    EventType.WITHDRAWAL_REFUSED: "more was asked for than there is: `detail` names the equity, nothing is paid",
    EventType.WITHDRAWAL_WAITS: "freeing the rest of a payment costs more than its bound: `detail` says how much",
    EventType.WITHDRAWAL_PAID: "capital was paid out",
    EventType.RESERVE_LOW: "the reserve fell below its ratio",
    EventType.RISK_LEVEL: "a risk measure rose to warning or critical",
    EventType.EMERGENCY_STOP: "a measure that stops the strategy became critical",
    EventType.HALTED: "the strategy stopped trading",
    EventType.CLOSING: "it is not flat yet: `detail` lists what is awaited, told again when that changes",
    EventType.FLAT: "it is flat by its positions: nothing is held but currency, reserve and gas, nothing awaited",
    EventType.RECONCILIATION_MISMATCH: "a venue reports something else than expected; it is asked again",
    EventType.RECONCILIATION_FAILED: "it still does, or does not answer: the order list stops",
    EventType.PRICE_DIVERGENCE: "a price is further from the reference than allowed",
    EventType.BREAK_EVEN_ALARM: "a leveraged position has not earned its costs over the days watched",
    EventType.ENTRY_SKIPPED: "legs were left out; `detail` says why",
    EventType.HELD_BACK: "a measure that a finished plan left outside its band; `detail` says why it waits",
    EventType.REWARDS_MISSING: "reward data end before the run does",
    EventType.RUN_FINISHED: "a backtest ended",
    EventType.ORDER_UNKNOWN: "the outcome of an order is not known; exposure counts it both ways",
    EventType.ORDER_RESOLVED: "the outcome of an earlier order became known and entered the book",
    EventType.ADJUSTMENT: "a difference from what a venue reports was adopted; never a flow, never silent",
    EventType.GAS: "gas was paid for a transaction that no order of ours was: an approval, a claim, a taken nonce",
    EventType.UNDONE: "a reorganisation of the chain took back what an order did; the order is uncertain again",
    EventType.FINAL: "no reorganisation can take back what an order did (told to the core, not in the event log)",
}


class Event(msgspec.Struct, frozen=True, kw_only=True, rename={"sequence": "order"}):
    """One fact. `sequence` is its place in the global order, written as `order`; `amount` is in units of `token`;
    `balances` are the non-zero positions after it, native units."""

    timestamp: int
    sequence: int
    event_type: EventType
    venue: str
    token: str
    amount: float | None
    status: str
    strategy: str
    correlation_id: str
    detail: str
    balances: Mapping[PositionKey, float]


class PaymentBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Regular settlements over a window, in order of row and source.

    Item `i` came from source `which[i]`, at the venue's stamp `at[i]`, and changed `keys[which[i]]` by `amount[i]` on
    row `row[i]` of the window. What changes one key on one row is added up first: that is how balances are booked.
    `first_sequence` is the sequence number of item 0; `balances` are those before it, and only `keys` change.
    """

    first_sequence: int
    strategy: str
    correlation_id: str
    event_types: tuple[EventType, ...]
    tokens: tuple[str, ...]
    keys: tuple[PositionKey, ...]
    details: tuple[str, ...]
    which: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]
    at: npt.NDArray[np.int64]
    amount: Column
    balances: Mapping[PositionKey, float]

    def __len__(self) -> int:
        return len(self.at)

    def events(self) -> list[Event]:
        """The batch as single events, each with the balances after it."""
        balances = dict(self.balances)
        begun: dict[PositionKey, float] = {}
        due: dict[PositionKey, float] = {}
        current = -1
        out: list[Event] = []
        items = zip(self.which.tolist(), self.row.tolist(), self.at.tolist(), self.amount.tolist(), strict=True)
        for i, (source, row, at, amount) in enumerate(items):
            if row != current:
                current, begun, due = row, dict(balances), {}
            key = self.keys[source]
            due[key] = due.get(key, 0.0) + amount
            balances[key] = begun.get(key, 0.0) + due[key]
            out.append(
                Event(
                    timestamp=at,
                    sequence=self.first_sequence + i,
                    event_type=self.event_types[source],
                    venue=key.venue,
                    token=self.tokens[source],
                    amount=amount,
                    status="settled",
                    strategy=self.strategy,
                    correlation_id=self.correlation_id,
                    detail=self.details[source],
                    balances=dict(balances),
                )
            )
        return out


GENESIS = "0" * 64


def canonical_bytes(event: Event) -> bytes:
    """The bytes that are hashed: JSON with fields in order of definition and balances sorted by key."""
    ordered = {key: event.balances[key] for key in sorted(event.balances)}
    return msgspec.json.encode(msgspec.structs.replace(event, balances=ordered))


def chain_hash(previous: str, record: bytes) -> str:
    """Hash of a record that carries the hash of the one before it (hex SHA-256)."""
    return sha256(previous.encode() + record).hexdigest()
