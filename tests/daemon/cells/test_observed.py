"""Ratios of what is held, measured without a core: the same the core would write."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.model.keys import base_token
from daemon.cells.observed import PER_VENUE, RATIOS, observed_columns, without_ratios
from daemon.process.daemon import Daemon
from tests.daemon.house import BTC, LENDING, House, cell_of, replica_of, ticked

LEVERAGED = "eth-leveraged"


@pytest.mark.parametrize("strategy", [BTC, LEVERAGED])
def test_they_are_those_of_the_core_as_long_as_nothing_has_moved(strategy: str, tmp_path: Path) -> None:
    house = House(tmp_path, strategy)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, strategy, 4)
        cell, shown = cell_of(daemon, strategy), replica_of(daemon, strategy)
        assert cell.desk.last_row is not None
        found = observed_columns(cell.desk.run, cell.desk.last_row, cell.desk.observer.observed())
        wanted = {n: v for n, v in shown.columns.items() if n in RATIOS or n.partition(".")[0] in PER_VENUE}
        assert wanted
        assert found == pytest.approx(wanted, rel=1e-6, abs=1e-6)
        assert without_ratios(shown.columns) == {n: v for n, v in shown.columns.items() if n not in wanted}

    house.live(play)


def test_a_strategy_without_hedge_or_debt_has_none(tmp_path: Path) -> None:
    house = House(tmp_path, LENDING)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, LENDING, 2)
        cell = cell_of(daemon)
        assert cell.desk.last_row is not None
        assert observed_columns(cell.desk.run, cell.desk.last_row, cell.desk.observer.observed()) == {}

    house.live(play)


def test_of_nothing_held_the_delta_is_none_and_there_is_no_margin(tmp_path: Path) -> None:
    house = House(tmp_path, BTC)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 1)
        cell = cell_of(daemon, BTC)
        assert cell.desk.last_row is not None
        assert observed_columns(cell.desk.run, cell.desk.last_row, {}) == {"net_delta": 0.0}

    house.live(play)


def test_of_what_selling_left_over_the_delta_is_none(tmp_path: Path) -> None:
    house = House(tmp_path, BTC)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 1)
        cell = cell_of(daemon, BTC)
        assert cell.desk.last_row is not None
        dust = {base_token("binance", "BTC"): 1e-9, base_token("binance", "USDT"): 99_000.0}
        assert observed_columns(cell.desk.run, cell.desk.last_row, dust)["net_delta"] == 0.0
        naked = {**dust, base_token("binance", "BTC"): 0.5}
        assert observed_columns(cell.desk.run, cell.desk.last_row, naked)["net_delta"] == pytest.approx(1.0)

    house.live(play)
