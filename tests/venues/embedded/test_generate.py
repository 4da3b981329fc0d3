"""A market that is made part by part is the market made at once, to the byte."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec import structs

from components.model.errors import InvalidInput, MissingData
from components.model.market import Market
from components.model.requirements import HOUR_NS, Grid
from tests.builders import START
from venues.embedded.generate import NAMES, Continued, generate

MINUTE_NS = HOUR_NS // 60
DAY_NS = 24 * HOUR_NS
SCENARIOS = ("calm", "borrow_spike", "crash", "venue_divergence", "depeg")


def grid(step: int, rows: int, start: int = START) -> Grid:
    return Grid(start, start + (rows - 1) * step, step)


def in_parts(whole: Grid, days: tuple[int, ...], **wanted: object) -> Market:
    """The same rows, made so many days at a time; the last part is what is left."""
    source = Continued(whole, **wanted)  # type: ignore[arg-type]
    per_day = max(DAY_NS // whole.step, 1)
    market = source.part(days[0] * per_day)
    for count in days[1:]:
        market = market.since(0, source.part(count * per_day))
    return market.since(0, source.part(len(whole) - source.rows))


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("step", [5 * MINUTE_NS, HOUR_NS, 2 * HOUR_NS, 2 * DAY_NS])
@pytest.mark.parametrize("offset", [0, 5 * HOUR_NS])
def test_the_parts_of_a_market_are_the_whole(scenario: str, step: int, offset: int) -> None:
    asked = grid(step, 12 * max(DAY_NS // step, 1) + 5, START + offset)
    whole = generate(asked, seed=3, scenario=scenario, scenario_hours=96.0)
    parts = in_parts(asked, (2, 3, 1), seed=3, scenario=scenario, scenario_hours=96.0)
    assert np.array_equal(parts.timestamps, whole.timestamps)
    assert set(parts.columns) == set(whole.columns)
    for name, column in whole.columns.items():
        assert column.tobytes() == parts.columns[name].tobytes(), name
    for name, series in whole.funding.items():
        for field, values in structs.asdict(series).items():
            assert values.tobytes() == getattr(parts.funding[name], field).tobytes(), (name, field)
    assert (parts.rewards, parts.provenance) == (whole.rewards, whole.provenance)


def test_what_is_let_go_of_leaves_the_rest_as_it_was() -> None:
    asked = grid(HOUR_NS, 20 * 24)
    whole = generate(asked, seed=5)
    late = whole.since(7 * 24)
    assert (late.first, len(late), late.begins) == (7 * 24, 13 * 24, START)
    for name, column in whole.columns.items():
        assert np.array_equal(late.columns[name], column[7 * 24 :])
    for name, series in late.funding.items():
        assert (series.at == late.timestamps[series.row]).all(), "a settlement lies on its row"
        assert np.array_equal(series.rate, whole.funding[name].rate[-len(series.rate) :])
    assert whole.since(10_000, None).first == len(whole)


def test_a_part_is_an_own_copy() -> None:
    """Or one row of it would keep all the rest in memory."""
    whole = generate(grid(HOUR_NS, 48), seed=5, names=("binance.spot.BTC",))
    assert whole.since(40).columns["binance.spot.BTC"].base is None


def test_a_part_begins_with_a_day_of_the_span() -> None:
    source = Continued(grid(HOUR_NS, 1), seed=1, names=("binance.spot.BTC",))
    source.part(25)
    with pytest.raises(ValueError, match="row 25 does not begin a day"):
        source.part(24)


def test_a_series_does_not_depend_on_which_others_are_asked_for() -> None:
    asked = grid(HOUR_NS, 24 * 9)
    whole = generate(asked, seed=8)
    for name in NAMES:
        alone = generate(asked, seed=8, names=(name,))
        for column, values in alone.columns.items():
            assert np.array_equal(values, whole.columns[column]), column
        for series, found in alone.funding.items():
            assert np.array_equal(found.rate, whole.funding[series].rate), series
        assert all(period in whole.rewards for period in alone.rewards)


def test_what_cannot_be_made_is_refused_with_what_can() -> None:
    with pytest.raises(InvalidInput, match="crash"):
        generate(grid(HOUR_NS, 2), seed=1, scenario="crsh")
    with pytest.raises(InvalidInput, match="divides an hour"):
        generate(grid(7 * MINUTE_NS, 2), seed=1)
    with pytest.raises(MissingData, match=r"binance\.spot\.DOGE"):
        generate(grid(HOUR_NS, 2), seed=1, names=("binance.spot.DOGE",))
