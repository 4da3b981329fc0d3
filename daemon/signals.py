"""Signals, as SPEC §7 names them: each is a request to the daemon, none does anything by itself.

SIGTERM, SIGINT: clean stop, the second one quick · SIGHUP: reload · SIGUSR1: emergency stop of all · SIGUSR2: dump.
"""

from __future__ import annotations

import signal
from typing import Protocol

import structlog
import trio

log = structlog.get_logger()
HEARD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class Steered(Protocol):
    """The daemon, as signals see it."""

    def stop(self) -> None: ...

    async def emergency(self, reason: str) -> None: ...

    async def reload(self) -> str: ...

    def dump(self) -> dict[str, object]: ...


async def listen(daemon: Steered, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Hears signals until cancelled; started before the daemon says that it is ready."""
    with trio.open_signal_receiver(*HEARD) as received:
        task_status.started()
        async for number in received:
            await obey(daemon, signal.Signals(number))


async def obey(daemon: Steered, received: signal.Signals) -> None:
    """What one signal means."""
    log.info("signal.received", signal=received.name)
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
