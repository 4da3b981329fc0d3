"""The picture a cell publishes: figures it knows, None for those it does not, and never the core's own objects."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import trio

from components.pnl_monitor import LINES
from daemon.cells.cell import Cell
from daemon.cells.picture import Unpriced, picture
from daemon.cli.status import reasons
from daemon.process.daemon import Daemon
from daemon.replica import Replica
from daemon.state.latch import Phase
from tests.daemon.house import BTC, House, cell_of, replica_of, ticked, until
from tests.daemon.monitoring.test_metrics import scraped


def pictured(cell: Cell) -> Replica:
    return picture(cell.desk, cell.actor, cell.closing, Unpriced())


def test_what_is_shown_is_what_the_core_holds(tmp_path: Path) -> None:
    house = House(tmp_path, BTC)

    async def play(daemon: Daemon) -> None:
        assert replica_of(daemon, BTC).equity is None, "nothing is known before the first row"
        await ticked(daemon, BTC, 3)
        cell = cell_of(daemon, BTC)
        shown = pictured(cell)
        assert shown.equity == cell.core.pnl.equity
        assert shown.positions == {str(key): amount for key, amount in cell.core.positions.snapshot().items()}
        assert shown.observed == pytest.approx(shown.positions, rel=1e-9)
        assert set(shown.pnl) == {*LINES, "residual"}
        assert sum(value for part, value in shown.pnl.items() if part != "residual") == pytest.approx(
            shown.equity - shown.initial  # type: ignore[operator]
        )
        assert (shown.journal_sequence, shown.journal_hash) == (
            cell.desk.journal.head.sequence,
            cell.desk.journal.head.hash,
        )
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
        await until(lambda: not any(":Perp:" in key for key, held in replica_of(daemon, BTC).observed.items() if held))
        shown = replica_of(daemon, BTC)
        assert shown.observed["okx:Perp:BTCUSDT"] == 0.0 != shown.positions["okx:Perp:BTCUSDT"], (
            "sold, as the venue says"
        )
        cash = sum(amount for key, amount in shown.observed.items() if key.endswith("BaseToken:USDT"))
        gas = shown.observed.get("gas:BaseToken:ETH", 0.0) * shown.prices["binance.spot.ETH"]
        assert shown.equity_is_observed
        assert shown.equity == pytest.approx(cash + gas)
        assert (shown.step, shown.pnl) == (before.step, before.pnl), "the books rest"
        cell_of(daemon, BTC).desk.observer.views["okx"].positions_at = None
        assert pictured(cell_of(daemon, BTC)).equity is None, "a part of it is not known"

    house.live(play)


def test_an_uncertain_order_is_shown_with_what_was_asked(tmp_path: Path) -> None:
    house = House(tmp_path, BTC)
    house.fault(BTC, "error_after_accept", "okx", lasts_s=1.0)

    async def play(daemon: Daemon) -> None:
        for kind, endpoint in (("reset_after_send", "submit"), ("black_hole", "query")):
            house.fault(BTC, kind, "okx", lasts_s=600.0, endpoint=endpoint)
        await until(lambda: replica_of(daemon, BTC).uncertain, within_s=300.0)
        uncertain = replica_of(daemon, BTC).uncertain
        assert {order.venue for order in uncertain} == {"okx"}
        assert all(order.reason == "outcome not known" and order.amount for order in uncertain)

    house.live(play)


def test_an_uncertain_order_keeps_its_true_age_and_notional_also_over_a_restart(tmp_path: Path) -> None:
    house = House(tmp_path, BTC)

    async def lose(daemon: Daemon) -> None:
        house.fault(BTC, "black_hole", "okx", endpoint="submit", lasts_s=36_000.0)
        house.fault(BTC, "black_hole", "okx", endpoint="query", lasts_s=36_000.0)
        await ticked(daemon, BTC, 1)
        sent = {order.id: order.sent_at for order in replica_of(daemon, BTC).uncertain}
        assert len(sent) == 2 and set(sent.values()) == {house.begin}
        await ticked(daemon, BTC, 9)
        shown = replica_of(daemon, BTC)
        assert {order.id: order.sent_at for order in shown.uncertain} == sent
        assert [line for line in reasons(shown, shown.timestamp) if "sent 540 s ago" in line]
        for order in shown.uncertain:
            assert order.notional_usdt == pytest.approx(
                abs(order.amount) * shown.prices[f"okx.{order.verb}.BTC"], rel=1e-9
            )
        notional = scraped(daemon.metrics)["basis_uncertain_notional_usd", BTC]
        assert notional == pytest.approx(sum(order.notional_usdt or 0.0 for order in shown.uncertain))
        before.update(sent)

    before: dict[str, int | None] = {}
    house.live(lose)

    async def find_again(daemon: Daemon) -> None:
        house.fault(BTC, "black_hole", "okx", endpoint="query", lasts_s=36_000.0)
        await ticked(daemon, BTC, 2)
        assert {order.id: order.sent_at for order in replica_of(daemon, BTC).uncertain} == before
        assert all(each in cell_of(daemon, BTC).desk.dispatch.sent_at for each in before)

    house.live(find_again)

    async def resolve(daemon: Daemon) -> None:
        house.plans[BTC].heal()
        await until(lambda: not replica_of(daemon, BTC).uncertain)
        await ticked(daemon, BTC, 1)
        assert not set(before) & set(cell_of(daemon, BTC).desk.dispatch.sent_at)
        assert scraped(daemon.metrics)["basis_uncertain_notional_usd", BTC] == 0.0

    house.plans[BTC].heal()
    house.live(resolve)


def test_under_a_latch_delta_and_margin_are_of_what_the_venues_report_now(tmp_path: Path) -> None:
    """Closing takes the perps away under the core's feet: what is shown follows, and says when it was seen."""
    house = House(tmp_path, BTC)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 3)
        before = replica_of(daemon, BTC)
        assert any(name.startswith("margin_ratio.") for name in before.columns) and before.columns_at is None
        for venue in ("binance", "bybit", "okx"):
            house.fault(BTC, "connect_refused", venue, endpoint="submit", lasts_s=1e9)
        await daemon.operator.emergency(BTC, "a look", 0)
        await until(lambda: replica_of(daemon, BTC).phase == Phase.CLOSING and replica_of(daemon, BTC).closing_error)
        await trio.sleep(70.0)
        during = replica_of(daemon, BTC)
        assert during.columns["net_delta"] == pytest.approx(before.columns["net_delta"], abs=1e-3)
        assert during.columns_at is not None and daemon.clock.now() - during.columns_at < 61e9
        assert any("in the way of closing" in line for line in reasons(during, daemon.clock.now()))
        house.plans[BTC].heal()
        await until(lambda: replica_of(daemon, BTC).phase == Phase.FLAT)
        await trio.sleep(61.0)  # a row later the venues were asked again
        after = replica_of(daemon, BTC)
        assert not any(name.startswith("margin_ratio.") for name in after.columns), "there is no perp any more"
        assert after.columns["net_delta"] == 0.0
        assert not [key for key in scraped(daemon.metrics) if key[0] == "basis_margin_ratio"]

    house.live(play)
