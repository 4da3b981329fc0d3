"""Services beside trading: kept running, started again when they fail, and unable to end anything but themselves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
import trio

from components.model.errors import BasisError
from daemon.errors import first, short

log = structlog.get_logger()
LONGEST_BACKOFF_S = 60.0
DOUBLINGS = 30  # of a pause; more would only overflow


async def beside(
    name: str,
    serve: Callable[[], Awaitable[object]],
    crashed: Callable[[str, Exception], None],
    *,
    pause_s: float = 5.0,
) -> None:
    """Keeps a service running that trading does not depend on: when it fails, it is reported and started again.

    The same failure again is told in one line and less and less often; so is the next try.
    """
    last, again = "", 0
    while True:
        began = trio.current_time()
        try:
            await serve()
        except Exception as error:  # the same edge as around a cell
            text = short(error)
            again = again + 1 if text == last and trio.current_time() - began < LONGEST_BACKOFF_S else 0
            last = text
            pause = min(pause_s * 2.0 ** min(again, DOUBLINGS), max(LONGEST_BACKOFF_S, pause_s))
            if again == 0:
                known = isinstance(first(error), BasisError)  # says itself what to do
                log.error("service.crashed", service=name, error=text, exc_info=None if known else error)
            elif again & (again - 1) == 0:
                log.warning("service.still_crashes", service=name, error=text, times=again + 1, again_in_s=pause)
            try:
                crashed(name, error)
            except Exception as failure:  # who is told of it may fail as well
                log.error("report.failed", service=name, error=short(failure), exc_info=failure)
            await trio.sleep(pause)
        else:
            await trio.sleep(pause_s)
