"""What every oracle shares: what it finds, and how a decision is sorted by its reason.

An oracle is a function of a run that yields findings; it reads what was published and nothing of the core. Words in
reasons are the product's published ones; a reason that no rule here knows counts as discretionary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import numpy as np

from components.model.orders import Action, Verb
from components.model.requirements import HOUR_NS
from tests.decisions.book import Flags
from tests.decisions.playing import Done, Played

DAY = 24


class Finding(msgspec.Struct, frozen=True):
    """What an oracle objects to: on which row of the run it shows, and what was seen."""

    row: int
    text: str


Oracle = Callable[[Played], Iterator[Finding]]


def is_forced(done: Done) -> bool:
    """Whether a group was not a matter of choice: critical or an emergency, the owner's own wish, a repair of
    legs that parted or were liquidated."""
    reason = done.group.reason
    return (
        done.group.action is Action.EXIT_FULL
        or "critical" in reason
        or reason.startswith("emergency")
        or reason in ("halted", "legs parted", "a liquidation")
    )


def is_asked(done: Done) -> bool:
    """Whether a group serves a withdrawal: its owner pays for it, whatever it costs."""
    return "withdrawal" in done.group.reason or any(order.verb is Verb.PAY_OUT for order in done.group.orders)


def hours(played: Played) -> float:
    """Hours between two rows."""
    stamps = played.result.timestamps
    return float(stamps[1] - stamps[0]) / HOUR_NS if len(stamps) > 1 else 1.0


def rows_of(played: Played, span_hours: float) -> int:
    """Rows that `span_hours` take, at least one."""
    return max(1, round(span_hours / hours(played)))


def longest_delay_hours(played: Played) -> float:
    """The longest time that anything of this run is configured to be on its way."""
    run = played.run
    if run.mode.costs == "none":
        return 0.0
    terms = [terms for exchange in run.exchanges.values() for terms in exchange.transfers.values()]
    terms += run.chain.transfers.values()
    longest = max((one.delay_minutes for one in terms), default=0.0) / 60.0
    return max(longest, run.mode.exit_queue_days * DAY if run.mode.exit_path == "queue" else 0.0)


def stale_prices(played: Played) -> Flags:
    """Rows on which a spot or perp price of the run is too old to trade on."""
    out = np.zeros(len(played.result.timestamps), dtype=bool)
    for name, flags in played.market.stale.items():
        if name.split(".")[1] in ("spot", "perp", "ratio"):
            out |= flags
    return out


def streaks(flags: Flags) -> Iterator[tuple[int, int]]:
    """(first row, number of rows) of each stretch of flagged rows."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        yield start, stop - start
