"""Questions to the running daemon: answers are read off published pictures, the index, and for a plan off the venues.

Nothing is changed and nothing is journaled here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import trio

from components.model.errors import BasisError
from daemon.backtest.sold import ExitValues
from daemon.cells.supervisor import Supervisor
from daemon.control.commands import Request, Response, answer
from daemon.control.shown import plan_shown, positions_shown
from daemon.replica import Replica

QUESTIONS = frozenset({"ping", "status", "positions", "orders", "events", "dump", "emergency_plan"})


class Whole(msgspec.Struct, frozen=True, kw_only=True):
    """What the daemon as a whole does and says for an operator."""

    events: Callable[[str | None, int], Awaitable[list[dict[str, Any]]]]
    orders: Callable[[str | None], Awaitable[list[dict[str, Any]]]]
    trouble: Callable[[str | None], str]  # what is missing in those answers
    stop: Callable[[], None]
    dump: Callable[[], Mapping[str, Any]]
    backup: Callable[[Path], Awaitable[Mapping[str, Any]]]
    unwell: Callable[[], Iterable[str]] = tuple  # what of the daemon itself is not as it should be


class Questions:
    def __init__(self, supervisor: Supervisor, whole: Whole, market_now: Callable[[], int]) -> None:
        self._supervisor = supervisor
        self._whole = whole
        self._now = market_now
        self._exit_values = ExitValues()

    async def answered(self, request: Request) -> Response:
        """One of `QUESTIONS`, about a strategy that there is, or all."""
        data, message = await self._data(request)
        return answer(data, message=message, market_now=self._now())

    async def _data(self, request: Request) -> tuple[object, str]:
        whole, strategy = self._whole, request.strategy
        match request.kind:
            case "ping":
                return {"strategies": list(self._ids()), "unwell": list(whole.unwell())}, ""
            case "status":
                return [self.valued(each) for each in self._replicas(request)], "\n".join(whole.unwell())
            case "positions":
                return positions_shown(self._replicas(request)), ""
            case "orders":
                return await whole.orders(strategy), whole.trouble(strategy)
            case "events":
                limit = int(request.arguments.get("limit", "50"))
                return await whole.events(strategy, limit), whole.trouble(strategy)
            case "dump":
                return whole.dump(), ""
            case "emergency_plan":
                return await self._plans(strategy), ""
            case kind:
                raise AssertionError(kind)

    def valued(self, replica: Replica) -> Replica:
        """With what it would leave if it were sold now, beside its book value."""
        run = next(entry.run for entry in self._supervisor.config.strategies if entry.id == replica.strategy)
        return self._exit_values.of(run, replica)

    async def _plans(self, strategy: str | None) -> list[dict[str, Any]]:
        """Asked of the venues themselves, whatever has become of the strategy."""
        rows: dict[str, list[dict[str, Any]]] = {}

        async def plan(name: str) -> None:
            try:
                rows[name] = plan_shown(name, await self._supervisor.planner_of(name).plan())
            except BasisError as error:
                if strategy:
                    raise
                rows[name] = [{"strategy": name, "refused": error.message}]

        names = [strategy] if strategy else self._ids()
        async with trio.open_nursery() as nursery:
            for name in names:
                nursery.start_soon(plan, name)
        return [row for name in names for row in rows[name]]

    def _replicas(self, request: Request) -> list[Replica]:
        known = self._supervisor.replicas
        return [known[name] for name in self._ids() if name in known and request.strategy in (None, name)]

    def _ids(self) -> tuple[str, ...]:
        return tuple(entry.id for entry in self._supervisor.config.strategies)
