"""Triggers: which row of a window needs an action, and in which order its row is worked off."""

from __future__ import annotations

import pytest
from msgspec import structs

from components.exposure_monitor import ExposureMonitor
from components.model.requirements import HOUR_NS
from components.model.slices import RunSlice
from components.triggers import Trigger
from components.utility_manager import UtilityManager
from tests.builders import (
    START,
    Line,
    columns_of,
    deposit,
    market,
    plan,
    settled,
)
from tests.components.manager_stage import (
    ARRIVAL,
    BASIS,
    CRISIS,
    DUSTY,
    ETH,
    LEVERAGED,
    NEUTRAL,
    PAIR,
    REWARDED,
    STAKED,
    WITHDRAWAL,
    held,
    manager_of,
    named,
    trigger_of,
)


def test_a_strategy_that_has_not_entered_enters_on_its_first_row() -> None:
    fresh = manager_of(BASIS, entered=False)
    assert named(trigger_of(BASIS, {}, deposit(5.0), manager=fresh, crossing=CRISIS)) == (0, "entry", "first row")


def test_what_is_as_it_should_be_triggers_nothing() -> None:
    assert trigger_of(BASIS, PAIR) is None
    assert trigger_of(NEUTRAL, STAKED) is None


def test_on_one_row_risk_comes_first_and_an_earlier_row_before_it() -> None:
    now = structs.replace(CRISIS, row=0)
    assert named(trigger_of(BASIS, PAIR, deposit(5.0), crossing=now)) == (0, "risk", "cex_margin:okx")
    assert named(trigger_of(BASIS, PAIR, deposit(5.0), crossing=CRISIS)) == (0, "deposit", "in")
    assert named(trigger_of(BASIS, PAIR, crossing=CRISIS)) == (2, "risk", "cex_margin:okx")


def test_of_flows_on_one_row_arrivals_come_first() -> None:
    assert named(trigger_of(BASIS, PAIR, WITHDRAWAL, deposit(5.0), ARRIVAL)) == (0, "arrival", "home")


def test_a_deposit_idles_where_nothing_is_rebalanced_or_the_strategy_is_halted() -> None:
    never = structs.replace(BASIS, mode=structs.replace(BASIS.mode, rebalance="never"))
    assert trigger_of(never, PAIR, deposit(5.0)) is None
    assert named(trigger_of(never, PAIR, WITHDRAWAL)) == (0, "withdrawal", "out")
    halted = manager_of(BASIS)
    halted.halted = True
    assert trigger_of(BASIS, PAIR, deposit(5.0), manager=halted) is None


def test_the_operator_may_ask_for_a_rebalance_unless_halted() -> None:
    assert named(trigger_of(BASIS, PAIR, commands=("rebalance",))) == (0, "deviation", "asked for")
    halted = manager_of(BASIS)
    halted.halted = True
    assert trigger_of(BASIS, PAIR, commands=("rebalance",), manager=halted) is None


