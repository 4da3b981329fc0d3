"""Lending: everything supplied."""

from __future__ import annotations

from components.strategies.lending import PureLending
from components.strategies.strategy import View
from tests.builders import mode_of

LENDING = PureLending(mode_of("pure_lending"))


def test_all_of_the_equity_is_supplied() -> None:
    assert LENDING.target(1_000.0, View(spot={}, mark={}, reference=1.0, ratio=1.0)).holdings == {
        "aave_v3:aToken:aUSDT": 1_000.0
    }


def test_the_cash_is_needed_in_the_wallet() -> None:
    assert LENDING.places(1_000.0) == {"wallet:BaseToken:USDT": 1_000.0}
