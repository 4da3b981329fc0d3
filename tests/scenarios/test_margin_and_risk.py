"""Bands, warnings, critical levels, emergencies and alarms: each on a change of level, none twice."""

from __future__ import annotations

import numpy as np
import pytest

from components.model.events import EventType
from components.model.orders import Verb
from tests.scenarios import sketch
from tests.scenarios.play import Played, deposit, play, withdrawal

VENUES = sketch.VENUES


def jumps(factor: float, *venues: str, row: int = 21, rows: int = 48) -> sketch.Sketch:
    """Spot and perp of some venues jump together: their hedge holds, their margin does not."""
    drawn = sketch.btc(rows)
    for venue in venues:
        for kind in ("spot", "perp"):
            drawn.columns[f"{venue}.{kind}.BTC"][row:] *= factor
    return drawn


def sizes(played: Played, row: int) -> list[float]:
    return [played.balance(f"{venue}:Perp:BTCUSDT", row) for venue in VENUES]


def legs_match(played: Played, row: int) -> None:
    for venue in VENUES:
        long, short = played.balance(f"{venue}:BaseToken:BTC", row), -played.balance(f"{venue}:Perp:BTCUSDT", row)
        assert long == pytest.approx(short, abs=1e-9), venue


# The band


def test_a_move_of_the_price_at_equal_sizes_is_no_deviation() -> None:
    played = play("btc_basis", sketch.btc(24 * 10, {0: 60_000.0, 120: 72_000.0, 239: 55_000.0}))

    assert len(played.decisions()) == 1


def test_a_margin_ratio_below_its_band_is_brought_a_quarter_of_the_way_to_its_target() -> None:
    """At 80,000 a short of half the capital has (1 − 1/3) ÷ (4/3) = 0.5 − a little; 0.5 + 0.25 × 0.5 is 0.625."""
    played = play("btc_basis", sketch.btc(48, {0: 60_000.0, 20: 60_000.0, 21: 80_000.0}))

    assert played.decisions()[1] == (21, "entry_partial", "deviation: margin_ratio:binance")
    assert played["margin_ratio.binance"][21] < 0.5
    assert [played[f"margin_ratio.{venue}"][22] for venue in VENUES] == pytest.approx([0.625] * 3, abs=0.01)
    assert {trade.verb for trade in played.trades_at(21)} == {Verb.SPOT, Verb.PERP}
    legs_match(played, 22)


def test_a_margin_ratio_above_its_band_is_put_to_work_by_a_quarter_of_the_way() -> None:
    """At 39,900 it is (1 + 0.335) ÷ 0.665 = 2.007; 2 − 0.25 × 1 is 1.75."""
    played = play("btc_basis", sketch.btc(48, {0: 60_000.0, 20: 60_000.0, 21: 39_900.0}))

    assert played.decisions()[1] == (21, "entry_partial", "deviation: margin_ratio:binance")
    assert [played[f"margin_ratio.{venue}"][22] for venue in VENUES] == pytest.approx([1.75] * 3, abs=0.02)
    legs_match(played, 22)


def test_cash_moves_from_the_venues_that_have_it_to_the_one_that_lacks_it() -> None:
    """Only Bybit pays: 4 % a settlement."""
    drawn = sketch.btc(80)
    stamps = np.array([sketch.at(8 * i) for i in range(10)], dtype=np.int64)
    drawn.settlements("bybit.funding.BTC", stamps, np.full(10, -0.04), np.full(10, 60_012.0))

    played = play("btc_basis", drawn, "margin_ratio_band={low: 0.85, high: 1.5}")

    assert played.decisions()[1] == (32, "entry_partial", "deviation: margin_ratio:bybit")
    sent = [t for t in played.trades_at(32) if t.verb is Verb.TRANSFER]
    assert [t.venue for t in sent] == ["binance", "okx"]
    assert {e.venue for e in played.told(EventType.TRANSFER_ARRIVED)} == {"bybit"}
    assert [played[f"margin_ratio.{venue}"][34] for venue in VENUES] == pytest.approx([0.95] * 3, abs=0.01)
    assert {t.verb for t in played.trades if t.at >= played.market.timestamps[32]} == {Verb.TRANSFER}
    legs_match(played, 34)


