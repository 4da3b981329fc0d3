"""Payments that simulated exchanges make on their own: cut to the rows that happened, and added up as the book does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.model.keys import base_token
from tests.builders import cash
from venues.sim.payments import balances_by_row, by_row, first_rows, least_balance

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


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(-100.0, 100.0)), max_size=12), st.floats(-500.0, 500.0))
def test_no_balance_falls_below_the_least_that_payments_can_lead_to(paid: list[tuple[int, float]], held: float) -> None:
    rows = sorted(paid, key=lambda each: each[0])
    flows = [cash("okx:BaseToken:USDT", [row for row, _ in rows], [amount for _, amount in rows])]
    flows.append(cash("binance:BaseToken:USDT", [0], [-1e6]))
    column = balances_by_row(flows, {USDT: held}, 10)[USDT]
    assert column.min() >= least_balance(flows, USDT, held) - 1e-9
    assert column[-1] == pytest.approx(held + sum(amount for _, amount in rows), abs=1e-9)
