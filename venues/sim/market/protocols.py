"""Aave indices, staking ratios, pegs, gas, reward tokens and the benchmark (NOTES-data §3 and §4, points 4–6).

Rates are known at the start of a day and grow the indices over it, so no row knows a later one.
"""

from __future__ import annotations

import numpy as np

from components.maths.aave import borrow_rate, supply_rate
from components.model.market import Column, RewardPeriod
from components.model.requirements import DAY_NS
from venues.sim.market import stress
from venues.sim.market.streams import DAY_HOURS, YEAR_HOURS, Clock, autoregress, stream

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
    """Protocol series of one seed and scenario at the grid's rows."""

    def __init__(self, clock: Clock, seed: int, scenario: str) -> None:
        self._clock = clock
        self._seed = seed
        self._scenario = scenario
        self._hours = clock.grid.step / 3.6e12 * np.arange(len(clock.grid))
        self._since = stress.since(self._hours, clock.scenario_hours)
        self._days = int(self._hours[-1] // DAY_HOURS) + 1
        self._day = (self._hours // DAY_HOURS).astype(np.int64)

    def supply_index(self, token: str) -> Column:
        """Linear within a day, compounded over days."""
        if token in LST_SUPPLY:
            rate = np.full(self._days, LST_SUPPLY[token])
        else:
            used = self._utilisation(token)
            rate = supply_rate(self._borrow_rate(token), used, RESERVE_FACTOR[token])
        return INDEX_START[token] * self._grown(rate)

    def borrow_index(self, token: str) -> Column:
        index = DEBT_START[token] * self._grown(self._borrow_rate(token))
        if token == "WETH" and self._scenario == "borrow_spike":
            extra = stress.borrow_rate(self._scenario, self._since)
            index = index * np.exp(np.cumsum(extra * (self._clock.grid.step / 3.6e12 / YEAR_HOURS)))
        return index

    def ratio(self, lst: str) -> Column:
        """The protocol's ETH per LST; never falls but when slashed."""
        noise = stream(self._seed, f"yield {lst}").standard_normal(self._days)
        rate = np.maximum(LST_YIELD[lst] * (1.0 + 0.25 * noise), 0.0)
        ratio: Column = LST_START[lst] * self._grown(rate) * stress.slashed(self._scenario, self._since)
        return ratio

    def market_ratio(self, lst: str) -> Column:
        """The market's ETH per LST: the protocol ratio less a discount."""
        hours = self._clock.hours
        persistence = 0.92 ** (1.0 / DAY_HOURS)
        shocks = stream(self._seed, f"peg {lst}").standard_normal(hours)
        log = autoregress(shocks * 0.85 * np.sqrt(1.0 - persistence**2), persistence)
        discount = self._rows(np.minimum(PEG_MEDIAN_BP[lst] * np.exp(log), 60.0))
        discount = discount + stress.discount_bp(self._scenario, self._since)
        market: Column = self.ratio(lst) * (1.0 - discount * 1e-4)
        return market

    def gas_price(self) -> Column:
        """Gwei: a slow level, an hourly disturbance, a daily cycle and rare spikes."""
        hours = self._clock.hours
        slow = 0.5 ** (1.0 / (30 * DAY_HOURS))
        level = autoregress(stream(self._seed, "gas level").standard_normal(hours) * 0.9 * np.sqrt(1 - slow**2), slow)
        quick = autoregress(stream(self._seed, "gas").standard_normal(hours) * 0.70 * 0.6, 0.80)
        start_hour = self._clock.grid.start // 3_600_000_000_000 % DAY_HOURS
        cycle = 0.55 * np.cos((np.arange(hours) + start_hour - 15.5) * (2 * np.pi / DAY_HOURS))
        spike = stream(self._seed, "gas spikes").random(hours) < 4.0 / YEAR_HOURS
        spikes = np.where(spike, stream(self._seed, "gas spike heights").uniform(2.3, 3.9, hours), 0.0)
        gwei = np.exp(np.log(5.3) + level + quick + cycle + autoregress(spikes, 0.5))
        return self._rows(np.clip(gwei, 0.05, 900.0))

    def dust_price(self, token: str) -> Column:
        """ETH per reward token."""
        shocks = stream(self._seed, f"dust {token}").standard_normal(self._clock.hours) * 0.011
        persistence = 0.5 ** (1.0 / (120 * DAY_HOURS))
        return self._rows(DUST_START[token] * np.exp(autoregress(shocks, persistence)))

    def benchmark(self) -> Column:
        """sUSDe APY, per year."""
        shocks = stream(self._seed, "susde").standard_normal(self._days)
        log = autoregress(shocks * 0.65 * np.sqrt(1 - 0.96**2), 0.96)
        return np.minimum(0.105 * np.exp(log), 0.56)[self._day]

    def rewards(self) -> tuple[RewardPeriod, ...]:
        """A week of EIGEN after another, and ETHFI every sixth week, from the first midnight on."""
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
        mean, persistence, sd = UTILISATION[token]
        shocks = stream(self._seed, f"utilisation {token}").standard_normal(self._days)
        centre = np.log(mean / (1.0 - mean))
        logit = centre + autoregress(shocks * sd * np.sqrt(1.0 - persistence**2), persistence)
        used: Column = 1.0 / (1.0 + np.exp(-logit))
        return np.clip(used, 0.5, 0.97)

    def _borrow_rate(self, token: str) -> Column:
        """Per year, per day; about two one-day spikes a year."""
        slope1, slope2, kink = SLOPE[token]
        rate = borrow_rate(self._utilisation(token), base=BASE[token], slope1=slope1, slope2=slope2, optimal=kink)
        spike = stream(self._seed, f"rate spikes {token}").random(self._days) < 2.0 / 365.0
        height = stream(self._seed, f"rate spike heights {token}").uniform(3.0, 7.0, self._days)
        return np.where(spike, rate * height, rate)

    def _grown(self, rate_per_day: Column) -> Column:
        """Growth from the first row: whole days compounded, the running day linear."""
        daily = 1.0 + rate_per_day / 365.0
        whole = np.concatenate(((1.0,), np.multiply.accumulate(daily)))[: self._days]
        within = (self._hours - self._day * DAY_HOURS) / DAY_HOURS
        return whole[self._day] * (1.0 + rate_per_day[self._day] / 365.0 * within)