def test_the_margin_of_a_market_neutral_run_is_restored_from_the_chain() -> None:
    rise = {0: 3_000.0, 20: 3_000.0, 21: 4_200.0}
    played = play("usdt_market_neutral", sketch.staked(48, rise), "cost_bounds.unwind=50")

    assert played.decisions()[2] == (21, "entry_partial", "deviation: margin_ratio:binance")
    assert [played[f"margin_ratio.{venue}"][25] for venue in VENUES] == pytest.approx([0.5875] * 3, abs=0.01)
    assert played["net_delta"][25:].max() < 0.01
    assert played["ltv"][-1] == pytest.approx(0.9094, rel=0.02)


def test_staked_coin_is_not_sold_dear_for_margin_that_is_in_no_danger() -> None:
    """The same rise, and selling costs more than the five basis points that are allowed: it waits, told
    why; what comes below the warning is restored at the bound of a warning."""
    rise = {0: 3_000.0, 20: 3_000.0, 21: 4_200.0, 30: 4_200.0, 31: 4_700.0}
    played = play("usdt_market_neutral", sketch.staked(48, rise), "cost_bounds.unwind=5")

    assert not [t for t in played.trades if t.verb is Verb.WITHDRAW and t.at < played.market.timestamps[31]]
    assert any("bp of what it moves" in detail for detail in played.details(EventType.ENTRY_SKIPPED))
    assert [t for t in played.trades_at(31) if t.verb is Verb.WITHDRAW]
    assert min(played[f"margin_ratio.{venue}"][35] for venue in VENUES) > 0.33


# Warning and critical


def test_a_warning_moves_cash_to_the_venue_in_danger_before_anything_is_sold() -> None:
    played = play("btc_basis", jumps(1.6, "bybit"))

    (level,) = played.told(EventType.RISK_LEVEL)
    assert (played.row_of(level), level.venue, level.status) == (21, "bybit", "warning")
    assert played.decisions()[1] == (21, "exit_partial", "risk: cex_margin:bybit warning")
    assert {(trade.venue, trade.verb) for trade in played.trades_at(21)} == {
        ("binance", Verb.TRANSFER), ("okx", Verb.TRANSFER),
    }  # fmt: skip
    assert sizes(played, 22) == sizes(played, 20)
    assert played["margin_ratio.bybit"][23] > 0.5
    legs_match(played, 23)


def test_two_venues_in_danger_on_one_row_are_both_helped() -> None:
    played = play("btc_basis", jumps(1.6, "bybit", "okx"))

    assert [level.venue for level in played.told(EventType.RISK_LEVEL)] == ["bybit", "okx"]
    assert {trade.venue for trade in played.trades_at(21)} == {"binance"}
    assert min(played["margin_ratio.bybit"][24], played["margin_ratio.okx"][24]) > 0.5


def test_what_cash_does_not_reach_is_made_by_shrinking_long_and_short_together_by_the_least() -> None:
    """All rise by 60 %: no venue has cash to spare. 1.15 × the warning of 0.3 is 0.345."""
    played = play("btc_basis", jumps(1.6, *VENUES), "margin_ratio_band={low: 0.1, high: 4.0}")

    assert played.decisions()[1] == (21, "exit_partial", "risk: cex_margin:binance warning")
    assert [played[f"margin_ratio.{venue}"][22] for venue in VENUES] == pytest.approx([0.345] * 3, abs=0.005)
    legs_match(played, 22)


def test_a_pair_whose_liquidation_is_near_is_cut_at_once_and_cash_is_not_waited_for() -> None:
    """1.9 times the price leaves 0.05: less than a move of an hour above the maintenance margin."""
    played = play("btc_basis", jumps(1.9, "bybit"))

    cut = [trade for trade in played.trades_at(21) if trade.venue == "bybit" and trade.verb is not Verb.TRANSFER]
    assert {trade.verb for trade in cut} == {Verb.SPOT, Verb.PERP}
    assert played["margin_ratio.bybit"][22] >= 0.345 - 0.01
    assert not played.told(EventType.LIQUIDATION)
    legs_match(played, 22)


def test_a_warning_keeps_to_the_minimum_trade_size() -> None:
    played = play("btc_basis", jumps(1.6, "bybit"), "minimum_trade_usdt=130000")

    assert played.rows_told(EventType.RISK_LEVEL) == [21]
    assert played.trades_at(21) == []
    assert sizes(played, -1) == sizes(played, 0)


