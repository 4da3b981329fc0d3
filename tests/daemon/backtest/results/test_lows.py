"""The lowest ratios of a run, also of what was liquidated: a venue acts below its limit, so the figure is below it."""

from __future__ import annotations

from components.model.events import Event, EventType
from daemon.backtest.results.lows import lowest, lows_of
from tests.acceptance.runs import embedded, play, slice_of

HELD = ("rebalance=never", "margin_ratio_target=0.35", "risk.margin={warning: 0.2, critical: 0.1}",
        "margin_ratio_band={low: 0.2, high: 2.0}")  # fmt: skip


def test_the_lowest_margin_ratio_counts_the_position_that_was_liquidated() -> None:
    run = slice_of("btc_basis", *HELD)
    market = embedded(run, "2024-10-05", "2024-12-25", scenario="squeeze")
    result = play(run, market)
    assert result.liquidations > 0

    lows = lows_of(result, run, market)

    largest = max(tier.maintenance_rate for v in run.exchanges.values() for tier in v.instruments["perp.BTC"].tiers)
    assert lows.margin_ratio is not None
    assert lows.margin_ratio < largest + 0.01
    kept = lowest(result.columns, "margin_ratio.")
    assert kept is None or lows.margin_ratio <= kept


def test_the_lowest_health_factor_counts_the_debt_that_was_liquidated() -> None:
    run = slice_of("eth_leveraged", "rebalance=never")
    market = embedded(run, "2024-10-05", "2024-12-25", scenario="oracle_drop")
    result = play(run, market)
    events = [e for e in result.events if isinstance(e, Event) and e.event_type is EventType.LIQUIDATION]
    assert events

    lows = lows_of(result, run, market)

    assert lows.health_factor is not None
    assert lows.health_factor < 1.0  # a call needs a factor below 1; the row shows what is left after it


def test_a_run_without_positions_has_no_lowest_ratio() -> None:
    run = slice_of("pure_lending")
    market = embedded(run, "2024-03-01", "2024-03-03")

    lows = lows_of(play(run, market), run, market)

    assert lows.health_factor is None and lows.margin_ratio is None
