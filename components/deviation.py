"""Deviation: how far what is held has moved from what a strategy wants, and where in a window it is too far.

It finds rows and names them; what to do about it is the Strategy Manager's business. What a finished plan could not
cure is held back by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec
import numpy as np

from components.exposure_monitor import Exposure
from components.held_back import Band, Held, after, first_row
from components.model.keys import GAS, KING, WALLET, base_token, perp
from components.model.market import Column
from components.model.measures import Kind, Measure, measure_of
from components.model.requirements import reward_tokens
from components.model.slices import ModeSlice
from components.utility_manager import UtilityManager

QUARTER = 0.25  # of the way to a liquidation, or of where it stands: a margin or LTV that is worse by that fires again
DUST = Kind.DUST.value


class Unmended(msgspec.Struct, frozen=True):
    """A measure that a finished plan left outside its band: its name, what it stands at, and why it stays."""

    name: str
    value: float
    held: Held


class Deviation:
    def __init__(self, mode: ModeSlice, prices: UtilityManager) -> None:
        self._mode = mode
        self._prices = prices
        self._margin_names = {venue: str(Measure(Kind.MARGIN_RATIO, venue)) for venue in mode.hedge_allocation}
        self._leg_names = {venue: str(Measure(Kind.LEGS, venue)) for venue in mode.hedge_allocation}
        self._seen: Exposure | None = None  # whose bands these are: one window is asked about three times
        self._made: list[Band] = []

    def first(self, exposure: Exposure, held: Mapping[str, Held]) -> tuple[int, Measure] | None:
        """Row and measure of the first of: a margin ratio outside its band, legs that parted, LTV off target, net
        delta, idle cash, gas."""
        timestamps = exposure.window.timestamps
        best: tuple[int, Measure] | None = None
        for band in self._bands(exposure):
            row = first_row(band, held.get(band.name), timestamps)
            if row < len(timestamps) and (best is None or row < best[0]):
                best = (row, measure_of(band.name))
        return best

    def dust(self, exposure: Exposure, held: Mapping[str, Held]) -> int | None:
        """The first row on which reward tokens are worth selling."""
        band = self._dust(exposure)
        if band is None:
            return None
        row = first_row(band, held.get(DUST), exposure.window.timestamps)
        return row if row < len(exposure.window) else None

    def unmended(self, exposure: Exposure, held: Mapping[str, Held]) -> tuple[Unmended, ...]:
        """What is seen on the first row to have been left outside its band and was not told yet."""
        return tuple(
            Unmended(band.name, band.at(0), held[band.name])
            for band in self._held(exposure, held)
            if held[band.name].value is None and not held[band.name].told and band.is_outside(band.at(0))
        )

    def advance(self, exposure: Exposure, held: Mapping[str, Held], rows: int) -> dict[str, Held]:
        """What is still held back once the first `rows` rows have happened: no measure that is gone."""
        kept = {band.name: after(band, held[band.name], rows) for band in self._held(exposure, held)}
        return {name: each for name, each in kept.items() if each is not None}

    def _held(self, exposure: Exposure, held: Mapping[str, Held]) -> Iterator[Band]:
        for band in self._bands(exposure):
            if band.name in held:
                yield band
        if DUST in held and (dust := self._dust(exposure)) is not None:
            yield dust

    def _bands(self, exposure: Exposure) -> list[Band]:
        if exposure is not self._seen:
            self._seen, self._made = exposure, self._make_bands(exposure)
        return self._made

    def _make_bands(self, exposure: Exposure) -> list[Band]:
        mode, book = self._mode, exposure.book
        bands: list[Band] = []
        threshold = mode.position_deviation_threshold
        for venue, account in exposure.accounts.items():
            if account.margin_ratio is not None and mode.collateral == "usdt":
                band = mode.margin_ratio_band
                bands.append(
                    Band(
                        self._margin_names[venue],
                        account.margin_ratio,
                        band.low,
                        band.high,
                        share=QUARTER,
                        extent=account.ratio_extent,
                    )
                )
            if mode.lst_type is None:
                spot = book.quantities.get(base_token(venue, mode.asset), 0.0)
                size = book.quantities.get(perp(venue, mode.asset), 0.0)
                larger = max(abs(spot), abs(size))
                if larger > 0.0:
                    parted = abs(spot + size) / larger
                    bands.append(Band(self._leg_names[venue], parted, 0.0, threshold, threshold))
        if exposure.ltv is not None:
            low, high = mode.target_ltv * (1.0 - threshold), mode.target_ltv * (1.0 + threshold)
            step = QUARTER * max(mode.risk.ltv.critical - high, 0.0)
            bands.append(Band("ltv", exposure.ltv, low, high, step, extent=exposure.ltv_extent))
        if exposure.drift is not None:
            most = mode.max_delta_drift
            bands.append(Band("delta", exposure.drift, -1.0, most, most, extent=exposure.drift_extent))
        idle = self._idle(exposure)
        if idle is not None:
            bands.append(Band("idle", idle, -1.0, threshold, threshold))
        gas = book.quantities.get(base_token(GAS, "ETH"), 0.0)
        if mode.costs == "default":
            if mode.share_class == "USDT":
                bands.append(Band("gas_debt", -gas, -np.inf, mode.gas_debt_limit, mode.gas_debt_limit))
            else:
                bands.append(Band("gas_reserve", gas, 0.25 * mode.gas_reserve, np.inf, share=QUARTER))
        return bands

    def _idle(self, exposure: Exposure) -> Column | None:
        """Cash in the wallet and coins waiting to be staked, as a share of equity."""
        window, book = exposure.window, exposure.book
        total: Column | float = 0.0
        keys = [base_token(WALLET, "USDT"), base_token(WALLET, "ETH")]
        venue = self._mode.spot_venue
        if self._mode.lst_type is not None and venue is not None:
            keys.append(base_token(venue, "ETH"))
            if venue not in self._mode.hedge_allocation:
                keys.append(base_token(venue, "USDT"))
        for key in keys:
            native = book.quantities.get(key, 0.0)
            if native > 0.0:
                value = self._prices.unit(window.market, key).value
                total = total + native * (value if isinstance(value, float) else window.cut(value))
        if isinstance(total, float) and total == 0.0:
            return None
        return total / np.maximum(exposure.equity, total)  # after a full payout equity may be a gas debt

    def _dust(self, exposure: Exposure) -> Band | None:
        """Reward tokens, share-class currency."""
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
        return Band(DUST, total, -np.inf, self._mode.dust_threshold, self._mode.dust_threshold)
