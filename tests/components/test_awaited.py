"""Flat is said of positions: what is left is named, with the reason why it is still there."""

from __future__ import annotations

import pytest

from components.awaited import Awaited, AwaitedKind, awaited
from components.model.orders import InFlight, Verb
from components.position_monitor import PositionMonitor
from components.situation import Situation
from components.utility_manager import UtilityManager
from tests.builders import START, key, keyed, market, order, run_of, run_with, situation

LINES = {
    "binance.spot.ETH": 2_000.0, "binance.perp.ETH": 2_000.0, "okx.perp.ETH": 2_000.0, "lido.ratio.wstETH": 1.25,
    "dex.ratio.wstETH": 1.25, "aave_v3.supply_index.wstETH": 1.0, "aave_v3.borrow_index.WETH": 1.0,
}  # fmt: skip
MARKET = market(LINES)
RUN = run_with("usdt_market_neutral", hedge_allocation={"binance": 0.5, "okx": 0.5})


def left(held: dict[str, float]) -> list[str]:
    return [str(one) for one in awaited(situation(RUN, MARKET, held))]


@pytest.mark.parametrize(
    "cash", ["wallet:BaseToken:USDT", "reserve:BaseToken:USDT", "binance:BaseToken:USDT", "gas:BaseToken:ETH"]
)
def test_currency_reserve_and_gas_are_flat(cash: str) -> None:
    assert left({cash: 5_000.0}) == []


def test_dust_is_flat_and_more_is_not() -> None:
    assert left({"wallet:BaseToken:ETH": 0.024}) == []
    assert left({"wallet:BaseToken:ETH": 0.026}) == ["position wallet:BaseToken:ETH 0.026"]


@pytest.mark.parametrize(
    "name",
    ["okx:Perp:ETHUSDT", "wallet:BaseToken:wstETH", "aave_v3:aToken:awstETH", "aave_v3:debtToken:variableDebtWETH",
     "binance:BaseToken:ETH"],
)  # fmt: skip
def test_everything_else_is_named(name: str) -> None:
    assert left({name: 1.0}) == [f"position {name} 1"]


def test_a_perp_of_any_size_is_not_flat() -> None:
    assert left({"okx:Perp:ETHUSDT": -0.001, "okx:PerpQuote:ETHUSDT": 2.0}) == ["position okx:Perp:ETHUSDT -0.001"]


def test_what_travels_and_what_is_uncertain_is_named_with_when_it_is_due() -> None:
    positions = PositionMonitor()
    positions.place(keyed({"transit:BaseToken:ETH": 3.0}))
    for name, source, due in (("q", "wallet:BaseToken:wstETH", START + 5), ("t", "okx:BaseToken:ETH", START - 5)):
        positions.in_flight[name] = InFlight(
            id=name, token="ETH", amount=1.5, source=key(source), target=key("wallet:BaseToken:ETH"), arrives_at=due
        )
    positions.keep_uncertain(order(Verb.SPOT, "binance", "ETH", -1.0))
    now = Situation(RUN, situation(RUN, MARKET, {}).row, positions, UtilityManager("USDT"))
    queue, transfer, uncertain = awaited(now)
    assert queue == Awaited(kind=AwaitedKind.QUEUE, what="wallet:BaseToken:ETH", amount=1.5, until=START + 5)
    assert (transfer.kind, transfer.overdue) == (AwaitedKind.TRANSFER, True)
    assert (uncertain.kind, uncertain.what) == (AwaitedKind.ORDER, "binance_spot (binance spot ETH)")


def test_why_it_is_there_is_said() -> None:
    stale = market(LINES, rows=1, stale={"okx.perp.ETH": [0]})
    now = situation(RUN, stale, {"okx:Perp:ETHUSDT": -1.0, "binance:Perp:ETHUSDT": -1.0, "binance:BaseToken:ETH": 1.0})
    found = awaited(now, lambda one: one.venue == "binance" and "Perp" in one)
    assert [(one.what, one.kind) for one in found] == [
        ("binance:BaseToken:ETH", AwaitedKind.POSITION),
        ("binance:Perp:ETHUSDT", AwaitedKind.REFUSED),
        ("okx:Perp:ETHUSDT", AwaitedKind.PRICE),
    ]


def test_the_eth_class_is_flat_in_eth() -> None:
    run = run_of("eth_staking_only")
    assert awaited(situation(run, MARKET, {"wallet:BaseToken:ETH": 5.0})) == ()
    assert [one.what for one in awaited(situation(run, MARKET, {"wallet:BaseToken:wstETH": 5.0}))] == [
        "wallet:BaseToken:wstETH"
    ]


def test_coins_that_the_mode_cannot_sell_keep_nothing_from_being_flat() -> None:
    assert left({"wallet:BaseToken:WETH": 5.0}) == []
    assert len(left({"wallet:BaseToken:ETH": 5.0})) == 1