@pytest.mark.parametrize(
    ("run", "balances", "lines", "expected"),
    [
        # 50,000 + (50,000 − mark) over the mark: below 0.5 at 66,667, above 2 at 33,333
        (BASIS, PAIR, {"okx.perp.BTC": [50_000.0, 66_000.0, 66_700.0, 66_700.0]}, (2, "deviation", "margin_ratio:okx")),
        (BASIS, PAIR, {"okx.perp.BTC": [50_000.0, 33_400.0, 33_300.0, 33_300.0]}, (2, "deviation", "margin_ratio:okx")),
        (BASIS, {**PAIR, "okx:BaseToken:BTC": 0.97}, {}, (0, "deviation", "legs:okx")),
        (BASIS, {**PAIR, "okx:BaseToken:BTC": 0.985}, {}, None),
        (BASIS, {**PAIR, "wallet:BaseToken:USDT": 2_100.0}, {}, (0, "deviation", "idle")),
        (BASIS, {**PAIR, "wallet:BaseToken:USDT": 1_900.0}, {}, None),
        (BASIS, {**PAIR, "gas:BaseToken:ETH": -0.51}, {"binance.spot.ETH": 2_000.0}, (0, "deviation", "gas_debt")),
        (NEUTRAL, STAKED, {"lido.ratio.wstETH": [1.25, 1.27, 1.28, 1.28]}, (2, "deviation", "delta")),
        (NEUTRAL, {**STAKED, "okx:BaseToken:ETH": 0.9}, {}, (0, "deviation", "delta")),
        (LEVERAGED, {"aave_v3:aToken:awstETH": 80.0, "aave_v3:debtToken:variableDebtWETH": 90.9,
                     "gas:BaseToken:ETH": 0.05}, {}, None),
        (LEVERAGED, {"aave_v3:aToken:awstETH": 80.0, "aave_v3:debtToken:variableDebtWETH": 89.0,
                     "gas:BaseToken:ETH": 0.05}, {}, (0, "deviation", "ltv")),
        (LEVERAGED, {"aave_v3:aToken:awstETH": 80.0, "aave_v3:debtToken:variableDebtWETH": 93.0,
                     "gas:BaseToken:ETH": 0.05}, {}, (0, "deviation", "ltv")),
        (LEVERAGED, {"wallet:BaseToken:wstETH": 80.0, "gas:BaseToken:ETH": 0.012}, {}, (0, "deviation", "gas_reserve")),
    ],
)  # fmt: skip
def test_a_deviation_is_found_on_its_first_row(
    run: RunSlice, balances: dict[str, float], lines: dict[str, Line], expected: tuple[int, str, str] | None
) -> None:
    assert named(trigger_of(run, balances, lines=lines)) == expected


def test_coins_at_the_spot_venue_wait_to_be_staked_and_count_as_idle() -> None:
    at_okx = structs.replace(NEUTRAL, mode=structs.replace(NEUTRAL.mode, spot_venue="okx"))
    held = {**STAKED, "okx:BaseToken:ETH": 0.5, "okx:Perp:ETHUSDT": -10.5, "okx:PerpQuote:ETHUSDT": 21_000.0}
    assert named(trigger_of(at_okx, held, lines={"okx.spot.ETH": 2_000.0})) == (0, "deviation", "idle")
    assert trigger_of(NEUTRAL, held, lines={"okx.spot.ETH": 2_000.0}) is None


def test_the_margin_of_a_unified_account_has_no_band() -> None:
    unified = structs.replace(BASIS, mode=structs.replace(BASIS.mode, collateral="unified"))
    assert trigger_of(unified, PAIR, lines={"okx.perp.BTC": [50_000.0, 66_700.0, 66_700.0, 66_700.0]}) is None


def test_a_deviation_waits_while_a_plan_is_under_way_or_nothing_may_be_done() -> None:
    parted = {**PAIR, "okx:BaseToken:BTC": 0.5}
    busy, halted = manager_of(BASIS), manager_of(BASIS)
    busy.plan, halted.halted = plan(), True
    assert trigger_of(BASIS, parted, manager=busy) is None
    assert trigger_of(BASIS, parted, manager=halted) is None
    never = structs.replace(BASIS, mode=structs.replace(BASIS.mode, rebalance="never"))
    assert trigger_of(never, parted) is None


