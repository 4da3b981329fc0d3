"""Situation: what is held at one row, in the terms a plan is made of, true after every trade."""

from __future__ import annotations

import pytest

from components.model.errors import MissingData
from components.model.orders import InFlight, Verb
from components.situation import Situation
from tests.builders import HOUR_NS, START, Line, key, keyed, market, order, run_of, run_with, situation

LINES: dict[str, Line] = {
    "binance.spot.ETH": 2_000.0, "binance.perp.ETH": 2_010.0, "okx.perp.ETH": 1_990.0, "lido.ratio.wstETH": [1.2, 1.25],
    "dex.ratio.wstETH": 1.19, "aave_v3.supply_index.wstETH": 1.1, "aave_v3.borrow_index.WETH": 1.5,
    "aave_v3.supply_index.USDT": 1.2,
}  # fmt: skip
MARKET = market(LINES, stale={"okx.perp.ETH": [0]})
NEUTRAL = run_with("usdt_market_neutral", hedge_allocation={"binance": 0.5, "okx": 0.5})
BTC_MARKET = market({
    "binance.spot.BTC": 60_000.0, "binance.perp.BTC": 60_100.0, "okx.spot.BTC": 59_900.0, "okx.perp.BTC": 60_050.0,
})  # fmt: skip
BASIS = run_with("btc_basis", hedge_allocation={"binance": 0.5, "okx": 0.5})


def neutral(balances: dict[str, float], *uncertain: object) -> Situation:
    return situation(NEUTRAL, MARKET, balances, *uncertain)  # type: ignore[arg-type]


def test_balances_are_native_and_absent_ones_are_zero() -> None:
    now = situation(
        BASIS,
        BTC_MARKET,
        {
            "okx:BaseToken:BTC": 0.5,
            "okx:BaseToken:USDT": 7.0,
            "wallet:BaseToken:ETH": 2.0,
            "reserve:BaseToken:USDT": 3.0,
            "gas:BaseToken:ETH": -0.1,
        },
    )
    assert (now.coins("okx"), now.coins("binance"), now.cash("okx"), now.wallet("ETH")) == (0.5, 0.0, 7.0, 2.0)
    assert (now.reserve(), now.gas(), now.size("okx")) == (3.0, -0.1, 0.0)


def test_prices_are_those_of_the_venue() -> None:
    now = situation(BASIS, BTC_MARKET, {})
    assert (now.spot_price("okx"), now.mark("okx"), now.reference()) == (59_900.0, 60_050.0, 60_000.0)
    with pytest.raises(MissingData, match="bybit.perp.BTC"):
        now.mark("bybit")


def test_a_coin_that_is_the_currency_costs_one() -> None:
    assert situation(run_of("pure_lending"), MARKET, {}).reference() == 1.0


def test_an_account_is_cash_and_unrealised() -> None:
    now = situation(BASIS, BTC_MARKET, {"okx:BaseToken:USDT": 1_000.0, "okx:Perp:BTCUSDT": -2.0,
                                        "okx:PerpQuote:BTCUSDT": 120_500.0, "binance:BaseToken:USDT": 9.0})  # fmt: skip
    assert now.account("okx") == 1_000.0 - 2 * 60_050.0 + 120_500.0
    assert now.account("binance") == 9.0


def test_amounts_on_chain_come_with_interest() -> None:
    now = neutral(
        {
            "aave_v3:aToken:awstETH": 10.0,
            "aave_v3:debtToken:variableDebtWETH": 4.0,
            "aave_v3:aToken:aUSDT": 5.0,
            "wallet:BaseToken:wstETH": 3.0,
        }
    )
    assert now.collateral() == pytest.approx(11.0)
    assert now.debt() == pytest.approx(6.0)
    assert now.lent() == pytest.approx(6.0)
    assert now.lst_in_wallet() == 3.0


def test_an_index_is_asked_for_only_when_something_is_held() -> None:
    now = situation(BASIS, BTC_MARKET, {})
    assert (now.lent(), now.debt(), now.collateral(), now.lst_in_wallet()) == (0.0, 0.0, 0.0, 0.0)


def test_long_coins_are_everything_but_perps() -> None:
    now = neutral(
        {
            "aave_v3:aToken:awstETH": 10.0,
            "aave_v3:debtToken:variableDebtWETH": 4.0,
            "wallet:BaseToken:ETH": 1.0,
            "gas:BaseToken:ETH": -0.2,
            "transit:BaseToken:ETH": 0.5,
            "okx:Perp:ETHUSDT": -8.0,
            "binance:BaseToken:USDT": 1e6,
        }
    )
    assert now.long_coins() == pytest.approx(10 * 1.1 * 1.2 - 4 * 1.5 + 1.0 - 0.2 + 0.5)


def test_equity_is_the_worth_of_everything() -> None:
    now = neutral({"wallet:BaseToken:ETH": 1.0, "okx:Perp:ETHUSDT": -1.0, "okx:PerpQuote:ETHUSDT": 2_050.0,
                   "okx:BaseToken:USDT": 100.0, "binance:BaseToken:ETH": 0.0})  # fmt: skip
    assert now.equity() == 2_000.0 - 1_990.0 + 2_050.0 + 100.0


