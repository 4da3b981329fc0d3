from __future__ import annotations

import numpy as np
import pytest

from venues.history.files.cells import BadCell, numbers, quantity, span


def test_numbers_are_exact_and_an_empty_cell_is_nan() -> None:
    assert numbers(["0.1", "1e-4"]).tolist() == [0.1, 0.0001]
    assert np.isnan(numbers(["1", "", "NaN"])).tolist() == [False, True, True]


@pytest.mark.parametrize("text", ["77.50%", "1,234", "~5", "TRUE"])
def test_a_price_with_a_sign_or_suffix_is_refused_with_its_row(text: str) -> None:
    with pytest.raises(BadCell, match="row 2") as refused:
        numbers(["1.0", text])

    assert refused.value.row == 2


@pytest.mark.parametrize(("text", "value"), [("77.50%", 0.775), ("0.0022B", 2.2e6), ("1,234.5", 1234.5), ("-3", -3.0)])
def test_a_hand_made_quantity_is_understood(text: str, value: float) -> None:
    assert quantity(text) == pytest.approx(value, rel=1e-15)


def test_a_word_is_no_quantity() -> None:
    with pytest.raises(ValueError, match="TRUE"):
        quantity("TRUE")


@pytest.mark.parametrize(("text", "ends"), [("~5–15", (5.0, 15.0)), ("3-8", (3.0, 8.0)), ("~0.2–0.6%", (0.2, 0.6))])
def test_a_published_range_has_two_ends(text: str, ends: tuple[float, float]) -> None:
    assert span(text) == ends


def test_an_exact_figure_is_no_range() -> None:
    assert span("0.248") is None
