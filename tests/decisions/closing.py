"""What becomes of a strategy that has stopped: flat, or closing with something named that it waits for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from components.model.events import Event, EventType
from components.model.orders import Action
from tests.decisions.book import Book
from tests.decisions.judging import Finding, longest_delay_hours, rows_of, stale_prices
from tests.decisions.playing import Played, row_at, shown

GRACE_HOURS = 3.0
CRUMBS = 1e-4  # of the equity when it stopped: what a lot or a fee leaves over is no position


def halted_is_flat(played: Played) -> Iterator[Finding]:
    """After an emergency stop or a halt everything is sold within three hours of the arrival of what travels, and
    nothing travels for longer than twice what it is configured to take."""
    stopped = halted_at(played)
    if stopped is None:
        return
    book = Book(played)
    dust = _dust(played, stopped)
    open_usdt = book.open_usdt()
    excused = book.travelling() | stale_prices(played)
    grace = rows_of(played, GRACE_HOURS)
    deadline = stopped + rows_of(played, 2.0 * longest_delay_hours(played)) + 2 + grace
    idle = 0
    for row in range(stopped, book.rows):
        if open_usdt[row] <= dust:
            return
        idle = 0 if excused[row] else idle + 1
        late = row > deadline and not stale_prices(played)[row]
        if idle > grace or late:
            why = "and nothing travels" if idle > grace else f"past its deadline {shown(played, min(deadline, row))}"
            yield Finding(row, f"stopped at {shown(played, stopped)}, {open_usdt[row]:.0f} USDT still open {why}")
            return


def what_closes_says_so(played: Played) -> Iterator[Finding]:
    """After a stop a row that ends with something open is told as closing, with what is awaited, and flat is said of
    positions that are flat."""
    stopped = halted_at(played)
    if stopped is None:
        return
    open_usdt, dust = Book(played).open_usdt(), _dust(played, stopped)
    said: dict[int, Event] = {}
    for event in played.result.events:
        if isinstance(event, Event) and event.event_type in (EventType.CLOSING, EventType.FLAT):
            said[row_at(played, event.timestamp)] = event
    last: Event | None = None
    for row in range(stopped, len(open_usdt)):
        last = said.get(row, last)
        if open_usdt[row] > dust and (last is None or last.event_type is EventType.FLAT):
            yield Finding(row, f"{open_usdt[row]:.0f} USDT open, and {'nothing' if last is None else 'flat'} is said")
            return
        if last is not None and last.event_type is EventType.CLOSING and not last.detail.removeprefix("awaits "):
            yield Finding(row, "closing, and nothing is named that it waits for")
            return


def halted_enters_nothing(played: Played) -> Iterator[Finding]:
    """What has stopped adds nothing."""
    stopped = halted_at(played)
    for done in played.done if stopped is not None else ():
        if done.row > (stopped or 0) and done.group.action in (Action.ENTRY_FULL, Action.ENTRY_PARTIAL):
            yield Finding(done.row, f"{done.group.reason!r} after the stop")
            return


def halted_at(played: Played) -> int | None:
    """The row of the first stop."""
    for event in played.result.events:
        if isinstance(event, Event) and event.event_type in (EventType.EMERGENCY_STOP, EventType.HALTED):
            return row_at(played, event.timestamp)
    return None


def _dust(played: Played, stopped: int) -> float:
    """USDT that may be left of what was sold."""
    mode = played.run.mode
    equity = float(played.result.columns["equity"][stopped]) * (1.0 if mode.share_class == "USDT" else _eth(played))
    return max(2.0 * mode.minimum_trade_usdt, mode.dust_threshold, CRUMBS * equity)


def _eth(played: Played) -> float:
    return float(np.asarray(played.market.columns.get("binance.spot.ETH", np.ones(1)))[-1])
