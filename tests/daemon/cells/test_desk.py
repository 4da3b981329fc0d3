"""The desk: what authority and dispatch are told of the moment a strategy trades in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from components.model.orders import Verb
from components.model.requirements import DAY_NS
from daemon.cells.authority import Pause
from daemon.cells.desk import Desk
from daemon.recorded.unbooked import Unbooked
from daemon.world.rows import MarketRow
from tests.builders import START, group, order

BUY, SELL = order(Verb.SPOT, "okx", "BTC", 1.0), order(Verb.SPOT, "okx", "BTC", -1.0)


def row(price: float | None, at: int = START) -> MarketRow:
    values = {} if price is None else {"okx.spot.BTC": price}
    return MarketRow(tick=0, timestamp=at, values=values)


def at_desk(
    decided: MarketRow | None, newer: MarketRow | None = None, pause: Pause | None = None, **around: Any
) -> Desk:
    known: dict[str, Any] = {
        "clock": SimpleNamespace(now=lambda: START),
        "limits": SimpleNamespace(max_data_age_s=600.0),
        "max_trade_usdt": None,
        "read_only": False,
        "free_bytes": lambda: 5,
        "clock_offset_ms": lambda: 1.5,
        "breaker": None,
        "patience": None,
        "telemetry": None,
    }
    entry = SimpleNamespace(id="btc", account="main", run=SimpleNamespace(exchanges={}))
    unbooked = Unbooked(adjusted={START // DAY_NS: 0.01})
    desk = Desk(cast(Any, entry), (), cast(Any, None), cast(Any, SimpleNamespace(**known | around)), 1, unbooked)
    desk.last_row, desk.paused = decided, pause
    if newer is not None:
        desk.mailbox.put(newer)
    return desk


@pytest.mark.parametrize(
    ("decided", "newer", "bought", "sold"),
    [
        (row(100.0), row(101.0), 100.0, -100.0),
        (row(100.0), row(100.0), 0.0, 0.0),
        (row(100.0), None, 0.0, 0.0),
        (None, row(101.0), 0.0, 0.0),
        (row(None), row(101.0), 0.0, 0.0),
        (row(100.0), row(None), 0.0, 0.0),
    ],
)
def test_a_price_has_moved_against_an_order_as_far_as_a_newer_row_tells(
    decided: MarketRow | None, newer: MarketRow | None, bought: float, sold: float
) -> None:
    asked = at_desk(decided, newer)
    assert asked.moved_bps(BUY) == pytest.approx(bought)
    assert asked.moved_bps(SELL) == pytest.approx(sold)


def test_a_group_is_judged_by_the_row_it_was_decided_on() -> None:
    asked_for = group(BUY)
    assert at_desk(None).unfit(asked_for) == "no market row is known"
    assert (
        at_desk(row(100.0, START - 601 * 10**9)).unfit(asked_for).startswith("stale: the row it was decided on is 601")
    )


STOPPED, PAUSED = Pause(reason="stopped", everything=True), Pause(reason="a look")
READ_ONLY = "read only: orders are computed and not sent"


@pytest.mark.parametrize(
    ("pause", "read_only", "everything", "risk"),
    [
        (None, False, (), ()),
        (PAUSED, False, (), ("paused: a look",)),
        (STOPPED, False, ("paused: stopped",), ()),
        (PAUSED, True, (READ_ONLY,), ("paused: a look",)),
    ],
)
async def test_a_step_is_told_what_is_held_back_and_what_was_adjusted_today(
    pause: Pause | None, read_only: bool, everything: tuple[str, ...], risk: tuple[str, ...]
) -> None:
    found = at_desk(row(100.0), pause=pause, read_only=read_only).circumstances()
    assert (found.blocks_all, found.blocks_risk, found.adjusted_share) == (everything, risk, 0.01)
    assert (found.market_now, found.free_bytes, found.clock_offset_ms) == (START, 5, 1.5)
