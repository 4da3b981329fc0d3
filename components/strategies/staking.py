"""Staking in an ETH share class: all ETH in one LST, alone or leveraged in Aave; never hedged."""

from __future__ import annotations

from collections.abc import Mapping

from components.model.keys import WALLET, PositionKey, base_token
from components.strategies.strategy import Strategy, Target, View, staked_leg


class Staking(Strategy):
    """The LST in the wallet, or as collateral against WETH debt at `target_ltv` when the mode borrows."""

    def target(self, equity: float, view: View) -> Target:
        return Target(staked_leg(self.mode, equity, view.ratio))

    def places(self, equity: float) -> Mapping[PositionKey, float]:
        return {base_token(WALLET, "ETH"): equity}