def test_a_critical_level_does_not() -> None:
    played = play("btc_basis", jumps(1.8, "bybit"), "minimum_trade_usdt=130000")

    (level,) = played.told(EventType.RISK_LEVEL)
    assert (level.status, level.venue) == ("critical", "bybit")
    assert {trade.verb for trade in played.trades_at(21)} == {Verb.TRANSFER}
    assert "reserve" not in {trade.venue for trade in played.trades_at(21)}
    assert played["margin_ratio.bybit"][23] > 0.33
    legs_match(played, 23)


def test_a_level_is_told_when_it_rises_and_again_only_after_it_has_recovered() -> None:
    """The minimum keeps anything from being done, so the ratio follows the price alone: in danger, out, in again."""
    drawn = sketch.btc(96)
    for kind in ("spot", "perp"):
        column = drawn.columns[f"bybit.{kind}.BTC"]
        column[20:40] *= 1.6
        column[60:80] *= 1.6

    played = play("btc_basis", drawn, "minimum_trade_usdt=130000")

    assert played.rows_told(EventType.RISK_LEVEL) == [20, 60]


def test_an_alarm_beside_a_warning_does_not_keep_it_from_acting() -> None:
    """The divergence is critical, the margin only a warning."""
    played = play("btc_basis", jumps(1.6, "bybit"))

    assert [e.status for e in played.told(EventType.PRICE_DIVERGENCE)] == ["critical"]
    assert played.trades_at(21)


def test_a_ltv_that_drifts_is_brought_back_in_one_transaction() -> None:
    """The WETH index grows by 1.9 % over ten days; the LTV reaches its limit of 0.9094 × 1.005."""
    drawn = sketch.staked(24 * 10).line("aave_v3.borrow_index.WETH", {0: 1.05, 239: 1.05 * 1.019})

    played = play(
        "eth_leveraged", drawn, "position_deviation_threshold=0.005", "risk.max_drawdown={warning: 0.5, critical: 0.6}"
    )

    row, action, reason = played.decisions()[1]
    assert (action, reason) == ("entry_partial", "deviation: ltv")
    assert played["ltv"][row] > 0.9094 * 1.005
    assert played["ltv"][row + 1] == pytest.approx(0.9094, abs=5e-4)
    assert played.rows_told(EventType.ATOMIC_GROUP)[:2] == [0, row]


def test_a_health_factor_near_1_is_reduced_before_it_gets_there() -> None:
    """A jump of 1.7 % in the debt: health factor 1.0272 → within a warning of 0.03."""
    drawn = sketch.staked(48).line("aave_v3.borrow_index.WETH", {0: 1.05, 20: 1.05, 21: 1.05 * 1.017, 22: 1.05 * 1.017})

    played = play(
        "eth_leveraged",
        drawn,
        "risk.liquidation={warning: 0.03, critical: 0.01}",
        "risk.max_daily_loss={warning: 0.5, critical: 0.6}",
        "risk.max_drawdown={warning: 0.5, critical: 0.6}",
    )

    assert played.decisions()[1][:2] == (21, "exit_partial")
    assert played["health_factor"][22] == pytest.approx(0.95 / 0.9172, abs=1e-3)


# Emergencies


def test_the_loss_of_a_day_stops_the_strategy_and_recording_goes_on() -> None:
    """Funding of −9 % a settlement: 4.4 % lost at 08:00, 8.6 % at 16:00."""
    played = play("btc_basis", sketch.btc(72, funding=-0.09))

    assert [(played.row_of(e), e.status) for e in played.told(EventType.RISK_LEVEL)] == [(8, "warning")]
    assert played.rows_told(EventType.EMERGENCY_STOP) == [16]
    assert played.decisions()[1] == (16, "exit_full", "risk: emergency: daily_loss")
    assert sizes(played, 16) == [0.0, 0.0, 0.0]
    assert len(played["equity"]) == 72
    assert (np.diff(played["equity"][17:]) == 0.0).all()
    assert played.result.final_equity == pytest.approx(912_735.0, rel=1e-4)


def test_a_slow_loss_is_stopped_by_the_drawdown() -> None:
    """2.5 % a settlement of half the capital: under 4 % a day, 25 % after a week."""
    played = play("btc_basis", sketch.btc(24 * 10, funding=-0.025))

    (stop,) = played.told(EventType.EMERGENCY_STOP)
    assert stop.detail == "drawdown"
    row = played.row_of(stop)
    assert played["drawdown"][row] >= 0.25 > played["drawdown"][row - 1]
    assert [e.detail for e in played.told(EventType.RISK_LEVEL) if e.detail == "drawdown"] == ["drawdown"]
    assert sizes(played, row) == [0.0, 0.0, 0.0]


