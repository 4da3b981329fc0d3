"""No command is lost, whenever in a row it comes."""

from __future__ import annotations

import trio

from daemon.control.protocol import Request
from daemon.daemon import Daemon
from daemon.journal.records import Events
from tests.simulation.harness import Run, simulate

STRATEGY = "btc-basis"


def test_every_deposit_arrives_however_it_falls_into_a_row() -> None:
    async def script(daemon: Daemon, result: Run, until: float) -> None:
        for i in range(40):
            words = {"amount": "1000"}
            await daemon.operator.handle(Request(kind="deposit", strategy=STRATEGY, arguments=words, key=f"k{i}"), 0)
            await trio.sleep(60.0 + 0.013 * i)  # drifts through the half second that a row takes

    run = simulate(51, 1.3, ids=(STRATEGY,), script=script)
    arrived = [
        event
        for record in run.records[STRATEGY]
        if isinstance(record, Events)
        for event in record.events
        if event.event_type.value == "deposit"
    ]
    assert len(arrived) == 40
