"""Rows for people: nothing that is held is left out, and what is not known is not zero."""

from __future__ import annotations

from components.model.orders import Verb
from daemon.shown import plan_shown, positions_shown
from tests.builders import group, order
from tests.daemon.cells import running


def test_what_either_side_knows_of_is_shown() -> None:
    replica = running("a", positions={"okx:X": 1.0, "transit:X": 5.0}, observed={"okx:X": 0.9, "okx:Y": 2.0})
    assert [(row["key"], row["expected"], row["observed"]) for row in positions_shown([replica])] == [
        ("okx:X", 1.0, 0.9),
        ("okx:Y", 0.0, 2.0),
        ("transit:X", 5.0, None),
    ]


def test_a_plan_is_one_row_per_order() -> None:
    groups = [group(order(Verb.SPOT, "okx", "BTC", -1.0), order(Verb.PERP, "okx", "BTC", 1.0))]
    assert [(row["strategy"], row["venue"], row["verb"], row["amount"]) for row in plan_shown("a", groups)] == [
        ("a", "okx", "spot", -1.0),
        ("a", "okx", "perp", 1.0),
    ]
