"""The simulated world: what venues do on their own, transfers, a ledger that only `accept` and `execute` change."""

from __future__ import annotations

import numpy as np
import pytest

from components.model.events import EventType
from components.model.keys import PositionKey
from components.model.orders import Cost, CostKind, GroupKind, TradeStatus, Verb
from components.model.positions import Book
from components.model.requirements import HOUR_NS
from components.ports import Flow, Settlements
from tests.scenarios.sketch import START, Sketch, at, btc, staked
from tests.venues.sim.desk import ETH, GAS, USDT, Desk, group, near, order

CASH = "binance:BaseToken:USDT"
SIZE = "binance:Perp:BTCUSDT"
QUOTE = "binance:PerpQuote:BTCUSDT"
SHORT = {SIZE: -2.0, QUOTE: 120_000.0, CASH: 100_000.0}


def plain(settlements: Settlements) -> tuple[object, ...]:
    """A preview in values that compare."""
    cash = tuple((f.key, f.part, f.row.tolist(), f.at.tolist(), f.amount.tolist()) for f in settlements.cash)
    return settlements.rows, cash, settlements.happenings


# Funding


def test_a_short_receives_positive_funding_at_the_mark_of_the_stamp() -> None:
    """2 BTC × 0.01 % of the mark, at 0, 8 and 16 o'clock; the mark moves."""
    desk = Desk("btc_basis", btc(20, {0: 60_000.0, 19: 79_000.0}), SHORT)

    (flow,) = desk.settle(0, 20).cash

    marks = (60_000.0 + 1_000.0 * np.array([0, 8, 16])) * 1.0005
    assert (flow.key, flow.part, flow.event_type) == (CASH, "funding", EventType.FUNDING)
    assert flow.row.tolist() == [0, 8, 16]
    assert flow.at.tolist() == [at(0), at(8), at(16)]
    assert flow.amount.tolist() == [near(2.0 * mark * 1e-4) for mark in marks]


def test_a_long_pays_it_and_negative_rates_turn_the_sign() -> None:
    long = {SIZE: 2.0, QUOTE: -120_000.0, CASH: 100_000.0}

    (paid,) = Desk("btc_basis", btc(2), long).settle(0, 2).cash
    (received,) = Desk("btc_basis", btc(2, funding=-1e-4), long).settle(0, 2).cash

    assert paid.amount.tolist() == [near(-12.006)]
    assert received.amount.tolist() == [near(12.006)]


def test_stamps_between_rows_belong_to_the_first_row_after_them() -> None:
    """Rows a day apart, three settlements between each two, the marks as of the stamps."""
    sketch = btc(3, step_hours=24).funding("BTC", 1e-4, every_hours=8, venues=())
    marks = np.array([60_000.0, 61_000.0, 62_000.0, 63_000.0])
    stamps = np.array([at(8), at(16), at(24), at(32)], dtype=np.int64)
    sketch.settlements("binance.funding.BTC", stamps, np.full(4, 1e-4), marks)

    (flow,) = Desk("btc_basis", sketch, SHORT).settle(0, 3).cash

    assert flow.row.tolist() == [1, 1, 1, 2]
    assert flow.at.tolist() == stamps.tolist()
    assert flow.amount.tolist() == [near(12.0), near(12.2), near(12.4), near(12.6)]


def test_without_a_position_there_is_no_funding() -> None:
    assert Desk("btc_basis", btc(20), {CASH: 5.0}).settle(0, 20).cash == ()


def test_venues_settle_in_the_order_of_their_names() -> None:
    balances = {**SHORT}
    for venue in ("okx", "bybit"):
        balances |= {
            f"{venue}:Perp:BTCUSDT": -1.0,
            f"{venue}:BaseToken:USDT": 99_000.0,
            f"{venue}:PerpQuote:BTCUSDT": 60_000.0,
        }

    cash = Desk("btc_basis", btc(2), balances).settle(0, 2).cash

    assert [flow.key.venue for flow in cash] == ["binance", "bybit", "okx"]


# Pure preview, exact accept


def test_a_preview_changes_nothing_however_often_and_however_far_it_looks() -> None:
    flows = (Flow(at=at(9.5), amount=500.0, id="d"),)
    desk = Desk("btc_basis", btc(30), SHORT, flows=flows)
    before = dict(desk.world.balances)
    first = plain(desk.settle(0, 5))

    for stop in (30, 10, 1, 30):
        desk.settle(0, stop)

    assert plain(desk.settle(0, 5)) == first
    assert desk.world.balances == before


