"""Deposits and withdrawals: the reserve, slow exits, queues, and returns that flows do not touch."""

from __future__ import annotations

import pytest

from components.model.events import EventType
from components.model.orders import Verb
from tests.scenarios import sketch
from tests.scenarios.play import Played, deposit, play, withdrawal
from tests.scenarios.sketch import Sketch

RESERVE = "reserve:BaseToken:USDT"
DAYS = 24


def paid(played: Played) -> list[tuple[int, float]]:
    return [(played.row_of(e), -(e.amount or 0.0)) for e in played.told(EventType.WITHDRAWAL_PAID)]


# Fast


def test_a_withdrawal_within_the_reserve_is_paid_at_once_and_sells_nothing() -> None:
    played = play("btc_basis", sketch.btc(48), flows=[withdrawal(30.5, 30_000.0)])

    assert paid(played) == [(31, 30_000.0)]
    assert played.balance(RESERVE, 31) == 20_000.0
    assert [t.verb for t in played.trades_at(31)] == [Verb.PAY_OUT]
    assert played["external_flow"][31] == -30_000.0
    assert played["equity"][31] == pytest.approx(played["equity"][30] - 30_000.0, rel=1e-12)


def test_a_low_reserve_is_told_once() -> None:
    flows = [withdrawal(30.5, 30_000.0, "a"), withdrawal(40.5, 10_000.0, "b")]

    played = play("btc_basis", sketch.btc(72), flows=flows)

    assert played.rows_told(EventType.RESERVE_LOW) == [32]


def test_the_next_rebalance_fills_the_reserve_again() -> None:
    """The price of BTC rises by half, so the margin leaves its band and everything goes back to target."""
    rise = {0: 60_000.0, 70: 60_000.0, 72: 90_000.0}

    played = play("btc_basis", sketch.btc(120, rise), flows=[withdrawal(30.5, 30_000.0)])

    assert played.balance(RESERVE, 71) == 20_000.0
    assert played.balance(RESERVE) == pytest.approx(0.05 * played["equity"][72], rel=0.02)


def test_a_refilled_reserve_may_run_low_again() -> None:
    rise = {0: 60_000.0, 70: 60_000.0, 72: 90_000.0}

    played = play(
        "btc_basis", sketch.btc(120, rise), flows=[withdrawal(30.5, 30_000.0, "a"), withdrawal(100.0, 30_000.0, "b")]
    )

    assert played.rows_told(EventType.RESERVE_LOW) == [32, 101]


# Slow


def test_a_large_withdrawal_unwinds_every_leg_by_the_same_share() -> None:
    played = play("btc_basis", sketch.btc(60), flows=[withdrawal(30.0, 300_000.0)])

    share = (played["equity"][29] - 300_000.0) / played["equity"][29]
    for venue in ("binance", "bybit", "okx"):
        for key in (f"{venue}:BaseToken:BTC", f"{venue}:Perp:BTCUSDT"):
            assert played.balance(key, 30) == pytest.approx(share * played.balance(key, 29), rel=1e-3)
    assert {order.verb for group in played.groups[1:2] for order in group.orders} == {Verb.PAY_OUT}


def test_a_slow_withdrawal_is_paid_in_parts_as_the_cash_comes_in() -> None:
    played = play("btc_basis", sketch.btc(60), flows=[withdrawal(30.0, 300_000.0)])

    rows = [row for row, _ in paid(played)]
    assert rows[:2] == [30, 31]
    assert sum(amount for _, amount in paid(played)) == pytest.approx(300_000.0, rel=4e-3)
    assert played["external_flow"].sum() == pytest.approx(-sum(amount for _, amount in paid(played)), rel=1e-12)


def test_the_value_drops_when_cash_leaves_not_when_it_is_asked_for() -> None:
    played = play("btc_basis", sketch.btc(60), flows=[withdrawal(30.0, 300_000.0)])

    first, second = (amount for _, amount in paid(played)[:2])
    assert played["equity"][30] == pytest.approx(played["equity"][29] - first, rel=1e-3)
    assert played["equity"][31] == pytest.approx(played["equity"][30] - second, rel=1e-3)


