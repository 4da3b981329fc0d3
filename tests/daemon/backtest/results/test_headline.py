"""The figures a result is told by: what selling leaves, and what a reader must not miss."""

from __future__ import annotations

import msgspec
import pytest

from daemon.backtest.results.headline import return_if_sold, told_of
from daemon.backtest.results.summary import Summary
from tests.daemon.handmade import finished


def summary(**changes: object) -> Summary:
    return msgspec.structs.replace(finished().summary, **changes)


def test_selling_takes_its_costs_off_the_return() -> None:
    run = summary(total_return=0.05, final_equity=105_000.0, liquidation_value=103_000.0)
    assert return_if_sold(run) == pytest.approx(0.03)


def test_deposits_are_no_profit_of_selling_either() -> None:
    run = summary(total_return=0.1, final_equity=220_000.0, liquidation_value=198_000.0, external_flows=100_000.0)
    assert return_if_sold(run) == pytest.approx(1.1 * 0.9 - 1.0)


def test_where_nothing_is_left_there_is_no_return_of_selling_it() -> None:
    assert return_if_sold(summary(final_equity=0.0)) is None


def test_a_quiet_run_has_nothing_to_tell() -> None:
    assert list(told_of(summary(divergence_max=0.004))) == []
    assert list(told_of(summary(divergence_max=None))) == []


def test_a_stop_a_divergence_and_refusals_are_told() -> None:
    run = summary(stopped_at="2024-11-14T03:00:00Z", left_open=("a", "b"), divergence_max=0.02, rejected=1)
    stopped, left, parted, refused = told_of(run)
    assert stopped == "STOPPED at 2024-11-14 03:00: not said why"
    assert left.endswith("a, b")
    assert "2.00 %" in parted
    assert refused == "1 order was refused by a venue"


def test_withdrawals_that_were_not_served_are_told() -> None:
    why = "A withdrawal of 150,000.00 USDT is more than the equity of 100,000.00 USDT."
    run = summary(withdrawals_refused=(f"2024-01-10T00:00:00Z {why}",), unpaid=35.4, divergence_max=None)
    assert list(told_of(run)) == [
        f"a withdrawal was refused at 2024-01-10 00:00: {why}",
        "35.40 USDT of what was to be paid out were not paid",
    ]


def test_what_a_withdrawal_waits_for_and_what_it_cost_is_told() -> None:
    why = "freeing it would cost 8 USDT now"
    run = summary(withdrawal_waits=f"2024-03-20T00:00:00Z {why}", withdrawal_costs=1_200.5, divergence_max=None)
    assert list(told_of(run)) == [
        f"they wait, as of 2024-03-20 00:00: {why}",
        "freeing what was paid out cost 1,200.50 USDT: those who left bore it, the return does not count it",
    ]
