"""A cell under a latch: closes the account by the emergency path, then watches until an operator resumes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
import trio

from components.model.errors import Stop
from components.model.orders import OrderGroup
from daemon.dispatch import Dispatch, Gate
from daemon.emergency import BestEffortLog, Emergency
from daemon.journal.records import LatchChanged
from daemon.latch import Phase
from daemon.replica import CellState

if TYPE_CHECKING:
    from daemon.cell import Cell
    from daemon.surroundings import Surroundings

log = structlog.get_logger()
AGAIN_S = 60.0


class Closing:
    """What one cell does while its gate is closed. It has no core: rows are looked at and let go."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self.program: Emergency | None = None

    @property
    def _around(self) -> Surroundings:
        """As a reload has left them."""
        return self._cell.around

    async def run(self) -> None:
        """Closes as often as a latch asks for it anew, until the cell is stopped."""
        cell, around = self._cell, self._around
        latch = around.latches.of(cell.strategy)
        cell.become(CellState.LATCHED, latch.reason if latch else cell.gate.reason)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._let_rows_go)
            tries = 0
            cell.publish()
            while not cell.stopping:
                cell.wake = trio.Event()
                latch = around.latches.of(cell.strategy)
                if latch is None or latch.is_closed or around.read_only:
                    await cell.wake.wait()
                    continue
                if latch.phase is Phase.FAILED:
                    with trio.move_on_after(AGAIN_S):  # somebody is paged; a venue may answer again before they come
                        await cell.wake.wait()
                        continue
                tries += 1
                await self._flatten(f"{latch.id}/{cell.epoch}.{tries}")  # ids of its own for every life and every try
                cell.publish()
            nursery.cancel_scope.cancel()

    def plan(self) -> list[OrderGroup]:
        """What an emergency stop would send first, at the last row and what the venues hold now."""
        cell, around, row = self._cell, self._around, self._cell.last_row
        if row is None:
            return []
        program = Emergency(
            cell.run_slice, cell.strategy, cell.clients, cell.dispatch, cell.journal, around.clock, around.patience
        )
        return program.plan(cell.observer.observed() or dict(cell.core.positions.snapshot()), row)

    async def _flatten(self, id: str) -> None:
        cell, around = self._cell, self._around
        while cell.last_row is None and not cell.stopping:
            await trio.sleep(0.05)
        if cell.last_row is None:
            return
        await self._phase(Phase.CLOSING)
        best = BestEffortLog(cell.journal, around.shout)
        by_venue = {venue: client for client in cell.clients for venue in (*client.venues, client.name)}
        path = Dispatch(cell.strategy, by_venue, best, Gate(), around.clock, around.patience, around.telemetry)
        program = self.program = Emergency(
            cell.run_slice, cell.strategy, cell.clients, path, best, around.clock, around.patience
        )
        flat = await program.flatten(id, cell.last_row, cell.latest)
        await self._phase(Phase.FLAT if flat else Phase.FAILED)
        log.critical(
            "emergency.flat" if flat else "emergency.failed",
            strategy=cell.strategy,
            attempts=program.progress.attempts,
            left=program.progress.left,
            error=program.progress.error,
        )

    async def _phase(self, phase: Phase) -> None:
        cell, around = self._cell, self._around
        latch = around.latches.of(cell.strategy)
        try:
            if latch is not None:
                around.latches.advance(cell.strategy, phase)
            cell.journal.append(
                LatchChanged(
                    at=around.clock.now(),
                    phase=phase.value,
                    scope=cell.strategy,
                    reason=latch.reason if latch else "",
                )
            )
            await cell.journal.commit()
        except (OSError, Stop) as error:
            around.shout(f"{cell.strategy}: latch phase {phase.value} could not be written: {error}")
        cell.publish()

    async def _let_rows_go(self) -> None:
        cell = self._cell
        while (row := await cell.mailbox.get()) is not None:
            cell.last_row = row
            cell.latest[:] = [row]
            await cell.observer.refresh(positions=True)
            cell.publish()
            cell.mailbox.done()
