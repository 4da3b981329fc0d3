"""Plays a case as the product does and keeps what it published: rows, events, and the trades of every order group."""

from __future__ import annotations

from functools import lru_cache

import msgspec
import numpy as np

from components.model.errors import InvalidInput
from components.model.market import Market, Row
from components.model.orders import OrderGroup, Trade
from components.model.slices import RunSlice
from components.ports import Approved
from components.smallest_capital import smallest_capital, too_small
from daemon.backtest.replay import Replay, ReplayRequest, ReplayResult
from daemon.backtest.request import parse_request
from daemon.backtest.run import load_market
from daemon.config.settings import load_run
from tests.acceptance.runs import DATA
from tests.decisions.cases import Case
from tests.decisions.history import history_of


class Done(msgspec.Struct, frozen=True):
    """An order group that left on row `row` at `at` (UTC ns), and what became of each of its orders."""

    row: int
    at: int
    group: OrderGroup
    trades: tuple[Trade, ...]

    @property
    def parent(self) -> str:
        """The group this one is a piece of: an order that was split is one decision."""
        return "/".join(self.group.id.split("/")[:3])


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """A run that took place; figures in share-class currency unless they say otherwise."""

    case: Case
    run: RunSlice
    market: Market
    result: ReplayResult
    done: tuple[Done, ...]


class Refused(msgspec.Struct, frozen=True):
    """A run that was not begun, and why."""

    case: Case
    reason: str


@lru_cache(maxsize=256)
def slice_of(mode: str, overrides: tuple[str, ...]) -> RunSlice:
    return load_run(mode, overrides=overrides, environ={})


def play(case: Case) -> Played | Refused:
    """The run of a case, or its refusal; anything else that is raised is a fault of the product."""
    try:
        request = parse_request(case.texts(str(DATA)), environ={})
        run = slice_of(case.mode, case.overrides)
        market = None
        if case.seed is None:
            market = history_of(case.mode, case.overrides).cut(request.grid)
        if market is None:
            market = load_market(request, run, environ={})
        if fault := too_small(run, Row(market, 0), request.capital, "--capital"):
            return Refused(case, str(fault))
        asked = ReplayRequest(run_id="decisions", capital=request.capital, flows=request.flows)
        job = Replay(run, market, asked)
    except InvalidInput as refusal:
        return Refused(case, str(refusal))
    done: list[Done] = []
    execute = job.world.execute

    def watched(approved: Approved) -> tuple[Trade, ...]:
        row = job.world.row
        trades = execute(approved)
        done.append(Done(row.index, row.timestamp, approved.group, trades))
        return trades

    job.world.execute = watched  # type: ignore[method-assign]
    job.run()
    return Played(case=case, run=run, market=market, result=job.result(), done=tuple(done))


def smallest_of(case: Case) -> float:
    """The smallest capital with which the run of a case is begun, share-class currency."""
    request = parse_request(case.texts(str(DATA)), environ={})
    run = slice_of(case.mode, case.overrides)
    return smallest_capital(run, Row(load_market(request, run, environ={}), 0)).capital


def row_at(played: Played, at: int) -> int:
    """The first row at or after a stamp, the last one at most."""
    stamps = played.result.timestamps
    return min(int(np.searchsorted(stamps, at)), len(stamps) - 1)


def shown(played: Played, row: int) -> str:
    return str(np.datetime64(int(played.result.timestamps[row]), "ns"))[:16] + "Z"
