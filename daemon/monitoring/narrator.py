"""Says in plain words what the daemon does, for somebody who watches it in a terminal.

It reads records as they are journaled and pictures as they are published, in a task of its own (see `readers`). What a
venue did is told from the outcome of the order and its fields; the prose of an event is shown and never taken apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from components.model.events import Event, EventType
from components.model.keys import token_of
from components.model.orders import Action, GroupKind, OrderState, Trade, Verb
from components.model.transactions import Transaction
from daemon.journal.records import Events, Intent, LatchChanged, Outcome, Record, Signed
from daemon.journal.told import EMERGENCY
from daemon.replica import CellState, Replica
from daemon.state.latch import Phase

QUIET = frozenset(
    {
        EventType.FUNDING,
        EventType.INTEREST,
        EventType.ORDER_INTENT,
        EventType.RUN_STARTED,
        EventType.TRADE,  # these three are told as outcomes
        EventType.ATOMIC_GROUP,
        EventType.ATOMIC_STEP,
    }
)
DONE = frozenset({OrderState.FILLED, OrderState.PARTIAL})
WORDS: Mapping[EventType, str] = {
    EventType.CAPITAL_PLACED: "starts with {amount} {token}",
    EventType.DECISION: "decides to {done}",
    EventType.TRANSFER_SENT: "sends {amount} {token} from {venue}",
    EventType.TRANSFER_ARRIVED: "{amount} {token} arrived at {venue}",
    EventType.DEPOSIT: "deposit of {amount} {token}",
    EventType.WITHDRAWAL_REQUESTED: "withdrawal of {amount} {token} asked for",
    EventType.WITHDRAWAL_WAITS: "has yet to pay {amount} {token}: {detail} ('basis pay STRATEGY')",
    EventType.WITHDRAWAL_PAID: "paid out {amount} {token}",
    EventType.REWARD: "reward of {amount} {token}",
    EventType.LIQUIDATION: "LIQUIDATED at {venue}: {detail}",
    EventType.EMERGENCY_STOP: "EMERGENCY: {detail}",
    EventType.HALTED: "HALTED by {detail}",
    EventType.ORDER_UNKNOWN: "does not know what became of its order at {venue}: {detail}; it asks again",
    EventType.ORDER_RESOLVED: "knows what became of order {detail}",
    EventType.UNDONE: "its chain took back {detail}; it finds out what becomes of the order",
    EventType.ORDER_REJECTED: "was refused at {venue}: {detail}",
    EventType.ORDER_WITHHELD: "holds back {amount} {token} at {venue}: {detail}",
    EventType.ENTRY_SKIPPED: "leaves out {detail}",
    EventType.HELD_BACK: "holds back {detail}",
}
PASSING = (CellState.STARTING, CellState.RECOVERING)
DECISIONS: Mapping[str, str] = {
    Action.ENTRY_FULL: "enter",
    Action.ENTRY_PARTIAL: "adjust its positions",
    Action.EXIT_FULL: "sell everything",
    Action.EXIT_PARTIAL: "reduce its positions",
    Action.SELL_DUST: "sell its rewards",
}
NOT_DONE: Mapping[str, str] = {
    OrderState.REJECTED: "was refused",
    OrderState.NOT_SENT: "could not send its order",
    OrderState.UNKNOWN: "does not know what became of its order",
    OrderState.UNDONE: "lost a trade to a reorganisation of the chain",
}
PHASES: Mapping[str, str] = {
    Phase.REQUESTED: "EMERGENCY STOP: {reason}",
    Phase.CLOSING: "closes everything: {reason}",
    Phase.FLAT: "is flat; it stays so until 'basis resume {strategy}'",
    Phase.FAILED: "COULD NOT CLOSE EVERYTHING; it tries again",
    "cleared": "is resumed",
}
VERBS: Mapping[str, str] = {
    Verb.SPOT: "{buys} {amount} {token} at {venue}{price}",
    Verb.PERP: "{buys} {amount} {token} perp at {venue}{price}",
    Verb.STAKE: "stakes {token} at {venue} and receives {amount}{received}{price}",
    Verb.REQUEST_UNSTAKE: "asks {venue} to unstake {amount} {token}",
    Verb.SWAP: "swaps {amount} {token} at {venue}{price}",
    Verb.SUPPLY: "supplies {amount} {token} to {venue}",
    Verb.WITHDRAW: "takes {amount} {token} back from {venue}",
    Verb.BORROW: "borrows {amount} {token} from {venue}",
    Verb.REPAY: "repays {amount} {token} to {venue}",
    Verb.FLASH_BORROW: "borrows {amount} {token} from {venue} for this transaction",
    Verb.FLASH_REPAY: "gives {amount} {token} back to {venue}",
    Verb.UNWRAP: "unwraps {amount} {token}",
    Verb.TRANSFER: "sends {amount} {token} from {venue}",
    Verb.PAY_OUT: "paid out {amount} {token}",
}


class Narrator:
    """`write` takes one line; `every_s` is how much market time lies between two summaries."""

    def __init__(self, write: Callable[[str], object], *, every_s: float) -> None:
        self._write = write
        self._every_ns = int(every_s * 1e9)
        self._next: dict[str, int] = {}
        self._states: dict[str, CellState] = {}
        self._awaited: dict[str, tuple[str, ...]] = {}
        self._steps: set[str] = set()  # orders whose outcome is one step of a transaction

    def heard(self, strategy: str, record: Record) -> None:
        """A record of one strategy, as it was journaled."""
        match record:
            case Events():
                for event in record.events:
                    if event.event_type not in QUIET:
                        self._say(event.timestamp, strategy, _in_words(event))
            case Intent() if record.group.kind is GroupKind.ATOMIC:
                self._steps |= {order.id for order in record.group.orders}
                self._say(record.at, strategy, f"in one transaction at {record.group.orders[0].venue}:")
            case Signed(transaction=signed):
                is_step = not self._steps.isdisjoint(signed.orders)
                self._say(signed.at, strategy, ("   " if is_step else "") + _signed(signed))
            case Outcome():
                self._outcome(strategy, record)
            case LatchChanged():
                words = PHASES.get(record.phase, record.phase)
                self._say(record.at, strategy, words.format(reason=record.reason, strategy=strategy))

    def _outcome(self, strategy: str, outcome: Outcome) -> None:
        """What was done; what was not is told by the event that it makes, or here where there are none."""
        is_step = outcome.order_id in self._steps
        self._steps.discard(outcome.order_id)
        trade = outcome.trade
        if trade is not None and outcome.state in DONE:
            told_as_event = trade.in_flight is not None or trade.verb is Verb.PAY_OUT
            if outcome.origin == EMERGENCY or is_step or not told_as_event:
                self._say(outcome.at, strategy, ("   " if is_step else "") + _done(trade))
        elif outcome.origin == EMERGENCY:
            where = f" at {trade.venue}" if trade is not None else ""
            reason = f": {outcome.reason}" if outcome.reason else ""
            self._say(outcome.at, strategy, f"{NOT_DONE.get(outcome.state, outcome.state)}{where}{reason}")

    def _say(self, at: int | None, strategy: str, text: str) -> None:
        self._write(f"{_time(at)}  {strategy:<16}{text}")

    def publish(self, replica: Replica) -> None:
        """How a strategy stands now: its state when that changes, its figures now and then."""
        at = replica.timestamp
        if self._states.get(replica.strategy) is not replica.state and replica.state not in PASSING:
            self._states[replica.strategy] = replica.state
            reason = f": {replica.reason}" if replica.reason else ""
            self._say(at, replica.strategy, f"is {replica.state.value}{reason}")
        self._waits(replica)
        if at is None or replica.equity is None or at < self._next.get(replica.strategy, 0):
            return
        self._next[replica.strategy] = at - at % self._every_ns + self._every_ns
        self._say(at, replica.strategy, _figures(replica))

    def _waits(self, replica: Replica) -> None:
        """What closing waits for, whenever that changes."""
        awaited = tuple(sorted(f"{each.kind.value} {each.what}" for each in replica.awaited)) if replica.phase else ()
        if awaited and awaited != self._awaited.get(replica.strategy):
            self._say(replica.timestamp, replica.strategy, f"still waits for {', '.join(awaited)}")
        self._awaited[replica.strategy] = awaited


def _figures(replica: Replica) -> str:
    equity, initial = replica.equity or 0.0, replica.initial or 0.0
    made = equity - initial - replica.external_flows
    digits = 4 if replica.share_class == "ETH" else 2
    if replica.equity_is_observed:  # the parts are of the book, which rests: they would not add up to it
        told = f"{equity:,.{digits}f} {replica.share_class}"
        return f"is worth {told} as its venues report ({made:+,.{digits}f} since the start)"
    parts = [
        f"{name.replace('_', ' ')} {value:+,.{digits}f}" for name, value in replica.pnl.items() if round(value, digits)
    ]
    text = f"is worth {equity:,.{digits}f} {replica.share_class} ({made:+,.{digits}f}"
    return text + (f": {', '.join(parts)})" if parts else ")")


def _in_words(event: Event) -> str:
    words = WORDS.get(event.event_type, "{name}: {detail}")
    return words.format(
        done=_decision(event),
        amount=_amount(event.amount),
        token=event.token,
        venue=event.venue,
        status=event.status.replace("_", " "),
        detail=event.detail,
        name=event.event_type.value.replace("_", " "),
    )


def _decision(event: Event) -> str:
    """The action, and why where the why says more."""
    word = DECISIONS.get(event.status, event.status.replace("_", " "))
    return word if event.status == Action.ENTRY_FULL else f"{word} ({event.detail})"


def _done(trade: Trade) -> str:
    """What a venue did."""
    text = VERBS.get(trade.verb, "{venue}: {verb} {amount} {token}").format(
        verb=trade.verb.value.replace("_", " "),
        buys="buys" if trade.quantity > 0.0 else "sells",
        amount=_amount(trade.quantity),
        token=trade.token,
        received=_received(trade),
        venue=trade.venue,
        price="" if trade.price is None else f" at {_price(trade.price)}",
    )
    return text + (f" ({trade.reason})" if trade.reason else "")


def _signed(transaction: Transaction) -> str:
    """Why nothing is seen for some blocks."""
    if not transaction.orders:
        return f"signs an empty transaction: nonce {transaction.nonce} of its wallet is to be free again"
    if transaction.replaces:
        return "offers more gas for its transaction, which no block has yet"
    return "signs its transaction; what came of it is told when a block has it"


def _received(trade: Trade) -> str:
    """The token that came for another one; nothing where the venue does not say which."""
    came = sorted({token_of(key) for key, change in trade.changes.items() if change > 0.0} - {trade.token})
    return f" {came[0]}" if len(came) == 1 else ""


def _amount(amount: float | None) -> str:
    return "" if amount is None else f"{abs(amount):,.6g}"


def _price(price: float) -> str:
    return f"{price:,.2f}" if price >= 100.0 else f"{price:,.5g}"


def _time(at: int | None) -> str:
    """Market time to the minute."""
    return " " * 16 if at is None else datetime.fromtimestamp(at / 1e9, UTC).strftime("%Y-%m-%d %H:%M")
