"""What would be left of positions: the figure of a replay and of a running strategy are one function."""

from __future__ import annotations

import pytest

from components.model.keys import PositionKey
from components.model.market import Row
from daemon.backtest import sold
from daemon.backtest.sold import ExitValues, exit_value, exit_value_of, row_of
from daemon.config.settings import load_run
from daemon.replica import Replica
from tests.daemon.one_cell import running

PRICES = {
    "binance.spot.ETH": 2_000.0,
    "aave_v3.supply_index.USDT": 1.04,
    "ethereum.gas_price.gwei": 20.0,
}
LENT = {"aave_v3:aToken:aUSDT": 100.0, "reserve:BaseToken:USDT": 5.0}


def lending(**words: object) -> Replica:
    given: dict[str, object] = {"prices": PRICES, "timestamp": 1, "equity": 109.0, "positions": LENT, **words}
    return running("a", **given)


def test_selling_costs_something_and_not_more_than_that() -> None:
    run = load_run("pure_lending")
    row: Row = row_of(lending())
    sold = exit_value(run, row, {PositionKey(key): amount for key, amount in LENT.items()})
    assert 109.0 - 30.0 < sold < 109.0
    assert exit_value_of(run, lending()) == sold


def test_under_a_latch_it_is_of_what_the_venues_report() -> None:
    told = lending(equity_is_observed=True, observed={"wallet:BaseToken:USDT": 42.0})
    assert exit_value_of(load_run("pure_lending"), told) == pytest.approx(42.0)


def test_what_is_on_its_way_counts_as_arrived() -> None:
    told = lending(positions={"transit:BaseToken:USDT": 10.0, "wallet:BaseToken:USDT": 1.0})
    assert exit_value_of(load_run("pure_lending"), told) == pytest.approx(11.0)


@pytest.mark.parametrize("unknown", [{"prices": {}}, {"timestamp": None}, {"equity": None}])
def test_not_known_is_none(unknown: dict[str, object]) -> None:
    assert exit_value_of(load_run("pure_lending"), lending(**unknown)) is None


def test_something_without_a_price_is_no_error() -> None:
    told = lending(positions={"wallet:BaseToken:SPAM": 10.0})
    assert exit_value_of(load_run("pure_lending"), told) is None


def test_asking_again_before_the_next_row_computes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[Replica] = []

    def counted(run: object, replica: Replica) -> float:
        computed.append(replica)
        return 7.0

    monkeypatch.setattr(sold, "exit_value_of", counted)
    run, values, first, second = load_run("pure_lending"), ExitValues(), lending(), lending(timestamp=2)
    assert [values.of(run, each).exit_value for each in (first, first, first, second, second)] == [7.0] * 5
    assert computed == [first, second]
