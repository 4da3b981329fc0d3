"""Defects on demand: each does to the rows of a file what it is named for, and the same again for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from venues.embedded.defects import CANDLES, DEFECTS, FUNDING, Rows

IN_THE_WRITER = {"comments"}  # works on the text around the rows


def rows(count: int) -> Rows:
    return [[f"2024-01-{1 + i // 24:02d}T{i % 24:02d}:00:00Z", *["100.0"] * 4, "1"] for i in range(count)]


def damaged(name: str, count: int = 600) -> Rows:
    return {**FUNDING, **CANDLES}[name](rows(count), np.random.default_rng(3))


def test_every_defect_that_can_be_asked_for_exists() -> None:
    assert set(DEFECTS) == set(FUNDING) | set(CANDLES) | IN_THE_WRITER


@pytest.mark.parametrize("name", sorted({*FUNDING, *CANDLES}))
def test_a_defect_changes_the_rows_and_depends_on_the_seed_alone(name: str) -> None:
    assert damaged(name) == damaged(name)
    assert damaged(name) != rows(600)


@pytest.mark.parametrize("name", sorted({*FUNDING, *CANDLES}))
def test_a_short_file_takes_it_too(name: str) -> None:
    assert damaged(name, 4)


def test_what_is_missing_is_missing_and_what_is_there_twice_is_there_twice() -> None:
    stamps = [row[0] for row in rows(600)]
    assert len(damaged("long_gap")) == 300
    assert len(damaged("missing_funding")) == 600 - 18
    twice = [row[0] for row in damaged("duplicates", 2000)]
    assert sorted(set(twice)) == sorted({row[0] for row in rows(2000)})
    assert len(twice) == 2002
    kept = [row[0] for row in damaged("gaps", 1200)]
    assert len(kept) == 1200 - 23 or len(kept) == 1200 - 46
    conflicting = [row for row in damaged("conflicting_funding") if row[1] != "100.0"]
    assert len(conflicting) == 60 and {row[0] for row in conflicting} <= set(stamps)


def test_a_divergence_is_one_bar_with_prices_one_per_cent_lower() -> None:
    (bar,) = [row for row in damaged("divergence") if row[1] != "100.0"]
    assert bar[1:5] == ["99.00000000"] * 4
