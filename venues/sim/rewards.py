"""Restaking rewards: how many tokens a period credits for the weETH that was held.

The amount is `per_eeth × ∫ eETH dt ÷ period`. The integral is kept per period and moves on only when the holding
changes, at the time it changes, so it does not depend on windows.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from components.maths.staking import reward_units
from components.model.keys import PositionKey, a_token, base_token
from components.model.market import Column, Market, RewardPeriod, Stamps

LST = "weETH"
IN_WALLET = base_token("wallet", LST)
SUPPLIED = a_token(LST)


class RewardMeter:
    """Meters the weETH of one run."""

    def __init__(self, market: Market, tokens: tuple[str, ...]) -> None:
        self._timestamps = market.timestamps
        start = int(market.timestamps[0]) if market.begins is None else market.begins
        self.periods = tuple(period for period in market.rewards if period.token in tokens and period.paid_at > start)
        self.periods = tuple(sorted(self.periods, key=lambda period: (period.paid_at, period.token)))
        self._integrals = [0.0] * len(self.periods)
        self._next = 0
        self._since = start
        self._wallet = self._supplied = 0.0
        if self.periods:
            ratio = market.column(f"etherfi.ratio.{LST}")
            name = f"aave_v3.supply_index.{LST}"
            self._rates = (ratio, ratio * market.column(name) if name in market.columns else ratio)
            self._areas: dict[tuple[int, int], _Areas] = {}  # by beginning and end of a period

    def due(self) -> int | None:
        """When the next payment is credited (UTC ns); None when there are no more."""
        return self.periods[self._next].paid_at if self._next < len(self.periods) else None

    def preview(self) -> tuple[RewardPeriod, float]:
        """The next payment and how many tokens it is."""
        period = self.periods[self._next]
        seconds = self._integrals[self._next] + self._open_part(period, period.end)
        return period, reward_units(period.per_eeth, seconds, (period.end - period.start) / 1e9)

    def paid(self) -> None:
        self._next += 1

    def needed(self, holdings: list[tuple[int, float, float]], now: int) -> list[tuple[int, float, float]]:
        """Of the changes of a holding (when, in the wallet, supplied) those that some period not yet paid asks for.

        A period that is not known yet begins no longer ago than the longest lasts until it is paid.
        """
        since = now - max((period.paid_at - period.start for period in self.periods), default=now)
        since = min(since, *(period.start for period in self.periods[self._next :]), now)
        before = sum(at <= since for at, _, _ in holdings)
        return holdings[max(before - 1, 0) :]

    def holds(self, balances: dict[PositionKey, float], at: int) -> None:
        """The holding as of `at`; what was held until then is metered."""
        wallet, supplied = balances.get(IN_WALLET, 0.0), balances.get(SUPPLIED, 0.0)
        if not self.periods or (wallet == self._wallet and supplied == self._supplied):
            return
        for i in range(self._next, len(self.periods)):
            period = self.periods[i]
            if period.start < at:
                self._integrals[i] += self._open_part(period, min(at, period.end))
        self._wallet, self._supplied, self._since = wallet, supplied, at

    def _open_part(self, period: RewardPeriod, until: int) -> float:
        """eETH-seconds of the present holding inside the period, up to `until`."""
        begin = max(self._since, period.start)
        if until <= begin or (self._wallet == 0.0 and self._supplied == 0.0):
            return 0.0
        total = 0.0
        for units, area in zip((self._wallet, self._supplied), self._areas_of(period), strict=True):
            if units:
                total += units * (area.at(until) - area.at(begin))
        return total

    def _areas_of(self, period: RewardPeriod) -> _Areas:
        """Counted from the beginning of the period, so that they do not depend on how far back the market goes."""
        key = period.start, period.end
        if key not in self._areas:
            first = max(int(np.searchsorted(self._timestamps, period.start, side="right")) - 1, 0)
            last = int(np.searchsorted(self._timestamps, period.end, side="right"))
            rows = slice(first, max(last, first + 1))
            wallet, supplied = (_Area(self._timestamps[rows], rate[rows]) for rate in self._rates)
            self._areas[key] = wallet, supplied
        return self._areas[key]


class _Area:
    """∫ rate dt from the first row on, the rate held from each row to the next; seconds."""

    def __init__(self, timestamps: Stamps, rate: Column) -> None:
        self._timestamps, self._rate = timestamps, rate
        self._sums = np.zeros(len(rate))
        np.cumsum(rate[:-1] * (np.diff(timestamps) / 1e9), out=self._sums[1:])

    def at(self, time: int) -> float:
        row = int(np.searchsorted(self._timestamps, time, side="right")) - 1
        if row < 0:
            return 0.0
        return float(self._sums[row]) + float(self._rate[row]) * ((time - int(self._timestamps[row])) / 1e9)


_Areas: TypeAlias = tuple[_Area, _Area]
