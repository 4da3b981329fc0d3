"""Spot prices, premiums and funding of three exchanges (NOTES-data §3 and §4, points 1–3)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from components.model.market import Column, FundingSeries
from venues.embedded import stress
from venues.embedded.streams import HOUR_NS, YEAR_HOURS, Clock, Memory

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
    """Prices of one scenario on the fine steps of a clock; each process is made once, when asked for."""

    def __init__(self, clock: Clock, memory: Memory, scenario: str) -> None:
        self._clock = clock
        self._memory = memory
        self._scenario = scenario
        self._kept: dict[str, Column] = {}
        self._since = stress.since(clock.hours_since_start(), clock.scenario_hours)

    def reference(self, coin: str) -> Column:
        """Binance spot, USDT, on the fine steps. The columns it hands out are not written to."""
        return self._keep(f"reference {coin}", lambda: self._reference(coin))

    def spot(self, venue: str, coin: str) -> Column:
        noise = SPOT_NOISE_BP[venue]
        if noise == 0.0:
            return self.reference(coin)
        name = f"spot {venue} {coin}"
        shocks = self._memory.stream(name).standard_normal(self._clock.steps)
        if venue == "uniswap":
            shocks = self._memory.autoregress(name, shocks * 0.6, 0.8)
        return self.reference(coin) * (1.0 + noise * 1e-4 * shocks)

    def perp(self, venue: str, coin: str) -> Column:
        """Mark, USDT: reference × (1 + premium)."""
        return self._keep(f"perp {venue} {coin}", lambda: self._perp(venue, coin))

    def extremes(self, venue: str, coin: str) -> tuple[Column, Column]:
        """(high, low) of the bar that closed at each grid row; the first row's bar is flat."""
        clock, mark = self._clock, self.perp(venue, coin)
        reach = HOURLY_SD[coin] * 0.35 / np.sqrt(clock.per_hour)
        above = np.abs(self._memory.stream(f"extremes {venue} {coin}").standard_normal(clock.steps))
        below = np.abs(self._memory.stream(f"lows {venue} {coin}").standard_normal(clock.steps))
        before = np.concatenate((self._memory.last(f"mark {venue} {coin}", mark[:1]), mark[:-1]))
        self._memory.keep(f"mark {venue} {coin}", mark[-1:])
        high = np.maximum(mark, before) * (1.0 + reach * above)
        low = np.minimum(mark, before) * (1.0 - reach * below)
        begins = 0 if clock.first else 1  # bars of the whole span that no steps lead up to
        high[:begins] = low[:begins] = mark[:begins]
        if clock.stride == 1:
            return high, low
        tops = high[begins:].reshape(-1, clock.stride).max(axis=1)
        bottoms = low[begins:].reshape(-1, clock.stride).min(axis=1)
        return np.concatenate((high[:begins], tops)), np.concatenate((low[:begins], bottoms))

    def funding(self, venue: str, coin: str) -> FundingSeries:
        """A settlement every 8 hours UTC, on the premium of the hours before it."""
        clock = self._clock
        grid = clock.grid
        interval = FUNDING_HOURS * HOUR_NS
        made = grid.start + clock.first_step * clock.fine - clock.fine if clock.first else grid.start
        first = (made // interval + 1) * interval
        at = first + interval * np.arange(max((grid.end - first) // interval + 1, 0), dtype=np.int64)
        step = (at - grid.start) // clock.fine - clock.first_step
        premium = 0.5 * (self._premium_hourly(venue, coin) + self._premium_hourly("binance", coin))
        name = f"premium sums {venue} {coin}"
        before = self._memory.last(name, np.zeros(1))  # of the hours before this part, as many as a settlement reads
        sums = np.cumsum(np.concatenate((before[-1:], premium)))
        sums = np.concatenate((before[:-1], sums))
        self._memory.keep(name, sums[-FUNDING_HOURS - 1 :])
        last = np.minimum((at - grid.start) // HOUR_NS - clock.first_hour, len(premium)) + len(before) - 1
        begin = np.maximum(last - FUNDING_HOURS, 0)
        mean = (sums[last] - sums[begin]) / np.maximum(last - begin, 1)
        rate = mean + np.clip(1.0 - mean, -5.0, 5.0)
        if venue == "okx":  # no mass at 1 bp: its formula has no such centre
            noise = self._memory.stream(f"funding okx {coin}").standard_normal(len(at))
            rate = 0.75 * rate + 0.05 + 0.35 * noise
        rate = np.clip(rate * 1e-4, -FUNDING_CAP[coin], FUNDING_CAP[coin])
        row = -((grid.start - at) // grid.step) - clock.first
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
        if not clock.first:
            shocks[0] = 0.0
        persistence = 0.5 ** (1.0 / (PULL_HALF_LIFE_HOURS * clock.per_hour))
        log = self._memory.autoregress(f"reference {coin}", shocks, persistence)
        years = clock.hours_since_start() / YEAR_HOURS
        log += DRIFT_PER_YEAR * np.minimum(years, DRIFT_YEARS)
        log += stress.log_price(self._scenario, self._since)
        prices: Column = START[coin] * np.exp(log)
        return np.round(prices, 2)

    def _shocks(self, name: str) -> Column:
        """Student t with 4 degrees of freedom, unit variance; rare jumps in the common factor."""
        return self._keep(f"shocks {name}", lambda: self._make_shocks(f"shocks {name}"))

    def _make_shocks(self, name: str) -> Column:
        shocks = self._memory.stream(name).standard_t(4, self._clock.steps)
        shocks *= np.sqrt(0.5)
        return np.clip(shocks, -14.0, 11.0)

    @cached_property
    def _volatility(self) -> Column:
        """Hourly factor on the volatility, mean square 1, half-life 2.5 days."""
        persistence = 0.5 ** (1.0 / VOLATILITY_HALF_LIFE_HOURS)
        shocks = self._memory.stream("volatility").standard_normal(self._clock.hours)
        log = self._memory.autoregress(
            "volatility", shocks * VOLATILITY_SD * np.sqrt(1.0 - persistence**2), persistence
        )
        factor: Column = np.exp(log - VOLATILITY_SD**2)
        return factor

    @cached_property
    def _bull(self) -> Column:
        """1 in the bull regime, 0 in the calm one, per hour."""
        draw = self._memory.stream("regime").random(self._clock.hours).tolist()
        out, bull = [], bool(self._memory.last("regime", np.zeros(1))[0])
        for chance in draw:
            if chance < 1.0 / (BULL[2] if bull else CALM[2]):
                bull = not bull
            out.append(1.0 if bull else 0.0)
        found = np.array(out)
        self._memory.keep("regime", found[-1:])
        return found

    def _premium_hourly(self, venue: str, coin: str) -> Column:
        """Premium in bp per hour: pulled to the level of the regime, plus the venue's own noise."""
        return self._keep(f"premium {venue} {coin}", lambda: self._make_premium(venue, coin))

    def _make_premium(self, venue: str, coin: str) -> Column:
        clock, memory = self._clock, self._memory
        out = self._keep(f"premium of all {coin}", lambda: self._premium_of_all(coin))
        noise = VENUE_NOISE_BP[venue]
        if noise:
            name = f"venue {venue} {coin}"
            slower = memory.stream(name).standard_normal(clock.hours)
            out = out + memory.autoregress(name, slower * noise * 0.6, 0.8)
        hours = np.arange(clock.first_hour, clock.first_hour + clock.hours, dtype=np.float64)
        since = stress.since(hours, clock.scenario_hours)
        premium: Column = out + stress.premium_bp(self._scenario, since)
        return premium

    def _premium_of_all(self, coin: str) -> Column:
        memory, bull, hours = self._memory, self._bull, self._clock.hours
        pull = 1.0 - 0.5 ** (1.0 / PREMIUM_HALF_LIFE_HOURS)
        level = np.where(bull > 0.0, BULL[0], CALM[0])
        sd = np.where(bull > 0.0, BULL[1], CALM[1]) * np.sqrt(2.0 * pull)
        common = self._keep("premium", lambda: memory.stream("premium").standard_normal(hours))
        own = memory.stream(f"premium {coin}").standard_normal(hours)
        shocks = pull * level + sd * (0.9 * common + np.sqrt(1.0 - 0.81) * own)
        slow = memory.autoregress(f"premium {coin}", shocks, 1.0 - pull, CALM[0])
        quick = memory.stream(f"quick {coin}").standard_normal(hours)
        return slow + memory.autoregress(f"quick {coin}", quick * 0.56, 0.6)

    def _perp(self, venue: str, coin: str) -> Column:
        premium = self._clock.held(self._premium_hourly(venue, coin))
        if self._clock.per_hour > 1:
            noise = self._memory.stream(f"minute {venue} {coin}").standard_normal(self._clock.steps)
            premium = premium + 0.3 * noise
        mark = self.reference(coin) * (1.0 + premium * 1e-4)
        rounded: Column = np.round(mark * stress.divergence(self._scenario, venue, coin, self._since), 2)
        return rounded
