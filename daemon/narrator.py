"""Says in plain words what the daemon does, for somebody who watches it in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from components.model.events import Event, EventType
from daemon.replica import CellState, Replica

QUIET = frozenset({EventType.FUNDING, EventType.INTEREST, EventType.ORDER_INTENT, EventType.RUN_STARTED})
WORDS: Mapping[EventType, str] = {
    EventType.CAPITAL_PLACED: "starts with {amount} {token}",
    EventType.DECISION: "decides: {status} ({detail})",
    EventType.TRADE: "{venue}: {detail}, {amount} {token}",
    EventType.ATOMIC_GROUP: "{venue}: one transaction, {detail}",
    EventType.ATOMIC_STEP: "   {venue}: {detail}, {amount} {token}",
    EventType.TRANSFER_SENT: "sends {amount} {token} from {venue}",
    EventType.TRANSFER_ARRIVED: "{amount} {token} arrived at {venue}",
    EventType.DEPOSIT: "deposit of {amount} {token}",
    EventType.WITHDRAWAL_REQUESTED: "withdrawal of {amount} {token} asked for",
    EventType.WITHDRAWAL_PAID: "paid out {amount} {token}",
    EventType.REWARD: "reward of {amount} {token}",
    EventType.LIQUIDATION: "LIQUIDATED at {venue}: {detail}",
    EventType.EMERGENCY_STOP: "EMERGENCY: {detail}",
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
        if self._states.get(replica.strategy) is not replica.state and replica.state is not CellState.STARTING:
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
    amount = (
        ""
        if event.amount is None
        else f"{event.amount:+,.6g}"
        if event.event_type is EventType.TRADE
        else f"{event.amount:,.6g}"
    )
    words = WORDS.get(event.event_type, "{name}: {detail}")
    return words.format(
        amount=amount,
        token=event.token,
        venue=event.venue,
        status=event.status.replace("_", " "),
        detail=event.detail,
        name=event.event_type.value.replace("_", " "),
    )


def _time(at: int | None) -> str:
    """Market time to the minute."""
    return "----------------" if at is None else datetime.fromtimestamp(at / 1e9, UTC).strftime("%Y-%m-%d %H:%M")