def test_a_happening_stays_due_until_it_is_accepted() -> None:
    desk = Desk("btc_basis", btc(30), SHORT, flows=(Flow(at=at(4), amount=500.0, id="d"),))

    assert plain(desk.settle(4, 8)) == plain(desk.settle(4, 8))
    assert desk.of(USDT) == 0.0
    desk.accept(4, 8)
    assert desk.of(USDT) == 500.0
    assert desk.settle(5, 8).happenings == ()


def test_accept_books_only_the_rows_that_were_accepted() -> None:
    desk = Desk("btc_basis", btc(20), SHORT)
    window = desk.market.window(0, 20)
    preview = desk.world.settle(window, Book(desk.world.balances))

    desk.world.accept(window, preview, 9)

    assert desk.of(CASH) == near(100_000.0 + 2 * 12.006)


def test_orders_fill_at_the_last_row_that_was_accepted() -> None:
    sketch = btc(20, {0: 60_000.0, 19: 79_000.0})
    desk = Desk("btc_basis", sketch, SHORT, "costs=none")
    window = desk.market.window(0, 20)
    desk.world.accept(window, desk.world.settle(window, Book(desk.world.balances)), 6)

    trade = desk.one(order(Verb.PERP, "binance", "BTC", 1.0))

    assert trade.at == at(5)
    assert trade.price == near(65_000.0 * 1.0005)


# Flows


def test_a_deposit_comes_in_at_the_first_row_at_or_after_its_stamp() -> None:
    desk = Desk("btc_basis", btc(9), {}, flows=(Flow(at=at(3.5), amount=500.0, id="d"),))

    assert desk.settle(0, 9).rows == 4
    (happening,) = desk.settle(4, 9).happenings

    assert (happening.event_type, happening.part, happening.at) == (EventType.DEPOSIT, "flow", at(3.5))
    assert happening.changes == {USDT: 500.0}


def test_a_withdrawal_is_asked_for_and_moves_nothing_by_itself() -> None:
    desk = Desk("btc_basis", btc(9), {USDT: 900.0}, flows=(Flow(at=at(3), amount=-500.0, id="w"),))

    (happening,) = desk.settle(3, 9).happenings

    assert (happening.event_type, happening.part) == (EventType.WITHDRAWAL_REQUESTED, None)
    assert (happening.amount, happening.changes) == (500.0, {})


def test_an_eth_share_class_is_paid_into_in_eth() -> None:
    desk = Desk("eth_staking_only", staked(3), {}, flows=(Flow(at=at(1), amount=5.0, id="d"),))

    assert desk.settle(1, 3).happenings[0].changes == {ETH: 5.0}


def test_flows_of_one_row_come_in_the_order_of_their_stamps() -> None:
    flows = (
        Flow(at=at(2.9), amount=-1.0, id="b"),
        Flow(at=at(2.1), amount=7.0, id="c"),
        Flow(at=at(2.9), amount=2.0, id="a"),
    )
    desk = Desk("btc_basis", btc(9), {}, flows=flows)

    assert [happening.detail for happening in desk.settle(3, 9).happenings] == ["c", "a", "b"]


# Transfers


def transfer(source: str, target: str, token: str, amount: float) -> object:
    keys = {"source": f"{source}:BaseToken:{token}", "target": f"{target}:BaseToken:{token}"}
    return order(Verb.TRANSFER, source, token, amount, **keys)


