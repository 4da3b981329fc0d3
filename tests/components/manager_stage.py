"""Strategies, books and happenings for the tests of triggers and of the Strategy Manager."""

from __future__ import annotations

from components.exposure_monitor import ExposureMonitor
from components.held_back import Held, Why
from components.levels import WARNING, Crossing
from components.model.events import EventType
from components.model.market import Market
from components.model.requirements import HOUR_NS
from components.model.slices import RunSlice
from components.ports import Happening, Settlements
from components.strategies.factory import make_strategy
from components.strategy_manager import StrategyManager
from components.triggers import Trigger
from components.utility_manager import UtilityManager
from tests.builders import (
    START,
    Line,
    columns_of,
    happening,
    market,
    run_with,
    settled,
)

BTC: dict[str, Line] = {"binance.spot.BTC": 50_000.0, "okx.spot.BTC": 50_000.0, "okx.perp.BTC": 50_000.0}
ETH: dict[str, Line] = {
    "binance.spot.ETH": 2_000.0, "binance.perp.ETH": 2_000.0, "okx.perp.ETH": 2_000.0, "lido.ratio.wstETH": 1.25,
    "etherfi.ratio.weETH": 1.0, "aave_v3.supply_index.wstETH": 1.0, "aave_v3.borrow_index.WETH": 1.0,
    "aave_v3.supply_index.USDT": 1.0, "uniswap.eth_price.EIGEN": 0.001, "uniswap.eth_price.ETHFI": 0.001,
}  # fmt: skip
ONE = {"okx": 1.0}
BASIS = run_with("btc_basis", hedge_allocation=ONE, reserve_ratio=0.0)
NEUTRAL = run_with("usdt_market_neutral_no_leverage", hedge_allocation=ONE, reserve_ratio=0.0)
LEVERAGED = run_with("eth_leveraged", reserve_ratio=0.0)
PAIR = {
    "okx:BaseToken:BTC": 1.0, "okx:Perp:BTCUSDT": -1.0, "okx:PerpQuote:BTCUSDT": 50_000.0,
    "okx:BaseToken:USDT": 50_000.0,
}  # fmt: skip
STAKED = {
    "wallet:BaseToken:wstETH": 8.0, "okx:Perp:ETHUSDT": -10.0, "okx:PerpQuote:ETHUSDT": 20_000.0,
    "okx:BaseToken:USDT": 20_000.0,
}  # fmt: skip
REWARDED = run_with("eth_staking_only", lst_type="weETH", rewards_mode="base_eigen_seasonal", reserve_ratio=0.0)
DUSTY = {"wallet:BaseToken:weETH": 100.0, "gas:BaseToken:ETH": 0.05, "king:BaseToken:EIGEN": 12.0,
         "wallet:BaseToken:ETHFI": 9.0}  # fmt: skip
WITHDRAWAL = happening(EventType.WITHDRAWAL_REQUESTED, detail="out", amount=10.0)
ARRIVAL = happening(EventType.TRANSFER_ARRIVED, detail="home")
CRISIS = Crossing(2, "cex_margin:okx", WARNING, 0.2)


def manager_of(run: RunSlice, *, entered: bool = True) -> StrategyManager:
    manager = StrategyManager(run.mode, make_strategy(run.mode), UtilityManager(run.mode.share_class))
    manager.entered = entered
    return manager


def lines_of(run: RunSlice, changes: dict[str, Line] | None = None) -> Market:
    lines = {**(BTC if run.mode.asset == "BTC" else ETH), **(changes or {})}
    return market(lines, rows=4) if all(isinstance(line, float) for line in lines.values()) else market(lines)


def held(hours: int, value: float | None = None, why: Why = Why.TOO_SMALL) -> Held:
    return Held(value, START + hours * HOUR_NS, why)


def trigger_of(
    run: RunSlice,
    balances: dict[str, float],
    *happenings: Happening,
    manager: StrategyManager | None = None,
    crossing: Crossing | None = None,
    commands: tuple[str, ...] = (),
    lines: dict[str, Line] | None = None,
) -> Trigger | None:
    made = lines_of(run, lines)
    book = columns_of(made, balances)
    exposure = ExposureMonitor(run.mode, run.exchanges, UtilityManager(run.mode.share_class)).measure(book)
    told: Settlements = settled(len(made), *happenings)
    return (manager or manager_of(run)).first_trigger(exposure, told, crossing, commands)


def named(trigger: Trigger | None) -> tuple[int, str, str] | None:
    return None if trigger is None else (trigger.row, trigger.kind, trigger.reason)
