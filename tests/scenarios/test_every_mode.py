"""Each of the seven modes over ten quiet days: it enters, earns what its parts say, and can leave."""

from __future__ import annotations

import pytest

from tests.scenarios import sketch
from tests.scenarios.play import play

ROWS = 24 * 10 + 1


def market_of(mode: str) -> sketch.Sketch:
    return sketch.btc(ROWS, {0: 60_000.0, ROWS - 1: 61_000.0}) if mode == "btc_basis" else sketch.staked(ROWS, {0: 3_000.0, ROWS - 1: 3_050.0})


MODES = (
    "pure_lending",
    "btc_basis",
    "eth_basis",
    "eth_staking_only",
    "eth_leveraged",
    "usdt_market_neutral_no_leverage",
    "usdt_market_neutral",
)


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_enters_and_its_books_hold(mode: str) -> None:
    played = play(mode, market_of(mode))

    assert played.decisions()[0][:2] == (0, "entry_full")
