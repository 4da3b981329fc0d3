"""What venues take by force, and that the run goes on with what is left."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from msgspec import structs

from components.model.events import EventType
from components.model.keys import perp, perp_quote
from components.model.market import Row, Window
from components.model.orders import Order, Trade, Verb
from components.model.positions import Book
from components.ports import Happening, Settlements
from daemon.backtest.replay import ReplayRequest
from daemon.config.settings import load_run
from tests.scenarios import sketch
from tests.scenarios.play import Played, Witnessed, play, the_parts_add_up, withdrawal
from venues.sim.exchange import rejected

DEBT, COLLATERAL = "aave_v3:debtToken:variableDebtWETH", "aave_v3:aToken:awstETH"


def wick(*overrides: str) -> Played:
    """Bybit's high of row 21 kills its short of 2.374 BTC; the close is as if nothing had been."""
    return play("btc_basis", sketch.btc(48).extremes("bybit", "BTC", high={21: 125_000.0}), *overrides)


def test_a_wick_liquidates_the_short_at_the_close_and_charges_the_fee() -> None:
    played = wick()

    (event,) = played.told(EventType.LIQUIDATION)
    assert (played.row_of(event), event.venue, event.amount) == (21, "bybit", 2.374)
    assert played["liquidation"][21] == pytest.approx(-0.002 * 2.374 * 60_012.0, rel=1e-9)
    assert played.result.liquidations == 1


def test_after_a_liquidation_the_decision_works_on_what_remains_and_repairs_the_hedge() -> None:
    played = wick()

    order = [e.event_type for e in played.events if played.row_of(e) == 21]
    assert order.index(EventType.LIQUIDATION) < order.index(EventType.DECISION)
    assert played.decisions()[1] == (21, "entry_partial", "risk: delta critical")
    for venue in sketch.VENUES:
        assert played.balance(f"{venue}:Perp:BTCUSDT", 21) == pytest.approx(
            -played.balance(f"{venue}:BaseToken:BTC", 21), abs=1e-9
        )
    assert played["net_delta"][22:].max() < 1e-6
    assert played["funding.bybit"][24] > 0.0


def test_a_market_neutral_run_repairs_its_hedge_too() -> None:
    played = play("usdt_market_neutral", sketch.staked(48).extremes("bybit", "ETH", high={21: 6_500.0}))

    assert played.rows_told(EventType.LIQUIDATION) == [21]
    assert played["net_delta"][21] > 0.25
    assert played["net_delta"][22:].max() < 0.01


def test_liquidation_price_close_ignores_the_wick() -> None:
    assert not wick("liquidation_price=close").told(EventType.LIQUIDATION)


def test_an_account_under_water_is_written_off_and_the_run_goes_on() -> None:
    """Bybit's perp triples while its spot stands: the margin is gone, not more."""
    drawn = sketch.btc(48)
    drawn.columns["bybit.perp.BTC"][21:] *= 3.0

    played = play("btc_basis", drawn, "rebalance=never")

    assert played.rows_told(EventType.LIQUIDATION) == [21]
    assert played.balance("bybit:BaseToken:USDT") == 0.0
    assert played["liquidation"][21] > 100_000.0
    assert played["basis"][21] < -200_000.0
    assert played["venue_equity.bybit"][22] == pytest.approx(2.374 * 60_006.0, rel=1e-6)


def test_without_rebalancing_a_liquidation_still_happens_and_nobody_repairs_it() -> None:
    played = wick("rebalance=never")

    assert played.rows_told(EventType.LIQUIDATION) == [21]
    assert len(played.decisions()) == 1
    assert played.balance("bybit:Perp:BTCUSDT") == 0.0
    assert played.balance("bybit:BaseToken:BTC") == pytest.approx(2.374)
    assert played["net_delta"][22] == pytest.approx(0.3, abs=0.01)


def test_costs_none_does_not_make_a_liquidation_free() -> None:
    assert wick("costs=none").result.parts["liquidation"] < -280.0


