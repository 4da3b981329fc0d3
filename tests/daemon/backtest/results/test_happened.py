"""What a summary says of a run beside its profit, on runs in which it happened."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from components.model.events import EventType
from components.model.market import Market
from components.model.slices import RunSlice
from components.ports import Flow
from daemon.backtest.replay import Replay, ReplayRequest, ReplayResult
from daemon.backtest.results.events import single_events
from daemon.backtest.results.happened import Happened, flow_texts, happened_in
from tests.acceptance.runs import embedded, play, slice_of, stamp

TIGHT = ("stake_allocation=0.7", "margin_ratio_target=0.43", "margin_ratio_band={low: 0.21, high: 0.86}")


def squeezed() -> tuple[RunSlice, Market, ReplayResult]:
    run = slice_of("usdt_market_neutral_no_leverage", *TIGHT)
    market = embedded(run, "2024-10-05", "2024-12-25", seed=4, scenario="squeeze")
    return run, market, play(run, market)


def happened(mode: str, start: str, end: str, *flows: Flow, **more: object) -> tuple[ReplayResult, Happened]:
    run = slice_of(mode)
    market = embedded(run, start, end, **more)  # type: ignore[arg-type]
    result = play(run, market, flows=flows)
    return result, happened_in(result, run, market)


def test_a_run_that_was_stopped_says_when_and_why() -> None:
    run = slice_of("btc_basis", "risk.max_daily_loss={warning: 0.00001, critical: 0.00002}")
    market = embedded(run, "2024-03-01", "2024-03-05")
    result = play(run, market)

    told = happened_in(result, run, market)

    stops = [e for e in single_events(result.events) if e.event_type is EventType.EMERGENCY_STOP]
    assert told.stopped_at is not None and told.stopped_at.startswith("2024-03-0")
    assert stop_text(told).startswith("emergency stop: daily_loss at 0.") and len(stops) == 1
    assert told.left_open == ()


def stop_text(told: Happened) -> str:
    assert told.stopped_because is not None
    return told.stopped_because


def test_a_run_that_was_not_stopped_says_nothing_of_it() -> None:
    _, told = happened("btc_basis", "2024-03-01", "2024-03-05")

    assert told.stopped_at is told.stopped_because is None and told.left_open == ()


def test_what_a_stopped_run_still_holds_is_named() -> None:
    run = slice_of("btc_basis", "risk.max_daily_loss={warning: 0.00001, critical: 0.00002}")
    market = embedded(run, "2024-03-01", "2024-03-05")
    result = play(run, market)
    held = np.zeros(len(market))
    held[-1] = -0.5
    columns = dict(result.columns) | {"balance.okx:Perp:BTCUSDT": held}

    told = happened_in(msgspec.structs.replace(result, columns=columns), run, market)

    assert told.left_open == ("okx:Perp:BTCUSDT",)


def test_the_largest_divergence_of_a_price_is_kept_with_its_time() -> None:
    _, told = happened("eth_basis", "2024-03-01", "2024-04-01", scenario="venue_divergence")

    assert told.divergence_max == pytest.approx(0.00995, rel=0.2)
    assert told.divergence_at is not None


def test_what_the_owner_paid_in_and_took_out_is_told_apart() -> None:
    flows = (Flow(stamp("2024-03-03"), 500_000.0, "a"), Flow(stamp("2024-03-05"), -200_000.0, "b"))

    result, told = happened("pure_lending", "2024-03-01", "2024-03-08", *flows)

    assert told.paid_in == 500_000.0
    assert told.paid_out == pytest.approx(200_000.0)
    assert result.external_flows == pytest.approx(300_000.0)
    assert flow_texts(flows) == ("2024-03-03T00:00:00Z:+500000", "2024-03-05T00:00:00Z:-200000")


def test_a_withdrawal_that_was_refused_or_not_paid_in_full_is_told() -> None:
    _, told = happened("pure_lending", "2024-03-01", "2024-03-08", Flow(stamp("2024-03-03"), -5_000_000.0, "a"))
    (refused,) = told.withdrawals_refused
    assert refused.startswith("2024-03-03T00:00:00Z A withdrawal of 5,000,000.00 USDT is more than the equity of")
    assert (told.paid_out, told.unpaid) == (0.0, 0.0)

    flows = (Flow(stamp("2024-03-07T23:00"), -500_000.0, "b"),)  # its coins still travel at the end
    _, told = happened("usdt_market_neutral_no_leverage", "2024-03-01", "2024-03-08", *flows)
    assert told.withdrawals_refused == ()
    assert told.unpaid == pytest.approx(500_000.0 - told.paid_out) and told.unpaid > 100_000.0


def test_rejected_orders_are_no_trades() -> None:
    _, _, result = squeezed()

    singles = list(single_events(result.events))
    refused = [e for e in singles if e.event_type is EventType.ORDER_REJECTED]
    assert result.rejected == len(refused)
    filled = (EventType.TRADE, EventType.ATOMIC_STEP, EventType.TRANSFER_SENT, EventType.WITHDRAWAL_PAID)
    assert result.trades == sum(event.event_type in filled for event in singles)


def test_refusals_are_counted_and_carried_over_a_restart() -> None:
    run = slice_of("btc_basis")
    market = embedded(run, "2024-03-01", "2024-03-03")
    job = Replay(run, market, ReplayRequest(run_id="test", capital=100_000.0))
    job.run()
    job.core.rejected = 7

    other = Replay(run, market, ReplayRequest(run_id="test", capital=100_000.0))
    other.core.restore(job.core.state())

    assert (other.core.trades, other.core.rejected) == (job.core.trades, 7)