def test_what_is_on_its_way_is_counted_where_it_arrives() -> None:
    now = neutral({})
    okx, wallet = key("okx:BaseToken:USDT"), key("wallet:BaseToken:USDT")
    assert not now.travelling()
    for name, amount in (("a", 5.0), ("b", 7.0)):
        flight = InFlight(id=name, token="USDT", amount=amount, source=wallet, target=okx, arrives_at=START)
        now._positions.in_flight[name] = flight
    assert now.on_its_way(okx) == 12.0
    assert now.on_its_way(wallet) == 0.0
    assert now.travelling()


def test_it_is_true_after_every_trade() -> None:
    now = neutral({"wallet:BaseToken:ETH": 1.0})
    now._positions.place(keyed({"wallet:BaseToken:ETH": 1.5}))
    assert now.wallet("ETH") == 2.5


def test_no_figure_outlives_the_book_it_was_worked_out_of() -> None:
    held = {"wallet:BaseToken:ETH": 1.0, "aave_v3:aToken:aUSDT": 50.0, "aave_v3:aToken:awstETH": 4.0,
            "aave_v3:debtToken:variableDebtWETH": 2.0, "okx:BaseToken:USDT": 100.0,
            "okx:Perp:ETHUSDT": -1.0}  # fmt: skip
    moved = {name: 0.5 * amount for name, amount in held.items()} | {"okx:PerpQuote:ETHUSDT": 2_050.0}
    now = neutral(held)

    def figures(of: Situation) -> list[float]:
        return [of.account("okx"), of.lent(), of.collateral(), of.debt(), of.long_coins(), of.equity()]

    before = figures(now)
    now._positions.expected.apply(keyed(moved))
    afresh = neutral({name: held.get(name, 0.0) + moved[name] for name in moved})
    assert figures(now) == figures(afresh)
    assert all(one != another for one, another in zip(before, figures(now), strict=True))


def test_the_view_shows_the_prices_of_the_hedge() -> None:
    view = neutral({}).view()
    assert view.mark == {"binance": 2_010.0, "okx": 1_990.0}
    assert view.spot == {"binance": 2_000.0}  # nobody needs the spot of okx
    assert (view.reference, view.ratio) == (2_000.0, 1.2)


def test_net_coins_without_doubt_are_one_number() -> None:
    now = neutral({"wallet:BaseToken:ETH": 3.0, "okx:Perp:ETHUSDT": -1.0, "binance:Perp:ETHUSDT": -1.5})
    assert now.net_coins() == (0.5, 0.5)


def test_net_coins_reach_from_nothing_done_to_everything_done() -> None:
    uncertain = (
        order(Verb.PERP, "okx", "ETH", -2.0), order(Verb.SPOT, "binance", "ETH", 0.5),
        order(Verb.SWAP, "uniswap", "USDT", 1_000.0, into_token="ETH"),
    )  # fmt: skip
    now = neutral({"wallet:BaseToken:ETH": 3.0, "okx:Perp:ETHUSDT": -1.0}, *uncertain)
    assert now.net_coins() == (0.0, 3.0)


def test_an_unhedged_mode_has_no_net_coins() -> None:
    now = situation(
        run_of("eth_staking_only"), MARKET, {"wallet:BaseToken:ETH": 3.0}, order(Verb.SPOT, "x", "ETH", 1.0)
    )
    assert now.net_coins() == (0.0, 0.0)


def test_an_exit_gets_the_market_ratio_less_fee_and_impact() -> None:
    now = neutral({})
    # 100 × 1.2 × 2,000 = 240,000 USDT of notional
    impact = 0.0001 + 0.0003 * 0.24**0.5
    assert now.exit_rate(100.0) == pytest.approx(1.19 * 0.9999 * (1.0 - impact), rel=1e-12)


def test_without_costs_an_exit_gets_the_protocol_ratio() -> None:
    free = run_with("usdt_market_neutral", costs="none")
    assert situation(free, market(LINES), {}, row=1).exit_rate(100.0) == 1.25
    assert situation(BASIS, BTC_MARKET, {}).exit_rate(100.0) == 1.0


@pytest.mark.parametrize("eth", [0.01, 10.0, 5_000.0])
def test_units_for_an_amount_give_at_least_that_amount(eth: float) -> None:
    now = neutral({})
    units = now.units_for(eth)
    assert eth <= units * now.exit_rate(units) <= eth * (1.0 + 1e-8)


def test_stale_series_are_named() -> None:
    now = neutral({})
    assert now.stale("binance.perp.ETH", "okx.perp.ETH") == ("okx.perp.ETH",)
    assert situation(NEUTRAL, MARKET, {}, row=1).stale("okx.perp.ETH") == ()
    assert now.row.timestamp == START
    assert situation(NEUTRAL, MARKET, {}, row=1).row.timestamp == START + HOUR_NS
