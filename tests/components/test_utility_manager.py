"""Utility Manager: what one native unit is worth, how many coins it moves with, and where a change of it comes from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.model.errors import BasisError, MissingData, NotPriced
from components.model.market import Market, Row
from components.utility_manager import UtilityManager
from tests.builders import Line, key, market

LINES: dict[str, Line] = {
    "binance.spot.ETH": [2_000.0, 2_100.0], "binance.perp.ETH": [2_002.0, 2_101.0], "okx.spot.ETH": [2_001.0, 2_099.0],
    "binance.spot.BTC": [60_000.0, 61_000.0], "lido.ratio.wstETH": [1.2, 1.25], "etherfi.ratio.weETH": [1.05, 1.06],
    "aave_v3.supply_index.wstETH": [1.0, 1.01], "aave_v3.supply_index.USDT": [1.1, 1.2],
    "aave_v3.borrow_index.WETH": [1.5, 1.6], "aave_v3.borrow_index.USDT": [1.3, 1.4],
    "uniswap.eth_price.EIGEN": [0.001, 0.002],
}  # fmt: skip
# key → (value at row 1, coins, terms: their change from row 0 to row 1), all worked by hand
IN_USDT = {
    "okx:BaseToken:USDT": (1.0, 0.0, {}),
    "okx:PerpQuote:ETHUSDT": (1.0, 0.0, {}),
    "binance:BaseToken:ETH": (2_100.0, 1.0, {"delta": 100.0}),
    "okx:BaseToken:ETH": (2_099.0, 1.0, {"delta": 100.0, "basis": -2.0}),
    "binance:Perp:ETHUSDT": (2_101.0, 1.0, {"delta": 100.0, "basis": -1.0}),
    "wallet:BaseToken:ETH": (2_100.0, 1.0, {"delta": 100.0}),
    "gas:BaseToken:WETH": (2_100.0, 1.0, {"delta": 100.0}),
    "wallet:BaseToken:BTC": (61_000.0, 1.0, {"delta": 1_000.0}),
    "wallet:BaseToken:wstETH": (2_625.0, 1.25, {"staking_yield_oracle": 105.0, "delta": 120.0}),
    "aave_v3:aToken:awstETH": (
        2_651.25, 1.2625, {"supply_yield": 0.01 * 1.25 * 2_100, "staking_yield_oracle": 0.05 * 2_100, "delta": 120.0},
    ),
    "aave_v3:aToken:aUSDT": (1.2, 0.0, {"supply_yield": 0.1}),
    "aave_v3:debtToken:variableDebtWETH": (-3_360.0, -1.6, {"borrow_costs": -210.0, "delta": -150.0}),
    "aave_v3:debtToken:variableDebtUSDT": (-1.4, 0.0, {"borrow_costs": -0.1}),
    "king:BaseToken:EIGEN": (4.2, 0.0, {"dust": 2.2}),
}  # fmt: skip
IN_ETH = {
    "wallet:BaseToken:ETH": (1.0, 1.0, {}),
    "wallet:BaseToken:USDT": (1 / 2_100, 0.0, {"delta": 1 / 2_100 - 1 / 2_000}),
    "wallet:BaseToken:BTC": (61_000.0, 1.0, {"delta": 1_000.0}),
    "wallet:BaseToken:wstETH": (1.25, 1.25, {"staking_yield_oracle": 0.05}),
    "aave_v3:aToken:awstETH": (1.2625, 1.2625, {"supply_yield": 0.0125, "staking_yield_oracle": 0.05}),
    "aave_v3:debtToken:variableDebtWETH": (-1.6, -1.6, {"borrow_costs": -0.1}),
    "king:BaseToken:EIGEN": (0.002, 0.0, {"dust": 0.001}),
}  # fmt: skip


def at_row_one(prices: UtilityManager, made: Market, text: str) -> tuple[float, float, dict[str, float]]:
    row = made.window(1, 2).row(0)
    terms = {part: float(column[1]) for part, column in prices.unit(made, key(text)).terms}
    return prices.value_at(row, key(text)), prices.coins_at(row, key(text)), terms


@pytest.mark.parametrize("text", list(IN_USDT))
def test_a_unit_in_usdt(text: str) -> None:
    value, coins, terms = at_row_one(UtilityManager("USDT"), market(LINES), text)
    assert (value, coins) == (pytest.approx(IN_USDT[text][0]), pytest.approx(IN_USDT[text][1]))
    assert terms == {part: pytest.approx(step) for part, step in IN_USDT[text][2].items()}


@pytest.mark.parametrize("text", [key for key in IN_ETH if "BTC" not in key])
def test_a_unit_in_eth(text: str) -> None:
    made = market({name: line for name, line in LINES.items() if "okx" not in name and "binance.perp" not in name})
    value, coins, terms = at_row_one(UtilityManager("ETH"), made, text)
    assert (value, coins) == (pytest.approx(IN_ETH[text][0]), pytest.approx(IN_ETH[text][1]))
    assert terms == {part: pytest.approx(step) for part, step in IN_ETH[text][2].items()}


PRICES = st.lists(st.floats(min_value=0.5, max_value=2.0), min_size=2, max_size=6)


@given(st.sampled_from(sorted(IN_USDT)), st.data())
def test_the_terms_of_a_unit_add_up_to_the_change_of_its_value(text: str, data: st.DataObject) -> None:
    """Nothing is left over and nothing is a remainder, on any path of prices, ratios and indices."""
    paths = data.draw(st.lists(PRICES.filter(lambda line: len(line) >= 4), min_size=len(LINES), max_size=len(LINES)))
    made = market({
        name: np.array(path[:4]) * (line[0] if isinstance(line, list) else 1.0)
        for (name, line), path in zip(LINES.items(), paths, strict=True)
    })  # fmt: skip
    unit = UtilityManager("USDT").unit(made, key(text))
    steps = np.zeros(4) if isinstance(unit.value, float) else np.diff(unit.value, prepend=unit.value[0])
    total = sum((column for _, column in unit.terms), np.zeros(4))
    scale = 1.0 if isinstance(unit.value, float) else float(np.abs(unit.value).max())
    assert np.abs(total - steps).max() <= 1e-12 * max(scale, 1.0)


def test_a_series_that_is_needed_and_not_there_is_named() -> None:
    prices, made = UtilityManager("USDT"), market({"binance.spot.ETH": 2_000.0})
    with pytest.raises(MissingData, match="lido.ratio.wstETH"):
        prices.unit(made, key("wallet:BaseToken:wstETH"))
    with pytest.raises(MissingData, match="okx.perp.ETH"):
        prices.unit(made, key("okx:Perp:ETHUSDT"))


def test_an_eth_share_class_holds_nothing_on_an_exchange() -> None:
    with pytest.raises(NotPriced, match="okx:Perp:ETHUSDT: an ETH share class holds no exchange positions"):
        UtilityManager("ETH").unit(market(LINES), key("okx:Perp:ETHUSDT"))


@pytest.mark.parametrize("text", ["okx:Perp:ETHUSDT", "okx:PerpQuote:ETHUSDT", "binance:BaseToken:BTC"])
def test_what_has_no_value_in_a_share_class_is_an_error_of_its_own_and_in_a_mode_unvalued(text: str) -> None:
    """A stranger's perp in the account of an ETH strategy is shown and stops nothing; its quote is no ETH."""
    made = market(LINES)
    with pytest.raises(NotPriced, match="DAT-007") as caught:
        UtilityManager("ETH").unit(made, key(text))
    assert isinstance(caught.value, BasisError), "one kind of error for whoever looks at what is held"
    prices = UtilityManager("ETH", ["binance.spot.ETH"])
    assert not prices.is_valued(Row(made, 0), key(text))
    assert prices.value_at(Row(made, 0), key(text)) == 0.0