def test_a_halted_strategy_starts_nothing_again() -> None:
    flows = [deposit(30.0, 100_000.0, "in"), withdrawal(50.0, 40_000.0, "out")]

    played = play("btc_basis", sketch.btc(72, funding=-0.09), flows=flows)

    assert {trade.verb for trade in played.trades if trade.at > sketch.at(16)} <= {Verb.PAY_OUT, Verb.TRANSFER}
    assert sum(-(e.amount or 0.0) for e in played.told(EventType.WITHDRAWAL_PAID)) == pytest.approx(40_000.0)
    assert sizes(played, -1) == [0.0, 0.0, 0.0]


def test_the_day_of_a_daily_loss_begins_at_midnight() -> None:
    """3.4 % between 20:00 and 23:00, and again after midnight: never 6 % on one day."""
    drawn = sketch.btc(48, funding=0.0)
    stamps = np.array([sketch.at(22), sketch.at(25)], dtype=np.int64)
    for venue in VENUES:
        drawn.settlements(f"{venue}.funding.BTC", stamps, np.full(2, -0.08), np.full(2, 60_000.0))

    played = play("btc_basis", drawn)

    assert played["drawdown"].max() > 0.06
    assert not played.told(EventType.EMERGENCY_STOP)
    told = [(played.row_of(e), e.detail) for e in played.told(EventType.RISK_LEVEL)]
    assert told == [(22, "daily_loss"), (25, "daily_loss")]


def test_an_emergency_on_a_leveraged_position_leaves_it_in_one_transaction() -> None:
    drawn = sketch.staked(48).line("aave_v3.borrow_index.WETH", {0: 1.05, 20: 1.05, 21: 1.05 * 1.02, 22: 1.05 * 1.02})

    played = play("eth_leveraged", drawn)

    assert 21 in played.rows_told(EventType.EMERGENCY_STOP)
    assert played.rows_told(EventType.ATOMIC_GROUP) == [0, 21]
    assert played.balance("aave_v3:debtToken:variableDebtWETH") == 0.0


def test_without_rebalancing_nothing_stops_the_strategy() -> None:
    played = play("btc_basis", sketch.btc(72, funding=-0.09), "rebalance=never")

    assert not played.told(EventType.EMERGENCY_STOP, EventType.RISK_LEVEL)
    assert len(played.decisions()) == 1
    assert sizes(played, -1) == sizes(played, 0)
    assert played.result.final_equity < 800_000.0


# Alarms


def test_a_divergence_of_prices_is_told_once_while_it_lasts() -> None:
    drawn = sketch.btc(48)
    drawn.columns["okx.perp.BTC"][10:20] *= 1.007
    drawn.columns["okx.perp.BTC"][30:40] *= 1.02

    played = play("btc_basis", drawn)

    told = [(played.row_of(e), e.status) for e in played.told(EventType.PRICE_DIVERGENCE)]
    assert told == [(10, "warning"), (30, "critical")]


def test_a_stale_price_is_no_divergence() -> None:
    drawn = sketch.btc(48).grows_stale("okx.perp.BTC", 10, 19)
    drawn.columns["okx.perp.BTC"][10:20] *= 1.02

    assert not play("btc_basis", drawn).told(EventType.PRICE_DIVERGENCE)


def test_a_carry_that_turns_negative_for_days_is_told_once() -> None:
    """WETH costs 8 % a year while staking pays 3 %."""
    hours = 24 * 6
    drawn = sketch.staked(hours).line(
        "aave_v3.borrow_index.WETH", {0: 1.05, hours - 1: 1.05 * (1 + 0.08 * hours / 8760)}
    )

    played = play("eth_leveraged", drawn, "break_even_days=2")

    assert played.rows_told(EventType.BREAK_EVEN_ALARM) == [48]


def test_an_alarm_alone_changes_no_position() -> None:
    drawn = sketch.btc(48)
    drawn.columns["okx.spot.BTC"][10:] *= 1.02

    played = play("btc_basis", drawn)

    assert played.told(EventType.PRICE_DIVERGENCE)
    assert len(played.trades) == 6
