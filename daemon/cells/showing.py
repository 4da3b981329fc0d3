"""How a cell is shown: its picture taken between steps, put where readers find it, and nothing that this can hurt.

While the core computes in its thread its books are not looked at: the last picture is shown on, brought up to what the
cell knows by itself. A picture that cannot be taken is told once and shown as such.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import structlog

from daemon.cells.picture import picture, withheld
from daemon.replica import Replica

if TYPE_CHECKING:
    from daemon.cells.cell import Cell

log = structlog.get_logger()


class Showing:
    """The last picture of one cell."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._last: Replica | None = None
        self._trouble = ""

    def publish(self) -> None:
        cell = self._cell
        if self._last is None or not cell.is_stepping:
            try:
                self._last = picture(cell)
                self._trouble = ""
            except Exception as error:  # the edge around a picture: who looks cannot hurt who trades
                self._failed(error)
        self._last = self._brought_up()
        cell.around.publish(self._last)

    def _failed(self, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}".partition("\n")[0]
        if text != self._trouble:
            log.error("picture.failed", strategy=self._cell.strategy, error=text, exc_info=error)
        self._trouble = text

    def _brought_up(self) -> Replica:
        """The last picture with what the cell knows without asking its core; a bare one when there is none yet."""
        cell, mode = self._cell, self._cell.run_slice.mode
        last = self._last or Replica(
            strategy=cell.strategy, mode=mode.mode, share_class=mode.share_class, account=cell.account, state=cell.state
        )
        return msgspec.structs.replace(
            last,
            state=cell.state,
            reason=cell.reason,
            withheld=withheld(cell),
            heartbeat=cell.heartbeat,
            trouble=self._trouble,
        )