def test_ether_at_an_exchange_is_ether_in_an_eth_share_class() -> None:
    for venue in ("okx", "binance"):
        assert UtilityManager("ETH").unit(market(LINES), key(f"{venue}:BaseToken:ETH")).value == 1.0


def test_a_unit_is_made_once_per_market() -> None:
    prices, one, other = UtilityManager("USDT"), market(LINES), market(LINES)
    eth = key("okx:BaseToken:ETH")
    unit = prices.unit(one, eth)
    assert prices.unit(one, eth) is unit
    assert prices.unit(other, eth) is not unit


def test_prices_in_usdt_are_those_of_binance_spot() -> None:
    made = market(LINES)
    assert UtilityManager("ETH").price_usdt(made, "BTC").tolist() == [60_000.0, 61_000.0]
    assert UtilityManager("USDT").usdt_per_share_class(made.window(0, 2)) == 1.0
    per_eth = UtilityManager("ETH").usdt_per_share_class(made.window(1, 2))
    assert not isinstance(per_eth, float)
    assert per_eth.tolist() == [2_100.0]


SPAM = (
    "wallet:BaseToken:PEPE",
    "okx:BaseToken:BNB",
    "okx:Perp:DOGEUSDT",
    "aave_v3:aToken:aDAI",
    "wallet:BaseToken:weETH",
)


@pytest.mark.parametrize("text", SPAM)
def test_a_token_that_the_mode_needs_no_price_of_counts_nothing_and_never_raises(text: str) -> None:
    prices, made = UtilityManager("USDT", ["binance.spot.ETH"]), market({"binance.spot.ETH": 2_000.0})
    row = made.window(0, 1).row(0)
    assert not prices.is_valued(row, key(text))
    assert (prices.value_at(row, key(text)), prices.coins_at(row, key(text))) == (0.0, 0.0)
    assert prices.unit(made, key(text)).terms == ()


def test_a_series_that_the_mode_needs_is_never_zero() -> None:
    prices, made = UtilityManager("USDT", ["okx.perp.ETH"]), market({"binance.spot.ETH": 2_000.0})
    with pytest.raises(MissingData, match="okx.perp.ETH"):
        prices.unit(made, key("okx:Perp:ETHUSDT"))
    assert prices.is_valued(made.window(0, 1).row(0), key("okx:BaseToken:ETH"))


def test_the_value_at_a_row_is_of_its_own_market_whoever_asked_before() -> None:
    """Live rows are markets of one row each: the index alone does not tell them apart."""
    prices, coin = UtilityManager("USDT"), key("binance:BaseToken:ETH")
    for price in (2_000.0, 3_000.0):
        one = market({"binance.spot.ETH": [price]})
        prices.unit(one, coin)

        assert prices.value_at(one.window(0, 1).row(0), coin) == price
