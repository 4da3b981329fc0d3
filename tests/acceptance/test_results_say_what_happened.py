"""The published tables agree with each other and with the events, row by row."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from components.model.events import Event
from components.model.keys import PositionKey
from components.model.market import Market
from components.ports import Flow
from components.utility_manager import UtilityManager
from daemon.backtest.replay import ReplayResult
from daemon.backtest.results.events import single_events
from daemon.backtest.results.summary import drawdown
from daemon.backtest.results.tables import BALANCE
from tests.acceptance.runs import MODES, embedded, hedged, play, slice_of, stamp

START, END = "2024-03-01", "2024-03-20"


def flows_of(capital: float) -> tuple[Flow, ...]:
    """Two deposits and a withdrawal on one row, while coins of the entry travel and funding is paid."""
    at = stamp("2024-03-01T08:00")
    return (Flow(at, 0.3 * capital, "a"), Flow(at, 0.2 * capital, "b"), Flow(at, -0.1 * capital, "c"))


def played(mode: str) -> tuple[Market, ReplayResult]:
    run = slice_of(mode)
    market = embedded(run, START, END)
    capital = 100.0 if run.mode.share_class == "ETH" else 1_000_000.0
    return market, play(run, market, flows=flows_of(capital))


@pytest.mark.parametrize("mode", MODES)
def test_equity_can_be_rebuilt_from_the_balance_sheet(mode: str) -> None:
    market, result = played(mode)
    prices = UtilityManager(slice_of(mode).mode.share_class)

    equity = np.zeros(len(market))
    for name in result.columns:
        if name.startswith(BALANCE):
            key = PositionKey(name.removeprefix(BALANCE))
            equity = equity + result.columns[name] * prices.unit(market, key).value

    np.testing.assert_allclose(equity, result.columns["equity"], rtol=1e-12)
    assert any("PerpQuote" in name for name in result.columns) == hedged(mode)


@pytest.mark.parametrize("mode", MODES)
def test_the_drawdown_of_a_row_is_that_of_its_unit_value(mode: str) -> None:
    _, result = played(mode)

    np.testing.assert_array_equal(result.columns["drawdown"], drawdown(result.columns["unit_value"]))


@pytest.mark.parametrize("mode", MODES)
def test_each_event_shows_the_balances_after_it_and_not_those_after_its_row(mode: str) -> None:
    _, result = played(mode)
    on_one_row: dict[int, list[Event]] = defaultdict(list)
    for event in single_events(result.events):
        on_one_row[event.timestamp].append(event)

    deposits = [e for e in on_one_row[stamp("2024-03-01T08:00")] if e.event_type.value == "deposit"]

    key = next(iter(k for k in deposits[0].balances if k.startswith("wallet:BaseToken:")))
    assert deposits[1].balances[key] - deposits[0].balances[key] == pytest.approx(deposits[1].amount)
