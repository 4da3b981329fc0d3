"""Rows for people: nothing that is held is left out, and what is not known is not zero."""

from __future__ import annotations

from math import nan

from components.model.orders import Verb
from daemon.control.shown import plan_shown, positions_shown
from daemon.safety.plan import Planned
from tests.builders import group, order
from tests.daemon.one_cell import running


def test_what_either_side_knows_of_is_shown() -> None:
    replica = running("a", positions={"okx:X": 1.0, "transit:X": 5.0}, observed={"okx:X": 0.9, "okx:Y": 2.0})
    assert [(row["key"], row["expected"], row["observed"]) for row in positions_shown([replica])] == [
        ("okx:X", 1.0, 0.9),
        ("okx:Y", 0.0, 2.0),
        ("transit:X", 5.0, None),
    ]


def test_a_plan_is_one_row_per_order_and_its_cost_is_told_once() -> None:
    pair = group(order(Verb.SPOT, "okx", "BTC", -1.0), order(Verb.PERP, "okx", "BTC", 1.0))
    later = group(order(Verb.SPOT, "binance", "ETH", -1.0))
    steps = [
        Planned(group=pair, wave=0, after_s=0.0, cost=12.5),
        Planned(group=later, wave=1, after_s=None, cost=nan, refused="no price"),
    ]
    assert [
        (row["step"], row["venue"], row["verb"], row["amount"], row["after_s"], row["cost"], row["refused"])
        for row in plan_shown("a", steps)
    ] == [
        (1, "okx", "spot", -1.0, 0.0, 12.5, ""),
        (1, "okx", "perp", 1.0, 0.0, 0.0, ""),
        (2, "binance", "spot", -1.0, None, None, "no price"),
    ]