def test_a_deviation_that_could_not_be_cured_is_left_alone_until_its_time() -> None:
    waiting = manager_of(BASIS)
    waiting._held = {name: held(2, 0.5) for name in ("legs:okx", "delta")}
    assert named(trigger_of(BASIS, {**PAIR, "okx:BaseToken:BTC": 0.5}, manager=waiting)) == (2, "deviation", "legs:okx")
    waiting._held = {"margin_ratio:okx": held(3)}
    rising: dict[str, Line] = {"okx.perp.BTC": [66_700.0, 66_700.0, 66_700.0, 66_700.0]}
    assert named(trigger_of(BASIS, PAIR, manager=waiting, lines=rising)) == (3, "deviation", "margin_ratio:okx")
    passing: dict[str, Line] = {"okx.perp.BTC": [66_700.0, 66_700.0, 66_700.0, 50_000.0]}
    assert trigger_of(BASIS, PAIR, manager=waiting, lines=passing) is None
    waiting._held = {name: held(9, 0.5) for name in ("legs:okx", "delta")}
    assert trigger_of(BASIS, {**PAIR, "okx:BaseToken:BTC": 0.5}, manager=waiting) is None


def test_dust_is_sold_when_all_of_it_is_worth_enough() -> None:
    made = market({**ETH, "uniswap.eth_price.EIGEN": [0.0008, 0.0009, 0.0010, 0.0010]})
    book = columns_of(made, DUSTY)
    exposure = ExposureMonitor(REWARDED.mode, {}, UtilityManager("ETH")).measure(book)
    waiting = manager_of(REWARDED)
    # 12 × price + 9 × 0.001 > 0.02 ETH
    assert named(waiting.first_trigger(exposure, settled(4), None)) == (2, "dust", "dust above threshold")
    waiting._held = {"dust": held(3, 0.021)}
    made = market({**ETH, "uniswap.eth_price.EIGEN": 0.0010}, rows=4)
    exposure = ExposureMonitor(REWARDED.mode, {}, UtilityManager("ETH")).measure(columns_of(made, DUSTY))
    assert named(waiting.first_trigger(exposure, settled(4), None)) == (3, "dust", "dust above threshold")
    waiting._held = {"dust": held(4, 0.021)}
    assert waiting.first_trigger(exposure, settled(4), None) is None


def test_a_stale_leg_and_a_plan_cut_short_are_asked_for_on_every_row() -> None:
    blocked, cut = manager_of(BASIS), manager_of(BASIS)
    blocked._blocked, cut._unfinished = True, True
    assert named(trigger_of(BASIS, PAIR, manager=blocked)) == (0, "blocked", "a stale leg")
    assert named(trigger_of(BASIS, PAIR, manager=cut)) == (0, "retry", "cut short")
    assert named(trigger_of(BASIS, PAIR, WITHDRAWAL, manager=cut)) == (0, "withdrawal", "out")


def test_no_flow_is_lost_because_something_else_came_on_its_row() -> None:
    manager = manager_of(BASIS)
    told = settled(1, deposit(2.0 * WITHDRAWAL.amount), WITHDRAWAL, ARRIVAL)

    def kinds(kind: str) -> list[str]:
        return [one.kind for one in manager.in_turn(Trigger(0, kind, ""), told)]

    assert kinds("risk") == ["risk", "arrival", "withdrawal", "deposit"]
    assert kinds("entry") == ["withdrawal", "entry"]
    assert kinds("close") == ["withdrawal", "close"]
    assert kinds("deposit") == ["arrival", "withdrawal", "deposit"]
    assert kinds("deviation") == ["deviation"]
    assert [
        one.reason for one in manager.in_turn(Trigger(0, "deposit", ""), settled(1, deposit(1.0), deposit(2.0, "b")))
    ] == ["in"]


def test_what_is_to_be_tried_again_later_waits_for_its_row() -> None:
    cut, fresh = manager_of(BASIS), manager_of(BASIS, entered=False)
    cut._unfinished = True
    for manager, kind in ((cut, "retry"), (fresh, "entry")):
        manager._again_at = START + 2 * HOUR_NS
        assert trigger_of(BASIS, PAIR, manager=manager) == Trigger(
            2, kind, "cut short" if cut is manager else "first row"
        )
        manager._again_at = START + 9 * HOUR_NS
        assert trigger_of(BASIS, PAIR, manager=manager) is None
