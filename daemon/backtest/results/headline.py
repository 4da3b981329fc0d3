"""The figures a result is told by, wherever it is told: at book value, if sold, and a stop with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daemon.backtest.results.summary import Summary

PARTED = 0.005  # of a price: below that venues always differ
TOO_SHORT = "too short to annualise"


def return_if_sold(summary: Summary) -> float | None:
    """The return when everything is sold on the last row, deposits and withdrawals left out; None when nothing is left.

    From the unit value: what selling costs is taken off the equity that the last unit value belongs to.
    """
    if summary.final_equity <= 0.0:
        return None
    return (1.0 + summary.total_return) * summary.liquidation_value / summary.final_equity - 1.0


def told_of(summary: Summary) -> Iterator[str]:
    """What a reader must not miss: that it was stopped and what it left, prices that parted, what was refused."""
    if summary.stopped_at is not None:
        yield f"STOPPED at {summary.stopped_at[:16].replace('T', ' ')}: {summary.stopped_because or 'not said why'}"
    if summary.left_open:
        yield f"stopped, and still open at the end: {', '.join(summary.left_open)}"
    if summary.divergence_max is not None and summary.divergence_max > PARTED:
        at = "" if summary.divergence_at is None else f" at {summary.divergence_at[:16].replace('T', ' ')}"
        yield f"prices of one thing parted by up to {100.0 * summary.divergence_max:.2f} % between venues{at}"
    for refusal in summary.withdrawals_refused:
        at, _, why = refusal.partition(" ")
        yield f"a withdrawal was refused at {at[:16].replace('T', ' ')}: {why}"
    if summary.unpaid:
        digits = 2 if summary.share_class == "USDT" else 4
        yield f"{summary.unpaid:,.{digits}f} {summary.share_class} of what was to be paid out were not paid"
    if summary.withdrawal_waits is not None:
        at, _, why = summary.withdrawal_waits.partition(" ")
        yield f"they wait, as of {at[:16].replace('T', ' ')}: {why}"
    if summary.withdrawal_costs:
        digits = 2 if summary.share_class == "USDT" else 4
        cost = f"{summary.withdrawal_costs:,.{digits}f} {summary.share_class}"
        yield f"freeing what was paid out cost {cost}: those who left bore it, the return does not count it"
    if summary.rejected:
        yield f"{summary.rejected:,} {'order was' if summary.rejected == 1 else 'orders were'} refused by a venue"
