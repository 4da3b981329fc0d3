"""Says in plain words what the daemon does, for somebody who watches it in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from components.model.events import Event, EventType
from daemon.replica import CellState, Replica

QUIET = frozenset({EventType.FUNDING, EventType.INTEREST, EventType.ORDER_INTENT, EventType.RUN_STARTED})
WORDS: Mapping[EventType, str] = {
    EventType.CAPITAL_PLACED: "starts with {amount} {token}",
    EventType.DECISION: "decides to {done}",
    EventType.TRADE: "{done}",
    EventType.ATOMIC_GROUP: "in one transaction at {venue}:",
    EventType.ATOMIC_STEP: "   {done}",
    EventType.TRANSFER_SENT: "sends {amount} {token} from {venue}",
    EventType.TRANSFER_ARRIVED: "{amount} {token} arrived at {venue}",
    EventType.DEPOSIT: "deposit of {amount} {token}",
    EventType.WITHDRAWAL_REQUESTED: "withdrawal of {amount} {token} asked for",
    EventType.WITHDRAWAL_PAID: "paid out {amount} {token}",
    EventType.REWARD: "reward of {amount} {token}",
    EventType.LIQUIDATION: "LIQUIDATED at {venue}: {detail}",
    EventType.EMERGENCY_STOP: "EMERGENCY: {detail}",
    EventType.HALTED: "HALTED by {detail}",
    EventType.ORDER_UNKNOWN: "does not know what became of its order at {venue}: {detail}; it asks again",
    EventType.ORDER_RESOLVED: "knows what became of order {detail}",
    EventType.ORDER_REJECTED: "was refused at {venue}: {detail}",
    EventType.ORDER_WITHHELD: "holds back {amount} {token} at {venue}: {detail}",
    EventType.ENTRY_SKIPPED: "leaves out {detail}",
}
PASSING = (CellState.STARTING, CellState.RECOVERING)
DECISIONS: Mapping[str, str] = {
    "entry_full": "enter",
    "entry_partial": "adjust its positions",
    "exit_full": "sell everything",
    "exit_partial": "reduce its positions",
    "sell_dust": "sell its rewards",
}
VERBS: Mapping[str, str] = {
    "spot": "{buys} {amount} {token} at {venue}{price}",
    "perp": "{buys} {amount} {token} perp at {venue}{price}",
    "stake": "stakes {token} at {venue} and receives {amount}{price}",
    "request_unstake": "asks {venue} to unstake {amount} {token}",
    "swap": "swaps {amount} {token} at {venue}{price}",
    "supply": "supplies {amount} {token} to {venue}",
    "withdraw": "takes {amount} {token} back from {venue}",
    "borrow": "borrows {amount} {token} from {venue}",
    "repay": "repays {amount} {token} to {venue}",
    "flash_borrow": "borrows {amount} {token} from {venue} for this transaction",
    "flash_repay": "gives {amount} {token} back to {venue}",
    "unwrap": "unwraps {amount} {token}",
}


class Narrator:
    """`write` takes one line; `every_s` is how much market time lies between two summaries."""

    def __init__(self, write: Callable[[str], None], *, every_s: float) -> None:
        self._write = write
        self._every_ns = int(every_s * 1e9)
        self._next: dict[str, int] = {}
        self._states: dict[str, CellState] = {}

    def heard(self, strategy: str, events: Iterable[Event]) -> None:
        """Events of one strategy, as they are journaled."""
        for event in events:
            if event.event_type not in QUIET:
                self._write(f"{_time(event.timestamp)}  {strategy:<16}{_in_words(event)}")

    def publish(self, replica: Replica) -> None:
        """How a strategy stands now: its state when that changes, its figures now and then."""
        at = replica.timestamp
        if self._states.get(replica.strategy) is not replica.state and replica.state not in PASSING:
            self._states[replica.strategy] = replica.state
            reason = f": {replica.reason}" if replica.reason else ""
            self._write(f"{_time(at)}  {replica.strategy:<16}is {replica.state.value}{reason}")
        if at is None or replica.equity is None or at < self._next.get(replica.strategy, 0):
            return
        self._next[replica.strategy] = at - at % self._every_ns + self._every_ns
        self._write(f"{_time(at)}  {replica.strategy:<16}{_figures(replica)}")


def _figures(replica: Replica) -> str:
    equity, initial = replica.equity or 0.0, replica.initial or 0.0
    made = equity - initial - replica.external_flows
    digits = 4 if replica.share_class == "ETH" else 2
    parts = [f"{name} {value:+,.{digits}f}" for name, value in replica.pnl.items() if round(value, digits)]
    text = f"is worth {equity:,.{digits}f} {replica.share_class} ({made:+,.{digits}f}"
    return text + (f": {', '.join(parts)})" if parts else ")")


def _in_words(event: Event) -> str:
    words = WORDS.get(event.event_type, "{name}: {detail}")
    return words.format(
        done=_decision(event) if event.event_type is EventType.DECISION else _done(event),
        amount=_amount(event),
        token=event.token,
        venue=event.venue,
        status=event.status.replace("_", " "),
        detail=event.detail,
        name=event.event_type.value.replace("_", " "),
    )


def _decision(event: Event) -> str:
    """The action, and why where the why says more; the detail is `trigger: reason`."""
    word = DECISIONS.get(event.status, event.status.replace("_", " "))
    trigger, _, reason = event.detail.partition(": ")
    return word if trigger == "entry" else f"{word} ({trigger}: {reason})"


def _done(event: Event) -> str:
    """What a venue did; the detail is `verb leg at price (reason)`."""
    verb, _, rest = event.detail.partition(" ")
    _, _, price = rest.partition(" at ")
    price, _, reason = price.partition(" (") if price else ("", "", rest.partition(" (")[2])
    text = VERBS.get(verb, "{venue}: {verb} {amount} {token}").format(
        verb=verb.replace("_", " "),
        buys="buys" if (event.amount or 0.0) > 0.0 else "sells",
        amount=_amount(event),
        token=event.token,
        venue=event.venue,
        price=f" at {_price(float(price))}" if price else "",
    )
    return text + (f" ({reason}" if reason else "")


def _amount(event: Event) -> str:
    return "" if event.amount is None else f"{abs(event.amount):,.6g}"


def _price(price: float) -> str:
    return f"{price:,.2f}" if price >= 100.0 else f"{price:,.5g}"


def _time(at: int | None) -> str:
    """Market time to the minute."""
    return " " * 16 if at is None else datetime.fromtimestamp(at / 1e9, UTC).strftime("%Y-%m-%d %H:%M")
