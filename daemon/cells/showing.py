"""How a cell is shown: its picture taken between steps, put where readers find it, and nothing that this can hurt.

While the core computes in its thread its books are not looked at: the last picture is shown on, brought up to what the
cell knows by itself. A picture that cannot be taken is told once and shown as such.
"""

from __future__ import annotations

import msgspec
import structlog

from daemon.cells.closing import Closing
from daemon.cells.core_actor import CoreActor
from daemon.cells.desk import Desk
from daemon.cells.picture import Unpriced, picture, withheld
from daemon.errors import short
from daemon.replica import Replica

log = structlog.get_logger()


class Showing:
    """The last picture of one cell."""

    def __init__(self, desk: Desk, actor: CoreActor, closing: Closing) -> None:
        self._desk, self._actor, self._closing = desk, actor, closing
        self._unpriced = Unpriced()
        self._last: Replica | None = None
        self._trouble = ""

    def publish(self) -> None:
        desk = self._desk
        if self._last is None or not desk.is_stepping:
            try:
                self._last = picture(desk, self._actor, self._closing, self._unpriced)
                self._trouble = ""
            except Exception as error:  # the edge around a picture: who looks cannot hurt who trades
                self._failed(error)
        self._last = self._brought_up()
        desk.around.publish(self._last)

    def _failed(self, error: Exception) -> None:
        text = short(error)
        if text != self._trouble:
            log.error("picture.failed", strategy=self._desk.strategy, error=text, exc_info=error)
        self._trouble = text

    def _brought_up(self) -> Replica:
        """The last picture with what the cell knows without asking its core; a bare one when there is none yet."""
        desk, mode = self._desk, self._desk.run.mode
        last = self._last or Replica(
            strategy=desk.strategy, mode=mode.mode, share_class=mode.share_class, account=desk.name, state=desk.state
        )
        return msgspec.structs.replace(
            last,
            state=desk.state,
            reason=desk.reason,
            withheld=withheld(desk, self._actor),
            heartbeat=desk.counts.heartbeat,
            trouble=self._trouble,
        )
