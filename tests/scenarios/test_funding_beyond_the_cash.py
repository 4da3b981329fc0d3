"""Funding of more than the cash that lies at a venue: its profit pays, or it liquidates; no USDT is ever owed."""

from __future__ import annotations

import pytest

from components.model.events import EventType
from tests.scenarios import sketch
from tests.scenarios.play import play

FALL = {0: 1.0, 30: 1.0, 40: 0.55}


@pytest.mark.parametrize("rate", [-0.15, -0.3])
@pytest.mark.parametrize("mode", ["btc_basis", "usdt_market_neutral_no_leverage"])
def test_no_venue_is_owed_usdt_however_dear_funding_becomes(mode: str, rate: float) -> None:
    price = 60_000.0 if mode == "btc_basis" else 3_000.0
    line = {row: price * share for row, share in FALL.items()}
    drawn = (
        sketch.btc(120, line, funding=rate) if mode == "btc_basis" else sketch.staked(120, line).funding("ETH", rate)
    )
    played = play(mode, drawn, "rebalance=never", cuts=(1, 7))
    for venue in ("binance", "bybit", "okx"):
        name = f"balance.{venue}:BaseToken:USDT"
        if name in played.result.columns:
            assert float(played[name].min()) >= -1e-6
    assert played.told(EventType.SETTLED_PROFIT, EventType.LIQUIDATION), "or this scenario asks for nothing"


def test_the_profit_that_pays_is_told_and_changes_no_value() -> None:
    line = {row: 60_000.0 * share for row, share in FALL.items()}
    played = play("btc_basis", sketch.btc(120, line, funding=-0.15), "rebalance=never", cuts=(1,))
    told = played.told(EventType.SETTLED_PROFIT)
    assert told and all(event.amount and event.amount > 0.0 for event in told)
    assert float(abs(played["unexplained"]).max()) < 1e-9 * float(played["equity"].max())
