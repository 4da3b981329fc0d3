"""Basis: long spot and the same short, with margin beside it."""

from __future__ import annotations

import pytest

from components.model.keys import base_token, perp
from components.strategies.basis import Basis
from components.strategies.strategy import View
from tests.builders import mode_of

VIEW = View(
    spot={"binance": 50_000.0, "okx": 40_000.0}, mark={"binance": 50_100.0, "okx": 39_900.0}, reference=50_000.0,
    ratio=1.0,
)  # fmt: skip
WEIGHTS = {"binance": 0.6, "okx": 0.4}


def test_the_margin_is_its_ratio_of_the_spot() -> None:
    target = Basis(mode_of(hedge_allocation=WEIGHTS, margin_ratio_target=0.5)).target(150_000.0, VIEW)
    # binance: 90,000 = 60,000 spot + 30,000 margin; okx: 60,000 = 40,000 + 20,000
    assert target.holdings == {
        "binance:BaseToken:BTC": pytest.approx(1.2), "binance:Perp:BTCUSDT": pytest.approx(-1.2),
        "binance:BaseToken:USDT": pytest.approx(30_000.0),
        "okx:BaseToken:BTC": pytest.approx(1.0), "okx:Perp:BTCUSDT": pytest.approx(-1.0),
        "okx:BaseToken:USDT": pytest.approx(20_000.0),
    }  # fmt: skip


def test_a_unified_account_turns_all_of_it_into_spot() -> None:
    target = Basis(mode_of(hedge_allocation=WEIGHTS, collateral="unified")).target(100_000.0, VIEW)
    assert target.of(base_token("okx", "BTC")) == 1.0
    assert target.of(base_token("okx", "USDT")) == 0.0


@pytest.mark.parametrize("collateral", ["usdt", "unified"])
def test_the_short_is_the_spot(collateral: str) -> None:
    target = Basis(mode_of(hedge_allocation=WEIGHTS, collateral=collateral)).target(123_456.0, VIEW)
    for venue in WEIGHTS:
        assert target.of(perp(venue, "BTC")) == -target.of(base_token(venue, "BTC")) < 0.0


def test_the_cash_is_needed_at_the_venues() -> None:
    assert Basis(mode_of(hedge_allocation=WEIGHTS)).places(1_000.0) == {
        "binance:BaseToken:USDT": 600.0, "okx:BaseToken:USDT": 400.0,
    }  # fmt: skip
