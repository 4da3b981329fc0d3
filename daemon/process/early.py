"""Signals that come before there is a daemon to obey them: heard at once, carried out when it can be.

The first thing `basis run` does, before anything heavy is imported: until then a SIGTERM ends the process and a SIGUSR1
too, and as process 1 of a container both are lost. Nothing but the standard library is imported here.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

HEARD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
STOPS = frozenset({signal.SIGTERM, signal.SIGINT})


class Early:
    """Remembers what it hears until somebody takes it."""

    def __init__(self) -> None:
        self._heard: list[signal.Signals] = []

    def hear(self) -> None:
        """From now on signals are remembered; only the main thread may ask for that, another one asks in vain."""
        if threading.current_thread() is threading.main_thread():
            for number in HEARD:
                signal.signal(number, self._remember)

    def has_stop(self) -> bool:
        """Somebody has asked for an end."""
        return any(each in STOPS for each in self._heard)

    def has_emergency(self) -> bool:
        return signal.SIGUSR1 in self._heard

    def take(self) -> tuple[signal.Signals, ...]:
        """What was heard, in order; once."""
        taken, self._heard = tuple(self._heard), []
        return taken

    def _remember(self, number: int, _: FrameType | None) -> None:
        self._heard.append(signal.Signals(number))


EARLY = Early()


def fill_standard_streams() -> None:
    """Opens nothing behind descriptors 0 to 2 that are closed: the next file opened would become somebody's output."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        """One more hole is filled."""
    os.close(descriptor)
