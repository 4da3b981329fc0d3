"""Risk Monitor: measures, levels that rise once and fall back past a margin, the worst end of what is not known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from components.exposure_monitor import Account, Exposure, ExposureMonitor
from components.levels import CRITICAL, OK, WARNING, Crossing
from components.model.market import Column, Market
from components.model.orders import Order, Verb
from components.risk_monitor import Risk, RiskMonitor, RiskState
from components.utility_manager import UtilityManager
from daemon.journal.codec import decode, encode
from tests.builders import columns_of, exchange, market, mode_of, order, run_of

CHAIN = run_of("btc_basis").chain
ONE = {"binance": 1.0}
BASIS = mode_of("btc_basis", hedge_allocation=ONE, reserve_ratio=0.0)


def flat(rows: int) -> Market:
    return market({"binance.spot.BTC": 60_000.0, "binance.perp.BTC": 60_000.0}, rows=rows)


def exposure_of(
    equity: list[float], *, margin: list[float] | None = None, net: float | None = None, gross: float | None = None,
    made: Market | None = None, low: float = 0.0, high: float = 0.0, reserve: float = 0.0, hour: int = 0,
) -> Exposure:  # fmt: skip
    """An exposure made of columns by hand."""
    made = made or flat(hour + len(equity))
    book = columns_of(made, {"reserve:BaseToken:USDT": reserve})
    ratio = None if margin is None else np.array(margin)
    accounts = {"binance": Account(np.ones(len(equity)), None if ratio is None else np.ones(len(equity)), ratio)}
    return Exposure(
        window=made.window(hour, hour + len(equity)), book=book, worth={}, equity=np.array(equity), accounts=accounts,
        net_coin=net, gross_coin=gross, collateral_eth=None, debt_eth=None, ltv=None,
        uncertain_low=low, uncertain_high=high,
    )  # fmt: skip


def risk_of(monitor: RiskMonitor, margin: list[float], hour: int = 0) -> Risk:
    return monitor.assess(exposure_of([100.0] * len(margin), margin=margin, hour=hour), 100.0)


def lives(monitor: RiskMonitor, margin: list[float], hour: int = 0) -> list[tuple[int, str, int]]:
    """Walks over rows as the core does: up to each crossing, then on; (row, name, level) of all crossings."""
    out: list[tuple[int, str, int]] = []
    start = 0
    while start < len(margin):
        risk = risk_of(monitor, margin[start:], hour + start)
        first = monitor.first_crossing(risk)
        rows = len(margin) - start if first is None else first.row + 1
        crossings = () if first is None else monitor.crossings_at(risk, rows - 1)
        monitor.advance(risk, rows, crossings)
        out += [(start + c.row, c.name, c.level) for c in crossings]
        start += rows
    return out


# Levels


def test_a_level_that_rises_is_told_once() -> None:
    assert lives(RiskMonitor(BASIS, CHAIN), [1.0, 0.29, 0.25, 0.29, 0.25]) == [(1, "cex_margin:binance", WARNING)]


def test_a_warning_may_become_critical() -> None:
    assert lives(RiskMonitor(BASIS, CHAIN), [0.29, 0.25, 0.14]) == [
        (0, "cex_margin:binance", WARNING), (2, "cex_margin:binance", CRITICAL),
    ]  # fmt: skip


def test_what_is_critical_at_once_is_no_warning_first() -> None:
    assert lives(RiskMonitor(BASIS, CHAIN), [1.0, 0.05]) == [(1, "cex_margin:binance", CRITICAL)]


def test_a_level_that_stands_fires_again_when_a_quarter_of_the_way_to_liquidation_is_lost() -> None:
    """From 0.28 a quarter is at 0.21; from what it then was at 0.1425, which is critical by then."""
    assert lives(RiskMonitor(BASIS, CHAIN), [0.28, 0.22, 0.2, 0.16, 0.149]) == [
        (0, "cex_margin:binance", WARNING), (2, "cex_margin:binance", WARNING), (4, "cex_margin:binance", CRITICAL),
    ]  # fmt: skip


def test_what_a_plan_made_better_is_watched_from_there() -> None:
    """0.1 was brought to 0.28: at 0.2 it fires, though it once was worse."""
    assert lives(RiskMonitor(BASIS, CHAIN), [0.1, 0.28, 0.25, 0.2]) == [
        (0, "cex_margin:binance", CRITICAL), (3, "cex_margin:binance", WARNING),
    ]  # fmt: skip


def test_a_critical_level_fires_again_each_hour_and_a_warning_does_not() -> None:
    assert [row for row, _, _ in lives(RiskMonitor(BASIS, CHAIN), [0.14, 0.14, 0.14, 0.2, 0.2])] == [0, 1, 2]
    assert [row for row, _, _ in lives(RiskMonitor(BASIS, CHAIN), [0.2] * 5)] == [0]


def test_a_level_that_stands_fires_again_when_new_means_arrive() -> None:
    monitor = RiskMonitor(BASIS, CHAIN)
    assert lives(monitor, [0.2, 0.2]) == [(0, "cex_margin:binance", WARNING)]
    monitor.means_arrived()
    assert lives(monitor, [0.2, 0.2, 0.2], 2) == [(0, "cex_margin:binance", WARNING)]
    assert lives(monitor, [0.5], 5) == []
    monitor.means_arrived()
    assert lives(monitor, [0.5, 0.4], 6) == []


def test_a_loss_is_told_once_whatever_comes_in() -> None:
    monitor = RiskMonitor(BASIS, CHAIN)
    worse = exposure_of([80.0, 78.0, 70.0, 70.0])
    first = monitor.first_crossing(monitor.assess(worse, 100.0))
    assert first is not None
    monitor.advance(monitor.assess(worse, 100.0), 1, monitor.crossings_at(monitor.assess(worse, 100.0), 0))
    monitor.means_arrived()
    rest = exposure_of([78.0, 78.0], hour=1)
    assert monitor.first_crossing(monitor.assess(rest, 100.0)) is None


def test_it_is_ok_again_only_past_the_limit_by_a_tenth() -> None:
    monitor = RiskMonitor(BASIS, CHAIN)
    assert lives(monitor, [0.29, 0.31, 0.29, 0.34, 0.29]) == [
        (0, "cex_margin:binance", WARNING), (4, "cex_margin:binance", WARNING),
    ]  # fmt: skip


def test_what_is_no_longer_held_is_at_no_level() -> None:
    monitor = RiskMonitor(BASIS, CHAIN)
    lives(monitor, [0.1])
    assert monitor.level() == CRITICAL
    monitor.advance(monitor.assess(exposure_of([100.0], hour=1), 100.0), 1, ())
    assert monitor.levels()["cex_margin:binance"] == OK and monitor.level() == OK
    assert monitor.state().fired == {}


def test_after_a_critical_level_a_warning_is_none() -> None:
    monitor = RiskMonitor(BASIS, CHAIN)
    assert lives(monitor, [0.1, 0.25, 0.2, 0.25]) == [(0, "cex_margin:binance", CRITICAL)]
    assert monitor.level() == CRITICAL
    assert lives(monitor, [0.5]) == []
    assert monitor.level() == OK


@given(
    st.lists(st.sampled_from([0.05, 0.14, 0.16, 0.29, 0.31, 0.34, 0.5, 1.0]), min_size=1, max_size=30),
    st.lists(st.integers(min_value=1, max_value=6), min_size=1, max_size=30),
)
def test_crossings_do_not_depend_on_how_rows_are_cut(margin: list[float], cuts: list[int]) -> None:
    expected = lives(RiskMonitor(BASIS, CHAIN), margin)
    monitor, out, start = RiskMonitor(BASIS, CHAIN), [], 0
    for i in range(len(margin)):
        if start >= len(margin):
            break
        piece = margin[start : start + cuts[i % len(cuts)]]
        out += [(start + row, name, level) for row, name, level in lives(monitor, piece, start)]
        start += len(piece)
    while start < len(margin):
        out += [(start, name, level) for _, name, level in lives(monitor, margin[start : start + 1], start)]
        start += 1
    assert out == expected


def test_of_several_on_one_row_the_worst_comes_first_and_all_are_told() -> None:
    monitor = RiskMonitor(BASIS, CHAIN)
    risk = monitor.assess(exposure_of([100.0, 80.0], margin=[1.0, 0.2]), 100.0)
    first = monitor.first_crossing(risk)
    assert first == Crossing(1, "daily_loss", CRITICAL, pytest.approx(0.2))
    assert [c.name for c in monitor.crossings_at(risk, 1)] == ["cex_margin:binance", "drawdown", "daily_loss"]
    assert monitor.crossings_at(risk, 0) == ()


def test_only_enabled_measures_act_but_losses_always_do() -> None:
    mode = structs.replace(BASIS, risk=structs.replace(BASIS.risk, enabled=()))
    risk = RiskMonitor(mode, CHAIN).assess(exposure_of([100.0], margin=[0.01], net=1.0, gross=1.0), 100.0)
    assert [m.name for m in risk.measures if "drawdown" not in m.name] == ["daily_loss", "divergence"]


# Losses


def test_drawdown_counts_from_the_highest_unit_value() -> None:
    monitor = RiskMonitor(BASIS, CHAIN)
    risk = monitor.assess(exposure_of([110.0, 99.0, 104.5]), 100.0)
    assert risk.unit_value.tolist() == [1.1, 0.99, 1.045]
    assert risk.losses.drawdown == pytest.approx([0.0, 0.1, 0.05])
    monitor.advance(risk, 2, ())
    later = monitor.assess(exposure_of([55.0]), 100.0)
    assert later.losses.drawdown == pytest.approx([0.5])
    assert monitor.statistics()["peak"] == pytest.approx(1.1)


def test_what_its_owner_asked_for_is_no_loss_that_stops_a_strategy() -> None:
    monitor = RiskMonitor(BASIS, CHAIN)
    monitor.advance(monitor.assess(exposure_of([100.0]), 100.0), 1, ())
    monitor.forgive(0.12)  # a payment cost 12 % of the equity
    risk = monitor.assess(exposure_of([88.0, 83.6], hour=1), 100.0)
    assert risk.losses.drawdown == pytest.approx([0.0, 0.05]) and risk.losses.daily_loss == pytest.approx([0.0, 0.05])


def test_a_loss_counts_from_the_first_row_of_its_day() -> None:
    made = market({"binance.spot.BTC": 60_000.0, "binance.perp.BTC": 60_000.0}, rows=5, step_hours=12)
    monitor = RiskMonitor(BASIS, CHAIN)
    risk = monitor.assess(exposure_of([100.0, 90.0, 80.0, 60.0, 60.0], made=made), 100.0)
    assert risk.losses.daily_loss == pytest.approx([0.0, 0.1, 0.0, 0.25, 0.0])
    monitor.advance(risk, 3, ())
    same_day = structs.replace(exposure_of([72.0], made=made), window=made.window(3, 4))
    assert monitor.assess(same_day, 100.0).losses.daily_loss == pytest.approx([0.1])


def test_without_units_the_value_of_the_last_one_stands_and_nothing_is_measured() -> None:
    monitor = RiskMonitor(BASIS, CHAIN)
    monitor.advance(monitor.assess(exposure_of([120.0]), 100.0), 1, ())
    risk = monitor.assess(exposure_of([0.0, -0.1], margin=[0.0, 0.0]), 0.0)
    assert risk.unit_value.tolist() == [1.2, 1.2]
    assert risk.measures == ()


# Delta and what is not known


def delta_of(**columns: float) -> Column | float | None:
    return RiskMonitor(BASIS, CHAIN).assess(exposure_of([100.0, 100.0], **columns), 100.0).delta  # type: ignore[arg-type]


def test_delta_is_net_over_gross() -> None:
    assert delta_of(net=-0.05, gross=2.0) == 0.025
    assert delta_of(net=0.0, gross=0.0) is None
    assert delta_of() is None


def test_net_coins_worth_less_than_a_minimum_trade_are_at_no_level() -> None:
    """What a closed position leaves over: 1e-17 coins beside a gas debt are a delta of billions, and nothing."""
    for net, gross, level in ((-0.0008, 1e-17, None), (0.0008, 0.001, None), (0.0009, 0.001, CRITICAL)):
        monitor = RiskMonitor(BASIS, CHAIN)
        found = monitor.first_crossing(monitor.assess(exposure_of([100.0], net=net, gross=gross), 100.0))
        assert (found and found.level) == level, (net, gross)


def test_delta_is_taken_at_the_worst_end_of_what_may_be() -> None:
    assert delta_of(net=0.0, gross=2.0, low=-0.3) == pytest.approx([0.15, 0.15])
    assert delta_of(net=0.1, gross=2.0, low=-0.3, high=0.1) == pytest.approx([0.1, 0.1])
    assert delta_of(net=-0.1, gross=2.0, low=-0.3, high=0.1) == pytest.approx([0.2, 0.2])


def test_what_may_be_held_is_part_of_the_size_too() -> None:
    assert delta_of(net=0.0, gross=0.0, high=1.0) == pytest.approx([1.0, 1.0])
    assert delta_of(net=1.0, gross=1.0, high=1.0) == pytest.approx([1.0, 1.0])


@given(
    st.floats(min_value=-2.0, max_value=2.0), st.floats(min_value=-1.0, max_value=0.0),
    st.floats(min_value=0.0, max_value=1.0),
)  # fmt: skip
def test_what_is_uncertain_never_makes_delta_look_smaller(net: float, low: float, high: float) -> None:
    known, uncertain = delta_of(net=net, gross=4.0), delta_of(net=net, gross=4.0, low=low, high=high)
    assert isinstance(known, float)
    assert np.min(uncertain) >= known - 1e-12


def test_an_uncertain_order_raises_the_level_that_its_worst_end_deserves() -> None:
    mode = mode_of("btc_basis", hedge_allocation=ONE)
    made = market({"binance.spot.BTC": 60_000.0, "binance.perp.BTC": 60_000.0}, rows=2)
    balances = {"binance:BaseToken:BTC": 1.0, "binance:Perp:BTCUSDT": -1.0, "binance:BaseToken:USDT": 60_000.0,
                "reserve:BaseToken:USDT": 10_000.0, "binance:PerpQuote:BTCUSDT": 60_000.0}  # fmt: skip

    def crossing(*uncertain: Order) -> Crossing | None:
        exposure = ExposureMonitor(mode, {"binance": exchange()}, UtilityManager("USDT")).measure(
            columns_of(made, balances, *uncertain)
        )
        monitor = RiskMonitor(mode, CHAIN)
        return monitor.first_crossing(monitor.assess(exposure, 130_000.0))

    assert crossing() is None
    assert crossing(order(Verb.PERP, "binance", "BTC", 0.04)) == Crossing(0, "delta", WARNING, pytest.approx(0.04))
    grown = crossing(order(Verb.PERP, "binance", "BTC", -6.0))
    assert grown == Crossing(0, "cex_margin:binance", CRITICAL, pytest.approx(60_000 / 420_000))


# Leverage, prices, reserve


def leveraged(collateral: list[float], debt: list[float]) -> Exposure:
    made = market({"binance.spot.ETH": 2_000.0}, rows=len(debt))
    held, owed = np.array(collateral), np.array(debt)
    return structs.replace(
        exposure_of([100.0] * len(debt), made=made), accounts={}, collateral_eth=held, debt_eth=owed, ltv=owed / held
    )


def test_liquidation_is_the_distance_of_the_health_factor_above_one() -> None:
    mode = mode_of("eth_leveraged", reserve_ratio=0.0)
    risk = RiskMonitor(mode, CHAIN).assess(leveraged([100.0, 100.0], [90.0, 94.0]), 100.0)
    assert risk.health_factor == pytest.approx([0.95 / 0.9, 0.95 / 0.94])
    columns = {measure.name: measure for measure in risk.measures}
    assert columns["liquidation"].column == pytest.approx([0.95 / 0.9 - 1, 0.95 / 0.94 - 1])
    assert columns["ltv"].column.tolist() == [0.9, 0.94]
    assert (columns["liquidation"].sign, columns["ltv"].sign) == (-1.0, 1.0)


def test_ltv_and_liquidation_act_only_when_enabled() -> None:
    mode = mode_of("eth_leveraged", reserve_ratio=0.0)
    mode = structs.replace(mode, risk=structs.replace(mode.risk, enabled=("liquidation",)))
    risk = RiskMonitor(mode, CHAIN).assess(leveraged([100.0], [94.0]), 100.0)
    assert [m.name for m in risk.measures] == ["liquidation", "drawdown", "daily_loss"]


def test_a_reserve_below_what_is_wanted_is_told_until_it_is_full_again() -> None:
    mode = mode_of("pure_lending", reserve_ratio=0.05)
    monitor = RiskMonitor(mode, CHAIN)
    found = []
    for reserve in (50.0, 48.0, 48.7, 49.5, 48.0):
        made = market({"binance.spot.ETH": 2_000.0}, rows=1)
        risk = monitor.assess(structs.replace(exposure_of([1_000.0], made=made, reserve=reserve), accounts={}), 1_000.0)
        first = monitor.first_crossing(risk)
        monitor.advance(risk, 1, () if first is None else (first,))
        found.append(first and (first.name, first.level))
    assert found == [None, ("reserve", WARNING), None, None, ("reserve", WARNING)]


def test_leverage_that_costs_more_than_it_earns_is_told() -> None:
    lines = {
        "lido.ratio.wstETH": [1.0, 1.0, 1.0], "aave_v3.supply_index.wstETH": 1.0,
        "aave_v3.borrow_index.WETH": [2.0, 2.0, 2.2],
    }  # fmt: skip
    made = market({**lines, "binance.spot.ETH": 2_000.0}, step_hours=24)
    mode = mode_of("eth_leveraged", break_even_days=1, reserve_ratio=0.0)
    exposure = structs.replace(leveraged([100.0] * 3, [50.0] * 3), window=made.window(0, 3))
    monitor = RiskMonitor(mode, CHAIN)
    crossing = monitor.first_crossing(monitor.assess(exposure, 100.0))
    assert crossing == Crossing(2, "break_even", WARNING, pytest.approx(-0.1))


def test_leverage_that_hovers_at_break_even_is_told_once() -> None:
    months = 90
    hover = 1e-7 * np.where(np.arange(months) % 2, -1.0, 1.0)
    owed = 2.0 * (1.0 + hover)
    owed[60:] *= 1.01  # then it costs more, for good
    lines = {
        "lido.ratio.wstETH": 1.0, "aave_v3.supply_index.wstETH": 1.0, "aave_v3.borrow_index.WETH": owed.tolist(),
    }  # fmt: skip
    made = market({**lines, "binance.spot.ETH": 2_000.0}, step_hours=24)
    mode = mode_of("eth_leveraged", break_even_days=1, reserve_ratio=0.0)
    exposure = structs.replace(leveraged([100.0] * months, [50.0] * months), window=made.window(0, months))
    monitor = RiskMonitor(mode, CHAIN)

    crossing = monitor.first_crossing(monitor.assess(exposure, 100.0))

    assert crossing is not None and (crossing.name, crossing.row) == ("break_even", 60)


# State


def test_a_restored_monitor_goes_on_the_same_way() -> None:
    margin = [1.0, 0.29, 0.2, 0.14, 0.5, 0.29]
    expected = lives(RiskMonitor(BASIS, CHAIN), margin)
    for cut in range(1, len(margin)):
        monitor = RiskMonitor(BASIS, CHAIN)
        told = lives(monitor, margin[:cut])
        state = monitor.state()
        monitor.advance(risk_of(monitor, [0.01]), 1, (Crossing(0, "cex_margin:binance", CRITICAL, 0.01),))

        other = RiskMonitor(BASIS, CHAIN)
        other.restore(decode(encode(state), RiskState))
        assert other.state() == state
        told += [(cut + row, name, level) for row, name, level in lives(other, margin[cut:], cut)]
        assert told == expected


def test_levels_that_are_handed_out_are_a_copy() -> None:
    monitor = RiskMonitor(BASIS, CHAIN)
    lives(monitor, [0.29])
    assert monitor.levels() == {"cex_margin:binance": WARNING}
    dict(monitor.levels()).clear()
    assert monitor.level() == WARNING
    assert RiskMonitor(BASIS, CHAIN).level() == OK
