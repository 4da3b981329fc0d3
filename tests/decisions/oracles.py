"""All oracles by name, and what they find in one run."""

from __future__ import annotations

from collections.abc import Mapping

from tests.decisions.balances import equity_stays_above_zero, nothing_is_below_zero
from tests.decisions.closing import halted_enters_nothing, halted_is_flat, what_closes_says_so
from tests.decisions.costs import discretionary_costs_are_in_proportion, getting_in_is_cheap
from tests.decisions.frequency import order_groups_are_few, triggers_are_held_back
from tests.decisions.hedges import what_is_long_is_hedged
from tests.decisions.judging import Finding, Oracle
from tests.decisions.playing import Played
from tests.decisions.rejections import refusals_are_heeded, withheld_orders_are_not_repeated
from tests.decisions.reversals import nothing_is_done_and_undone
from tests.decisions.sizes import orders_are_worth_sending

ORACLES: Mapping[str, Oracle] = {
    oracle.__name__: oracle
    for oracle in (
        order_groups_are_few,
        triggers_are_held_back,
        nothing_is_done_and_undone,
        discretionary_costs_are_in_proportion,
        getting_in_is_cheap,
        what_is_long_is_hedged,
        halted_is_flat,
        what_closes_says_so,
        halted_enters_nothing,
        refusals_are_heeded,
        withheld_orders_are_not_repeated,
        orders_are_worth_sending,
        nothing_is_below_zero,
        equity_stays_above_zero,
    )
}


def judged(played: Played, names: tuple[str, ...] = ()) -> dict[str, list[Finding]]:
    """What each oracle (of `names`, or all) objects to in one run; oracles that find nothing are left out."""
    found = {name: list(ORACLES[name](played)) for name in names or ORACLES}
    return {name: findings for name, findings in found.items() if findings}
