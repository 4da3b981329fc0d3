"""Whether it learns from a refusal: the same one never three times in a row."""

from __future__ import annotations

import re
from collections.abc import Iterator

from components.model.events import Event, EventType
from components.model.orders import TradeStatus
from tests.decisions.judging import Finding
from tests.decisions.playing import Played, row_at

IN_A_ROW = 3
_NUMBER = re.compile(r"-?\d[\d_,.]*(e[-+]?\d+)?")


def refusals_are_heeded(played: Played) -> Iterator[Finding]:
    """No venue refuses the same order for the same reason three times without anything else happening on that leg."""
    last: dict[tuple[str, str], tuple[str, int]] = {}
    for done in played.done:
        for order, trade in zip(done.group.orders, done.trades, strict=True):
            leg = (order.venue, f"{order.verb.value} {order.leg}")
            if trade.status is not TradeStatus.REJECTED:
                last.pop(leg, None)
                continue
            reason = _NUMBER.sub("#", trade.reason)
            seen, times = last.get(leg, (reason, 0))
            times = times + 1 if seen == reason else 1
            last[leg] = (reason, times)
            if times == IN_A_ROW:
                yield Finding(done.row, f"{order.verb.value} on {order.venue} refused {IN_A_ROW} times: {trade.reason}")
                return


def withheld_orders_are_not_repeated(played: Played) -> Iterator[Finding]:
    """The same order is not withheld for the same reason three times with no trade in between."""
    last: dict[str, int] = {}
    for event in played.result.events:
        if not isinstance(event, Event):
            continue
        if event.event_type in (EventType.TRADE, EventType.ATOMIC_GROUP, EventType.TRANSFER_SENT):
            last.clear()
        elif event.event_type is EventType.ORDER_WITHHELD:
            what = f"{event.venue} {event.token}: {_NUMBER.sub('#', event.detail)}"
            last[what] = last.get(what, 0) + 1
            if last[what] == IN_A_ROW:
                yield Finding(row_at(played, event.timestamp), f"withheld {IN_A_ROW} times: {event.detail}")
                return