def test_a_crossing_on_the_row_of_an_arrival_does_not_swallow_the_payment() -> None:
    """The reserve falls below its ratio on the very row on which the cash of the withdrawal arrives."""
    played = play("btc_basis", sketch.btc(60), flows=[withdrawal(30.0, 300_000.0)])

    assert played.rows_told(EventType.RESERVE_LOW) == [31]
    assert 31 in played.rows_told(EventType.TRANSFER_ARRIVED)
    assert [row for row, amount in paid(played) if amount > 200_000.0] == [31]


def test_an_eth_class_withdraws_in_eth_out_of_an_atomic_exit() -> None:
    played = play("eth_leveraged", sketch.staked(48), flows=[withdrawal(30.0, 30.0)])

    equity = played["equity"][29]
    debt = played["balance.aave_v3:debtToken:variableDebtWETH"]
    assert debt[30] == pytest.approx(debt[29] * (equity - 30.0) / equity, rel=1e-3)
    assert played.rows_told(EventType.ATOMIC_GROUP) == [0, 30]
    assert sum(amount for _, amount in paid(played)) == pytest.approx(30.0, rel=0.03)
    assert played["ltv"][-1] == pytest.approx(0.9094, abs=2e-3)


def test_the_gas_of_a_payment_is_a_cost_and_no_flow() -> None:
    played = play("eth_staking_only", sketch.staked(48), flows=[withdrawal(30.0, 2.0)])

    assert paid(played) == [(30, 2.0)]
    assert played["external_flow"][30] == -2.0
    assert played["transaction_costs"][30] == pytest.approx(-0.00065, rel=1e-9)


def test_the_queue_pays_the_full_ratio_after_its_days() -> None:
    overrides = ("exit_path=queue", "exit_queue_days=3")

    played = play("eth_staking_only", sketch.staked(DAYS * 6), *overrides, flows=[withdrawal(30.0, 30.0)])

    asked, answered = played.rows_told(EventType.TRANSFER_SENT), played.rows_told(EventType.TRANSFER_ARRIVED)
    assert (asked, answered) == ([30], [30 + 3 * 24])
    assert [row for row, _ in paid(played)] == [30, 102, 103]  # the costs of the way come from the reserve
    assert sum(amount for _, amount in paid(played)) == pytest.approx(30.0)
    assert not played.filled(Verb.SWAP)
    assert played["balance.transit:BaseToken:ETH"][60] > 28.0
    assert played.result.parts["transaction_costs"] > -0.01


def test_a_market_exit_pays_the_discount_at_once() -> None:
    played = play("eth_staking_only", sketch.staked(DAYS * 2), flows=[withdrawal(30.0, 30.0)])

    assert [row for row, _ in paid(played)] == [30, 30, 31]
    assert sum(amount for row, amount in paid(played) if row == 30) == pytest.approx(30.0 - 28.5 * 0.0013, rel=1e-3)
    assert sum(amount for _, amount in paid(played)) == pytest.approx(30.0, rel=1e-9)
    assert played["transaction_costs"][30] == pytest.approx(-28.5 * 0.0013, rel=0.3)


def test_a_hedged_mode_keeps_its_hedge_while_coins_wait_in_the_queue() -> None:
    overrides = ("exit_path=queue", "exit_queue_days=2")

    played = play(
        "usdt_market_neutral_no_leverage", sketch.staked(DAYS * 5), *overrides, flows=[withdrawal(30.0, 300_000.0)]
    )

    assert played["net_delta"][1:].max() < 0.01
    assert sum(amount for _, amount in paid(played)) == pytest.approx(300_000.0, rel=5e-3)


def all_of_it(mode: str, drawn: Sketch, hours: float) -> float:
    """What the fund is worth at that hour."""
    plain = play(mode, drawn, cuts=())
    return float(plain["equity"][int(hours)])


