"""Aave indices, staking ratios, pegs, gas, reward tokens and the benchmark (NOTES-data §3 and §4, points 4–6).

Rates are known at the start of a day and grow the indices over it, so no row knows a later one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from components.maths.aave import borrow_rate, supply_rate
from components.model.market import Column, RewardPeriod
from components.model.requirements import DAY_NS
from venues.embedded import stress
from venues.embedded.streams import DAY_HOURS, YEAR_HOURS, Clock, Memory, stream

UTILISATION = {"USDT": (0.81, 0.94, 0.45), "WETH": (0.845, 0.97, 0.25)}  # mean, daily persistence, sd of the logit
BASE = {"USDT": 0.0, "WETH": 0.0}
SLOPE = {"USDT": (0.079, 0.60, 0.91), "WETH": (0.0285, 0.80, 0.92)}  # to the kink, above it, the kink
RESERVE_FACTOR = {"USDT": 0.10, "WETH": 0.15}
LST_SUPPLY = {"weETH": 0.00069, "wstETH": 0.00063}
LST_YIELD = {"weETH": 0.0275, "wstETH": 0.0300}
LST_START = {"weETH": 1.0382, "wstETH": 1.1663}
INDEX_START = {"USDT": 1.0362, "WETH": 1.0181, "weETH": 1.0, "wstETH": 1.0005}
DEBT_START = {"USDT": 1.0494, "WETH": 1.0329}
PEG_MEDIAN_BP = {"weETH": 5.0, "wstETH": 5.5}
DUST_START = {"EIGEN": 0.00120, "ETHFI": 0.00070}
EIGEN_PER_WEEK, ETHFI_PER_SEASON = 0.18, 0.15


class Protocols:
    """Protocol series of one seed and scenario at the rows of a clock; each process is made once, when asked for."""

    def __init__(self, clock: Clock, memory: Memory, seed: int, scenario: str) -> None:
        self._clock = clock
        self._memory = memory
        self._seed = seed
        self._scenario = scenario
        self._kept: dict[str, Column] = {}
        self._hours = clock.row_hours()
        self._since = stress.since(self._hours, clock.scenario_hours)
        self._days = clock.days
        self._day = (self._hours // DAY_HOURS).astype(np.int64)

    def supply_index(self, token: str) -> Column:
        """Linear within a day, compounded over days."""
        if token in LST_SUPPLY:
            rate = np.full(self._days, LST_SUPPLY[token])
        else:
            used = self._utilisation(token)
            rate = supply_rate(self._borrow_rate(token), used, RESERVE_FACTOR[token])
        return INDEX_START[token] * self._grown(f"supply index {token}", rate)

    def borrow_index(self, token: str) -> Column:
        index = DEBT_START[token] * self._grown(f"borrow index {token}", self._borrow_rate(token))
        if token == "WETH" and self._scenario == "borrow_spike":
            extra = stress.borrow_rate(self._scenario, self._since)
            extra = extra * (self._clock.grid.step / 3.6e12 / YEAR_HOURS)
            extra[0] += self._memory.last("borrow spike", np.zeros(1))[0]
            grown = np.cumsum(extra)
            self._memory.keep("borrow spike", grown[-1:])
            index = index * np.exp(grown)
        return index

    def ratio(self, lst: str) -> Column:
        """The protocol's ETH per LST; never falls but when slashed."""
        return self._keep(f"ratio {lst}", lambda: self._ratio(lst))

    def _ratio(self, lst: str) -> Column:
        noise = self._memory.stream(f"yield {lst}").standard_normal(self._days)
        rate = np.maximum(LST_YIELD[lst] * (1.0 + 0.25 * noise), 0.0)
        grown = self._grown(f"ratio {lst}", rate)
        ratio: Column = LST_START[lst] * grown * stress.slashed(self._scenario, self._since)
        return ratio

    def market_ratio(self, lst: str) -> Column:
        """The market's ETH per LST: the protocol ratio less a discount."""
        hours = self._clock.hours
        persistence = 0.92 ** (1.0 / DAY_HOURS)
        shocks = self._memory.stream(f"peg {lst}").standard_normal(hours)
        log = self._memory.autoregress(f"peg {lst}", shocks * 0.85 * np.sqrt(1.0 - persistence**2), persistence)
        discount = self._rows(np.minimum(PEG_MEDIAN_BP[lst] * np.exp(log), 60.0))
        discount = discount + stress.discount_bp(self._scenario, self._since)
        market: Column = self.ratio(lst) * (1.0 - discount * 1e-4)
        return market

    def gas_price(self) -> Column:
        """Gwei: a slow level, an hourly disturbance, a daily cycle and rare spikes."""
        hours, memory = self._clock.hours, self._memory
        slow = 0.5 ** (1.0 / (30 * DAY_HOURS))
        shocks = memory.stream("gas level").standard_normal(hours) * 0.9 * np.sqrt(1 - slow**2)
        level = memory.autoregress("gas level", shocks, slow)
        quick = memory.autoregress("gas", memory.stream("gas").standard_normal(hours) * 0.70 * 0.6, 0.80)
        start_hour = self._clock.grid.start // 3_600_000_000_000 % DAY_HOURS
        hour = np.arange(self._clock.first_hour, self._clock.first_hour + hours)
        cycle = 0.55 * np.cos((hour + start_hour - 15.5) * (2 * np.pi / DAY_HOURS))
        spike = memory.stream("gas spikes").random(hours) < 4.0 / YEAR_HOURS
        spikes = np.where(spike, memory.stream("gas spike heights").uniform(2.3, 3.9, hours), 0.0)
        gwei = np.exp(np.log(5.3) + level + quick + cycle + memory.autoregress("gas spikes", spikes, 0.5))
        return self._rows(np.clip(gwei, 0.05, 900.0))

    def dust_price(self, token: str) -> Column:
        """ETH per reward token."""
        name = f"dust {token}"
        shocks = self._memory.stream(name).standard_normal(self._clock.hours) * 0.011
        persistence = 0.5 ** (1.0 / (120 * DAY_HOURS))
        return self._rows(DUST_START[token] * np.exp(self._memory.autoregress(name, shocks, persistence)))

    def benchmark(self) -> Column:
        """sUSDe APY, per year."""
        shocks = self._memory.stream("susde").standard_normal(self._days)
        log = self._memory.autoregress("susde", shocks * 0.65 * np.sqrt(1 - 0.96**2), 0.96)
        return np.minimum(0.105 * np.exp(log), 0.56)[self._day - self._clock.first_day]

    def rewards(self) -> tuple[RewardPeriod, ...]:
        """A week of EIGEN after another, and ETHFI every sixth week, from the first midnight of the span on."""
        grid = self._clock.grid
        week = 7 * DAY_NS
        start = -(-grid.start // DAY_NS) * DAY_NS
        count = int((grid.end - start) // week)
        draw = stream(self._seed, "rewards")
        out = []
        for i, (eigen, ethfi) in enumerate(draw.standard_normal((max(count, 0), 2)).tolist()):
            begin = start + i * week
            amount = min(max(EIGEN_PER_WEEK + 0.012 * eigen, 0.14), 0.20)
            out.append(RewardPeriod("EIGEN", begin, begin + week, begin + week + DAY_NS, amount))
            if i % 6 == 5:
                paid = begin + week + 5 * DAY_NS
                out.append(RewardPeriod("ETHFI", begin, begin + week, paid, abs(ETHFI_PER_SEASON + 0.06 * ethfi)))
        return tuple(period for period in out if period.paid_at <= grid.end)

    def _rows(self, hourly: Column) -> Column:
        return self._clock.at_rows(self._clock.held(hourly))

    def _utilisation(self, token: str) -> Column:
        return self._keep(f"utilisation {token}", lambda: self._make_utilisation(token))

    def _make_utilisation(self, token: str) -> Column:
        mean, persistence, sd = UTILISATION[token]
        name = f"utilisation {token}"
        shocks = self._memory.stream(name).standard_normal(self._days)
        centre = np.log(mean / (1.0 - mean))
        scaled = shocks * sd * np.sqrt(1.0 - persistence**2)
        logit = centre + self._memory.autoregress(name, scaled, persistence)
        used: Column = 1.0 / (1.0 + np.exp(-logit))
        return np.clip(used, 0.5, 0.97)

    def _borrow_rate(self, token: str) -> Column:
        """Per year, per day; about two one-day spikes a year."""
        return self._keep(f"borrow rate {token}", lambda: self._make_borrow_rate(token))

    def _make_borrow_rate(self, token: str) -> Column:
        slope1, slope2, kink = SLOPE[token]
        rate = borrow_rate(self._utilisation(token), base=BASE[token], slope1=slope1, slope2=slope2, optimal=kink)
        spike = self._memory.stream(f"rate spikes {token}").random(self._days) < 2.0 / 365.0
        height = self._memory.stream(f"rate spike heights {token}").uniform(3.0, 7.0, self._days)
        return np.where(spike, rate * height, rate)

    def _grown(self, name: str, rate_per_day: Column) -> Column:
        """Growth from the first row of the span: whole days compounded, the running day linear."""
        daily = 1.0 + rate_per_day / 365.0
        whole = np.multiply.accumulate(np.concatenate((self._memory.last(name, np.ones(1)), daily)))
        self._memory.keep(name, whole[-1:])
        within = (self._hours - self._day * DAY_HOURS) / DAY_HOURS
        day = self._day - self._clock.first_day
        return whole[day] * (1.0 + rate_per_day[day] / 365.0 * within)

    def _keep(self, name: str, make: Callable[[], Column]) -> Column:
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]
