"""Result columns against the book they are made from, row by row, over whole replays with entries, transfers and exits.

Balances, prices and transfers are added up here again, by another way than the module takes.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from components.model.keys import PositionKey, PositionType
from components.model.market import Column, Market, Row
from components.model.slices import RunSlice
from components.result_columns import BALANCE, Names
from components.utility_manager import UtilityManager
from daemon.backtest.replay import ReplayResult
from tests.acceptance.runs import embedded, play, slice_of

MODES = ("btc_basis", "usdt_market_neutral", "usdt_market_neutral_no_leverage")
DAYS = ("2024-05-01", "2024-05-11")


@cache
def replayed(
    mode: str, scenario: str = "calm", window_rows: int | None = None
) -> tuple[RunSlice, Market, ReplayResult]:
    run = slice_of(mode)
    market = embedded(run, *DAYS, scenario=scenario)
    return run, market, play(run, market, window_rows=window_rows, close_at_end=True)


def balances(result: ReplayResult) -> dict[PositionKey, Column]:
    return {
        PositionKey(name.removeprefix(BALANCE)): column
        for name, column in result.columns.items()
        if name.startswith(BALANCE)
    }


def worth_at(venue: str, run: RunSlice, market: Market, result: ReplayResult, i: int) -> float:
    prices, row = UtilityManager.of(run.mode), Row(market, i)
    held = {key: column[i] for key, column in balances(result).items() if key.venue == venue and column[i]}
    return sum(amount * prices.value_at(row, key) for key, amount in held.items())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scenario", ["calm", "crash"])
def test_an_exchange_is_worth_what_lies_there(mode: str, scenario: str) -> None:
    run, market, result = replayed(mode, scenario)
    for venue in run.mode.hedge_allocation:
        worth = result.columns[f"venue_equity.{venue}"]
        for i in [0, 1, 2, 17, 24, 100, 180, len(worth) - 2, len(worth) - 1]:
            assert worth[i] == pytest.approx(worth_at(venue, run, market, result, i), rel=1e-9, abs=1e-6), (venue, i)


@pytest.mark.parametrize("mode", MODES)
def test_what_an_exchange_made_is_what_it_is_worth_less_what_was_brought_and_taken(mode: str) -> None:
    run, _, result = replayed(mode)
    for venue in run.mode.hedge_allocation:
        made, worth = result.columns[f"venue_pnl.{venue}"], result.columns[f"venue_equity.{venue}"]
        still = np.flatnonzero(np.abs(np.diff(worth) - made[1:]) < 1e-6)
        assert len(still) > 0.8 * len(worth), "on rows without transfers the two are one"
        brought = np.abs(np.diff(worth)).max()
        assert brought < 50_000.0 or np.abs(made).max() < 0.1 * brought, "what was brought is not earned"


@pytest.mark.parametrize("mode", MODES)
def test_funding_of_an_exchange_is_the_part_of_the_run(mode: str) -> None:
    run, _, result = replayed(mode)
    by_venue = sum(result.columns[f"funding.{venue}"] for venue in run.mode.hedge_allocation)
    assert np.allclose(by_venue, result.columns["funding"], rtol=1e-9, atol=1e-9)
    assert np.any(by_venue)


@pytest.mark.parametrize("mode", MODES)
def test_ratios_are_there_as_long_as_a_position_is_and_not_a_row_longer(mode: str) -> None:
    run, _, result = replayed(mode)
    size = balances(result)
    for venue in run.mode.hedge_allocation:
        names = Names.of(run, venue)
        held = size[names.perp] != 0.0
        for name in (names.margin_ratio, names.mm_ratio):
            ratio = result.columns[name]
            assert not np.isnan(ratio[1:-1][held[1:-1] & held[:-2]]).any(), "one that is held has a ratio"
            assert np.isnan(ratio[-1]), "after the exit there is none"
            assert (ratio[~np.isnan(ratio)] > 0.0).all()
        assert held.any() and not held[-1]


@pytest.mark.parametrize("mode", MODES)
def test_maintenance_never_exceeds_margin_while_nothing_is_liquidated(mode: str) -> None:
    run, _, result = replayed(mode)
    assert result.liquidations == 0
    for venue in run.mode.hedge_allocation:
        needed = result.columns[f"mm_ratio.{venue}"]
        assert (needed[~np.isnan(needed)] < 1.0).all()


def test_the_last_row_says_what_is_held_after_its_trades() -> None:
    _, _, result = replayed("btc_basis")
    for key, column in balances(result).items():
        if key.position_type is PositionType.PERP:
            assert column[-1] == 0.0, key


@pytest.mark.parametrize("mode", MODES)
def test_columns_do_not_depend_on_how_rows_are_cut(mode: str) -> None:
    _, _, whole = replayed(mode)
    _, _, cut = replayed(mode, window_rows=7)
    for name, column in whole.columns.items():
        assert np.array_equal(column, cut.columns[name], equal_nan=True), name


def test_an_exchange_without_the_perp_has_no_tiers() -> None:
    run = slice_of("btc_basis")
    assert Names.of(run, "binance").tiers
    assert Names.of(run, "okx").perp == PositionKey("okx:Perp:BTCUSDT")
