"""Series of the embedded market are as long as their grid, whatever its length."""

from __future__ import annotations

import numpy as np
import pytest

from components.model.requirements import DAY_NS, HOUR_NS, Grid
from tests.acceptance.runs import stamp
from venues.embedded import generate

START = stamp("2024-01-01")


@pytest.mark.parametrize("days", [1, 52, 53, 104, 105, 366, 1200])
def test_every_settlement_up_to_the_last_row_is_there(days: int) -> None:
    grid = Grid(START, START + days * DAY_NS, HOUR_NS)

    series = generate(grid, seed=7, names=("binance.funding.BTC", "binance.perp.BTC")).funding["binance.funding.BTC"]

    assert series.at.tolist() == [START + (i + 1) * 8 * HOUR_NS for i in range(3 * days)]
    assert series.row[-1] == len(grid) - 1
    assert (np.diff(series.row) == 8).all()


def test_a_grid_without_a_settlement_has_none() -> None:
    grid = Grid(START + HOUR_NS, START + 7 * HOUR_NS, HOUR_NS)

    assert (
        len(generate(grid, seed=7, names=("binance.funding.BTC", "binance.perp.BTC")).funding["binance.funding.BTC"].at)
        == 0
    )
