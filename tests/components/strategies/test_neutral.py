"""Market neutral: staked ETH, shorts of the same net ETH, and margin behind them."""

from __future__ import annotations

import pytest

from components.model.keys import perp
from components.strategies.neutral import MarketNeutral
from components.strategies.strategy import View
from tests.builders import mode_of

VIEW = View(spot={}, mark={}, reference=2_000.0, ratio=1.25)
TWO = {"binance": 0.75, "okx": 0.25}


def neutral(name: str = "usdt_market_neutral_no_leverage", **changes: object) -> MarketNeutral:
    return MarketNeutral(mode_of(name, hedge_allocation=TWO, stake_allocation=0.4, **changes))


def test_part_is_staked_and_the_rest_is_margin_behind_its_hedge() -> None:
    assert neutral().target(10_000.0, VIEW).holdings == {
        "wallet:BaseToken:wstETH": pytest.approx(1.6),  # 4,000 USDT = 2 ETH
        "binance:Perp:ETHUSDT": pytest.approx(-1.5), "okx:Perp:ETHUSDT": pytest.approx(-0.5),
        "binance:BaseToken:USDT": pytest.approx(4_500.0), "okx:BaseToken:USDT": pytest.approx(1_500.0),
    }  # fmt: skip


def test_leverage_grows_collateral_and_debt_but_not_the_hedge() -> None:
    target = neutral("usdt_market_neutral", max_ltv=0.8, max_stake_spread_move=0.0).target(10_000.0, VIEW)
    collateral = target.holdings["aave_v3:aToken:awstETH"] * 1.25  # type: ignore[index]
    debt = target.holdings["aave_v3:debtToken:variableDebtWETH"]  # type: ignore[index]
    assert (collateral, debt) == (pytest.approx(10.0), pytest.approx(8.0))
    assert sum(target.of(perp(venue, "ETH")) for venue in TWO) == pytest.approx(-(collateral - debt))


@pytest.mark.parametrize(
    ("spot_venue", "buyer"),
    [("binance", "binance"), ("bybit", "bybit"), ("uniswap", "wallet"), (None, "wallet")],
)
def test_the_cash_for_coins_is_needed_where_they_are_bought(spot_venue: str | None, buyer: str) -> None:
    places = neutral(spot_venue=spot_venue).places(10_000.0)
    assert sum(places.values()) == pytest.approx(10_000.0)
    expected = {"binance": 4_500.0, "okx": 1_500.0}
    expected[buyer] = expected.get(buyer, 0.0) + 4_000.0
    assert places == {f"{venue}:BaseToken:USDT": pytest.approx(usdt) for venue, usdt in expected.items()}
