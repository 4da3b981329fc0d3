"""A pause holds until it is resumed, whatever happens to the strategy meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import trio

from components.model.errors import BasisError
from components.model.orders import reduces_risk
from daemon.control.commands import Request
from daemon.journal.records import Command, Intent
from daemon.process.daemon import Daemon
from tests.simulation.harness import THREE, Run, simulate
from tests.simulation.host_faults import HostFault
from tests.simulation.oracles import judged

HOURS = 2.0
KINDS = ("crash", "cut", "restart", "sync_error", "write_error", "reload")


def traded_while_paused(run: Run) -> Iterator[str]:
    """Orders of a core that add risk between a pause that was acknowledged and the resume that ended it, a step under
    way aside."""
    for strategy in THREE:
        records = run.records[strategy]
        held: int | None = None
        spans = []
        for record in run.records["daemon"]:
            if not isinstance(record, Command) or record.arguments.get("strategy") != strategy:
                continue
            if record.kind == "pause" and record.answer == "accepted" and held is None:
                held = record.at
            elif record.kind == "resume" and record.answer == "asked" and held is not None:
                spans.append((held + 60_000_000_000, record.at))
                held = None
        assert len(spans) >= 3, strategy
        for record in records:
            if isinstance(record, Intent) and record.origin == "core":
                if all(reduces_risk(order, record.group.action) for order in record.group.orders):
                    continue
                for begin, end in spans:
                    if begin < record.at < end:
                        yield f"{strategy}: {record.group.id} left at {record.at}, paused since {begin}"


def faults(seed: int) -> tuple[HostFault, ...]:
    draw = Random(seed)
    return tuple(
        HostFault(kind=draw.choice(KINDS), strategy=draw.choice(THREE), after_s=300.0 + 130.0 * i) for i in range(36)
    )


async def pauses(daemon: Daemon, run: Run, until: float) -> None:
    """Each strategy in turn is paused for some minutes; money comes and goes all the time."""
    draw, count = Random(5), 0
    while True:
        for strategy in THREE:
            share_class = run.accounts[strategy].run.mode.share_class
            amount = "2" if share_class == "ETH" else "10000"
            for kind, words, rest_s in (
                ("pause", {}, 200.0),
                ("deposit", {"amount": amount}, 200.0),
                ("withdraw", {"amount": amount}, 200.0),
                ("resume", {}, 60.0),
            ):
                count += 1
                while True:  # a strategy that is starting again says so
                    request = Request(kind=kind, strategy=strategy, arguments=words, key=f"{kind}{count}")
                    try:
                        await daemon.operator.handle(request, 0)
                        break
                    except BasisError:
                        await trio.sleep(20.0)
                await trio.sleep(rest_s * draw.uniform(0.5, 1.0))


def test_nothing_that_adds_risk_leaves_while_a_strategy_is_paused() -> None:
    run = simulate(88, HOURS, faults=20, host=faults(88), script=pauses)
    assert len(run.struck) >= 20
    assert list(traded_while_paused(run)) == []
    assert judged(run) == []
