"""Each of the seven modes over ten days: it enters, its books hold, it is worth less sold than held, it can leave."""

from __future__ import annotations

import pytest

from components.model.keys import PositionKey, PositionType
from components.model.orders import TradeStatus
from daemon.config.settings import load_run
from tests.scenarios import sketch
from tests.scenarios.play import CAPITAL, Played, deposit, play, withdrawal

ROWS = 24 * 10 + 1
MODES = (
    "pure_lending",
    "btc_basis",
    "eth_basis",
    "eth_staking_only",
    "eth_leveraged",
    "usdt_market_neutral_no_leverage",
    "usdt_market_neutral",
)


def market_of(mode: str) -> sketch.Sketch:
    if mode == "btc_basis":
        return sketch.btc(ROWS, {0: 60_000.0, ROWS - 1: 61_000.0})
    return sketch.staked(ROWS, {0: 3_000.0, ROWS - 1: 3_050.0})


def leftovers(played: Played) -> dict[PositionKey, float]:
    """What is not cash of the share class at the end, gas apart."""
    currency = played.run.mode.share_class
    return {
        key: balance
        for key, balance in played.job.core.positions.snapshot().items()
        if key.venue != "gas" and not (key.position_type is PositionType.BASE_TOKEN and key.symbol == currency)
    }


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_enters_on_the_first_row_and_its_books_hold(mode: str) -> None:
    played = play(mode, market_of(mode))

    assert played.decisions()[0] == (0, "entry_full", "entry: enter")
    assert {trade.status for trade in played.trades} == {TradeStatus.FILLED}
    assert played.result.residual == 0.0


@pytest.mark.parametrize("mode", MODES)
def test_a_run_is_worth_less_when_it_is_sold(mode: str) -> None:
    played = play(mode, market_of(mode), cuts=())

    assert 0.97 * played.result.final_equity < played.result.liquidation_value < played.result.final_equity


@pytest.mark.parametrize("mode", MODES)
def test_close_at_end_leaves_only_cash_and_a_gas_debt_with_its_cover(mode: str) -> None:
    played = play(mode, market_of(mode), close_at_end=True)

    gas = min(played.balance("gas:BaseToken:ETH"), 0.0)
    for key, balance in leftovers(played).items():
        assert key.position_type is PositionType.BASE_TOKEN, key
        assert key.symbol == "ETH", key
        assert 0.0 <= balance <= -gas * (1.0 + 1e-9), key
    assert played.decisions()[-1][1:] == ("exit_full", "close: close at end")
    assert played.result.liquidation_value == pytest.approx(played.result.final_equity, rel=1e-4)


@pytest.mark.parametrize("mode", MODES)
def test_the_liquidation_value_is_what_closing_on_the_last_row_really_leaves(mode: str) -> None:
    held, closed = play(mode, market_of(mode), cuts=()), play(mode, market_of(mode), close_at_end=True, cuts=())

    assert closed.result.final_equity == pytest.approx(held.result.liquidation_value, rel=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_costs_none_costs_nothing_at_all(mode: str) -> None:
    played = play(mode, market_of(mode), "costs=none", close_at_end=True)

    assert played["equity"][0] == pytest.approx(played.result.initial_equity, rel=1e-14)
    assert abs(played["transaction_costs"]).max() <= 1e-9 * played.result.initial_equity
    assert all(cost.amount == pytest.approx(0.0, abs=1e-9) for trade in played.trades for cost in trade.costs)
    assert played.balance("gas:BaseToken:ETH") == 0.0
    assert all(trade.in_flight is None for trade in played.trades)


@pytest.mark.parametrize("mode", MODES)
def test_costs_none_still_pays_funding_and_interest(mode: str) -> None:
    played = play(mode, market_of(mode), "costs=none", cuts=())

    parts = played.result.parts
    earned = {part for part in ("funding", "supply_yield", "staking_yield_oracle") if parts.get(part, 0.0) > 0.0}
    assert earned == {p for p in ("funding", "supply_yield", "staking_yield_oracle") if p in parts}
    if load_run(mode, environ={}).mode.max_ltv is not None:
        assert parts["borrow_costs"] < 0.0


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_lives_through_flows_of_both_kinds(mode: str) -> None:
    capital = CAPITAL[load_run(mode, environ={}).mode.share_class]
    flows = [
        deposit(20.5, 0.5 * capital, "a"),
        withdrawal(50.0, 0.02 * capital, "b"),
        withdrawal(90.2, 0.4 * capital, "c"),
        deposit(90.7, 0.1 * capital, "d"),
        withdrawal(200.0, 0.1 * capital, "e"),
    ]

    played = play(mode, market_of(mode), flows=flows)

    paid_in = played["external_flow"]
    assert paid_in[21] == 0.5 * capital
    assert paid_in.sum() == pytest.approx(0.08 * capital, rel=0.12)
    assert played.result.final_equity == pytest.approx(1.08 * capital, rel=0.05)
    assert abs(played["unit_value"][-1] - 1.0) < 0.05
