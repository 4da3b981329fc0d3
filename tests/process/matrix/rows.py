"""The rows of the matrix: four strategies are closed at once, from where, how fast, what is wrong, and in which way.

Not every combination makes sense: what is wrong is tried on a steady state at every speed, and while money travels at
the highest; from where is tried with nothing wrong at every speed. Damaged journals are found at a start, so nothing is
sent on them first. The safety program is tried with what is wrong on its own host.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

SPEEDS = (600.0, 60.0, 1.0)


class Moment(StrEnum):
    ENTRY = "entry"
    STEADY = "steady"
    TRANSFER = "transfer"
    WITHDRAWAL = "withdrawal"


class Trouble(StrEnum):
    NONE = "none"
    STREAMS = "streams"  # stdout closed, stderr full
    CONNECTIONS = "connections"  # idle clients take every place at the control socket
    JOURNAL = "journal"  # one byte of every journal changed: no strategy starts
    FULL = "full"  # the disk of the state directory
    INODES = "inodes"  # room, but not for one more file
    READ_ONLY = "read-only"
    HUNG = "hung"  # every write waits, for ever
    VENUE = "venue"  # OKX takes requests and answers none
    CHAIN = "chain"  # likewise the node
    TOKENS = "tokens"  # of which nobody knows a price, in every account


DISKS = (Trouble.FULL, Trouble.INODES, Trouble.READ_ONLY, Trouble.HUNG)
OUTSIDE = (Trouble.VENUE, Trouble.CHAIN, Trouble.TOKENS)  # at venues, which live in a process of their own


class Way(StrEnum):
    STOP = "stop"  # `basis emergency-stop` of the daemon
    FLATTEN = "flatten"  # the daemon is killed, and `basis safety flatten` closes


class Row(msgspec.Struct, frozen=True):
    """One closing of all strategies."""

    moment: Moment
    speed: float
    trouble: Trouble = Trouble.NONE
    way: Way = Way.STOP

    def __str__(self) -> str:
        return f"{self.way.value}-{self.moment.value}-{self.speed:g}-{self.trouble.value}"


ROWS = (
    *(Row(moment, speed) for speed in SPEEDS for moment in Moment),
    *(Row(Moment.STEADY, speed, trouble) for trouble in Trouble if trouble is not Trouble.NONE for speed in SPEEDS),
    *(Row(Moment.TRANSFER, 600.0, trouble) for trouble in Trouble if trouble not in (Trouble.NONE, Trouble.JOURNAL)),
    *(Row(moment, 600.0, way=Way.FLATTEN) for moment in Moment),
    *(Row(Moment.ENTRY, speed, way=Way.FLATTEN) for speed in (60.0, 1.0)),
    *(Row(Moment.STEADY, 600.0, trouble, Way.FLATTEN) for trouble in (Trouble.STREAMS, Trouble.JOURNAL, *DISKS)),
    *(Row(Moment.ENTRY, 1.0, trouble, Way.FLATTEN) for trouble in DISKS),
)


def chosen(words: tuple[str, ...]) -> tuple[Row, ...]:
    """Rows whose name has every one of these words, separated by dashes, in it; all rows without words."""
    return tuple(row for row in ROWS if all(f"-{word}-" in f"-{row}-" for word in words))
