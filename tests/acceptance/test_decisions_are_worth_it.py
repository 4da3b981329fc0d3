"""Decisions over calm weeks and real days: an entry ends, and what is done is worth what it costs."""

from __future__ import annotations

import numpy as np
import pytest

from components.model.market import Market
from components.model.orders import Verb
from components.model.requirements import HOUR_NS, Grid
from components.model.slices import RunSlice
from daemon.backtest.replay import ReplayRequest
from tests.acceptance.runs import DATA, TWO, embedded, needs_data, slice_of
from tests.scenarios.play import Witnessed
from venues.history import load

NEUTRAL = ("usdt_market_neutral", "usdt_market_neutral_no_leverage")
DAYS = 5
FIRST, LAST = np.datetime64("2024-05-14"), np.datetime64("2025-09-20")


def replayed(run: RunSlice, market: Market, capital: float) -> Witnessed:
    job = Witnessed(run, market, ReplayRequest(run_id="worth it", capital=capital))
    job.run()
    return job


def test_an_entry_ends_in_ten_calm_days() -> None:
    job = replayed(
        slice_of("usdt_market_neutral"),
        embedded(slice_of("usdt_market_neutral"), "2024-01-01", "2024-01-11", seed=23),
        100_000.0,
    )

    assert len(job.trades) <= 12
    assert -job.result().parts["transaction_costs"] <= 120.0


@pytest.fixture(scope="module", name="weeks")
def _weeks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Market]]:
    """Five days from every 60th start that the data allow, per mode: loaded once, parsed files kept."""
    parsed = tmp_path_factory.mktemp("parsed")
    out: dict[str, list[Market]] = {}
    for mode in NEUTRAL:
        run = slice_of(mode, TWO)
        for day in np.arange(FIRST, LAST, np.timedelta64(60, "D")):
            start = int(day.astype("datetime64[ns]").astype(np.int64))
            grid = Grid(start, start + DAYS * 24 * HOUR_NS, HOUR_NS)
            out.setdefault(mode, []).append(load(DATA, run.mode, grid, cache=parsed))
    return out


@needs_data
@pytest.mark.parametrize("location", ["target", "wallet"])
@pytest.mark.parametrize("capital", [20_000.0, 100_000.0])
@pytest.mark.parametrize("mode", NEUTRAL)
def test_an_entry_ends_on_whatever_day_it_begins(
    mode: str, capital: float, location: str, weeks: dict[str, list[Market]]
) -> None:
    run = slice_of(mode, TWO, f"initial_location={location}")
    for market in weeks[mode]:
        job = replayed(run, market, capital)

        assert len(job.groups) <= 25
        assert -job.result().parts["transaction_costs"] <= (0.0045 if capital >= 100_000.0 else 0.01) * capital


@pytest.mark.parametrize("capital", [50_000.0, 200_000.0])
def test_nothing_is_bought_that_could_not_be_sent_on_to_where_it_is_bought_for(capital: float) -> None:
    """Margin gained while coins travel buys more of them only when there are enough for a transfer of their own."""
    run = slice_of("usdt_market_neutral")
    for seed in range(20):
        job = replayed(run, embedded(run, "2024-01-01", "2024-01-05", seed=seed), capital)
        bought = [t for t in job.trades if t.verb is Verb.SPOT and t.quantity > 0.0]
        sent = [t for t in job.trades if t.verb is Verb.TRANSFER and t.token == "ETH"]

        assert len(bought) == len(sent) > 0, seed
