"""Measures: names and what they stand for."""

from __future__ import annotations

import pytest

from components.model.measures import Kind, Measure, measure_of


@pytest.mark.parametrize("measure", [Measure(Kind.LTV), Measure(Kind.CEX_MARGIN, "okx"), Measure(Kind.ASKED)])
def test_a_name_says_the_measure(measure: Measure) -> None:
    assert measure_of(str(measure)) == measure


def test_names_are_those_of_states_and_events() -> None:
    assert str(Measure(Kind.MARGIN_RATIO, "binance")) == "margin_ratio:binance"
    assert str(Measure(Kind.DELTA)) == "delta"


def test_what_nobody_watches_has_no_measure() -> None:
    with pytest.raises(ValueError, match="weather"):
        measure_of("weather:okx")
