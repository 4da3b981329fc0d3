"""Spot prices, premiums and funding of three exchanges (NOTES-data §3 and §4, points 1–3)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from components.model.market import Column, FundingSeries
from venues.sim.market import stress
from venues.sim.market.streams import HOUR_NS, YEAR_HOURS, Clock, autoregress, stream

START = {"BTC": 42_500.0, "ETH": 2_300.0}
HOURLY_SD = {"BTC": 0.00529, "ETH": 0.00729}
COMMON = {"BTC": 0.885, "ETH": 0.885}  # product = correlation 0.785
DRIFT_PER_YEAR, DRIFT_YEARS = 0.35, 3.0
PULL_HALF_LIFE_HOURS = 250 * 24  # how fast a price returns to its trend
VOLATILITY_HALF_LIFE_HOURS, VOLATILITY_SD = 60.0, 0.45
SPOT_NOISE_BP = {"binance": 0.0, "bybit": 1.2, "okx": 1.4, "uniswap": 8.0}
CALM, BULL = (-4.3, 0.6, 45 * 24.0), (5.0, 4.0, 14 * 24.0)  # level bp, sd bp, mean stay h
PREMIUM_HALF_LIFE_HOURS = 72.0
VENUE_NOISE_BP = {"binance": 0.0, "bybit": 2.0, "okx": 3.5}
FUNDING_CAP = {"BTC": 0.0030, "ETH": 0.00375}
FUNDING_HOURS = 8


class Exchanges:
    """Prices of one seed and scenario on the fine steps of a clock; each process is made once, when asked for."""

    def __init__(self, clock: Clock, seed: int, scenario: str) -> None:
        self._clock = clock
        self._seed = seed
        self._scenario = scenario
        self._kept: dict[str, Column] = {}
        self._since = stress.since(clock.hours_since_start(), clock.scenario_hours)

    def reference(self, coin: str) -> Column:
        """Binance spot, USDT, on the fine steps."""
        return self._keep(f"reference {coin}", lambda: self._reference(coin))

    def spot(self, venue: str, coin: str) -> Column:
        noise = SPOT_NOISE_BP[venue]
        if noise == 0.0:
            return self.reference(coin)
        shocks = stream(self._seed, f"spot {venue} {coin}").standard_normal(self._clock.steps)
        if venue == "uniswap":
            shocks = autoregress(shocks * 0.6, 0.8)
        return self.reference(coin) * (1.0 + noise * 1e-4 * shocks)

    def perp(self, venue: str, coin: str) -> Column:
        """Mark, USDT: reference × (1 + premium)."""
        return self._keep(f"perp {venue} {coin}", lambda: self._perp(venue, coin))

    def extremes(self, venue: str, coin: str) -> tuple[Column, Column]:
        """(high, low) of the bar that closed at each grid row; the first row's bar is flat."""
        clock, mark = self._clock, self.perp(venue, coin)
        reach = HOURLY_SD[coin] * 0.35 / np.sqrt(clock.per_hour)
        draw = stream(self._seed, f"extremes {venue} {coin}")
        above = np.abs(draw.standard_normal(clock.steps))
        below = np.abs(stream(self._seed, f"lows {venue} {coin}").standard_normal(clock.steps))
        before = np.concatenate((mark[:1], mark[:-1]))
        high = np.maximum(mark, before) * (1.0 + reach * above)
        low = np.minimum(mark, before) * (1.0 - reach * below)
        high[0] = low[0] = mark[0]
        if clock.stride == 1:
            return high, low
        rows = (clock.steps - 1) // clock.stride
        tops = high[1:].reshape(rows, clock.stride).max(axis=1)
        bottoms = low[1:].reshape(rows, clock.stride).min(axis=1)
        return np.concatenate((high[:1], tops)), np.concatenate((low[:1], bottoms))

    def funding(self, venue: str, coin: str) -> FundingSeries:
        """A settlement every 8 hours UTC, on the premium of the hours before it."""
        clock = self._clock
        grid = clock.grid
        interval = FUNDING_HOURS * HOUR_NS
        first = (grid.start // interval + 1) * interval
        at = first + interval * np.arange(max((grid.end - first) // interval + 1, 0), dtype=np.int64)
        step = (at - grid.start) // clock.fine
        hour = (at - grid.start) // HOUR_NS
        premium = 0.5 * (self._premium_hourly(venue, coin) + self._premium_hourly("binance", coin))
        sums = np.concatenate(((0.0,), np.cumsum(premium)))
        last = np.minimum(hour, len(premium))
        begin = np.maximum(last - FUNDING_HOURS, 0)
        mean = (sums[last] - sums[begin]) / np.maximum(last - begin, 1)
        rate = mean + np.clip(1.0 - mean, -5.0, 5.0)
        if venue == "okx":  # no mass at 1 bp: its formula has no such centre
            noise = stream(self._seed, f"funding okx {coin}").standard_normal(len(at))
            rate = 0.75 * rate + 0.05 + 0.35 * noise
        rate = np.clip(rate * 1e-4, -FUNDING_CAP[coin], FUNDING_CAP[coin])
        row = -((grid.start - at) // grid.step)
        return FundingSeries(at=at, row=row.astype(np.int64), rate=rate, mark_usdt=self.perp(venue, coin)[step])

    def _keep(self, name: str, make: Callable[[], Column]) -> Column:
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]

    def _reference(self, coin: str) -> Column:
        clock = self._clock
        share = COMMON[coin]
        shocks = share * self._shocks("common") + np.sqrt(1.0 - share * share) * self._shocks(f"own {coin}")
        sd = HOURLY_SD[coin] / np.sqrt(clock.per_hour)
        shocks *= sd
        shocks *= clock.held(self._volatility)
        shocks[0] = 0.0
        persistence = 0.5 ** (1.0 / (PULL_HALF_LIFE_HOURS * clock.per_hour))
        log = autoregress(shocks, persistence)
        years = clock.hours_since_start() / YEAR_HOURS
        log += DRIFT_PER_YEAR * np.minimum(years, DRIFT_YEARS)
        log += stress.log_price(self._scenario, self._since)
        prices: Column = START[coin] * np.exp(log)
        return np.round(prices, 2)

    def _shocks(self, name: str) -> Column:
        """Student t with 4 degrees of freedom, unit variance; rare jumps in the common factor."""
        draw = stream(self._seed, f"shocks {name}")
        shocks = draw.standard_t(4, self._clock.steps)
        shocks *= np.sqrt(0.5)
        return np.clip(shocks, -14.0, 11.0)

    @cached_property
    def _volatility(self) -> Column:
        """Hourly factor on the volatility, mean square 1, half-life 2.5 days."""
        persistence = 0.5 ** (1.0 / VOLATILITY_HALF_LIFE_HOURS)
        shocks = stream(self._seed, "volatility").standard_normal(self._clock.hours)
        log = autoregress(shocks * VOLATILITY_SD * np.sqrt(1.0 - persistence**2), persistence)
        factor: Column = np.exp(log - VOLATILITY_SD**2)
        return factor

    @cached_property
    def _bull(self) -> Column:
        """1 in the bull regime, 0 in the calm one, per hour."""
        draw = stream(self._seed, "regime").random(self._clock.hours).tolist()
        out, bull = [], False
        for chance in draw:
            if chance < 1.0 / (BULL[2] if bull else CALM[2]):
                bull = not bull
            out.append(1.0 if bull else 0.0)
        return np.array(out)

    def _premium_hourly(self, venue: str, coin: str) -> Column:
        """Premium in bp per hour: pulled to the level of the regime, plus the venue's own noise."""
        return self._keep(f"premium {venue} {coin}", lambda: self._make_premium(venue, coin))

    def _make_premium(self, venue: str, coin: str) -> Column:
        clock, bull = self._clock, self._bull
        hours = clock.hours
        pull = 1.0 - 0.5 ** (1.0 / PREMIUM_HALF_LIFE_HOURS)
        level = np.where(bull > 0.0, BULL[0], CALM[0])
        sd = np.where(bull > 0.0, BULL[1], CALM[1]) * np.sqrt(2.0 * pull)
        common = stream(self._seed, "premium").standard_normal(hours)
        own = stream(self._seed, f"premium {coin}").standard_normal(hours)
        shocks = pull * level + sd * (0.9 * common + np.sqrt(1.0 - 0.81) * own)
        slow = autoregress(shocks, 1.0 - pull, CALM[0])
        quick = autoregress(stream(self._seed, f"quick {coin}").standard_normal(hours) * 0.56, 0.6)
        out = slow + quick
        noise = VENUE_NOISE_BP[venue]
        if noise:
            slower = stream(self._seed, f"venue {venue} {coin}").standard_normal(hours)
            out = out + autoregress(slower * noise * 0.6, 0.8)
        since = stress.since(np.arange(hours, dtype=np.float64), clock.scenario_hours)
        premium: Column = out + stress.premium_bp(self._scenario, since)
        return premium

    def _perp(self, venue: str, coin: str) -> Column:
        premium = self._clock.held(self._premium_hourly(venue, coin))
        if self._clock.per_hour > 1:
            noise = stream(self._seed, f"minute {venue} {coin}").standard_normal(self._clock.steps)
            premium = premium + 0.3 * noise
        mark = self.reference(coin) * (1.0 + premium * 1e-4)
        rounded: Column = np.round(mark * stress.divergence(self._scenario, venue, coin, self._since), 2)
        return rounded
