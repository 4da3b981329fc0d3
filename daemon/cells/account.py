"""One account on the event loop, as far as whoever closes it needs it: its doors, its journal, where it is shown.

A cell has more around it (`desk`); a strategy whose cell cannot live is closed with this alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from components.model.transactions import Transaction
from daemon.cells.surroundings import Surroundings
from daemon.config.daemon_file import StrategyEntry
from daemon.journal.best_effort import ReserveLog
from daemon.orders.dispatch import Line, by_venue
from venues.interfaces import VenueClient


class Account:
    """`life` makes order ids its own. `reserve` is asked each time: a journal may come back."""

    def __init__(
        self,
        entry: StrategyEntry,
        clients: Iterable[VenueClient],
        reserve: Callable[[], ReserveLog | None],
        around: Surroundings,
        life: str,
    ) -> None:
        self.strategy, self.name, self.run = entry.id, entry.account, entry.run
        self.clients = tuple(clients)
        self.reserve = reserve
        self.around = around
        self.life = life
        self.signed: tuple[Transaction, ...] = ()  # by the wallet in a life before
        self.publish: Callable[[], None] = lambda: None  # shows how it stands; never raises

    @property
    def line(self) -> Line:
        """What a dispatch of this account sends over, as the last reload has left it."""
        around = self.around
        return Line(
            strategy=self.strategy,
            clients=by_venue(self.clients),
            clock=around.clock,
            patience=around.patience,
            telemetry=around.telemetry,
            read_only=around.read_only,
        )

    def surround(self, around: Surroundings) -> None:
        """New limits, deadlines and intervals of the daemon, in force for whatever begins from now on."""
        self.around = around
