"""Spot prices of BTC and ETH on three exchanges and a pool (NOTES-data §3; §4 points 1 and 8).

Theory of operation. The log price of a coin is a trend plus a mean-reverting sum of hourly returns. A return is a common
and an own Student-t shock times a volatility that clusters, plus rare jumps downwards whose mean is given back as drift.
The trend has rallies of weeks at times the seed chooses, because a short that is never rebalanced must see its margin go.
Between whole hours the price is a bridge of normal noise, so the hours are the same at every step.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from components.model.market import Column
from venues.sim.market import stress
from venues.sim.market.clock import YEAR_HOURS, Clock
from venues.sim.market.streams import autoregress, normals, persistence, stream, uniforms, wandering

START_USDT = {"BTC": 42_500.0, "ETH": 2_300.0}
HOURLY_SD = {"BTC": 0.00519, "ETH": 0.00716}  # without jumps
COMMON_SHARE = 0.885  # of each coin's shock; its square is the correlation
WORST_SHOCK = 10.0  # hourly standard deviations that shock × volatility may reach
VOLATILITY = ((60.0, 0.50), (2.5, 0.34))  # half-life in hours, sd of the log: days of unrest, and hours
JUMPS_PER_YEAR = 3.0
JUMP_SIZE = {"BTC": 0.45, "ETH": 1.0}  # as a share of a jump of 5 to 12 %
DRIFT_PER_YEAR = {"BTC": 0.12, "ETH": 0.08}
DRIFT_YEARS = 3.0
PULL_HALF_LIFE_HOURS = 250 * 24.0  # how fast a price returns to its trend
RALLY_EVERY_DAYS, RALLY_FIRST_DAYS = (180.0, 420.0), (15.0, 120.0)
RALLY_SIZE, RALLY_DAYS, RALLY_HALF_LIFE_DAYS = (0.33, 0.58), (20.0, 55.0), 200.0
SPOT_NOISE_BP = {"binance": 0.0, "bybit": 1.2, "okx": 1.4, "uniswap": 5.0}
POOL_LAG = 0.2  # share of the last hour's move that a 0.3 % pool has not followed yet
BAR_REACH = 0.35  # how far a bar reaches beyond its ends, in standard deviations of its return


class Prices:
    """Spot prices of one seed and scenario, USDT, on the fine steps of a clock; each path is made once."""

    def __init__(self, clock: Clock, seed: int, scenario: str) -> None:
        self.clock = clock
        self.seed = seed
        self.scenario = scenario
        self.begin = stress.begins_at((clock.steps - 1) / clock.per_hour)
        self.reference = cache(self._reference)
        self._volatility = cache(self._make_volatility)

    def since(self) -> Column:
        """Hours since the scenario began, per fine step; negative before."""
        return self.clock.fine_hours() - self.begin

    def since_hourly(self) -> Column:
        return self.clock.hour_numbers() - self.begin

    def spot(self, venue: str, coin: str) -> Column:
        """Binance is the reference, the others are noise around it; a pool also lags fast moves."""
        reference, noise = self.reference(coin), SPOT_NOISE_BP[venue]
        if venue == "binance":
            return reference
        shocks = noise * 1e-4 * self.clock.noise(self.seed, f"spot {venue} {coin}")
        if venue == "uniswap":
            shocks -= POOL_LAG * self._last_hour(reference)
        return np.round(reference * (1.0 + shocks), 2)

    def jumps(self) -> Column:
        """Log size of the falls, per hour: 0 but in about three hours a year."""
        hours = self.clock.hours
        happens = uniforms(self.seed, "jumps", hours) < JUMPS_PER_YEAR / YEAR_HOURS
        happens[0] = False
        return np.where(happens, np.log1p(-(0.05 + 0.07 * uniforms(self.seed, "jump sizes", hours))), 0.0)

    def reach(self, coin: str) -> float:
        """How far, as a fraction, a bar of one fine step reaches beyond its ends on average of squares."""
        return float(BAR_REACH * HOURLY_SD[coin] / np.sqrt(self.clock.per_hour))

    def _reference(self, coin: str) -> Column:
        clock = self.clock
        hourly = self._log_hourly(coin)
        log = hourly[: clock.steps] if clock.per_hour == 1 else self._bridged(hourly, coin)
        log = log + stress.log_price(self.scenario, self.since())
        return np.round(START_USDT[coin] * np.exp(log), 2)

    def _log_hourly(self, coin: str) -> Column:
        """Log price over the start, at each whole hour."""
        own = np.sqrt(1.0 - COMMON_SHARE**2)
        shocks = COMMON_SHARE * self._student("common") + own * self._student(f"own {coin}")
        shocks *= self._volatility()
        returns = HOURLY_SD[coin] * np.clip(shocks, -WORST_SHOCK, WORST_SHOCK)
        mean_jump = -0.0886 * JUMP_SIZE[coin] * JUMPS_PER_YEAR / YEAR_HOURS
        returns += JUMP_SIZE[coin] * self.jumps() - mean_jump
        returns[0] = 0.0
        return autoregress(returns, persistence(PULL_HALF_LIFE_HOURS)) + self._trend(coin)

    def _bridged(self, hourly: Column, coin: str) -> Column:
        """Steps within each hour: from one hour's price to the next by noise that ends where the hour ends."""
        clock = self.clock
        size = clock.per_hour
        whole = clock.hours - 1
        share = np.arange(size) / size
        own = np.sqrt(1.0 - COMMON_SHARE**2)
        noise = COMMON_SHARE * normals(self.seed, f"bridge common {size}", whole * size)
        noise += own * normals(self.seed, f"bridge {coin} {size}", whole * size)
        walk = np.cumsum(noise.reshape(whole, size), axis=1)
        total = walk[:, -1:].copy()
        walk[:, 1:] = walk[:, :-1]
        walk[:, 0] = 0.0
        walk -= total * share
        walk *= (HOURLY_SD[coin] / np.sqrt(size) * self._volatility()[1:])[:, None]
        walk += hourly[:-1, None] + np.diff(hourly)[:, None] * share
        return np.append(walk.ravel(), hourly[-1])[: clock.steps]

    def _student(self, name: str) -> Column:
        """Student t with 4 degrees of freedom, unit variance, per hour."""
        return np.sqrt(0.5) * stream(self.seed, f"returns {name}").standard_t(4, self.clock.hours)

    def _make_volatility(self) -> Column:
        """Factor on the hourly standard deviation, mean square 1."""
        log = np.zeros(self.clock.hours)
        for half_life, sd in VOLATILITY:
            factor = persistence(half_life)
            log += wandering(self.seed, f"volatility {half_life:g}", len(log), factor=factor, sd=sd) - sd * sd
        return np.exp(log)

    def _trend(self, coin: str) -> Column:
        """Drift for some years, and rallies of which half is given back after 200 days."""
        days = self.clock.hour_numbers() / 24.0
        trend = DRIFT_PER_YEAR[coin] * np.minimum(days / 365.0, DRIFT_YEARS)
        count = int(days[-1] / RALLY_EVERY_DAYS[0]) + 1
        begin = 0.0
        for i, draw in enumerate(stream(self.seed, "rallies").random((count, 3)).tolist()):
            wait, size, length = (low + (high - low) * u for u, (low, high) in zip(
                draw, (RALLY_EVERY_DAYS if i else RALLY_FIRST_DAYS, RALLY_SIZE, RALLY_DAYS), strict=True
            ))  # fmt: skip
            begin += wait
            after = np.maximum(days - begin - length, 0.0)
            trend += size * stress.ramp(days - begin, length) * np.exp2(-after / RALLY_HALF_LIFE_DAYS)
        return trend

    def _last_hour(self, price: Column) -> Column:
        """Log return over the hour before each fine step; since the start in the first hour."""
        log = np.log(price)
        before = np.concatenate((np.full(min(self.clock.per_hour, len(log)), log[0]), log[: -self.clock.per_hour]))
        return log - before[: len(log)]
