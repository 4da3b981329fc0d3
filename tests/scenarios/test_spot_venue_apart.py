"""Coins bought and sold at an exchange that hedges nothing: its cash is used for entries, margin and payments."""

from __future__ import annotations

import pytest

from components.model.events import EventType
from tests.scenarios import sketch
from tests.scenarios.play import Played, deposit, play, withdrawal

MODES = ("usdt_market_neutral", "usdt_market_neutral_no_leverage")
APART = "hedge_allocation={okx: 1.0}"  # coins are bought at binance
HOURS = 48
pytestmark = pytest.mark.parametrize("mode", MODES)


def short(played: Played) -> float:
    return -played.balance("okx:Perp:ETHUSDT")


def test_an_entry_from_the_wallet_buys_there(mode: str) -> None:
    played = play(mode, sketch.staked(HOURS), APART, "initial_location=wallet")
    placed = play(mode, sketch.staked(HOURS), APART, cuts=())
    assert short(played) == pytest.approx(short(placed), rel=0.01)
    assert played.balance("wallet:BaseToken:USDT") < 1_000.0


def test_a_deposit_is_put_to_work(mode: str) -> None:
    played = play(mode, sketch.staked(HOURS), APART, flows=[deposit(20.0, 1_000_000.0)])
    before = -played.balance("okx:Perp:ETHUSDT", 19)
    assert short(played) > 1.5 * before
    assert played.balance("wallet:BaseToken:USDT") < 20_000.0


def test_a_withdrawal_is_paid_from_what_was_sold_there_and_takes_no_more_than_its_share(mode: str) -> None:
    played = play(mode, sketch.staked(HOURS), APART, flows=[withdrawal(20.0, 600_000.0)])
    before = -played.balance("okx:Perp:ETHUSDT", 19)
    assert sum(-(e.amount or 0.0) for e in played.told(EventType.WITHDRAWAL_PAID)) == pytest.approx(600_000.0, abs=1.0)
    assert short(played) == pytest.approx(0.4 * before, rel=0.05)
    assert played.balance("binance:BaseToken:USDT") < 1_000.0


def test_margin_that_is_thin_gets_the_cash_that_coins_brought(mode: str) -> None:
    """The price rises by half: coins are sold at binance, and what they bring is margin at okx an hour later."""
    rise = {0: 2_000.0, 20: 2_000.0, 24: 3_200.0}
    played = play(mode, sketch.staked(HOURS * 2, rise), APART, "cost_bounds.unwind=50")
    assert played["margin_ratio.okx"][-1] > 0.5
    assert played.balance("binance:BaseToken:USDT") < 1_000.0