@pytest.mark.parametrize(("high", "dies"), [(100_000.0, False), (125_000.0, True)])
def test_a_unified_account_carries_a_wick_with_its_coins_at_the_close(high: float, dies: bool) -> None:
    """Per coin 57,000 after the haircut less the rise of the wick: 17,000 are left at 100,000, nothing at 125,000."""
    drawn = sketch.btc(48).extremes("bybit", "BTC", high={21: high})

    played = play("btc_basis", drawn, "collateral=unified", "rebalance=never")

    assert bool(played.told(EventType.LIQUIDATION)) is dies


def test_a_unified_account_follows_a_rise_of_both() -> None:
    played = play(
        "btc_basis", sketch.btc(48, {0: 60_000.0, 20: 60_000.0, 30: 110_000.0}), "collateral=unified", "rebalance=never"
    )

    assert not played.told(EventType.LIQUIDATION)
    assert played.result.final_equity == pytest.approx(998_000.0, rel=2e-3)


# Aave


def shocked(factor: float, *overrides: str, rows: int = 48) -> Played:
    """The debt index jumps at row 21 by a factor; LTV 0.9094 becomes 0.9094 × factor."""
    drawn = sketch.staked(rows).line(
        "aave_v3.borrow_index.WETH", {0: 1.05, 20: 1.05, 21: 1.05 * factor, 22: 1.05 * factor}
    )
    return play("eth_leveraged", drawn, *overrides)


def test_a_partial_liquidation_repays_half_and_pays_the_bonus() -> None:
    """LTV 0.952: HF 0.9978. Half of the debt is repaid, 1 % of it is lost as bonus, the rest lives on."""
    played = shocked(1.047, "rebalance=never")

    assert played.rows_told(EventType.LIQUIDATION) == [21]
    debt = played[f"balance.{DEBT}"]
    assert debt[21] == pytest.approx(0.5 * debt[20], rel=1e-12)
    repaid = 0.5 * debt[20] * 1.05 * 1.047
    assert played["liquidation"][21] == pytest.approx(-0.01 * repaid, rel=1e-9)
    assert played["health_factor"][22] > 1.0


def test_there_is_at_most_one_call_per_row() -> None:
    """HF 0.951 lies where a call lowers it: half on row 21; then it is below 0.95, so row 22 takes the rest."""
    played = shocked(0.95 / 0.951 / 0.909401, "rebalance=never")

    assert played.rows_told(EventType.LIQUIDATION) == [21, 22]
    assert played.balance(DEBT, 21) > 0.0
    assert played.balance(DEBT, 22) == 0.0


def test_below_0_95_everything_is_repaid_at_once() -> None:
    played = shocked(0.95 / 0.949 / 0.909401, "rebalance=never")

    assert played.rows_told(EventType.LIQUIDATION) == [21]
    assert played.balance(DEBT, 21) == played.balance(COLLATERAL, 21) == 0.0
    assert "deficit" in played.details(EventType.LIQUIDATION)[0]


def test_a_liquidation_on_aave_comes_before_the_emergency_that_follows_it() -> None:
    played = shocked(1.047)

    types = [e.event_type for e in played.events if played.row_of(e) == 21]
    assert (
        types.index(EventType.LIQUIDATION) < types.index(EventType.EMERGENCY_STOP) < types.index(EventType.ATOMIC_GROUP)
    )
    assert played.balance(DEBT) == played.balance(COLLATERAL) == 0.0
    assert played.result.final_equity == pytest.approx(49.4, abs=0.1)


def test_a_withdrawal_above_the_borrowing_limit_still_unwinds() -> None:
    """LTV 0.94 with rebalancing off: no new debt is possible, but a share of it can be repaid and withdrawn."""
    drawn = sketch.staked(48).line("aave_v3.borrow_index.WETH", {0: 1.05, 20: 1.05, 21: 1.05 * 1.034, 22: 1.05 * 1.034})

    played = play("eth_leveraged", drawn, "rebalance=never", flows=[withdrawal(30.0, 20.0)])

    assert 0.93 < played["ltv"][30] < 0.95
    assert played.rows_told(EventType.ATOMIC_GROUP) == [0, 30]
    assert not played.told(EventType.ORDER_REJECTED)
    assert len(played.filled(Verb.PAY_OUT)) == 3  # what unwinding cost comes from the reserve, a row later


# A hedge that is lost, and how it is made good