def test_asking_for_all_there_is_pays_what_selling_it_brings() -> None:
    whole = all_of_it("btc_basis", sketch.btc(60), 30)
    played = play("btc_basis", sketch.btc(60), flows=[withdrawal(30.0, whole)])

    assert played["equity"][-1] == pytest.approx(0.0, abs=1e-6)
    gone = sum(amount for _, amount in paid(played))
    assert gone == pytest.approx(played["equity"][29], rel=2e-3)
    assert played.job.core.positions.snapshot() == {}
    assert played["unit_value"][-1] == pytest.approx(1.0, abs=3e-3)
    assert played["drawdown"].max() < 0.01


def test_a_fund_that_was_emptied_can_be_filled_again() -> None:
    whole = all_of_it("btc_basis", sketch.btc(72), 30)
    flows = [withdrawal(30.0, whole, "a"), deposit(50.0, 400_000.0, "b")]

    played = play("btc_basis", sketch.btc(72), flows=flows)

    assert played.balance("binance:Perp:BTCUSDT") == pytest.approx(-3.165 * 0.4, rel=1e-2)
    assert played["equity"][-1] == pytest.approx(400_000.0, rel=1e-2)
    assert played["unit_value"][-1] == pytest.approx(1.0, abs=5e-3)


@pytest.mark.parametrize(
    "mode", ["pure_lending", "eth_basis", "usdt_market_neutral_no_leverage", "usdt_market_neutral"]
)
def test_a_fund_that_was_emptied_sends_no_order_that_cannot_be_done(mode: str) -> None:
    whole = all_of_it(mode, sketch.staked(DAYS * 5), 30)
    played = play(mode, sketch.staked(DAYS * 5), flows=[withdrawal(30.0, whole)])

    assert not played.told(EventType.ORDER_REJECTED, EventType.ORDER_WITHHELD)
    assert abs(played["equity"][-1]) < 100.0
    assert played["external_flow"].sum() < -970_000.0


# Deposits


def test_a_deposit_is_sent_where_it_is_needed_and_invested_on_arrival() -> None:
    played = play("btc_basis", sketch.btc(48), flows=[deposit(30.5, 500_000.0)])

    assert played.decisions()[1][:2] == (31, "entry_partial")
    assert played.rows_told(EventType.DEPOSIT) == [31]
    assert set(played.rows_told(EventType.TRANSFER_ARRIVED)) == {32}
    for venue in ("binance", "bybit", "okx"):
        size = played["balance." + f"{venue}:Perp:BTCUSDT"]
        assert size[32] == pytest.approx(1.5 * size[30], rel=2e-3)
    assert played.balance(RESERVE) == pytest.approx(75_000.0, rel=1e-3)


@pytest.mark.parametrize("mode", ["pure_lending", "eth_staking_only", "eth_leveraged"])
def test_a_deposit_goes_to_work_on_its_row_where_nothing_has_to_travel(mode: str) -> None:
    capital = 1_000_000.0 if mode == "pure_lending" else 100.0

    played = play(mode, sketch.staked(48), flows=[deposit(30.0, 0.5 * capital)])

    key = {
        "pure_lending": "aave_v3:aToken:aUSDT",
        "eth_staking_only": "wallet:BaseToken:wstETH",
        "eth_leveraged": "aave_v3:aToken:awstETH",
    }[mode]
    assert played.balance(key, 30) == pytest.approx(1.5 * played.balance(key, 29), rel=2e-3)


def test_flows_move_units_and_not_returns() -> None:
    """The same market with and without flows: the value of one unit hardly knows the difference."""
    drawn = sketch.staked(DAYS * 10)
    flows = [deposit(50.0, 100.0, "a"), withdrawal(120.0, 90.0, "b")]

    quiet, busy = play("eth_staking_only", drawn, cuts=()), play("eth_staking_only", drawn, flows=flows)

    assert busy.result.external_flows == pytest.approx(10.0, rel=0.02)
    assert busy["unit_value"][-1] == pytest.approx(quiet["unit_value"][-1], abs=2e-3)
    assert busy["unit_value"][50] == pytest.approx(quiet["unit_value"][50], abs=1e-5)
    assert busy["drawdown"].max() < 2e-3


