"""The picture a cell publishes: figures it knows, None for those it does not, and never the core's own objects."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from components.pnl_monitor import LINES
from daemon.daemon import Daemon
from daemon.latch import Phase
from daemon.picture import picture
from tests.daemon.house import BTC, House, cell_of, replica_of, ticked, until


def test_what_is_shown_is_what_the_core_holds(tmp_path: Path) -> None:
    house = House(tmp_path, BTC)

    async def play(daemon: Daemon) -> None:
        assert replica_of(daemon, BTC).equity is None, "nothing is known before the first row"
        await ticked(daemon, BTC, 3)
        cell, shown = cell_of(daemon, BTC), picture(cell_of(daemon, BTC))
        assert shown.equity == cell.core.pnl.equity
        assert shown.positions == {str(key): amount for key, amount in cell.core.positions.snapshot().items()}
        assert shown.observed == pytest.approx(shown.positions, rel=1e-9)
        assert set(shown.pnl) == {*LINES, "residual"}
        assert sum(value for part, value in shown.pnl.items() if part != "residual") == pytest.approx(
            shown.equity - shown.initial  # type: ignore[operator]
        )
        assert (shown.journal_sequence, shown.journal_hash) == (cell.journal.head.sequence, cell.journal.head.hash)
        assert {venue.name for venue in shown.venues} == {"binance", "bybit", "okx", "chain"}
        assert all(contract.holds for contract in shown.contracts)

    house.live(play)


def test_a_picture_does_not_change_when_the_core_goes_on(tmp_path: Path) -> None:
    house = House(tmp_path, BTC)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 2)
        shown = replica_of(daemon, BTC)
        before = msgspec.json.encode(shown, enc_hook=str)
        await ticked(daemon, BTC, 5)
        assert msgspec.json.encode(shown, enc_hook=str) == before
        assert replica_of(daemon, BTC) is not shown

    house.live(play)


def test_under_a_latch_equity_is_of_what_the_venues_hold(tmp_path: Path) -> None:
    house = House(tmp_path, BTC)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 2)
        before = replica_of(daemon, BTC)
        await daemon.operator.emergency(BTC, "a test", 0)
        await until(lambda: (latch := house.latches.of(BTC)) is not None and latch.phase is Phase.FLAT)
        await until(lambda: not any(":Perp:" in key for key in replica_of(daemon, BTC).observed))
        shown = replica_of(daemon, BTC)
        cash = sum(amount for key, amount in shown.observed.items() if key.endswith("BaseToken:USDT"))
        gas = shown.observed.get("gas:BaseToken:ETH", 0.0) * shown.prices["binance.spot.ETH"]
        assert shown.equity_is_observed
        assert shown.equity == pytest.approx(cash + gas)
        assert (shown.step, shown.pnl) == (before.step, before.pnl), "the books rest"
        cell_of(daemon, BTC).observer.views["okx"].positions_at = None
        assert picture(cell_of(daemon, BTC)).equity is None, "a part of it is not known"

    house.live(play)


def test_an_order_in_doubt_is_shown_with_what_was_asked(tmp_path: Path) -> None:
    house = House(tmp_path, BTC)
    house.fault(BTC, "error_after_accept", "okx", lasts_s=1.0)

    async def play(daemon: Daemon) -> None:
        for kind, endpoint in (("reset_after_send", "submit"), ("black_hole", "query")):
            house.fault(BTC, kind, "okx", lasts_s=600.0, endpoint=endpoint)
        await until(lambda: replica_of(daemon, BTC).uncertain, within_s=300.0)
        doubts = replica_of(daemon, BTC).uncertain
        assert {order.venue for order in doubts} == {"okx"}
        assert all(order.reason == "outcome not known" and order.amount for order in doubts)

    house.live(play)
