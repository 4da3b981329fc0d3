"""Market neutral: part of the capital buys ETH that is staked (leveraged when the mode borrows); shorts hedge it."""

from __future__ import annotations

from collections.abc import Mapping

from components.model.keys import WALLET, PositionKey, base_token
from components.strategies.strategy import Strategy, Target, View, hedge_leg, staked_leg


class MarketNeutral(Strategy):
    """`stake_allocation` of the equity in staked ETH, the rest margin behind shorts of the same net ETH."""

    def target(self, equity: float, view: View) -> Target:
        net_eth = equity * self.mode.stake_allocation / view.reference
        margin_usdt = equity * (1.0 - self.mode.stake_allocation)
        holdings = staked_leg(self.mode, net_eth, view.ratio)
        holdings.update(hedge_leg(self.mode, net_eth))
        for venue, weight in self.mode.hedge_allocation.items():
            holdings[base_token(venue, "USDT")] = margin_usdt * weight
        return Target(holdings)

    def places(self, equity: float) -> Mapping[PositionKey, float]:
        margin_usdt = equity * (1.0 - self.mode.stake_allocation)
        places = {
            base_token(venue, "USDT"): margin_usdt * weight for venue, weight in self.mode.hedge_allocation.items()
        }
        buyer = base_token(WALLET if self.mode.spot_venue == "uniswap" else self.mode.spot_venue or WALLET, "USDT")
        places[buyer] = places.get(buyer, 0.0) + equity * self.mode.stake_allocation
        return places
