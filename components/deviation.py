"""Deviation: how far what is held has moved from what a strategy wants, and where in a window it is too far.

It finds rows and names them; what to do about it is the Strategy Manager's business. `retry_at` holds back, by name,
what could not be cured until a UTC nanosecond stamp.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from components.exposure_monitor import Exposure
from components.model.keys import GAS, KING, WALLET, base_token, perp
from components.model.market import Column, Flags
from components.model.requirements import reward_tokens
from components.model.slices import ModeSlice
from components.utility_manager import UtilityManager


class Deviation:
    def __init__(self, mode: ModeSlice, prices: UtilityManager) -> None:
        self._mode = mode
        self._prices = prices

    def first(self, exposure: Exposure, retry_at: Mapping[str, int]) -> tuple[int, str] | None:
        """Row and name of the first of: legs that parted, a margin ratio outside its band, LTV off target, net delta,
        idle cash, gas."""
        timestamps = exposure.window.timestamps
        best: tuple[int, str] | None = None
        for name, column, low, high in self._bands(exposure):
            if isinstance(column, float):
                if low <= column <= high:
                    continue
                row = 0
            elif column.min() >= low and column.max() <= high:
                continue
            else:
                row = _first((column < low) | (column > high), 0)
            retry = retry_at.get(name, 0)
            if row < len(timestamps) and int(timestamps[row]) < retry:
                later = int(np.searchsorted(timestamps, retry))
                row = later if isinstance(column, float) else _first((column < low) | (column > high), later)
            if row < len(timestamps) and (best is None or row < best[0]):
                best = (row, name)
        return best

    def _bands(self, exposure: Exposure) -> list[tuple[str, Column | float, float, float]]:
        mode, book = self._mode, exposure.book
        bands: list[tuple[str, Column | float, float, float]] = []
        threshold = mode.position_deviation_threshold
        for venue, account in exposure.accounts.items():
            if account.margin_ratio is not None and mode.collateral == "usdt":
                band = mode.margin_ratio_band
                bands.append((f"margin_ratio:{venue}", account.margin_ratio, band.low, band.high))
            if mode.lst_type is None:
                spot = book.quantities.get(base_token(venue, mode.asset), 0.0)
                size = book.quantities.get(perp(venue, mode.asset), 0.0)
                larger = max(abs(spot), abs(size))
                if larger > 0.0:
                    bands.append((f"legs:{venue}", abs(spot + size) / larger, 0.0, threshold))
        if exposure.ltv is not None:
            target = mode.target_ltv
            bands.append(("ltv", exposure.ltv, target * (1.0 - threshold), target * (1.0 + threshold)))
        if exposure.net_coin is not None and exposure.gross_coin is not None:
            drift = _ratio(exposure.net_coin, exposure.gross_coin)
            if drift is not None:
                bands.append(("delta", drift, -1.0, mode.max_delta_drift))
        idle = self._idle(exposure)
        if idle is not None:
            bands.append(("idle", idle, -1.0, threshold))
        gas = book.quantities.get(base_token(GAS, "ETH"), 0.0)
        if mode.costs == "default":
            if mode.share_class == "USDT":
                bands.append(("gas_debt", -gas, -np.inf, mode.gas_debt_limit))
            else:
                bands.append(("gas_reserve", gas, 0.25 * mode.gas_reserve, np.inf))
        return bands

    def _idle(self, exposure: Exposure) -> Column | None:
        """Cash in the wallet and coins waiting to be staked, as a share of equity."""
        window, book = exposure.window, exposure.book
        total: Column | float = 0.0
        keys = [base_token(WALLET, "USDT"), base_token(WALLET, "ETH")]
        if self._mode.lst_type is not None and self._mode.spot_venue in self._mode.hedge_allocation:
            keys.append(base_token(self._mode.spot_venue or "", "ETH"))
        for key in keys:
            native = book.quantities.get(key, 0.0)
            if native > 0.0:
                value = self._prices.unit(window.market, key).value
                total = total + native * (value if isinstance(value, float) else window.cut(value))
        if isinstance(total, float) and total == 0.0:
            return None
        return total / np.maximum(exposure.equity, total)  # after a full payout equity may be a gas debt

    def dust(self, exposure: Exposure, retry_at: Mapping[str, int]) -> int | None:
        """The first row on which reward tokens are worth selling."""
        window, book = exposure.window, exposure.book
        total: Column | float = 0.0
        for token in reward_tokens(self._mode):
            for venue in (KING, WALLET):
                key = base_token(venue, token)
                native = book.quantities.get(key, 0.0)
                if native > 0.0:
                    value = self._prices.unit(window.market, key).value
                    total = total + native * (value if isinstance(value, float) else window.cut(value))
        if isinstance(total, float):
            return None
        above = total > self._mode.dust_threshold
        ready = window.timestamps >= retry_at.get("dust", 0)
        hit = above & ready
        return int(hit.argmax()) if hit.any() else None


def _first(flags: Flags, start: int) -> int:
    """The first row at or after `start` that is flagged; the length when there is none."""
    rest = flags[start:]
    return start + int(rest.argmax()) if rest.any() else len(flags)


def _ratio(net: Column | float, gross: Column | float) -> Column | float | None:
    if isinstance(net, float) and isinstance(gross, float):
        return abs(net) / gross if gross > 0.0 else None
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.abs(net) / gross
