from __future__ import annotations

from typing import Literal

import pytest

from components.model.errors import DAT_CONFLICT, DAT_NOT_COVERED, InvalidInput
from tests.venues.history.trees import Tree, at
from venues.history.series.rewards import eigen_rewards, ethfi_rewards

WEEKS = ["2024-06-01,2024-06-07,700,80,20,9.9", "2024-06-08,2024-06-14,300,100,100,9.9"]
TOP_UPS = ["2024-06-20,2024-06-01,2024-06-07,50,0.6", "2024-06-28,2024-06-08,2024-06-15,90,0.3"]


def test_eigen_is_recomputed_from_totals_and_paid_the_midnight_after_the_last_day(tree: Tree) -> None:
    tree.eigen(WEEKS)
    first, second = eigen_rewards(tree.folder).periods

    assert (first.start, first.end, first.paid_at) == (at("2024-06-01T00"), at("2024-06-08T00"), at("2024-06-08T00"))
    assert (first.per_eeth, second.per_eeth) == (7.0, 1.5)


def test_ethfi_uses_the_eeth_of_the_same_period_else_the_published_amount(tree: Tree) -> None:
    tree.eigen(WEEKS)
    tree.ethfi(TOP_UPS)
    first, second = ethfi_rewards(tree.folder, "none").periods

    assert (first.per_eeth, first.paid_at) == (0.5, at("2024-06-20T00"))
    assert (second.per_eeth, second.end) == (0.3, at("2024-06-16T00"))


def test_ethfi_works_without_the_eigen_table(tree: Tree) -> None:
    tree.ethfi(TOP_UPS)

    assert [period.per_eeth for period in ethfi_rewards(tree.folder, "none").periods] == [0.6, 0.3]


@pytest.mark.parametrize(("estimates", "amount"), [("low", 5.0), ("mid", 10.0), ("high", 15.0)])
def test_ranges_are_used_only_when_asked_for(
    tree: Tree, estimates: Literal["low", "mid", "high"], amount: float
) -> None:
    tree.ethfi(TOP_UPS)
    tree.seasons(
        [
            '2024-03-01,2024-03-15,2024-03-18,Season 1,ETHFI,"~5–15","~0.2–0.6%",https://x,"a, b"',
            '2024-06-01,2024-06-07,2024-06-20,Top-Up #1,ETHFI,0.6,"~0.01%",https://x,Exact',
        ]
    )

    assert len(ethfi_rewards(tree.folder, "none").periods) == 2
    season = ethfi_rewards(tree.folder, estimates).periods[0]
    assert (season.per_eeth, season.paid_at) == (amount, at("2024-03-18T00"))
    assert len(ethfi_rewards(tree.folder, estimates).periods) == 3


def test_a_run_sees_periods_it_may_hold_something_in_and_that_are_paid_by_its_end(tree: Tree) -> None:
    tree.eigen([*WEEKS, "2024-06-15,2024-06-21,1,1,1,1"])
    within = eigen_rewards(tree.folder).within(at("2024-06-08T00"), at("2024-06-15T00"))

    assert [period.start for period in within] == [at("2024-06-08T00")]


def test_what_comes_after_the_last_period_is_not_known(tree: Tree) -> None:
    tree.eigen(WEEKS)

    assert eigen_rewards(tree.folder).known_until == at("2024-06-15T00")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("2024-06-05,2024-06-14,1,1,1,1", "2024-06-05T00:00Z"),
        ("2024-06-14,2024-06-08,1,1,1,1", "start before the end"),
        ("soon,2024-06-14,1,1,1,1", "staking_period_start row 2"),
        ("2024-06-08,2024-06-14,-1,1,1,1", "eigen_earned row 2"),
        ("2024-06-08,2024-06-14,1,x,1,1", "eth_restaked row 2"),
        ("2024-06-08,2024-06-14,1,0,0,1", "no eETH"),
    ],
)
def test_a_period_that_cannot_be_is_refused(tree: Tree, row: str, said: str) -> None:
    tree.eigen([WEEKS[0], row])

    with pytest.raises(InvalidInput, match=said):
        eigen_rewards(tree.folder)


def test_overlapping_periods_are_a_contradiction(tree: Tree) -> None:
    tree.eigen([WEEKS[0], WEEKS[0]])

    with pytest.raises(InvalidInput) as refused:
        eigen_rewards(tree.folder)
    assert refused.value.code == DAT_CONFLICT


def test_an_absent_table_says_what_else_to_do(tree: Tree) -> None:
    with pytest.raises(InvalidInput, match="rewards_mode: base_only") as refused:
        eigen_rewards(tree.folder)
    assert refused.value.code == DAT_NOT_COVERED
