"""Each signal is one request to the daemon, and one that goes wrong does not make it deaf."""

from __future__ import annotations

import os
import signal

import pytest
import trio

from daemon.process.signals import listen, obey


class Steered:
    """Notes what it is asked; time passes only where it says so."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def stop(self) -> None:
        self.asked.append("stop")

    async def emergency(self, reason: str) -> None:
        self.asked.append(f"emergency: {reason}")

    async def reload(self) -> str:
        self.asked.append("reload")
        return "nothing has changed"

    def dump(self) -> dict[str, object]:
        self.asked.append("dump")
        return {"cells": 2}


@pytest.mark.parametrize(
    ("received", "wanted"),
    [
        (signal.SIGTERM, "stop"),
        (signal.SIGINT, "stop"),
        (signal.SIGHUP, "reload"),
        (signal.SIGUSR1, "emergency: SIGUSR1"),
        (signal.SIGUSR2, "dump"),
    ],
)
def test_a_signal_is_what_the_specification_says(received: signal.Signals, wanted: str) -> None:
    daemon = Steered()
    trio.run(obey, daemon, received)
    assert daemon.asked == [wanted]


def test_another_signal_is_noted_and_nothing_more() -> None:
    daemon = Steered()
    trio.run(obey, daemon, signal.SIGWINCH)
    assert daemon.asked == []


async def test_signals_are_heard_as_soon_as_it_listens_and_none_is_lost() -> None:
    daemon = Steered()
    async with trio.open_nursery() as nursery:
        await nursery.start(listen, daemon)
        for received in (signal.SIGUSR2, signal.SIGHUP, signal.SIGTERM):
            os.kill(os.getpid(), received)
        with trio.fail_after(5.0):
            while len(daemon.asked) < 3:
                await trio.sleep(0.001)
        nursery.cancel_scope.cancel()
    assert sorted(daemon.asked) == ["dump", "reload", "stop"]
