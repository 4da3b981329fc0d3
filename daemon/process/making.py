"""What the supervisor asks for: a cell of a strategy, or its closing where no cell can live."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial

from components.model.errors import BasisError
from daemon.cells.account import Account
from daemon.cells.authority import Pause
from daemon.cells.cell import Cell
from daemon.cells.closing import Closing
from daemon.cells.desk import Desk
from daemon.cells.surroundings import Surroundings
from daemon.config.daemon_file import StrategyEntry
from daemon.journal.records import EpochBegan
from daemon.process.journals import Journals
from daemon.world.world import World


class Making:
    """`around` is what every cell is given now, `paused` who is paused, by strategy: a pause outlives its cell."""

    def __init__(
        self,
        world: World,
        journals: Journals,
        around: Callable[[], Surroundings],
        now: Callable[[StrategyEntry], StrategyEntry],
        paused: Callable[[str], Pause | None],
    ) -> None:
        self._world = world
        self._journals = journals
        self._around = around
        self._now = now  # an entry as the last reload has left it
        self._paused = paused

    async def cell(self, entry: StrategyEntry) -> Cell:
        """A new life of a strategy, from what its journal says; its epoch is durable before it begins."""
        place, entry, at = self._world.place(entry.id), self._now(entry), self._world.clock.now()
        journal, recovered = await self._journals.recover(entry, at)
        epoch, audit = recovered.epoch + 1, self._journals.audit
        with suppress(BasisError):  # the file of the strategy says it as well
            audit.append(EpochBegan(at=self._world.clock.now(), strategy=entry.id, epoch=epoch))
            await audit.commit()
        desk = Desk(entry, place.clients, journal, self._around(), epoch, recovered.unbooked)
        desk.paused = self._paused(entry.id)
        return Cell(desk, recovered, entry.capital, place.control)

    def closing(self, entry: StrategyEntry, publish: Callable[[], None]) -> Closing:
        """For a strategy whose cell cannot live; its journal, as long as it takes anything, is still written."""
        life = f"at{self._world.clock.now()}"  # no epoch is known: the time makes the ids of its orders its own
        clients, reserve = self._world.place(entry.id).clients, partial(self._journals.usable, entry.id)
        account = Account(entry, clients, reserve, self._around(), life)
        account.publish = publish
        return Closing(account)
