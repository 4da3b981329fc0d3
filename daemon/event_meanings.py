"""What each event type means, for the reference page; a test holds that none is missing."""

from __future__ import annotations

from collections.abc import Mapping

from components.model.events import EventType

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
    EventType.DEPOSIT: "capital came in",
    EventType.WITHDRAWAL_REQUESTED: "the owner asked for capital",
    EventType.WITHDRAWAL_REFUSED: "more was asked for than there is: `detail` names the equity, nothing is paid",
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
