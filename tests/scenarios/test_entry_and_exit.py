"""How positions come and go: together, atomically, after transfers, never on a stale price, never paid for the past."""

from __future__ import annotations

import numpy as np
import pytest

from components.model.events import EventType
from components.model.orders import GroupKind, TradeStatus, Verb
from tests.scenarios import sketch
from tests.scenarios.play import Played, play

LEVERAGE = 1.0 / (1.0 - 0.93 * (1.0 - 0.02215))


# Atomic and together


def test_leverage_is_entered_in_one_transaction() -> None:
    played = play("eth_leveraged", sketch.staked(24))

    (group,) = played.groups
    assert group.kind is GroupKind.ATOMIC
    verbs = [order.verb for order in group.orders]
    assert verbs == [Verb.FLASH_BORROW, Verb.STAKE, Verb.SUPPLY, Verb.BORROW, Verb.FLASH_REPAY]
    assert played.rows_told(EventType.ATOMIC_GROUP) == [0]
    assert len(played.told(EventType.ATOMIC_STEP)) == 5
    equity = (100.0 - 0.05) * 0.95
    assert played.balance("aave_v3:aToken:awstETH", 0) * 1.001 * 1.17 == pytest.approx(equity * LEVERAGE, rel=1e-12)
    assert played.balance("aave_v3:debtToken:variableDebtWETH", 0) * 1.05 == pytest.approx(
        equity * (LEVERAGE - 1), rel=1e-12
    )
    assert played["ltv"][1] == pytest.approx(0.9094, abs=1e-4)


def test_leverage_is_left_in_one_transaction() -> None:
    played = play("eth_leveraged", sketch.staked(24), close_at_end=True)

    last = played.groups[-1]
    assert last.kind is GroupKind.ATOMIC
    verbs = [order.verb for order in last.orders]
    assert verbs == [Verb.FLASH_BORROW, Verb.REPAY, Verb.WITHDRAW, Verb.SWAP, Verb.FLASH_REPAY]
    assert played.balance("aave_v3:aToken:awstETH") == played.balance("aave_v3:debtToken:variableDebtWETH") == 0.0


def test_all_legs_of_an_entry_go_out_together_at_one_timestamp() -> None:
    played = play("btc_basis", sketch.btc(24))

    (group,) = played.groups
    assert group.kind is GroupKind.TOGETHER
    assert [(o.venue, o.verb) for o in group.orders] == [
        (venue, verb) for venue in ("binance", "bybit", "okx") for verb in (Verb.SPOT, Verb.PERP)
    ]
    assert {trade.at for trade in played.trades} == {sketch.START}
    for venue in ("binance", "bybit", "okx"):
        assert played.balance(f"{venue}:BaseToken:BTC") == -played.balance(f"{venue}:Perp:BTCUSDT") > 0.0


def test_capital_is_split_by_the_weights_into_spot_and_equal_margin() -> None:
    played = play("btc_basis", sketch.btc(24))

    for venue, weight in {"binance": 0.4, "bybit": 0.3, "okx": 0.3}.items():
        spot = played.balance(f"{venue}:BaseToken:BTC", 0) * 60_000.0
        assert spot == pytest.approx(950_000.0 * weight / 2.0, rel=1e-3)
        assert played[f"margin_ratio.{venue}"][1] == pytest.approx(1.0, abs=5e-3)
    assert played.balance("reserve:BaseToken:USDT") == 50_000.0


def test_perps_are_rounded_to_their_lot_and_spot_follows() -> None:
    played = play("btc_basis", sketch.btc(24))

    for venue, lot in {"binance": 0.001, "bybit": 0.001, "okx": 0.0001}.items():
        lots = played.balance(f"{venue}:BaseToken:BTC") / lot
        assert lots == pytest.approx(round(lots), abs=1e-6)


def test_a_market_neutral_entry_shorts_in_the_group_that_buys() -> None:
    played = play("usdt_market_neutral", sketch.staked(24))

    first = played.groups[0]
    assert first.kind is GroupKind.TOGETHER
    assert [(o.venue, o.verb) for o in first.orders] == [
        ("binance", Verb.SPOT),
        ("binance", Verb.PERP),
        ("bybit", Verb.PERP),
        ("okx", Verb.PERP),
    ]
    assert played["net_delta"][1:].max() < 0.001
    coins = played.balance("aave_v3:aToken:awstETH") * played.market.column("aave_v3.supply_index.wstETH")[-1]
    coins *= played.market.column("lido.ratio.wstETH")[-1]
    debt = played.balance("aave_v3:debtToken:variableDebtWETH") * played.market.column("aave_v3.borrow_index.WETH")[-1]
    shorts = sum(played.balance(f"{venue}:Perp:ETHUSDT") for venue in ("binance", "bybit", "okx"))
    assert shorts == pytest.approx(-(coins - debt), rel=2e-3)
    assert coins / (coins - debt) == pytest.approx(LEVERAGE, rel=2e-3)