def lost(mode: str, drawn: sketch.Sketch, venue: str, share: float, refusing: tuple[str, ...] = ()) -> Played:
    """At row 21 the venue deleverages a share of its short at its mark, without a word of warning; from then on the
    `refusing` venues open no larger short."""
    run = load_run(mode, environ={})
    market = drawn.market()
    job = Witnessed(run, market, ReplayRequest(run_id="lost", capital=1_000_000.0))
    at, settle = int(market.timestamps[21]), job.world.settle

    def taken(window: Window, book: Book) -> Settlements:
        if int(window.timestamps[0]) > at or int(window.timestamps[-1]) < at:
            return settle(window, book)
        first = int(np.searchsorted(window.timestamps, at))
        if first:
            return settle(window.head(first), book)
        found = settle(window.head(1), book)
        size = -share * book[perp(venue, "ETH")]
        changes = {perp(venue, "ETH"): size, perp_quote(venue, "ETH"): -size * window.row(0).value(f"{venue}.perp.ETH")}
        told = Happening(
            event_type=EventType.LIQUIDATION, at=at, venue=venue, token="ETH", amount=size, changes=changes,
            part=None, detail=f"{venue} deleveraged {size:g} ETH",
        )  # fmt: skip
        return structs.replace(found, happenings=(*found.happenings, told))

    job.world.settle = taken  # type: ignore[method-assign]
    for name in refusing:
        exchange = job.world._exchanges[name]
        exchange.execute = partial(refuse_more, exchange.execute, at)  # type: ignore[method-assign]
    job.run()
    return Played(job, market, job.result())


def refuse_more(execute: Callable[..., Trade], at: int, order: Order, row: Row, balances: object) -> Trade:
    if order.verb is Verb.PERP and not order.reduce_only and row.timestamp >= at:
        return rejected(order, row, "no larger position is allowed")
    return execute(order, row, balances)


def times_refused(played: Played) -> dict[str, int]:
    venues = [event.venue for event in played.told(EventType.ORDER_REJECTED)]
    return {venue: venues.count(venue) for venue in dict.fromkeys(venues)}


NEUTRAL = ("usdt_market_neutral_no_leverage", "usdt_market_neutral")


@pytest.mark.parametrize("mode", NEUTRAL)
def test_a_hedge_that_one_venue_refuses_is_had_at_another_on_the_same_row(mode: str) -> None:
    played = lost(mode, sketch.staked(72), "bybit", 1.0, refusing=("bybit",))

    assert played["net_delta"][22:].max() < played.run.mode.max_delta_drift
    assert played.balance("bybit:Perp:ETHUSDT", 21) == 0.0
    assert max(times_refused(played).values()) <= 2


@pytest.mark.parametrize("mode", NEUTRAL)
def test_a_hedge_that_every_venue_refuses_means_that_the_long_leg_is_reduced(mode: str) -> None:
    played = lost(mode, sketch.staked(72), "bybit", 1.0, refusing=("binance", "bybit", "okx"))

    assert played["net_delta"][25:].max() < played.run.mode.risk.delta.critical
    assert max(times_refused(played).values()) <= 2
    the_parts_add_up(played)


@pytest.mark.parametrize("mode", ["eth_basis", *NEUTRAL])
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_a_short_that_was_deleveraged_is_made_good_within_a_few_rows(mode: str, share: float) -> None:
    played = lost(mode, sketch.staked(48), "bybit", share)

    assert played.told(EventType.LIQUIDATION)
    assert played["net_delta"][24:].max() < played.run.mode.max_delta_drift
    assert not played.told(EventType.ORDER_REJECTED)
    the_parts_add_up(played)


def test_where_no_venue_has_margin_the_long_leg_is_reduced() -> None:
    """All shorts die at once, and with them all margin: what is left is sold as far as it cannot be hedged."""
    drawn = sketch.staked(72, {0: 3_000.0, 20: 3_000.0, 21: 6_300.0})

    played = play("usdt_market_neutral_no_leverage", drawn)

    assert len(played.told(EventType.LIQUIDATION)) == 3
    staked = played["balance.wallet:BaseToken:wstETH"]
    assert staked[21] < 0.6 * staked[20]
    assert played["net_delta"][24:].max() < 0.06
    assert not played.told(EventType.ORDER_REJECTED)
