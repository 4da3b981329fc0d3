"""No look-ahead: altering the future of the data does not move the past of the results."""

from __future__ import annotations

import numpy as np
import pytest

from components.model.market import FundingSeries, Market
from tests.acceptance.runs import MODES, embedded, play, slice_of

CUT = 900


def altered(market: Market, cut: int, seed: int) -> Market:
    """The same market up to and including row `cut`, another one after it."""
    draw = np.random.default_rng(seed)
    columns = {}
    for name, column in market.columns.items():
        changed = column.copy()
        changed[cut + 1 :] *= draw.uniform(0.97, 1.03)
        columns[name] = changed
    funding = {}
    for name, series in market.funding.items():
        later = series.row > cut
        rate = np.where(later, series.rate * draw.uniform(-2.0, 2.0, len(later)), series.rate)
        mark = np.where(later, series.mark_usdt * 1.01, series.mark_usdt)
        funding[name] = FundingSeries(at=series.at, row=series.row, rate=rate, mark_usdt=mark)
    rewards = tuple(period for period in market.rewards if period.paid_at <= int(market.timestamps[cut]))
    return Market(
        market.timestamps, columns, stale=market.stale, funding=funding, rewards=rewards, provenance=market.provenance
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("mode", MODES)
def test_the_past_does_not_move_with_the_future(mode: str, seed: int) -> None:
    stakes = "staking" in mode or "leveraged" in mode or "neutral" in mode
    run = slice_of(mode, *(("lst_type=weETH", "rewards_mode=base_eigen_seasonal") if stakes else ()))
    market = embedded(run, "2024-01-01", "2024-02-25", seed=seed)
    first, second = play(run, market), play(run, altered(market, CUT, seed))
    moved = False
    for name in first.columns:
        a, b = first.columns[name], second.columns.get(name)
        if b is None:
            assert np.isnan(a[: CUT + 1]).all() or not a[: CUT + 1].any()
            continue
        np.testing.assert_array_equal(a[: CUT + 1], b[: CUT + 1], err_msg=name)
        moved = moved or not np.array_equal(a, b, equal_nan=True)
    assert moved, "the alteration must change something, or this test shows nothing"
