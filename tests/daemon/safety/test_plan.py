"""The whole exit, thought through: every step until flat, what it waits for, and what it costs."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from components.model.keys import base_token
from daemon.process.daemon import Daemon
from daemon.safety.marks import marked_row
from daemon.safety.plan import projected
from daemon.state.latch import Phase
from tests.daemon.house import ask, replica_of, until
from tests.daemon.safety.test_flat_by_positions import NEUTRAL, house_of, in_a_steady_state, latch_of
from tests.venues.paper.stage import account_of


def test_nothing_held_is_an_empty_plan() -> None:
    account = account_of("btc_basis")
    marks = {name: value for door in account.doors for name, value in account.marks(door).items()}
    steps = projected(account.run, {base_token("wallet", "USDT"): 5.0}, marked_row(account.run, 0, marks, None, {}))
    assert steps == []


def test_a_coin_that_nobody_has_announced_is_planned_for_without_a_time() -> None:
    account = account_of("usdt_market_neutral")
    marks = {name: value for door in account.doors for name, value in account.marks(door).items()}
    held = {base_token("transit", "ETH"): 2.0}
    (sale, *_) = projected(account.run, held, marked_row(account.run, 0, marks, None, held))
    assert (sale.after_s, sale.group.orders[0].amount) == (None, pytest.approx(-2.0))


def test_the_plan_is_the_whole_plan_and_what_it_costs(tmp_path: Path) -> None:
    """From a steady state: chain, coins to the exchange, and when they have arrived coins and shorts together."""
    house = house_of(tmp_path, NEUTRAL, 1.0)

    async def play(daemon: Daemon) -> None:
        await in_a_steady_state(house, daemon, NEUTRAL)
        before = replica_of(daemon, NEUTRAL).equity
        sent = house.accounts[NEUTRAL].truth().fills
        rows = msgspec.json.decode(bytes((await ask(daemon, "emergency_plan", NEUTRAL)).data))
        assert house.accounts[NEUTRAL].truth().fills == sent, "nothing was sent"
        closing = {row["venue"] for row in rows if row["verb"] == "perp"}
        assert closing == {"binance", "bybit", "okx"}
        assert {"flash_borrow", "repay", "withdraw", "swap", "transfer", "spot"} <= {row["verb"] for row in rows}
        waits = [row["after_s"] for row in rows]
        assert waits == sorted(waits) and waits[0] == 0.0 and waits[-1] > 500.0
        cost = sum(row["cost"] for row in rows)
        await daemon.operator.emergency(NEUTRAL, "a test", 0)
        await until(lambda: latch_of(house, NEUTRAL).phase is Phase.FLAT)
        after = replica_of(daemon, NEUTRAL).equity
        assert before is not None and after is not None
        moved = "as it was done, but for what the market moved until the chain had it"
        assert cost == pytest.approx(before - after, rel=0.25), moved

    house.live(play)
