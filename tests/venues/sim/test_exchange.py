"""The simulated exchange, in numbers worked out by hand.

At 250,000 USDT of notional the impact is `base + slope × √0.25`: for Binance spot 2.25 bp, for its perps 1.5 bp.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.model.events import EventType
from components.model.market import Row
from components.model.orders import Cost, CostKind, Trade, TradeStatus, Verb
from components.ports import Happening
from tests.scenarios.sketch import Line, Sketch
from tests.venues.sim.desk import keyed, near, order, run_of
from venues.sim.costs import CostModel
from venues.sim.exchange import SimExchange

SPOT = "binance:BaseToken:BTC"
CASH = "binance:BaseToken:USDT"
SIZE = "binance:Perp:BTCUSDT"
QUOTE = "binance:PerpQuote:BTCUSDT"


class Bench:
    """One exchange, one coin, one line of prices for spot and mark."""

    def __init__(self, balances: Mapping[str, float], *overrides: str, price: Line = 50_000.0, rows: int = 1) -> None:
        run = run_of("btc_basis", *overrides)
        self.sketch = Sketch(rows).line("binance.spot.BTC", price).line("binance.perp.BTC", price)
        self.exchange = SimExchange(run.exchanges["binance"], run.mode, CostModel(run))
        self.balances = keyed(balances)

    @property
    def market_row(self) -> Row:
        return Row(self.sketch.market(), 0)

    def spot(self, amount: float, **more: object) -> Trade:
        return self.exchange.execute(order(Verb.SPOT, "binance", "BTC", amount, **more), self.market_row, self.balances)

    def perp(self, amount: float, **more: object) -> Trade:
        return self.exchange.execute(order(Verb.PERP, "binance", "BTC", amount, **more), self.market_row, self.balances)

    def liquidation_row(self, cash: float | np.ndarray | None = None) -> int | None:
        market = self.sketch.market()
        cash = self.balances.get(CASH, 0.0) if cash is None else cash
        window = market.window(0, len(market))
        row = self.exchange.liquidation_row(window, self.balances, cash)
        assert row is None or not self.exchange.is_safe(window, self.balances, float(np.min(cash)))
        return row

    def liquidate(self) -> Happening:
        return self.exchange.liquidate(self.market_row, self.balances)


# Spot


def test_a_spot_buy_fills_above_the_price_and_pays_its_fee_in_usdt() -> None:
    trade = Bench({CASH: 300_000.0}).spot(5.0)

    assert trade.status is TradeStatus.FILLED
    assert trade.price == near(50_011.25)
    assert trade.quantity == 5.0
    assert trade.changes == {SPOT: 5.0, CASH: near(-250_056.25 - 250.05625)}
    assert trade.costs == (
        Cost(CostKind.FEE, "USDT", near(250.05625)),
        Cost(CostKind.SLIPPAGE, "USDT", pytest.approx(56.25, rel=1e-9)),
    )


def test_a_spot_sale_fills_below_the_price() -> None:
    trade = Bench({SPOT: 5.0}).spot(-5.0)

    assert trade.price == near(49_988.75)
    assert trade.changes == {SPOT: -5.0, CASH: near(249_943.75 - 249.94375)}


def test_a_fee_in_base_coin_is_taken_from_what_is_bought() -> None:
    trade = Bench({CASH: 300_000.0}, "spot_fee_asset=base").spot(5.0)

    assert trade.quantity == near(4.995)
    assert trade.changes == {SPOT: near(4.995), CASH: near(-250_056.25)}
    assert trade.costs[0] == Cost(CostKind.FEE, "USDT", near(0.005 * 50_000.0))


def test_a_sale_pays_usdt_even_when_purchases_pay_in_base_coin() -> None:
    trade = Bench({SPOT: 5.0}, "spot_fee_asset=base").spot(-5.0)

    assert trade.changes == {SPOT: -5.0, CASH: near(249_943.75 - 249.94375)}


def test_costs_none_fills_at_the_price() -> None:
    trade = Bench({CASH: 250_000.0}, "costs=none").spot(5.0)

    assert trade.changes == {SPOT: 5.0, CASH: -250_000.0}
    assert [cost.amount for cost in trade.costs] == [0.0, 0.0]


def test_a_purchase_beyond_the_cash_is_refused() -> None:
    trade = Bench({CASH: 250_306.0}).spot(5.0)

    assert trade.status is TradeStatus.REJECTED
    assert trade.changes == {}
    assert trade.reason == "costs 250306.31 USDT, has 250306.00"


def test_a_unified_account_may_borrow_the_cash() -> None:
    trade = Bench({}, "collateral=unified").spot(5.0)

    assert trade.changes[CASH] == near(-250_306.30625)


def test_a_sale_of_more_than_is_held_is_refused() -> None:
    trade = Bench({SPOT: 4.9}).spot(-5.0)

    assert (trade.status, trade.reason) == (TradeStatus.REJECTED, "sells 5.0 BTC, has 4.9")


def test_an_order_below_the_minimum_is_refused_unless_it_closes_everything() -> None:
    bench = Bench({CASH: 100.0, SPOT: 0.00008})

    assert bench.spot(0.00008).reason == "notional 4.00 USDT below the venue's minimum 5"
    assert bench.spot(-0.00008).status is TradeStatus.REJECTED
    assert bench.spot(-0.00008, everything=True).status is TradeStatus.FILLED


def test_an_exchange_does_not_stake() -> None:
    bench = Bench({})

    trade = bench.exchange.execute(order(Verb.STAKE, "binance", "ETH", 1.0), bench.market_row, {})

    assert (trade.status, trade.reason) == (TradeStatus.REJECTED, "binance does not do stake")


# Perps


def test_a_short_fills_below_the_mark_and_books_its_quote() -> None:
    trade = Bench({CASH: 250_000.0}).perp(-5.0)

    assert trade.price == near(49_992.5)
    assert trade.changes == {SIZE: -5.0, QUOTE: near(249_962.5), CASH: near(-124.98125)}
    assert trade.costs == (
        Cost(CostKind.FEE, "USDT", near(124.98125)),
        Cost(CostKind.SLIPPAGE, "USDT", pytest.approx(37.5, rel=1e-9)),
    )


def test_reducing_a_short_moves_realised_profit_from_quote_to_cash() -> None:
    bench = Bench({CASH: 10_000.0, SIZE: -12.5, QUOTE: 625_000.0}, price=40_000.0)

    trade = bench.perp(6.25)

    realised = 312_500.0 - 6.25 * 40_006.0
    assert trade.changes == {SIZE: 6.25, QUOTE: near(-312_500.0), CASH: near(realised - 6.25 * 40_006.0 * 0.0005)}


def test_adding_to_a_short_realises_nothing() -> None:
    trade = Bench({CASH: 500_000.0, SIZE: -5.0, QUOTE: 200_000.0}).perp(-5.0)

    assert trade.changes == {SIZE: -5.0, QUOTE: near(249_962.5), CASH: near(-124.98125)}


def test_closing_everything_leaves_neither_size_nor_quote() -> None:
    trade = Bench({CASH: 500_000.0, SIZE: -5.0, QUOTE: 240_000.0}).perp(3.0, everything=True)

    assert trade.quantity == 5.0
    assert trade.changes == {SIZE: 5.0, QUOTE: -240_000.0, CASH: near(240_000.0 - 250_037.5 - 125.01875)}


def test_a_trade_through_zero_realises_the_old_position_and_opens_the_new_at_the_fill() -> None:
    bench = Bench({CASH: 500_000.0, SIZE: -2.0, QUOTE: 96_000.0})

    trade = bench.perp(5.0)

    assert trade.changes == {
        SIZE: 5.0,
        QUOTE: near(-96_000.0 - 3.0 * 50_007.5),
        CASH: near(96_000.0 - 2.0 * 50_007.5 - 125.01875),
    }


def test_reduce_only_is_clipped_to_the_position() -> None:
    trade = Bench({CASH: 500_000.0, SIZE: -2.0, QUOTE: 100_000.0}).perp(5.0, reduce_only=True)

    assert trade.quantity == 2.0


@pytest.mark.parametrize("position", [{}, {SIZE: -2.0, QUOTE: 100_000.0}])
def test_reduce_only_never_opens_or_adds(position: Mapping[str, float]) -> None:
    trade = Bench({CASH: 500_000.0, **position}).perp(-1.0, reduce_only=True)

    assert (trade.status, trade.reason) == (TradeStatus.REJECTED, "reduce-only order would not reduce the position")


def test_a_position_needs_its_initial_margin_after_costs() -> None:
    """5 BTC at 50,000 need 5 % of 250,000 = 12,500; slippage takes 37.50 and the fee 124.98."""
    needed = 12_500.0 + 37.5 + 124.98125

    assert Bench({CASH: needed - 0.01}).perp(-5.0).reason == "insufficient margin"
    assert Bench({CASH: needed + 0.01}).perp(-5.0).status is TradeStatus.FILLED


def test_a_unified_account_counts_its_coins_after_the_haircut() -> None:
    """0.28 BTC × 50,000 × 0.95 = 13,300 carry the short; at a haircut of 0.90 the same coins would not."""
    coins = {SPOT: 0.28}

    assert Bench(coins, "collateral=unified").perp(-5.0).status is TradeStatus.FILLED
    tight = Bench(coins, "collateral=unified", "venues.binance.haircuts={BTC: 0.90, ETH: 0.90}")
    assert tight.perp(-5.0).reason == "insufficient margin"
    assert Bench(coins).perp(-5.0).reason == "insufficient margin"


def test_a_reduction_needs_no_margin() -> None:
    """The account is under water: it may get smaller, not larger."""
    bench = Bench({CASH: 0.0, SIZE: -5.0, QUOTE: 200_000.0})

    assert bench.perp(2.0).status is TradeStatus.FILLED
    assert bench.perp(-0.1).reason == "insufficient margin"


def test_the_minimum_binds_openings_but_not_reductions() -> None:
    bench = Bench({CASH: 10_000.0, SIZE: -1.0, QUOTE: 50_000.0})

    assert bench.perp(-0.001).reason == "notional 50.00 USDT below the venue's minimum 100"
    assert bench.perp(0.001, reduce_only=True).status is TradeStatus.FILLED


# Liquidation


def test_an_account_dies_when_equity_is_exactly_what_maintenance_and_the_fee_take() -> None:
    """At 60,000 a short of 1: maintenance 0.5 % − 50 = 250, fee 1.25 % = 750; equity = cash + 60,000 − 60,000."""
    position = {SIZE: -1.0, QUOTE: 60_000.0}

    assert Bench({**position, CASH: 1_000.0}, price=60_000.0).liquidation_row() == 0
    assert Bench({**position, CASH: 1_000.01}, price=60_000.0).liquidation_row() is None


@pytest.mark.parametrize(
    ("coins", "maintenance"),
    [
        (1.0, 200.0),  # 50,000: the edge of the first bracket, 0.4 %
        (12.0, 2_950.0),  # 600,000: the edge of the second, 0.5 % − 50
        (13.0, 0.0065 * 650_000.0 - 950.0),
        (60.0, 0.0065 * 3_000_000.0 - 950.0),
        (61.0, 0.01 * 3_050_000.0 - 11_450.0),
        (3_000.0, 0.025 * 150_000_000.0 - 481_450.0),  # beyond the table: its last bracket
    ],
)
def test_maintenance_follows_the_brackets_of_the_venue(coins: float, maintenance: float) -> None:
    notional = coins * 50_000.0
    needed = maintenance + 0.0125 * notional
    position = {SIZE: -coins, QUOTE: notional}

    assert Bench({**position, CASH: needed - 0.01}).liquidation_row() == 0
    assert Bench({**position, CASH: needed + 0.01}).liquidation_row() is None


def test_a_short_is_tested_at_the_high_of_the_bar() -> None:
    bench = Bench({SIZE: -1.0, QUOTE: 50_000.0, CASH: 8_000.0}, rows=4)
    bench.sketch.line("binance.perp_high.BTC", [50_000.0, 50_500.0, 58_000.0, 50_000.0])

    assert bench.liquidation_row() == 2


def test_a_long_is_tested_at_the_low_of_the_bar() -> None:
    bench = Bench({SIZE: 1.0, QUOTE: -50_000.0, CASH: 8_000.0}, rows=4)
    bench.sketch.line("binance.perp_high.BTC", 90_000.0).line("binance.perp_low.BTC", [5e4, 4.95e4, 5e4, 4.2e4])

    assert bench.liquidation_row() == 3


def test_liquidation_price_close_does_not_look_at_the_wicks() -> None:
    bench = Bench({SIZE: -1.0, QUOTE: 50_000.0, CASH: 8_000.0}, "liquidation_price=close", rows=4)
    bench.sketch.line("binance.perp_high.BTC", 90_000.0)

    assert bench.liquidation_row() is None


def test_the_cash_of_each_row_counts() -> None:
    bench = Bench({SIZE: -1.0, QUOTE: 50_000.0}, rows=3)

    assert bench.liquidation_row(np.array([2_000.0, 900.0, 825.0])) == 2
    assert bench.liquidation_row(np.array([2_000.0, 900.0, 825.01])) is None


def test_coins_of_a_unified_account_keep_it_alive() -> None:
    account = {SIZE: -1.0, QUOTE: 50_000.0, SPOT: 1.0, CASH: -46_000.0}

    assert Bench(account, "collateral=unified").liquidation_row() is None
    assert Bench({**account, CASH: -47_000.0}, "collateral=unified").liquidation_row() == 0
    assert Bench({**account, CASH: 0.0}).liquidation_row() == 0


@given(
    size=st.floats(-20.0, 20.0), least=st.floats(-50_000.0, 2e6), unified=st.booleans(),
    more=st.lists(st.floats(0.0, 1e5), min_size=3, max_size=3),
    lines=st.lists(st.floats(20_000.0, 90_000.0), min_size=3, max_size=3),
)  # fmt: skip
def test_what_is_called_safe_is_not_liquidated(
    size: float, least: float, more: list[float], lines: list[float], unified: bool
) -> None:
    account = {SIZE: size, QUOTE: -size * 50_000.0, SPOT: 0.5}
    bench = Bench(account, f"collateral={'unified' if unified else 'usdt'}", "liquidation_price=close", rows=3)
    bench.sketch.line("binance.perp.BTC", lines)

    bench.liquidation_row(least + np.array(more))  # it asserts


def test_an_account_far_from_liquidation_is_called_safe() -> None:
    market = Bench({}, rows=3).sketch.market()
    for size in (-1.0, 1.0, 0.0):
        bench = Bench({SIZE: size, QUOTE: -size * 50_000.0}, rows=3)
        assert bench.exchange.is_safe(market.window(0, 3), bench.balances, 2_000.0)


def test_without_a_position_nothing_is_liquidated() -> None:
    assert Bench({CASH: -5.0}).liquidation_row() is None


def test_a_liquidation_closes_at_mark_and_charges_its_fee() -> None:
    """2,000 + (50,000 − 51,000) − 1.25 % of 51,000 = 362.50 are left."""
    happening = Bench({SIZE: -1.0, QUOTE: 50_000.0, CASH: 2_000.0, SPOT: 1.0}, price=51_000.0).liquidate()

    assert happening.event_type is EventType.LIQUIDATION
    assert happening.part == "liquidation"
    assert happening.amount == 1.0
    assert happening.changes == {SIZE: 1.0, QUOTE: -50_000.0, CASH: near(362.5 - 2_000.0)}


def test_what_the_account_lacks_is_written_off() -> None:
    happening = Bench({SIZE: -1.0, QUOTE: 50_000.0, CASH: 2_000.0}, price=60_000.0).liquidate()

    assert happening.changes == {SIZE: 1.0, QUOTE: -50_000.0, CASH: -2_000.0}


def test_a_unified_account_is_floored_with_its_coins_counted() -> None:
    """Coins 1 × 60,000, cash −62,000 − 10,000 unrealised: equity below 0, so the debt is cut to what the coins are
    worth; with cash −45,000 the account pays 10,000 and the fee of 750 and lives."""
    position = {SIZE: -1.0, QUOTE: 50_000.0, SPOT: 1.0}

    dead = Bench({**position, CASH: -62_000.0}, "collateral=unified", price=60_000.0).liquidate()
    assert dead.changes == {SIZE: 1.0, QUOTE: -50_000.0, CASH: near(-60_000.0 + 62_000.0)}
    alive = Bench({**position, CASH: -45_000.0}, "collateral=unified", price=60_000.0).liquidate()
    assert alive.changes == {SIZE: 1.0, QUOTE: -50_000.0, CASH: near(-10_000.0 - 750.0)}


# Interest


def test_negative_usdt_of_a_unified_account_pays_interest_on_what_each_row_began_with() -> None:
    """876,000 at 6 % a year are 6 an hour; the second hour pays interest on the first."""
    bench = Bench({}, "collateral=unified", rows=4)
    window = bench.sketch.market().window(0, 4)

    charged = bench.exchange.funded_interest(window, -876_000.0, None)

    assert charged is not None
    assert charged.tolist() == [0.0, near(-6.0), near(-6.0 * (1 + 6 / 876_000)), near(-6.0 * (1 + 6 / 876_000) ** 2)]


def test_a_settlement_of_the_row_bears_interest_from_the_next_row_on() -> None:
    bench = Bench({}, "collateral=unified", rows=3)
    window = bench.sketch.market().window(0, 3)

    charged = bench.exchange.funded_interest(window, 0.0, np.array([0.0, -876_000.0, 0.0]))

    assert charged is not None
    assert charged.tolist() == [0.0, 0.0, near(-6.0)]


def test_interest_is_charged_only_below_zero_and_only_on_unified_accounts() -> None:
    window = Sketch(3).market().window(0, 3)

    assert Bench({}, "collateral=unified").exchange.funded_interest(window, 5.0, None) is None
    assert Bench({}).exchange.funded_interest(window, -5.0, None) is None
    assert Bench({}, "collateral=unified", "usdt_borrow_rate=0").exchange.funded_interest(window, -5.0, None) is None


# Limit prices


@pytest.mark.parametrize("verb", [Verb.SPOT, Verb.PERP])
def test_within_its_limit_an_order_is_done_as_without_one(verb: Verb) -> None:
    bench = Bench({CASH: 600_000.0})
    plain, limited = (
        bench.exchange.execute(order(verb, "binance", "BTC", 5.0, limit_price=limit), bench.market_row, bench.balances)
        for limit in (None, 50_000.0 * 1.0003)
    )
    assert limited == plain and not limited.expired


@pytest.mark.parametrize(("verb", "way"), [(Verb.SPOT, 1), (Verb.SPOT, -1), (Verb.PERP, 1), (Verb.PERP, -1)])
def test_only_as_much_is_done_as_the_limit_allows(verb: Verb, way: int) -> None:
    """base + slope × √0.0625: 62,500 USDT of the 250,000."""
    base, slope = (1e-4, 2.5e-4) if verb is Verb.SPOT else (0.5e-4, 2e-4)
    limit = 50_000.0 * (1.0 + way * (base + 0.25 * slope))
    bench = Bench({CASH: 600_000.0, SPOT: 5.0})
    one = order(verb, "binance", "BTC", 5.0 * way, limit_price=limit)
    trade = bench.exchange.execute(one, bench.market_row, bench.balances)
    assert (trade.status, trade.expired) == (TradeStatus.PARTIAL, True)
    assert abs(trade.quantity) == pytest.approx(1.25, abs=0.002)
    assert trade.price is not None and way * trade.price <= way * limit
    assert "limit price" in trade.reason
    lot = 0.00001 if verb is Verb.SPOT else 0.001
    assert abs(trade.quantity) / lot == pytest.approx(round(abs(trade.quantity) / lot), abs=1e-6)


@pytest.mark.parametrize("limit", [49_990.0, 50_000.0, 50_001.0])
def test_where_the_limit_gives_nothing_nothing_is_done(limit: float) -> None:
    trade = Bench({CASH: 600_000.0}).spot(5.0, limit_price=limit)
    assert (trade.status, trade.expired, trade.quantity) == (TradeStatus.REJECTED, True, 0.0)
    assert trade.changes == {} and not trade.transient


def test_what_is_left_of_a_closed_position_stays_open() -> None:
    bench = Bench({CASH: 600_000.0, SIZE: -5.0, QUOTE: 250_000.0})
    trade = bench.perp(5.0, reduce_only=True, everything=True, limit_price=50_000.0 * (1.0 + 0.5e-4 + 0.25 * 2e-4))
    assert trade.status is TradeStatus.PARTIAL and trade.quantity == pytest.approx(1.249)
    assert keyed({QUOTE: pytest.approx(-50_000.0 * 1.249)}).items() <= dict(trade.changes).items()


def test_without_costs_the_price_of_the_row_is_within_any_limit_that_includes_it() -> None:
    bench = Bench({CASH: 600_000.0}, "costs=none")
    assert bench.spot(5.0, limit_price=50_000.0).status is TradeStatus.FILLED
    assert bench.spot(5.0, limit_price=49_999.0).expired
