"""Protocol series of the embedded market: indices that only grow, ratios that earn, gas and rewards in their bounds."""

from __future__ import annotations

import numpy as np
import pytest

from components.model.requirements import DAY_NS, HOUR_NS, Grid
from tests.builders import START
from venues.embedded.protocols import DEBT_START, INDEX_START, LST_START, Protocols
from venues.embedded.streams import Clock, Memory


def protocols(days: int = 120, step: int = HOUR_NS, scenario: str = "calm") -> Protocols:
    grid = Grid(START, START + days * DAY_NS, step)
    return Protocols(Clock(grid), Memory(3), 3, scenario)


@pytest.mark.parametrize("step", [HOUR_NS // 4, HOUR_NS, 6 * HOUR_NS, 2 * DAY_NS])
def test_what_is_supplied_and_owed_never_shrinks(step: int) -> None:
    made = protocols(step=step)
    for token in ("USDT", "WETH", "weETH", "wstETH"):
        index = made.supply_index(token)
        assert index[0] == INDEX_START[token]
        assert (np.diff(index) >= 0.0).all()
    for token in ("USDT", "WETH"):
        owed, supplied = made.borrow_index(token), made.supply_index(token)
        assert owed[0] == DEBT_START[token]
        assert (np.diff(owed) > 0.0).all()
        assert owed[-1] / owed[0] > supplied[-1] / supplied[0], "a pool pays out less than it takes"


def test_the_same_days_are_the_same_whatever_the_step() -> None:
    """Rates belong to days: a coarser grid stands at the same values."""
    fine, coarse = protocols(40), protocols(40, 4 * HOUR_NS)
    assert np.allclose(fine.borrow_index("WETH")[::4], coarse.borrow_index("WETH"), rtol=1e-12, atol=0.0)
    assert np.allclose(fine.ratio("weETH")[::4], coarse.ratio("weETH"), rtol=1e-12, atol=0.0)


def test_a_staked_coin_earns_and_trades_at_a_small_discount() -> None:
    made = protocols()
    for lst in ("weETH", "wstETH"):
        ratio, market = made.ratio(lst), made.market_ratio(lst)
        assert ratio[0] == LST_START[lst]
        assert (np.diff(ratio) >= 0.0).all()
        assert 0.02 < (ratio[-1] / ratio[0]) ** (365 / 120) - 1.0 < 0.04
        discount = 1.0 - market / ratio
        assert (discount > 0.0).all() and (discount < 0.0061).all()


@pytest.mark.parametrize(("scenario", "least", "most"), [("depeg", 0.05, 0.07), ("calm", 0.0, 0.0061)])
def test_a_depeg_is_one_of_the_market_and_not_of_the_protocol(scenario: str, least: float, most: float) -> None:
    made = protocols(scenario=scenario)
    discount = 1.0 - made.market_ratio("weETH") / made.ratio("weETH")
    assert least <= discount.max() <= most
    assert np.array_equal(made.ratio("weETH"), protocols().ratio("weETH"))


def test_a_slash_takes_its_part_once() -> None:
    calm, slashed = protocols().ratio("wstETH"), protocols(scenario="oracle_drop").ratio("wstETH")
    share = slashed / calm
    assert set(np.round(share, 9)) == {1.0, 0.94}
    assert (np.diff(share) <= 1e-12).all(), "and for good"


def test_a_borrow_spike_is_owed_and_not_earned() -> None:
    calm, spike = protocols(), protocols(scenario="borrow_spike")
    more = spike.borrow_index("WETH")[-1] / calm.borrow_index("WETH")[-1] - 1.0
    assert more == pytest.approx(np.exp(0.8 * 10 / 365) - 1.0, rel=0.01)
    assert np.array_equal(spike.supply_index("WETH"), calm.supply_index("WETH"))


def test_gas_and_the_benchmark_stay_in_their_bounds() -> None:
    made = protocols(400)
    gas = made.gas_price()
    assert gas.min() >= 0.05 and gas.max() <= 900.0 and 2.0 < np.median(gas) < 15.0
    apy = made.benchmark()
    assert apy.min() > 0.0 and apy.max() <= 0.56
    assert len(apy) == len(gas)


def test_rewards_are_known_once_they_are_paid() -> None:
    made = protocols(120)
    periods = made.rewards()
    assert {period.token for period in periods} == {"EIGEN", "ETHFI"}
    for period in periods:
        assert START <= period.start < period.end < period.paid_at <= START + 120 * DAY_NS
        assert period.start % DAY_NS == 0 and period.end - period.start == 7 * DAY_NS
        assert period.per_eeth > 0.0
    eigen = [period for period in periods if period.token == "EIGEN"]
    assert [b.start - a.end for a, b in zip(eigen, eigen[1:], strict=False)] == [0] * (len(eigen) - 1)
    assert all(0.14 <= period.per_eeth <= 0.20 for period in eigen)
