"""Measures of the market alone: how far prices part, and what leverage earns less what it costs."""

from __future__ import annotations

import numpy as np
import pytest

from components.market_measures import carry_name, carry_of, divergence_of
from components.model.slices import ModeSlice
from tests.builders import market, mode_of

BASIS = mode_of("btc_basis", hedge_allocation={"binance": 1.0}, reserve_ratio=0.0)


def divergent(mode: ModeSlice, **lines: float) -> list[float] | None:
    column = divergence_of(market({name.replace("_", "."): price for name, price in lines.items()}), mode)
    return None if column is None else column.tolist()


def test_divergence_is_the_farthest_fresh_price_from_the_reference() -> None:
    assert divergent(BASIS, binance_spot_BTC=100.0, binance_perp_BTC=100.7) == pytest.approx([0.007])
    both = mode_of(hedge_allocation={"binance": 0.5, "okx": 0.5})
    lines = {"binance_spot_BTC": 100.0, "binance_perp_BTC": 100.7, "okx_spot_BTC": 99.0, "okx_perp_BTC": 100.1}
    assert divergent(both, **lines) == pytest.approx([0.01])


def test_a_stale_price_does_not_diverge() -> None:
    made = market({"binance.spot.BTC": 100.0, "binance.perp.BTC": [101.0, 101.0]}, stale={"binance.perp.BTC": [1]})
    column = divergence_of(made, BASIS)
    assert column is not None
    assert column.tolist() == pytest.approx([0.01, 0.0])


def test_nothing_diverges_where_nothing_is_hedged() -> None:
    assert divergent(mode_of("pure_lending"), binance_spot_ETH=100.0) is None


def test_carry_is_what_leverage_earns_less_what_it_costs_over_the_days() -> None:
    lines = {
        "lido.ratio.wstETH": [1.0, 1.0, 1.01, 1.01], "aave_v3.supply_index.wstETH": [1.0, 1.0, 1.0, 1.02],
        "aave_v3.borrow_index.WETH": [2.0, 2.0, 2.0, 2.2],
    }  # fmt: skip
    made = market(lines, step_hours=24)
    column = carry_of(made, mode_of("eth_leveraged", break_even_days=2))
    assert column is not None
    assert column[2:] == pytest.approx([0.01, 1.01 * 1.02 - 1.1])
    assert np.isnan(column[:2]).all()


def test_carry_needs_leverage_its_series_and_enough_rows() -> None:
    lines = {"lido.ratio.wstETH": [1.0, 1.0], "aave_v3.supply_index.wstETH": 1.0, "aave_v3.borrow_index.WETH": 2.0}
    assert carry_of(market(lines), mode_of("eth_staking_only")) is None
    assert carry_of(market({"lido.ratio.wstETH": [1.0, 1.0]}), mode_of("eth_leveraged")) is None
    assert carry_of(market({name: 1.0 for name in lines}), mode_of("eth_leveraged")) is None
    column = carry_of(market(lines), mode_of("eth_leveraged"))
    assert column is not None
    assert np.isnan(column).all()


def test_a_column_that_is_there_under_its_name_is_not_worked_out_again() -> None:
    lines = {"lido.ratio.wstETH": [1.0, 1.0], "aave_v3.supply_index.wstETH": 1.0, "aave_v3.borrow_index.WETH": 2.0}
    made, mode = market(lines), mode_of("eth_leveraged")
    assert carry_of(made, mode) is made.derived(carry_name(mode), lambda: np.zeros(2))
