"""Perps: premium over spot, marks, extremes of bars, and funding (NOTES-data §3; §4 points 2 and 3).

The premium is pulled to a level that two regimes share: calm, a little below the centre of the clamp, and bull. Each venue
adds a premium of its own. Funding is the venue's formula on the mean premium of the eight hours before a settlement.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from components.model.market import Column, FundingSeries, Stamps
from components.model.requirements import HOUR_NS
from venues.sim.market import stress
from venues.sim.market.prices import Prices
from venues.sim.market.streams import autoregress, normals, persistence, uniforms, wandering

CALM_BP, BULL_BP = (-4.55, 0.6), (5.2, 3.3)  # level, sd
CALM_STAY_HOURS, BULL_STAY_HOURS = 60 * 24.0, 19 * 24.0
PULL_HALF_LIFE_HOURS = 72.0
SHARED = 0.9  # of the premium's noise between BTC and ETH
QUICK = (0.6, 0.9)  # hourly persistence, sd bp
WITHIN_HOUR_BP = 0.3
# How a venue's premium follows Binance's: factor, level bp by coin, hourly persistence and sd bp of its own part.
FOLLOWS = {
    "bybit": (1.0, {"BTC": 0.0, "ETH": 0.0}, 0.80, 2.0),
    "okx": (0.40, {"BTC": 1.3, "ETH": 0.0}, 0.95, 1.9),
}
FUNDING_HOURS = 8
INTEREST_BP, CLAMP_BP = 1.0, 5.0
# Noise of the premium index at a settlement: persistence from one to the next, sd bp.
INDEX_NOISE = {"binance": (0.3, 0.35), "bybit": (0.5, 1.0), "okx": (0.5, 0.62)}
OKX_LEVEL_BP, OKX_SLOPE, OKX_FROM_BP, OKX_AT_INTEREST = 0.50, 0.27, -3.2, 0.085
FUNDING_CAP = {"BTC": 0.0030, "ETH": 0.00375}  # per interval


class Perps:
    """Perps of one seed and scenario; columns on the fine steps unless said otherwise."""

    def __init__(self, prices: Prices) -> None:
        self._prices = prices
        self._clock = prices.clock
        self._seed = prices.seed
        self.mark = cache(self._mark)
        self._base_bp = cache(self._make_base)
        self._premium_bp = cache(self._make_premium)
        self._bull = cache(self._make_bull)

    def extremes(self, venue: str, coin: str) -> tuple[Column, Column]:
        """(high, low) in USDT of the bar that closed at each grid row; the first row's bar is flat."""
        clock, mark = self._clock, self.mark(venue, coin)
        reach = self._prices.reach(coin)
        before = np.concatenate((mark[:1], mark[:-1]))
        high = np.maximum(mark, before) * (1.0 + reach * np.abs(clock.noise(self._seed, f"high {venue} {coin}")))
        low = np.minimum(mark, before) * (1.0 - reach * np.abs(clock.noise(self._seed, f"low {venue} {coin}")))
        high[0] = low[0] = mark[0]
        if clock.stride > 1:
            high = np.append(high[:1], high[1:].reshape(-1, clock.stride).max(axis=1))
            low = np.append(low[:1], low[1:].reshape(-1, clock.stride).min(axis=1))
        return np.round(high, 2), np.round(low, 2)

    def funding(self, venue: str, coin: str) -> FundingSeries:
        """A settlement at 00, 08 and 16 UTC in (start, last row], with the mark as of its stamp."""
        clock = self._clock
        interval = FUNDING_HOURS * HOUR_NS
        at = np.arange((clock.start // interval + 1) * interval, clock.last + 1, interval, dtype=np.int64)
        rate = np.round(self._rate_bp(venue, coin, at) * 1e-4, 8)
        rate = np.clip(rate, -FUNDING_CAP[coin], FUNDING_CAP[coin])
        row = -((clock.start - at) // clock.step)
        mark = self.mark(venue, coin)[(at - clock.start) // clock.fine]
        return FundingSeries(at=at, row=row, rate=rate, mark_usdt=mark)

    def _mark(self, venue: str, coin: str) -> Column:
        """USDT: spot of the venue's reference × (1 + premium)."""
        prices, clock = self._prices, self._clock
        spot = prices.reference(coin)
        premium = clock.held(self._premium_bp(venue, coin))
        if clock.per_hour > 1:
            within = WITHIN_HOUR_BP * normals(self._seed, f"mark {venue} {coin} within {clock.per_hour}", clock.steps)
            within[:: clock.per_hour] = 0.0
            premium = premium + within
        mark = spot * (1.0 + 1e-4 * premium)
        return np.round(stress.diverged(prices.scenario, venue, coin, prices.since(), mark, spot), 2)

    def _make_premium(self, venue: str, coin: str) -> Column:
        """Premium over the reference spot in bp, per hour."""
        premium = self._base_bp(coin)
        if venue in FOLLOWS:
            share, level, factor, sd = FOLLOWS[venue]
            own = wandering(self._seed, f"premium {venue} {coin}", len(premium), factor=factor, sd=sd)
            premium = share * premium + level[coin] + own
        return stress.premium_bp(self._prices.scenario, self._prices.since_hourly(), premium)

    def _make_base(self, coin: str) -> Column:
        """Binance's premium before any scenario, in bp, per hour."""
        hours, bull = self._clock.hours, self._bull()
        factor = persistence(PULL_HALF_LIFE_HOURS)
        level, sd = (np.where(bull, high, low) for low, high in zip(CALM_BP, BULL_BP, strict=True))
        shocks = SHARED * normals(self._seed, "premium", hours)
        shocks += np.sqrt(1.0 - SHARED**2) * normals(self._seed, f"premium {coin}", hours)
        slow = autoregress((1.0 - factor) * level + sd * np.sqrt(1.0 - factor * factor) * shocks, factor, CALM_BP[0])
        return slow + wandering(self._seed, f"premium quick {coin}", hours, factor=QUICK[0], sd=QUICK[1])

    def _make_bull(self) -> np.typing.NDArray[np.bool_]:
        """Which hours lie in the bull regime; it may change at any hour."""
        out, bull = [], False
        for chance in uniforms(self._seed, "regime", self._clock.hours).tolist():
            if chance * (BULL_STAY_HOURS if bull else CALM_STAY_HOURS) < 1.0:
                bull = not bull
            out.append(bull)
        return np.array(out)

    def _rate_bp(self, venue: str, coin: str, at: Stamps) -> Column:
        """Rates at settlements `at`, in bp of notional, before the cap."""
        hour = (at - self._clock.start) // HOUR_NS
        scenario, since = self._prices.scenario, self._prices.since_hourly()
        base = stress.premium_bp(scenario, since, self._base_bp(coin))
        sums = np.concatenate(((0.0,), np.cumsum(base)))
        begin = np.maximum(hour - FUNDING_HOURS, 0)
        index = (sums[hour] - sums[begin]) / np.maximum(hour - begin, 1)
        factor, sd = INDEX_NOISE[venue]
        noise = wandering(self._seed, f"index {venue} {coin}", len(at), factor=factor, sd=sd)
        if venue != "okx" or scenario == "funding_negative":
            index = index + noise
            return index + np.clip(INTEREST_BP - index, -CLAMP_BP, CLAMP_BP)
        # OKX has no clamp around the interest rate, so only few of its settlements are exactly that.
        rate = OKX_LEVEL_BP + noise + OKX_SLOPE * np.maximum(index - OKX_FROM_BP, 0.0)
        plain = uniforms(self._seed, f"interest {venue} {coin}", len(at)) < OKX_AT_INTEREST
        return np.where(plain, INTEREST_BP, rate)