@pytest.mark.parametrize("flash", ["morpho", "instadapp"])
def test_the_flash_loan_premium_is_paid_where_there_is_one(flash: str) -> None:
    played = play("eth_leveraged", sketch.staked(24), f"venues.alchemy.flash_venue={flash}", close_at_end=True)

    premiums = [c.amount for t in played.trades for c in t.costs if c.kind.value == "flash_premium"]
    assert len(premiums) == (2 if flash == "instadapp" else 0)
    borrowed = [t.quantity for t in played.trades if t.verb is Verb.FLASH_BORROW]
    assert premiums == pytest.approx([0.0005 * amount for amount in borrowed][: len(premiums)], rel=1e-9)


def test_without_costs_spot_is_exactly_the_share_that_margin_leaves() -> None:
    """Capital ÷ (1 + margin ratio) at the price of spot: a perp above spot takes nothing from the size."""
    played = play("btc_basis", sketch.btc(24), "costs=none", "margin_ratio_target=1.5")

    for venue, weight in {"binance": 0.4, "bybit": 0.3, "okx": 0.3}.items():
        price = played.market.column(f"{venue}.spot.BTC")[0]
        size = 950_000.0 * weight / 2.5 / price
        assert played.balance(f"{venue}:BaseToken:BTC") == pytest.approx(size, rel=1e-12)


# Starting in the wallet


def test_from_the_wallet_the_transfers_come_first_and_each_venue_trades_on_arrival() -> None:
    played = play(
        "btc_basis", sketch.btc(24), "initial_location=wallet", "venues.alchemy.transfers.USDT.delay_minutes=75"
    )

    sent, arrived = played.rows_told(EventType.TRANSFER_SENT), played.rows_told(EventType.TRANSFER_ARRIVED)
    assert (sent, arrived) == ([0, 0, 0], [2, 2, 2])
    assert played["balance.transit:BaseToken:USDT"][:3].tolist() == [950_000.0, 950_000.0, 0.0]
    assert played["equity"][1] == pytest.approx(1_000_000.0, abs=10.0)
    legs = [trade for trade in played.trades if trade.verb in (Verb.SPOT, Verb.PERP)]
    assert len(legs) == 6
    assert {trade.at for trade in legs} == {sketch.at(2)}


def test_the_wallet_of_a_market_neutral_run_goes_out_and_the_coins_come_back() -> None:
    played = play("usdt_market_neutral", sketch.staked(24), "initial_location=wallet")

    assert played.rows_told(EventType.TRANSFER_ARRIVED) == [1, 1, 1, 2]
    assert played.rows_told(EventType.ATOMIC_GROUP) == [2]
    assert not played.told(EventType.RISK_LEVEL, EventType.ORDER_REJECTED)
    assert played["net_delta"][3:].max() < 0.001


def test_coins_may_be_bought_on_the_chain_instead() -> None:
    played = play("usdt_market_neutral_no_leverage", sketch.staked(24), "spot_venue=uniswap")

    assert [t.venue for t in played.filled(Verb.SWAP)] == ["uniswap"]
    assert not played.filled(Verb.SPOT)
    assert played.balance("wallet:BaseToken:wstETH") > 0.0
    assert played["net_delta"][1:].max() < 0.01


# What was not held is not paid


def test_a_settlement_stamped_at_the_entry_row_is_not_paid() -> None:
    played = play("btc_basis", sketch.btc(24))

    assert sorted(set(played.rows_told(EventType.FUNDING))) == [8, 16]
    assert played["funding"][0] == 0.0
    size = -played.balance("binance:Perp:BTCUSDT")
    assert played["funding.binance"][8] == pytest.approx(size * 60_030.0 * 1e-4, rel=1e-12)


def test_a_settlement_at_the_exit_row_is_paid() -> None:
    played = play("btc_basis", sketch.btc(25), close_at_end=True)

    assert played["funding"][24] > 0.0


def test_on_a_coarse_grid_every_settlement_of_a_row_is_paid_at_the_mark_of_its_stamp() -> None:
    """Rows a day apart; the marks between them come with the settlements."""
    drawn = sketch.btc(4, {0: 60_000.0, 3: 63_000.0}, step_hours=24)
    stamps = np.array([sketch.at(8 * i) for i in range(10)], dtype=np.int64)
    marks = 60_000.0 + 100.0 * np.arange(10)
    for venue in sketch.VENUES:
        drawn.settlements(f"{venue}.funding.BTC", stamps, np.full(10, 1e-4), marks)

    played = play("btc_basis", drawn)

    binance = [event for event in played.told(EventType.FUNDING) if event.venue == "binance"]
    assert [played.row_of(event) for event in binance] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    size = -played.balance("binance:Perp:BTCUSDT")
    assert [e.amount for e in binance] == pytest.approx([size * mark * 1e-4 for mark in marks[1:]], rel=1e-12)
    assert played["funding.binance"].tolist() == pytest.approx(
        [0.0] + [size * 1e-4 * marks[i : i + 3].sum() for i in (1, 4, 7)], rel=1e-12
    )


