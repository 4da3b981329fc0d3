"""Payments that simulated exchanges make on their own: cut to the rows that happened, and added up as the book does."""

from __future__ import annotations

from components.model.keys import base_token
from tests.builders import cash
from venues.sim.payments import by_row, first_rows

USDT = base_token("okx", "USDT")


def test_what_falls_on_one_row_is_added_up_and_later_rows_are_left_out() -> None:
    flows = (cash("okx:BaseToken:USDT", [0, 2, 2], [1.0, 2.0, 3.0]), cash("okx:BaseToken:USDT", [1], [-4.0]))
    assert by_row(flows, 4)[USDT].tolist() == [1.0, -4.0, 5.0, 0.0]
    kept = first_rows(list(flows), 1)
    assert [(flow.row.tolist(), flow.amount.tolist()) for flow in kept] == [([0], [1.0])]
    assert first_rows(list(flows), 3) and by_row(tuple(first_rows(list(flows), 3)), 3)[USDT].tolist() == [
        1.0,
        -4.0,
        5.0,
    ]
