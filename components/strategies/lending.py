"""Lending: all capital supplied to Aave v3; no hedge, no leverage."""

from __future__ import annotations

from collections.abc import Mapping

from components.model.keys import WALLET, PositionKey, a_token, base_token
from components.strategies.strategy import Strategy, Target, View


class PureLending(Strategy):
    """USDT into Aave."""

    def target(self, equity: float, view: View) -> Target:
        return Target({a_token("USDT"): equity})

    def places(self, equity: float) -> Mapping[PositionKey, float]:
        return {base_token(WALLET, "USDT"): equity}