def test_the_unit_value_is_one_at_the_start_and_moves_with_the_profit() -> None:
    played = play("eth_staking_only", sketch.staked(48), "costs=none")

    assert played["unit_value"][0] == 1.0
    assert played["unit_value"][-1] == pytest.approx(played.result.final_equity / 100.0, rel=1e-12)


NEUTRAL_MODES = ("usdt_market_neutral", "usdt_market_neutral_no_leverage", "btc_basis")


def drawn_for(mode: str) -> sketch.Sketch:
    return sketch.btc(72) if mode == "btc_basis" else sketch.staked(72)


@pytest.mark.parametrize("mode", NEUTRAL_MODES)
def test_a_deposit_and_a_withdrawal_of_one_row_that_are_equal_move_nothing_but_cash(mode: str) -> None:
    flows = [deposit(30.5, 500_000.0), withdrawal(30.5, 500_000.0)]

    played, alone = play(mode, drawn_for(mode), flows=flows), play(mode, drawn_for(mode))

    assert paid(played) == [(31, 500_000.0)]
    assert [event.amount for event in played.told(EventType.DEPOSIT)] == [500_000.0]
    assert [event.amount for event in played.told(EventType.WITHDRAWAL_REQUESTED)] == [500_000.0]
    assert [trade.verb for trade in played.trades if trade.at >= played.market.timestamps[31]] == [Verb.PAY_OUT]
    assert played.result.parts["transaction_costs"] == pytest.approx(alone.result.parts["transaction_costs"], abs=15.0)
    assert played["unit_value"][-1] == pytest.approx(alone["unit_value"][-1], rel=1e-4)
    assert played.result.external_flows == 0.0


@pytest.mark.parametrize("mode", NEUTRAL_MODES)
def test_of_a_deposit_and_a_withdrawal_of_one_row_only_the_net_moves(mode: str) -> None:
    more = play(mode, drawn_for(mode), flows=[deposit(30.5, 500_000.0), withdrawal(30.5, 300_000.0)])
    less = play(mode, drawn_for(mode), flows=[deposit(30.5, 300_000.0), withdrawal(30.5, 500_000.0)])

    in_alone = play(mode, drawn_for(mode), flows=[deposit(30.5, 200_000.0)])
    out_alone = play(mode, drawn_for(mode), flows=[withdrawal(30.5, 200_000.0)])
    for both, one in ((more, in_alone), (less, out_alone)):
        cost, same = both.result.parts["transaction_costs"], one.result.parts["transaction_costs"]
        assert cost == pytest.approx(same, rel=0.05, abs=20.0)
        assert both["equity"][-1] == pytest.approx(one["equity"][-1], rel=1e-4)
        # What is unwound on the row is borne by all units of the row, those that the deposit bought among them.
        assert both["unit_value"][-1] == pytest.approx(one["unit_value"][-1], rel=5e-4)


def test_a_deposit_and_a_withdrawal_of_one_row_are_both_served() -> None:
    flows = [deposit(29.5, 200_000.0, "in"), withdrawal(30.0, 300_000.0, "out")]

    played = play("btc_basis", sketch.btc(60), flows=flows)

    assert played.rows_told(EventType.DEPOSIT, EventType.WITHDRAWAL_REQUESTED) == [30, 30]
    assert sum(amount for _, amount in paid(played)) == pytest.approx(300_000.0, rel=1e-3)


def test_a_withdrawal_on_the_row_of_an_arrival_is_served() -> None:
    played = play("btc_basis", sketch.btc(48), "initial_location=wallet", flows=[withdrawal(0.75, 40_000.0)])

    assert played.rows_told(EventType.TRANSFER_ARRIVED)[:3] == [1, 1, 1]
    assert paid(played) == [(1, 40_000.0)]
    assert played.balance("binance:Perp:BTCUSDT", 1) < 0.0


