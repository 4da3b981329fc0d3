"""The scripted operator: moves capital, rebalances, resumes what is closed or was given up, adopts what others did.

It does what the runbooks say and nothing else, through the same requests as the command line. What the daemon refuses
is noted, not an error.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import trio

from components.model.errors import BasisError
from daemon.control.commands import Request
from daemon.process.daemon import Daemon
from daemon.replica import CellState
from daemon.state.latch import Phase

if TYPE_CHECKING:
    from tests.simulation.harness import Run, Script

LOOKS_EVERY_S = 60.0


def operator(seed: int, *, least_s: float = 300.0, most_s: float = 900.0) -> Script:
    """Asks one strategy for something after every pause between `least_s` and `most_s`, and looks after all of them."""

    async def script(daemon: Daemon, result: Run, until: float) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_look_after, daemon, result)
            draw, count = Random(seed), 0
            while True:
                await trio.sleep(draw.uniform(least_s, most_s))
                count += 1
                strategy = draw.choice(sorted(result.accounts))
                share_class = result.accounts[strategy].run.mode.share_class
                amount = 3.0 if share_class == "ETH" else 20_000.0
                kind = draw.choice(["deposit", "withdraw", "rebalance"])
                words = {} if kind == "rebalance" else {"amount": str(amount)}
                await _ask(daemon, result, Request(kind=kind, strategy=strategy, arguments=words, key=f"{kind}{count}"))

    return script


async def _look_after(daemon: Daemon, result: Run) -> None:
    count = 0
    while True:
        await trio.sleep(LOOKS_EVERY_S)
        for strategy in sorted(result.accounts):
            count += 1
            await tidy(daemon, result, strategy, count)


async def tidy(daemon: Daemon, result: Run, strategy: str, count: int) -> None:
    """What one look at one strategy leads to."""
    latch = daemon.latches.of(strategy)
    if latch is not None and (latch.is_closed or latch.phase is Phase.FAILED):
        await _ask(daemon, result, Request(kind="resume", strategy=strategy, key=f"resume{count}"))
        return
    replica = daemon.supervisor.replicas.get(strategy)
    if replica is not None and replica.state in (CellState.FAILED, CellState.HALTED):
        await _ask(daemon, result, Request(kind="resume", strategy=strategy, key=f"resume{count}"))
        return
    cell = daemon.supervisor.cells.get(strategy)
    for venue, view in cell.desk.observer.views.items() if cell is not None else ():
        told = {key: amount for key, amount in view.positions.items() if amount}
        held = {key: amount for key, amount in result.accounts[strategy].positions(venue).items() if amount}
        if view.foreign and told == held:  # whoever adopts looks at the venue's own page first
            words = {"venue": venue}
            await _ask(
                daemon, result, Request(kind="adopt", strategy=strategy, arguments=words, key=f"adopt{count}{venue}")
            )


async def _ask(daemon: Daemon, result: Run, request: Request) -> None:
    try:
        await daemon.operator.handle(request, 0)
    except BasisError as error:
        result.refused.append(f"{request.strategy}: {request.kind}: {error}")
