"""Signals, as SPEC §7 names them: each is a request to the daemon, none does anything by itself.

SIGTERM, SIGINT: clean stop, the second one quick · SIGHUP: reload · SIGUSR1: emergency stop of all · SIGUSR2: dump.
Each is carried out in a task of its own: a slow reload keeps no emergency waiting, and what goes wrong with one ends
with it.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from typing import Protocol

import structlog
import trio

from daemon.process.early import HEARD

log = structlog.get_logger()


class Steered(Protocol):
    """The daemon, as signals see it."""

    def stop(self) -> None: ...

    async def emergency(self, reason: str) -> None: ...

    async def reload(self) -> str: ...

    def dump(self) -> dict[str, object]: ...


async def listen(
    daemon: Steered,
    early: Callable[[], Iterable[signal.Signals]] = tuple,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Hears signals until cancelled; started before the daemon says that it is ready. `early` tells once what came
    before anybody listened."""
    with trio.open_signal_receiver(*HEARD) as received:
        async with trio.open_nursery() as nursery:
            for before in early():
                nursery.start_soon(obey, daemon, before)
            task_status.started()
            async for number in received:
                nursery.start_soon(obey, daemon, signal.Signals(number))


async def obey(daemon: Steered, received: signal.Signals) -> None:
    """What one signal means."""
    log.info("signal.received", signal=received.name)
    try:
        match received:
            case signal.SIGTERM | signal.SIGINT:
                daemon.stop()
            case signal.SIGHUP:
                log.info("config.reload", result=await daemon.reload())
            case signal.SIGUSR1:
                await daemon.emergency("SIGUSR1")
            case signal.SIGUSR2:
                log.info("daemon.dump", **daemon.dump())
            case _:
                log.warning("signal.ignored", signal=received.name)
    except Exception as error:  # the edge around a signal: the next one is heard all the same
        log.error("signal.failed", signal=received.name, error=f"{type(error).__name__}: {error}", exc_info=error)