def test_a_withdrawal_that_comes_while_the_entry_waits_for_a_price_is_served() -> None:
    drawn = sketch.btc(48).grows_stale("binance.spot.BTC", 0, 9)
    for venue in ("bybit", "okx"):
        drawn.grows_stale(f"{venue}.spot.BTC", 0, 9)

    played = play("btc_basis", drawn, flows=[withdrawal(5.0, 40_000.0)])

    assert paid(played) == [(5, 40_000.0)]
    assert played.balance("binance:Perp:BTCUSDT", 10) < 0.0


def test_without_rebalancing_a_deposit_stays_where_it_came_in() -> None:
    played = play("btc_basis", sketch.btc(60), "rebalance=never", flows=[deposit(30.0, 500_000.0)])

    assert played["balance.wallet:BaseToken:USDT"][-1] == 500_000.0
    assert len(played.decisions()) == 1


def test_without_rebalancing_a_withdrawal_unwinds_pro_rata() -> None:
    played = play("btc_basis", sketch.btc(60), "rebalance=never", flows=[withdrawal(30.0, 300_000.0)])

    size = played["balance.binance:Perp:BTCUSDT"]
    assert size[-1] == pytest.approx(0.7 * size[29], rel=2e-3)
    assert sum(amount for _, amount in paid(played)) == pytest.approx(300_000.0, rel=4e-3)


# More than there is


@pytest.mark.parametrize("mode", ["btc_basis", "usdt_market_neutral", "pure_lending"])
def test_a_withdrawal_above_the_equity_is_refused_with_the_figure_and_sells_nothing(mode: str) -> None:
    drawn = sketch.btc(48) if mode == "btc_basis" else sketch.staked(48)
    plain = play(mode, drawn, cuts=())

    played = play(mode, drawn, flows=[withdrawal(20, 1_500_000.0)])

    (told,) = played.told(EventType.WITHDRAWAL_REFUSED)
    equity = played["equity"][20]
    assert told.amount == 1_500_000.0
    assert told.detail == (f"A withdrawal of 1,500,000.00 USDT is more than the equity of {equity:,.2f} USDT.")
    assert played["equity"].tobytes() == plain["equity"].tobytes()
    assert not played.told(EventType.WITHDRAWAL_PAID)


def test_of_two_withdrawals_on_a_row_the_one_that_is_too_large_is_refused() -> None:
    played = play("btc_basis", sketch.btc(48), flows=[withdrawal(20, 700_000.0, "a"), withdrawal(20, 700_000.0, "b")])

    (told,) = played.told(EventType.WITHDRAWAL_REFUSED)
    assert "more than the equity of 29" in told.detail
    paid = sum(-(event.amount or 0.0) for event in played.told(EventType.WITHDRAWAL_PAID))
    assert paid == pytest.approx(700_000.0, rel=1e-3)


@pytest.mark.parametrize("mode", ["usdt_market_neutral", "usdt_market_neutral_no_leverage"])
def test_a_deposit_sells_no_staked_coin_while_the_margin_is_inside_its_band(mode: str) -> None:
    """The price rises by a fifth: the margin ratio is 0.67, the band begins at 0.5. A deposit of 2 % is margin then."""
    drawn = sketch.staked(72, {0: 3_000.0, 20: 3_000.0, 21: 3_600.0})

    played = play(mode, drawn, flows=[deposit(40.5, 20_000.0)])

    after = [trade for trade in played.trades if trade.at >= played.market.timestamps[41]]
    assert not {trade.verb for trade in after} & {Verb.SWAP, Verb.SPOT, Verb.REPAY, Verb.WITHDRAW}
    assert played["margin_ratio.binance"][45] > played["margin_ratio.binance"][40]
    assert played["net_delta"][21:].max() < 0.01
