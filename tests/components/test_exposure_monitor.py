"""Exposure Monitor: equity, accounts, net coins, leverage, and how far uncertain orders may move them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.exposure_monitor import Exposure, ExposureMonitor, Line
from components.model.market import Column, Market
from components.model.orders import Order, Verb
from components.model.slices import ModeSlice
from components.position_monitor import BookColumns
from components.utility_manager import UtilityManager
from tests.builders import columns_of, exchange, key, keyed, market, mode_of, order

BTC_MARKET = market({
    "binance.spot.BTC": [60_000.0, 61_000.0], "binance.perp.BTC": [60_100.0, 61_200.0], "okx.spot.BTC": 60_000.0,
    "okx.perp.BTC": 60_000.0,
})  # fmt: skip
ETH_MARKET = market({
    "binance.spot.ETH": [2_000.0, 2_100.0], "binance.perp.ETH": [2_000.0, 2_100.0], "okx.perp.ETH": 2_000.0,
    "lido.ratio.wstETH": [1.2, 1.25], "aave_v3.supply_index.wstETH": [1.0, 1.02],
    "aave_v3.borrow_index.WETH": [1.5, 1.6], "aave_v3.supply_index.USDT": 1.1,
})  # fmt: skip
TWO = {"binance": 0.5, "okx": 0.5}
BASIS = mode_of("btc_basis", hedge_allocation=TWO)
NEUTRAL = mode_of("usdt_market_neutral", hedge_allocation=TWO)
PAIR = {
    "binance:BaseToken:BTC": 1.0, "binance:Perp:BTCUSDT": -1.0, "binance:PerpQuote:BTCUSDT": 60_000.0,
    "binance:BaseToken:USDT": 30_000.0,
}  # fmt: skip


def measured(mode: ModeSlice, made: Market, balances: dict[str, float], *uncertain: Order) -> Exposure:
    return monitor(mode).measure(columns_of(made, balances, *uncertain))


def monitor(mode: ModeSlice) -> ExposureMonitor:
    exchanges = {venue: exchange(venue) for venue in ("binance", "okx")}
    return ExposureMonitor(mode, exchanges, UtilityManager(mode.share_class))


def column(value: Column | float | None) -> list[float]:
    assert isinstance(value, np.ndarray)
    return value.tolist()


def test_equity_is_the_worth_of_everything() -> None:
    exposure = measured(BASIS, BTC_MARKET, PAIR)
    # 60,000 + (60,000 − 60,100) + 30,000, then 61,000 + (60,000 − 61,200) + 30,000
    assert exposure.equity.tolist() == [89_900.0, 89_800.0]


def test_an_account_is_cash_and_unrealised_over_its_notional() -> None:
    account = measured(BASIS, BTC_MARKET, PAIR).accounts["binance"]
    assert account.equity_usdt.tolist() == [29_900.0, 28_800.0]
    assert column(account.notional_usdt) == [60_100.0, 61_200.0]
    assert column(account.margin_ratio) == pytest.approx([29_900 / 60_100, 28_800 / 61_200])


def test_an_account_without_a_position_has_no_ratio() -> None:
    account = measured(BASIS, BTC_MARKET, {"okx:BaseToken:USDT": 500.0, "okx:Perp:BTCUSDT": 0.0}).accounts["okx"]
    assert account.equity_usdt.tolist() == [500.0, 500.0]
    assert (account.notional_usdt, account.margin_ratio) == (None, None)


def test_spot_counts_as_margin_in_a_unified_account_after_its_haircut() -> None:
    account = measured(mode_of(hedge_allocation=TWO, collateral="unified"), BTC_MARKET, PAIR).accounts["binance"]
    assert account.equity_usdt.tolist() == [29_900.0 + 0.95 * 60_000.0, 28_800.0 + 0.95 * 61_000.0]


def test_a_pair_is_flat_and_its_size_is_the_larger_side() -> None:
    exposure = measured(BASIS, BTC_MARKET, PAIR)
    assert (exposure.net_coin, exposure.gross_coin) == (0.0, 1.0)
    parted = measured(BASIS, BTC_MARKET, {**PAIR, "binance:Perp:BTCUSDT": -0.4})
    assert (parted.net_coin, parted.gross_coin) == (0.6, 1.0)


def test_coins_on_chain_grow_with_the_ratio_and_debt_counts_against() -> None:
    exposure = measured(
        NEUTRAL, ETH_MARKET,
        {"aave_v3:aToken:awstETH": 10.0, "aave_v3:debtToken:variableDebtWETH": 4.0, "okx:Perp:ETHUSDT": -6.0,
         "gas:BaseToken:ETH": -0.5},
    )  # fmt: skip
    # 10 × 1.2 − 4 × 1.5 − 6 − 0.5, then 10 × 1.02 × 1.25 − 4 × 1.6 − 6 − 0.5
    assert column(exposure.net_coin) == pytest.approx([-0.5, -0.15])
    assert column(exposure.gross_coin) == pytest.approx([6.0, 6.35])


def test_coins_that_hedge_a_gas_debt_alone_are_no_naked_position() -> None:
    exposure = measured(
        NEUTRAL, ETH_MARKET,
        {"aave_v3:aToken:awstETH": 1.0, "aave_v3:debtToken:variableDebtWETH": 0.7, "gas:BaseToken:ETH": -0.154},
    )  # fmt: skip
    # 1.2 − 0.7 × 1.5 = 0.15 coins long against a gas debt of 0.154: 0.004 short, of 0.15
    assert column(exposure.net_coin)[0] == pytest.approx(-0.004)
    assert column(exposure.gross_coin)[0] == pytest.approx(0.15)


def test_leverage_is_debt_over_collateral() -> None:
    exposure = measured(
        mode_of("eth_leveraged"),
        ETH_MARKET,
        {"aave_v3:aToken:awstETH": 10.0, "aave_v3:debtToken:variableDebtWETH": 6.0},
    )
    assert column(exposure.collateral_eth) == pytest.approx([12.0, 12.75])
    assert column(exposure.debt_eth) == pytest.approx([9.0, 9.6])
    assert column(exposure.ltv) == pytest.approx([0.75, 9.6 / 12.75])
    assert exposure.equity.tolist() == pytest.approx([3.0, 3.15])
    assert (exposure.net_coin, exposure.gross_coin) == (None, None)


def test_a_loan_against_another_coin_than_the_hedged_one_is_measured_beside_it() -> None:
    lines = {"binance.spot.BTC": 60_000.0, "binance.spot.ETH": 2_000.0, "lido.ratio.wstETH": 1.2,
             "aave_v3.supply_index.wstETH": 1.0, "aave_v3.borrow_index.WETH": 1.5}  # fmt: skip
    balances = {"aave_v3:aToken:awstETH": 10.0, "aave_v3:debtToken:variableDebtWETH": 4.0, "wallet:BaseToken:BTC": 1.0}
    exposure = measured(BASIS, market(lines, rows=1), balances)
    assert column(exposure.ltv) == pytest.approx([0.5])
    assert (exposure.net_coin, exposure.gross_coin) == (1.0, 1.0)


def test_what_was_found_for_other_positions_or_another_market_is_not_used_again() -> None:
    one = monitor(BASIS)
    dearer = market({"binance.spot.BTC": 70_000.0, "okx.spot.BTC": 70_000.0, "binance.perp.BTC": 70_000.0,
                     "okx.perp.BTC": 70_000.0}, rows=1)  # fmt: skip
    spot, pair = {"binance:BaseToken:BTC": 2.0}, {"binance:BaseToken:BTC": 2.0, "binance:Perp:BTCUSDT": -1.0}
    assert one.measure(columns_of(dearer, spot)).equity.tolist() == [140_000.0]
    assert one.measure(columns_of(dearer, pair)).net_coin == 1.0
    assert (
        one.measure(columns_of(BTC_MARKET, spot)).equity.tolist() == measured(BASIS, BTC_MARKET, spot).equity.tolist()
    )


def test_without_debt_there_is_no_ltv() -> None:
    exposure = measured(mode_of("eth_leveraged"), ETH_MARKET, {"aave_v3:aToken:awstETH": 10.0})
    assert (exposure.debt_eth, exposure.ltv) == (None, None)
    lent = measured(mode_of("pure_lending"), ETH_MARKET, {"aave_v3:aToken:aUSDT": 10.0})
    assert lent.collateral_eth is None
    assert lent.equity.tolist() == [11.0, 11.0]


def test_nothing_at_all_is_worth_nothing() -> None:
    exposure = measured(BASIS, BTC_MARKET, {"okx:BaseToken:BTC": 0.0})
    assert exposure.equity.tolist() == [0.0, 0.0]
    assert (exposure.net_coin, exposure.gross_coin) == (0.0, 0.0)


def test_flowing_cash_flows_into_equity_and_margin() -> None:
    held = keyed(PAIR)
    usdt = key("binance:BaseToken:USDT")
    book = BookColumns(BTC_MARKET.window(0, 2), held, held, {usdt: np.array([30_000.0, 30_500.0])})
    exposure = monitor(BASIS).measure(book)
    assert exposure.equity.tolist() == [89_900.0, 90_300.0]
    assert exposure.accounts["binance"].equity_usdt.tolist() == [29_900.0, 29_300.0]


def test_uncertain_orders_may_all_have_been_done_or_none() -> None:
    exposure = measured(
        BASIS, BTC_MARKET, PAIR,
        order(Verb.PERP, "okx", "BTC", -0.3), order(Verb.SPOT, "okx", "BTC", 0.2),
        order(Verb.PERP, "binance", "BTC", -0.1), order(Verb.TRANSFER, "okx", "USDT", 500.0),
    )  # fmt: skip
    assert exposure.uncertain_low == pytest.approx(-0.4)
    assert exposure.uncertain_high == pytest.approx(0.2)
    assert exposure.net_coin == 0.0  # the book counts none of them


def test_without_doubts_nothing_may_move() -> None:
    exposure = measured(BASIS, BTC_MARKET, PAIR)
    assert (exposure.uncertain_low, exposure.uncertain_high) == (0.0, 0.0)


def test_a_doubted_purchase_with_cash_is_counted_in_coins() -> None:
    swap = order(Verb.SWAP, "uniswap", "USDT", 4_000.0, into_token="ETH")
    exposure = measured(NEUTRAL, ETH_MARKET, {"okx:Perp:ETHUSDT": -6.0}, swap)
    assert (exposure.uncertain_low, exposure.uncertain_high) == (0.0, 2.0)


def test_the_margin_ratio_is_that_of_the_largest_position_there_may_be() -> None:
    grown = measured(BASIS, BTC_MARKET, PAIR, order(Verb.PERP, "binance", "BTC", -1.0)).accounts["binance"]
    assert column(grown.notional_usdt) == [120_200.0, 122_400.0]
    closed = measured(BASIS, BTC_MARKET, PAIR, order(Verb.PERP, "binance", "BTC", 0.4)).accounts["binance"]
    assert column(closed.notional_usdt) == [60_100.0, 61_200.0]  # not done is worse
    opened = measured(BASIS, BTC_MARKET, PAIR, order(Verb.PERP, "okx", "BTC", -0.5)).accounts["okx"]
    assert column(opened.notional_usdt) == [30_000.0, 30_000.0]
    assert column(opened.margin_ratio) == [0.0, 0.0]


def test_an_unhedged_mode_doubts_no_coins() -> None:
    stake = order(Verb.STAKE, "lido", "ETH", 5.0, into_token="wstETH")
    exposure = measured(mode_of("eth_staking_only"), ETH_MARKET, {"wallet:BaseToken:ETH": 5.0}, stake)
    assert (exposure.uncertain_low, exposure.uncertain_high) == (0.0, 0.0)


def test_one_row_is_spelt_out_for_people() -> None:
    lines = monitor(NEUTRAL).detail(
        columns_of(ETH_MARKET, {"wallet:BaseToken:wstETH": 2.0, "okx:BaseToken:USDT": 7.0, "okx:Perp:ETHUSDT": 0.0}), 1
    )
    assert lines == (
        Line(key=key("okx:BaseToken:USDT"), native=7.0, coins=0.0, value=7.0),
        Line(key=key("wallet:BaseToken:wstETH"), native=2.0, coins=2.5, value=5_250.0),
    )


@given(st.lists(st.floats(min_value=-2.0, max_value=2.0), max_size=4))
def test_the_book_never_leaves_the_interval_whatever_was_done(amounts: list[float]) -> None:
    """Any subset of the uncertain orders leads to net coins between the two ends."""
    uncertain = [order(Verb.PERP, "okx", "BTC", amount, id=str(i)) for i, amount in enumerate(amounts)]
    exposure = measured(BASIS, BTC_MARKET, PAIR, *uncertain)
    for done in range(2 ** len(amounts)):
        moved = sum(amount for i, amount in enumerate(amounts) if done >> i & 1)
        assert exposure.uncertain_low - 1e-12 <= moved <= exposure.uncertain_high + 1e-12


@given(st.lists(st.sampled_from(sorted(PAIR)), unique=True, min_size=1))
def test_a_row_does_not_depend_on_the_window_it_is_seen_in(keys: list[str]) -> None:
    balances = {name: PAIR[name] for name in keys}
    whole = measured(BASIS, BTC_MARKET, balances)
    for row in (0, 1):
        alone = monitor(BASIS).measure(
            BookColumns(BTC_MARKET.window(row, row + 1), keyed(balances), keyed(balances), {})
        )
        assert alone.equity.tobytes() == whole.equity[row : row + 1].tobytes()
