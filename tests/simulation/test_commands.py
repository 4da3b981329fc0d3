"""No command is lost, whenever in a row it comes; what an emergency leaves is shown, and is entered again on resume."""

from __future__ import annotations

import pytest
import trio

from daemon.control.commands import Request
from daemon.journal.records import Events
from daemon.process.daemon import Daemon
from daemon.replica import CellState, Replica
from tests.simulation.harness import Run, simulate
from tests.simulation.oracles import judged

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


def test_after_an_emergency_equity_is_what_the_venues_hold_and_resuming_enters_again() -> None:
    seen: list[Replica] = []

    async def script(daemon: Daemon, result: Run, until: float) -> None:
        await trio.sleep(600.0)
        seen.append(daemon.supervisor.replicas[STRATEGY])
        await daemon.operator.emergency(STRATEGY, "a test", 0)
        await trio.sleep(600.0)
        seen.append(daemon.supervisor.replicas[STRATEGY])
        await daemon.operator.handle(Request(kind="resume", strategy=STRATEGY, key="r"), 0)
        await trio.sleep(600.0)
        seen.append(daemon.supervisor.replicas[STRATEGY])

    run = simulate(52, 1.1, ids=(STRATEGY,), script=script)
    before, closed, after = seen
    assert closed.state is CellState.LATCHED
    assert closed.equity_is_observed
    assert before.equity is not None
    assert closed.equity != before.equity
    assert closed.equity == pytest.approx(before.equity, rel=0.01)
    assert {key for key, amount in closed.observed.items() if abs(amount) > 1e-9 and not key.endswith("USDT")} <= {
        "gas:BaseToken:ETH"
    }
    assert closed.equity == pytest.approx(after.equity, rel=0.01)
    shorts = [amount for key, amount in after.positions.items() if ":Perp:" in key]
    assert len(shorts) == 3
    assert max(shorts) < -0.1
    assert not after.equity_is_observed
    assert judged(run) == []