def test_a_transfer_pays_its_fee_at_once_and_arrives_after_its_delay() -> None:
    """Bybit takes 2 USDT and 30 minutes: the first row at or after 0:30 is row 1."""
    desk = Desk("btc_basis", btc(5), {"bybit:BaseToken:USDT": 1_000.0})

    trade = desk.one(transfer("bybit", "binance", "USDT", 600.0))

    assert trade.changes == {"bybit:BaseToken:USDT": -600.0, "transit:BaseToken:USDT": 598.0}
    assert trade.costs == (Cost(CostKind.TRANSFER_FEE, "USDT", 2.0),)
    assert trade.in_flight is not None
    assert trade.in_flight.arrives_at == START + HOUR_NS // 2
    desk.accept(0, 1)
    (arrival,) = desk.settle(1, 5).happenings
    assert (arrival.event_type, arrival.part, arrival.at) == (EventType.TRANSFER_ARRIVED, None, START + HOUR_NS // 2)
    desk.accept(1, 5)
    assert (desk.of(CASH), desk.of("transit:BaseToken:USDT"), desk.of("bybit:BaseToken:USDT")) == (598.0, 0.0, 400.0)
    assert desk.settle(2, 5).happenings == ()


def test_an_arrival_on_the_stamp_of_a_row_belongs_to_that_row() -> None:
    desk = Desk("btc_basis", btc(5), {"bybit:BaseToken:USDT": 1_000.0}, "venues.bybit.transfers.USDT.delay_minutes=120")

    desk.one(transfer("bybit", "binance", "USDT", 600.0))

    assert desk.settle(1, 5).rows == 1
    assert len(desk.settle(2, 5).happenings) == 1


def test_leaving_the_wallet_costs_gas() -> None:
    desk = Desk("btc_basis", btc(5), {USDT: 1_000.0})

    trade = desk.one(transfer("wallet", "binance", "USDT", 1_000.0))

    assert trade.changes == {USDT: -1_000.0, "transit:BaseToken:USDT": 1_000.0, GAS: near(-0.00065)}
    assert trade.costs == (Cost(CostKind.GAS, "ETH", near(0.00065)),)


def test_moving_between_our_own_purses_is_free_and_at_once() -> None:
    desk = Desk("btc_basis", btc(5), {USDT: 1_000.0})

    trade = desk.one(transfer("wallet", "reserve", "USDT", 250.0))

    assert (trade.changes, trade.costs, trade.in_flight) == ({USDT: -250.0, "reserve:BaseToken:USDT": 250.0}, (), None)


def test_costs_none_transfers_at_once_for_nothing() -> None:
    desk = Desk("btc_basis", btc(5), {"bybit:BaseToken:USDT": 1_000.0}, "costs=none")

    trade = desk.one(transfer("bybit", "binance", "USDT", 600.0))

    assert (trade.changes, trade.costs, trade.in_flight) == ({"bybit:BaseToken:USDT": -600.0, CASH: 600.0}, (), None)


def test_a_coin_that_is_priced_differently_where_it_goes_is_revalued() -> None:
    """Bybit's ETH is 3,000.30, in transit it is worth the reference 3,000; the fee of 0.001 ETH comes on top."""
    desk = Desk("usdt_market_neutral_no_leverage", staked(5), {"bybit:BaseToken:ETH": 10.0}, "spot_venue=bybit")

    trade = desk.one(transfer("bybit", "wallet", "ETH", 10.0))

    assert trade.changes == {"bybit:BaseToken:ETH": -10.0, "transit:BaseToken:ETH": near(9.999)}
    assert [(c.kind.value, c.token) for c in trade.costs] == [("transfer_fee", "ETH"), ("revaluation", "USDT")]
    assert trade.costs[1].amount == pytest.approx(3.0, rel=1e-9)


@pytest.mark.parametrize(
    ("amount", "reason"),
    [
        (1_000.1, "sends 1000.1 USDT, has 1000.0"),
        (1.5, "fee 2.0 USDT is all of 1.5"),
        (2.0, "fee 2.0 USDT is all of 2.0"),
    ],
)
def test_a_transfer_of_too_much_or_too_little_is_refused(amount: float, reason: str) -> None:
    desk = Desk("btc_basis", btc(5), {"bybit:BaseToken:USDT": 1_000.0})

    assert desk.refuses(transfer("bybit", "binance", "USDT", amount)) == reason


def test_a_transfer_says_where_from_and_where_to() -> None:
    desk = Desk("btc_basis", btc(5), {CASH: 5.0})

    assert "where it comes from" in desk.refuses(order(Verb.TRANSFER, "binance", "USDT", 1.0))


def test_several_arrivals_of_one_row_come_in_order_of_time() -> None:
    desk = Desk("btc_basis", btc(5), {"bybit:BaseToken:USDT": 1_000.0, USDT: 500.0})
    one, two = transfer("bybit", "binance", "USDT", 600.0), transfer("wallet", "okx", "USDT", 500.0)
    desk.does(one, two)

    arrivals = desk.settle(1, 5).happenings

    assert [(h.venue, h.at) for h in arrivals] == [("okx", at(0.25)), ("binance", at(0.5))]


# Rewards


def test_rewards_arrive_as_king() -> None:
    sketch = staked(30, lst="weETH").reward("EIGEN", start=0, end=10, paid=20, per_eeth=0.5)
    sketch.line("etherfi.ratio.weETH", 1.0)
    desk = Desk("eth_staking_only", sketch, {ETH: 8.0}, "lst_type=weETH", "rewards_mode=base_eigen", "costs=none")
    desk.one(order(Verb.STAKE, "etherfi", "ETH", 8.0))

    assert desk.settle(0, 30).rows == 20
    (happening,) = desk.settle(20, 30).happenings

    assert (happening.event_type, happening.part) == (EventType.REWARD, "staking_yield_rewards")
    assert happening.changes == {"king:BaseToken:EIGEN": near(4.0)}
    desk.accept(20, 30)
    assert desk.of("king:BaseToken:EIGEN") == near(4.0)
    assert desk.settle(21, 30).rows == 9


def test_a_mode_without_rewards_gets_none() -> None:
    sketch = staked(30, lst="weETH").reward("EIGEN", start=0, end=10, paid=20, per_eeth=0.5)

    desk = Desk("eth_staking_only", sketch, {"wallet:BaseToken:weETH": 8.0}, "lst_type=weETH")

    assert desk.settle(0, 30).rows == 30


# Liquidations cut the window


def test_a_liquidation_cuts_the_window_before_its_row() -> None:
    """At the wick of row 6 a short of 2 with 100,000 of cash dies above some 108,000."""
    sketch = btc(12).extremes("binance", "BTC", high={6: 115_000.0})
    desk = Desk("btc_basis", sketch, SHORT)

    assert desk.settle(0, 12).rows == 6
    assert desk.settle(0, 12).happenings == ()
    (happening,) = desk.settle(6, 12).happenings

    assert happening.event_type is EventType.LIQUIDATION
    mark = 60_030.0
    left = 100_000.0 + 120_000.0 - 2 * mark - 0.0125 * 2 * mark
    assert happening.changes == {SIZE: 2.0, QUOTE: -120_000.0, CASH: near(left - 100_000.0)}


def test_the_funding_of_a_row_comes_before_its_liquidation_test() -> None:
    """Funding of row 8 is what keeps the account alive: 12 USDT, while it lacks 10 at the wick."""
    wick = 108_000.0
    needed = 2 * wick - 120_000.0 + (0.005 * 2 * wick - 50.0) + 0.0125 * 2 * wick
    sketch = btc(12, funding=1e-4).extremes("binance", "BTC", high={8: wick})
    cash = needed - 10.0

    alive = Desk("btc_basis", sketch, {**SHORT, CASH: cash})
    assert alive.settle(1, 12).rows == 11
    poor = Desk("btc_basis", sketch, {**SHORT, CASH: cash - 10.0})
    assert poor.settle(1, 12).rows == 7
    (row,) = poor.settle(8, 12).happenings
    assert row.event_type is EventType.LIQUIDATION


def test_funding_of_the_row_of_a_liquidation_is_paid_on_what_was_held() -> None:
    sketch = btc(12).extremes("binance", "BTC", high={8: 130_000.0})

    settlements = Desk("btc_basis", sketch, SHORT).settle(8, 12)

    assert settlements.rows == 1
    assert settlements.cash[0].amount.tolist() == [near(12.006)]
    mark = 60_030.0
    left = 100_012.006 + 120_000.0 - 2 * mark - 0.0125 * 2 * mark
    assert settlements.happenings[0].changes[CASH] == near(left - 100_012.006)


def test_a_deposit_of_the_row_does_not_save_an_exchange_account() -> None:
    """It lands in the wallet, not in the margin."""
    sketch = btc(12).extremes("binance", "BTC", high={8: 130_000.0})
    desk = Desk("btc_basis", sketch, SHORT, flows=(Flow(at=at(8), amount=1e6, id="d"),))

    kinds = [happening.event_type for happening in desk.settle(8, 12).happenings]

    assert kinds == [EventType.DEPOSIT, EventType.LIQUIDATION]


def test_two_accounts_die_on_one_row_in_the_order_of_their_names() -> None:
    sketch = btc(12).extremes("binance", "BTC", high={8: 130_000.0}).extremes("bybit", "BTC", high={8: 130_000.0})
    bybit = {"bybit:Perp:BTCUSDT": -1.0, "bybit:PerpQuote:BTCUSDT": 60_000.0, "bybit:BaseToken:USDT": 9_000.0}

    happenings = Desk("btc_basis", sketch, {**SHORT, **bybit}).settle(8, 12).happenings

    assert [happening.venue for happening in happenings] == ["binance", "bybit"]


def test_interest_of_a_unified_account_is_charged_row_by_row() -> None:
    """−876,000 at 6 % a year are 6 an hour."""
    balances = {CASH: -876_000.0, "binance:BaseToken:BTC": 30.0}
    desk = Desk("btc_basis", btc(4, funding=0.0), balances, "collateral=unified")

    (flow,) = desk.settle(1, 4).cash

    assert (flow.part, flow.event_type) == ("borrow_costs", EventType.INTEREST)
    assert flow.row.tolist() == [0, 1, 2]
    assert flow.amount.tolist()[:2] == [near(-6.0), near(-6.0 * (1 + 6 / 876_000))]


# Execution


def test_legs_sent_together_fill_one_by_one_in_their_order() -> None:
    desk = Desk("btc_basis", btc(2), {CASH: 100_000.0}, "costs=none")

    spot, perp = desk.does(
        order(Verb.SPOT, "binance", "BTC", 1.0), order(Verb.PERP, "binance", "BTC", -1.0), kind=GroupKind.TOGETHER
    )

    assert (spot.status, perp.status, spot.at, perp.at) == (TradeStatus.FILLED, TradeStatus.FILLED, START, START)
    assert (desk.of(CASH), desk.of(SIZE)) == (40_000.0, -1.0)


def test_a_rejected_leg_does_not_undo_the_others_of_a_together_group() -> None:
    desk = Desk("btc_basis", btc(2), {CASH: 100_000.0}, "costs=none")

    spot, perp = desk.does(
        order(Verb.SPOT, "binance", "BTC", 5.0), order(Verb.PERP, "binance", "BTC", -1.0), kind=GroupKind.TOGETHER
    )

    assert (spot.status, perp.status) == (TradeStatus.REJECTED, TradeStatus.FILLED)
    assert desk.of("binance:BaseToken:BTC") == 0.0


def test_positions_are_reported_by_venue() -> None:
    desk = Desk("btc_basis", btc(2), {CASH: 5.0, USDT: 7.0, "okx:BaseToken:USDT": 9.0})

    assert desk.world.positions(frozenset({"wallet", "okx"})) == {USDT: 7.0, "okx:BaseToken:USDT": 9.0}


def test_a_failed_atomic_group_leaves_the_world_as_it_was() -> None:
    desk = Desk("eth_leveraged", staked(2), {ETH: 10.0})

    reason = desk.refuses(
        order(Verb.STAKE, "lido", "ETH", 5.0), order(Verb.STAKE, "lido", "ETH", 6.0), kind=GroupKind.ATOMIC
    )

    assert reason.startswith("stake: needs 6.0")


def test_a_world_can_stand_at_any_row_to_ask_what_if() -> None:
    sketch: Sketch = btc(20, {0: 60_000.0, 19: 79_000.0})
    desk = Desk("btc_basis", sketch, SHORT, "costs=none", row=19)

    (trade,) = desk.world.execute(group(order(Verb.PERP, "binance", "BTC", 2.0, everything=True)))

    assert trade.price == near(79_000.0 * 1.0005)


# Cash that payments use up


def test_funding_beyond_the_cash_is_paid_out_of_the_profit_of_the_position() -> None:
    """2 BTC short from 90,000 at 60,030 with 250 of cash; the third payment of 120 is not there."""
    desk = Desk("btc_basis", btc(30, funding=-1e-3), {SIZE: -2.0, QUOTE: 180_000.0, CASH: 250.0})

    before = desk.accept(0, 30)
    assert (before.rows, before.happenings) == (16, ()), "two payments are there; the third cuts the window"

    third = desk.accept(16, 30)
    (settled,) = third.happenings
    profit = 180_000.0 - 2.0 * 60_030.0
    assert third.rows == 1 and third.cash[0].amount.tolist() == [near(-120.06)]
    assert (settled.event_type, settled.part, settled.venue) == (EventType.SETTLED_PROFIT, None, "binance")
    assert settled.changes == {PositionKey(QUOTE): near(-profit), PositionKey(CASH): near(profit)}
    assert desk.of(CASH) == near(250.0 - 3 * 120.06 + profit)
    assert desk.of(QUOTE) == near(2.0 * 60_030.0), "worth the same: nothing was won or lost by it"


def test_funding_that_margin_does_not_carry_liquidates_instead() -> None:
    desk = Desk("btc_basis", btc(30, funding=-3e-3), {SIZE: -2.0, QUOTE: 122_500.0, CASH: 400.0})
    told = []
    for row in range(30):
        told += desk.accept(row, row + 1).happenings
        assert desk.of(CASH) >= 0.0
    assert [happening.event_type for happening in told] == [EventType.SETTLED_PROFIT, EventType.LIQUIDATION]


def test_what_falls_on_one_row_happens_in_the_order_of_its_stamps() -> None:
    flows = tuple(Flow(at=at(hour), amount=amount, id=str(hour)) for hour, amount in ((3.9, -5.0), (3.1, 7.0)))
    desk = Desk("btc_basis", btc(9), {USDT: 900.0}, flows=flows)
    assert [happening.at for happening in desk.settle(4, 9).happenings] == [at(3.1), at(3.9)]
