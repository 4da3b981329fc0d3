"""Basis: on each venue long spot and short the same coin's perp, the rest is margin."""

from __future__ import annotations

from collections.abc import Mapping

from components.model.keys import PositionKey, base_token, perp
from components.strategies.strategy import Strategy, Target, View


class Basis(Strategy):
    """Spot notional `s` and margin `margin_ratio_target × s` per venue, or spot alone on a unified account."""

    def target(self, equity: float, view: View) -> Target:
        holdings: dict[PositionKey, float] = {}
        for venue, weight in self.mode.hedge_allocation.items():
            capital = equity * weight
            if self.mode.collateral == "unified":
                spot_usdt, margin_usdt = capital, 0.0
            else:
                spot_usdt = capital / (1.0 + self.mode.margin_ratio_target)
                margin_usdt = capital - spot_usdt
            coin = spot_usdt / view.spot[venue]
            holdings[base_token(venue, self.mode.asset)] = coin
            holdings[perp(venue, self.mode.asset)] = -coin
            holdings[base_token(venue, "USDT")] = margin_usdt
        return Target(holdings)

    def places(self, equity: float) -> Mapping[PositionKey, float]:
        return {base_token(venue, "USDT"): equity * weight for venue, weight in self.mode.hedge_allocation.items()}