# Stale legs


def test_an_entry_leaves_out_a_stale_leg_says_so_once_and_catches_up_when_it_is_fresh() -> None:
    played = play("btc_basis", sketch.btc(24).grows_stale("bybit.spot.BTC", 0, 3))

    assert played.details(EventType.ENTRY_SKIPPED) == ["bybit: stale bybit.spot.BTC"]
    assert [played.row_of(e) for e in played.told(EventType.TRADE) if e.venue == "bybit"] == [4, 4]
    assert [row for row, *_ in played.decisions()] == [0, 4]
    assert played.balance("bybit:Perp:BTCUSDT", 3) == 0.0
    assert played.balance("bybit:BaseToken:BTC", 4) == -played.balance("bybit:Perp:BTCUSDT", 4) > 0.0


def test_nobody_trades_while_the_coin_of_the_whole_entry_is_stale() -> None:
    played = play("usdt_market_neutral", sketch.staked(24).grows_stale("binance.spot.ETH", 0, 3))

    assert played.details(EventType.ENTRY_SKIPPED) == ["stale binance.spot.ETH"]
    assert played.decisions()[0][0] == 4
    assert min(trade.at for trade in played.trades) == sketch.at(4)


def test_a_stale_price_blocks_the_exit_of_its_leg_until_it_is_fresh() -> None:
    """Funding of −9 % a settlement: the loss of a day stops the strategy at 16:00, while OKX is stale until 20:00."""
    drawn = sketch.btc(40, funding=-0.09).grows_stale("okx.perp.BTC", 15, 20)

    played = play("btc_basis", drawn)

    assert played.rows_told(EventType.EMERGENCY_STOP) == [16]
    exits = [(played.row_of(e), e.venue) for e in played.told(EventType.TRADE) if played.row_of(e) > 0]
    assert exits == [(16, "binance")] * 2 + [(16, "bybit")] * 2 + [(21, "okx")] * 2


def test_a_stale_leg_still_earns_its_funding() -> None:
    played = play("btc_basis", sketch.btc(24).grows_stale("okx.perp.BTC", 5, 20))

    assert played["funding.okx"][[8, 16]].min() > 0.0
    assert played["stale"].tolist() == [1.0 if 5 <= i <= 20 else 0.0 for i in range(24)]


def test_a_stale_lst_ratio_keeps_the_coins_unstaked_until_it_is_fresh() -> None:
    played = play("eth_staking_only", sketch.staked(24).grows_stale("lido.ratio.wstETH", 0, 5))

    assert played.details(EventType.ENTRY_SKIPPED) == ["stale lido.ratio.wstETH"]
    assert [trade.at for trade in played.filled(Verb.STAKE)] == [sketch.at(6)]


# Fees and accounts


def test_a_fee_in_base_coin_leaves_legs_that_match_within_a_lot_or_the_minimum_trade() -> None:
    played = play("btc_basis", sketch.btc(24), "spot_fee_asset=base", capital=500_000.0)

    for venue, lot in {"binance": 0.001, "bybit": 0.001, "okx": 0.0001}.items():
        held, short = played.balance(f"{venue}:BaseToken:BTC"), -played.balance(f"{venue}:Perp:BTCUSDT")
        assert abs(held - short) <= max(lot, 50.0 / 60_000.0), venue
    assert {trade.status for trade in played.trades} == {TradeStatus.FILLED}


def unified() -> Played:
    return play("btc_basis", sketch.btc(24 * 3), "collateral=unified")


def test_a_unified_account_puts_the_whole_allocation_into_spot() -> None:
    played = unified()

    for venue, weight in {"binance": 0.4, "bybit": 0.3, "okx": 0.3}.items():
        assert played.balance(f"{venue}:BaseToken:BTC") * 60_000.0 == pytest.approx(950_000.0 * weight, rel=2e-3)


def test_a_unified_account_pays_interest_on_the_cash_it_owes_for_its_fees() -> None:
    played = unified()

    owed = played["balance.binance:BaseToken:USDT"][0]
    assert owed < 0.0
    first = next(e for e in played.told(EventType.INTEREST) if e.venue == "binance")
    assert (played.row_of(first), first.amount) == (1, pytest.approx(owed * 0.06 / 8760.0, rel=1e-12))
    assert played.result.parts["borrow_costs"] < 0.0


def test_a_mode_without_the_part_shows_it_as_residual() -> None:
    parts = "pnl.parts=[funding, basis, delta, liquidation, transaction_costs]"

    played = play("btc_basis", sketch.btc(24 * 3), parts)

    assert "borrow_costs" not in played.result.columns
    assert played.result.residual == 0.0
