"""A strategy as its journal leaves it, for who comes while no daemon writes: the offline views, and the next start.

Reads only, and takes no lock: what a daemon may be writing at this moment is simply not there yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

import msgspec

from components.model.errors import MissingData, Stop
from components.model.keys import GAS, PositionKey, PositionType, token_of
from components.model.slices import RunSlice
from components.utility_manager import UtilityManager
from daemon.disk import Disk
from daemon.journal.codec import decode
from daemon.journal.journal import record_of
from daemon.journal.reader import DAEMON, Located, journals
from daemon.journal.records import Manifest, Record
from daemon.journal.recovery import Resume
from daemon.journal.walk import Walk
from daemon.recovery import Recovered, recover
from daemon.ticks import MarketRow, window_of

AMOUNT = 1e-9  # native units; less is what rounding leaves


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What one journal says. `at` is the time of its last row (UTC ns), None before the first."""

    strategy: str
    run: RunSlice
    recovered: Recovered

    @property
    def at(self) -> int | None:
        return self.recovered.previous.timestamp if self.recovered.previous is not None else None

    @property
    def expected(self) -> Mapping[PositionKey, float]:
        """The book, native units; what is late or in doubt is not in it."""
        state = self.recovered.state
        return {} if state is None else dict(sorted(state.positions.expected.items()))

    def holds(self) -> tuple[str, ...]:
        """What is more than cash, gas and dust, in words; empty for a strategy that is flat."""
        found = [
            f"{amount:.6g} {key}"
            for key, amount in self.expected.items()
            if abs(amount) > AMOUNT and not self._is_cash(key) and self._is_worth(key, amount)
        ]
        state = self.recovered.state
        open_orders = [*self.recovered.open_orders, *(state.positions.doubts.values() if state is not None else ())]
        return (*found, *dict.fromkeys(f"order {order.id} in doubt" for order in open_orders))

    def _is_cash(self, key: PositionKey) -> bool:
        if key.position_type is not PositionType.BASE_TOKEN:
            return False
        return token_of(key) == self.run.mode.share_class or key.venue == GAS

    def _is_worth(self, key: PositionKey, amount: float) -> bool:
        """Unknown counts as worth something."""
        row = self.recovered.previous
        if row is None:
            return True
        value = value_of(self.run, row, key, amount)
        return value is None or abs(value) > self.run.mode.dust_threshold


def value_of(run: RunSlice, row: MarketRow, key: PositionKey, amount: float) -> float | None:
    """What it was worth at a row, share-class currency; None when the row does not say."""
    try:
        return amount * UtilityManager(run.mode.share_class).value_at(window_of(row, None).row(0), key)
    except (KeyError, MissingData):
        return None


def seen(disk: Disk, journal: Located) -> Seen | None:
    """The strategy of one journal; None when it never began. JournalBroken or Stop when the journal cannot tell."""
    walk, resume = Walk(disk, journal.folder, journal.name), Resume()
    for frame in walk:
        resume.saw(frame.sequence, frame.payload)
    records = _from_a_manifest(disk, journal, max(resume.at - 1, 0))
    first = next(records, None)
    if not isinstance(first, Manifest):
        return None
    run = decode(first.config, RunSlice)
    recovered = recover(chain([first], records), run, journal.name)
    return Seen(strategy=journal.name, run=recovered.run or run, recovered=recovered)


def all_seen(disk: Disk, state: Path) -> tuple[dict[str, Seen], dict[str, str]]:
    """Every strategy that has a journal; those that cannot be read, with the reason."""
    found: dict[str, Seen] = {}
    failed: dict[str, str] = {}
    for journal in journals(disk, state):
        if journal.name == DAEMON:
            continue
        try:
            one = seen(disk, journal)
        except Stop as error:
            failed[journal.name] = error.message
            continue
        if one is not None:
            found[journal.name] = one
    return found, failed


def _from_a_manifest(disk: Disk, journal: Located, after: int) -> Iterator[Record]:
    begun = False
    for frame in Walk(disk, journal.folder, journal.name, after=after):
        record = record_of(journal.name, frame)
        begun = begun or isinstance(record, Manifest)
        if begun:
            yield record
