"""Random numbers by name: a series depends on its seed and name alone, and a longer span begins with the shorter."""

from __future__ import annotations

import numpy as np
import pytest

from components.model.requirements import HOUR_NS, Grid
from tests.builders import START
from venues.embedded.streams import Clock, autoregress, stream


def test_a_stream_is_its_seed_and_its_name() -> None:
    first = stream(1, "price").standard_normal(5)
    assert (first == stream(1, "price").standard_normal(5)).all()
    for other in (stream(2, "price"), stream(1, "funding")):
        assert (first != other.standard_normal(5)).all()


@pytest.mark.parametrize("persistence", [0.3, 0.97, 0.9999])
def test_the_recursion_in_blocks_is_the_recursion_row_by_row(persistence: float) -> None:
    shocks = stream(1, "shocks").standard_normal(3000)
    expected, last = np.empty(3000), 2.0
    for i, shock in enumerate(shocks):
        last = expected[i] = persistence * last + shock
    found = autoregress(shocks, persistence, start=2.0)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert (autoregress(shocks[:1000], persistence, start=2.0) == found[:1000]).all()


@pytest.mark.parametrize(("step", "fine", "rows"), [(HOUR_NS // 4, 9, 9), (HOUR_NS, 9, 9), (4 * HOUR_NS, 33, 9)])
def test_a_market_is_made_on_hours_or_finer_and_shown_on_its_rows(step: int, fine: int, rows: int) -> None:
    clock = Clock(Grid(START, START + 8 * step, step))
    assert (clock.steps, len(clock.timestamps)) == (fine, rows)
    series = clock.hours_since_start()
    assert clock.at_rows(series)[-1] == 8 * step / HOUR_NS
    assert len(clock.held(np.arange(clock.hours, dtype=float))) == fine


def test_a_step_beside_the_hour_is_refused() -> None:
    with pytest.raises(ValueError, match="neither divides an hour"):
        Clock(Grid(START, START + 7 * 60_000_000_000 * 10, 7 * 60_000_000_000))
