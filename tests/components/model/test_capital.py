"""What it costs to free a payment, by the cost of a full exit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.model.capital import cost_of_freeing, costs_to_free

MONEY = st.floats(min_value=0.0, max_value=1e9)


@given(MONEY, st.floats(min_value=1.0, max_value=1e9), MONEY, MONEY)
def test_it_is_never_more_than_a_full_exit_and_never_a_gain(
    amount: float, equity: float, exit_value: float, at_hand: float
) -> None:
    cost = cost_of_freeing(amount, equity, exit_value, at_hand)
    assert cost is not None
    assert 0.0 <= cost <= max(equity - exit_value, 0.0)
    if amount <= at_hand:
        assert cost == 0.0


@pytest.mark.parametrize(
    ("amount", "at_hand", "cost"),
    [(9.0, 0.0, 15.0), (9.0, 1.8, 14.4), (3.6, 0.0, 6.0), (10.8, 0.0, 18.0), (15.0, 0.0, 18.0)],
)
def test_it_is_what_must_be_sold_so_that_the_money_is_left(amount: float, at_hand: float, cost: float) -> None:
    """Of what would leave 10.8 of its 28.8, five sixths must go for nine. The share of the equity said 5.6, not 15."""
    assert cost_of_freeing(amount, 28.8, 10.8, at_hand) == pytest.approx(cost)


@pytest.mark.parametrize(("equity", "exit_value"), [(1_000.0, None), (0.0, 900.0), (-5.0, 900.0)])
def test_what_is_not_known_is_none(equity: float, exit_value: float | None) -> None:
    assert cost_of_freeing(10.0, equity, exit_value, 5.0) is None
    assert cost_of_freeing(5.0, equity, exit_value, 5.0) == 0.0, "cash at hand is known"


def test_it_is_told_with_its_share() -> None:
    told = costs_to_free(20_000.0, 100.0, "USDT")
    assert told == "Freeing 20,000 USDT would cost about 100 USDT now, 0.5% of it"
