"""What answers the outside: metrics that cannot be served, or an index that cannot be made, stop nothing."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import cast

import trio
from trio.testing import MockClock

from daemon.config.daemon_file import Metrics as MetricsEntry
from daemon.control.commands import Request, Response
from daemon.journal.queries import Queries
from daemon.monitoring.health import Component, Health, Level
from daemon.monitoring.metrics import Metrics
from daemon.process.serving import INDEX_EVERY_S, Serving


class Journals:
    """Stands for the index: as far as it is made, and which journals keep it from that."""

    def __init__(self) -> None:
        self.failed: dict[str, str] = {}
        self.looks = 0

    def catch_up(self) -> int:
        self.looks += 1
        return 0

    def trouble(self, strategy: str | None) -> str:
        return "; ".join(self.failed.values())


async def read(question: Callable[[], int]) -> int:
    return question()


async def handle(request: Request, uid: int) -> Response:
    raise AssertionError(f"{uid} asked for {request}")


def served(journals: Journals, health: Health) -> Serving:
    return Serving(Metrics(now=lambda: 0.0, speed=1.0), health, cast(Queries, journals), handle, read)


def component(health: Health, name: str) -> Component:
    (found,) = (each for each in health.around() if each.name == name)
    return found


def test_an_index_that_cannot_be_made_is_said_until_it_can(tmp_path: Path) -> None:
    journals, seen = Journals(), list[tuple[Level, str]]()

    async def main() -> None:
        health = Health(trio.current_time, speed=1.0, step_budget_s=30.0)
        async with trio.open_nursery() as nursery:
            where = MetricsEntry(host="127.0.0.1", port=0, token_file=None)
            await served(journals, health).start(nursery, tmp_path / "s", where)
            for failed in ({"lending": "the chain breaks"}, {}):
                journals.failed = failed
                looks = journals.looks
                while journals.looks < looks + 2:
                    await trio.sleep(INDEX_EVERY_S)
                index = component(health, "index")
                seen.append((index.level, index.reason))
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0.05))
    assert seen == [(Level.DEGRADED, "the chain breaks"), (Level.OK, "")]


async def test_metrics_without_a_port_are_said_and_hold_up_no_start(tmp_path: Path) -> None:
    health = Health(trio.current_time, speed=1.0, step_budget_s=30.0)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with trio.open_nursery() as nursery:
            serving = served(Journals(), health)
            where = MetricsEntry(host="127.0.0.1", port=taken.getsockname()[1], token_file=None)
            with trio.fail_after(5.0):
                await serving.start(nursery, tmp_path / "s", where)
            said = component(health, "metrics")
            assert said.level is Level.FAILED
            assert f"127.0.0.1:{where.port}" in said.reason, "where"
            assert "another program listens there" in said.reason
            assert "BASIS_DAEMON__METRICS__PORT" in said.reason, "and what to do"
            assert serving.metrics_address is None
            health.enlist("lending")
            assert health.liveness().reasons == (), "what is shown touches nothing that trades"
            nursery.cancel_scope.cancel()
